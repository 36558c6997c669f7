//! Growing a tree: the best split of each node, as in CART.
//!
//! Features of few values are counted by value; the others are sorted once for the whole forest, and their order is
//! kept through all splits. So a level of a tree costs rows times features, without sorting.

use rand::{Rng, RngExt};

use super::{ForestSettings, LEAF, Node, Table};

/// Features with at most so many values are counted by value.
const FEW: usize = 16;
/// What a split must take off the mean square at least, as a share of all rows (scikit-learn's
/// `min_impurity_decrease` in SMAC3).
const LEAST_DECREASE: f64 = 1e-8;

/// Gains that differ by less than this share of them are equal.
const SAME: f64 = 1e-12;

/// Sum of weights, weighted sum of costs, and number of different rows.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: f64,
    cost: f64,
    rows: usize,
}

impl Sums {
    /// Adds the rows of another set that has none in common with this one.
    fn add(&mut self, other: Self) {
        self.weight += other.weight;
        self.cost += other.cost;
        self.rows += other.rows;
    }

    /// What is left when a part goes.
    fn without(self, other: Self) -> Self {
        Self { weight: self.weight - other.weight, cost: self.cost - other.cost, rows: self.rows - other.rows }
    }

    /// `(sum of costs)^2 / weight`: of all splits, the one with the largest sum of both sides' gains leaves the least
    /// squared error.
    fn gain(self) -> f64 {
        self.cost * self.cost / self.weight
    }
}

/// Where a node parts best.
#[derive(Debug, Clone, Copy)]
struct Split {
    feature: usize,
    /// Rows with values up to this one (by its place among the feature's values) go left, those from the other one
    /// right.
    below: u32,
    above: u32,
    /// The gains of both sides, added up.
    gain: f64,
}

/// One feature: its values, and how its rows are gone through.
struct Column {
    /// Its different values, rising.
    levels: Vec<f64>,
    /// For each row, which of them it has.
    codes: Vec<u32>,
    /// All rows in rising order; empty if there are few levels or only one.
    sorted: Vec<u32>,
}

impl Column {
    /// Sorts the rows by one feature: `O(rows log rows)`.
    fn new(table: &Table, feature: usize) -> Self {
        let value = |row: u32| table.row(row as usize)[feature];
        let mut sorted: Vec<u32> = (0..table.len() as u32).collect();
        sorted.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
        let (mut levels, mut codes) = (Vec::new(), vec![0; table.len()]);
        for row in &sorted {
            if levels.last().is_none_or(|last| *last < value(*row)) {
                levels.push(value(*row));
            }
            codes[*row as usize] = levels.len().saturating_sub(1) as u32;
        }
        if levels.len() <= FEW {
            sorted.clear();
        }
        Self { levels, codes, sorted }
    }
}

/// Grows the trees of one forest, one after the other.
pub(super) struct Grower<'a> {
    settings: &'a ForestSettings,
    /// The log-cost of each row.
    costs: &'a [f64],
    columns: Vec<Column>,
    /// Features with more than one value.
    features: Vec<usize>,
    /// Of the tree that is growing: how often each row was drawn, and that with its cost.
    drawn: Vec<Sums>,
    /// The rows drawn; each node has a piece of it.
    rows: Vec<u32>,
    /// For features of many levels the rows drawn in rising order, in the same pieces.
    orders: Vec<Vec<u32>>,
    /// For each row, whether it goes left in the split that is being made.
    goes_left: Vec<bool>,
    /// Room for the rows that go right while others move up.
    spare: Vec<u32>,
}

/// A node that is still to be split or closed: its piece of the rows and its place in the tree.
struct Open {
    start: usize,
    end: usize,
    node: usize,
}

impl<'a> Grower<'a> {
    pub(super) fn new(table: &Table, costs: &'a [f64], settings: &'a ForestSettings) -> Self {
        let columns: Vec<Column> = (0..table.width()).map(|feature| Column::new(table, feature)).collect();
        let features = (0..columns.len()).filter(|feature| columns[*feature].levels.len() > 1).collect();
        let orders = vec![Vec::new(); columns.len()];
        let (drawn, goes_left) = (vec![Sums::default(); costs.len()], vec![false; costs.len()]);
        Self { settings, costs, columns, features, drawn, rows: Vec::new(), orders, goes_left, spare: Vec::new() }
    }

    /// Adds the nodes of one more tree, its root first.
    pub(super) fn grow(&mut self, nodes: &mut Vec<Node>, rng: &mut impl Rng) {
        self.draw(rng);
        let mut open = vec![Open { start: 0, end: self.rows.len(), node: nodes.len() }];
        nodes.push(Node { value: 0.0, feature: LEAF, left: 0 });
        while let Some(Open { start, end, node }) = open.pop() {
            let Some(split) = self.best_split(start, end, rng) else {
                nodes[node].value = self.leaf_value(start, end);
                continue;
            };
            let middle = self.part(start, end, split);
            let left = nodes.len();
            let levels = &self.columns[split.feature].levels;
            let (below, above) = (levels[split.below as usize], levels[split.above as usize]);
            let threshold = f64::midpoint(below, above);
            // Between neighbouring floats the midpoint may be the upper one.
            let threshold = if threshold < above { threshold } else { below };
            nodes[node] = Node { value: threshold, feature: split.feature as u32, left: left as u32 };
            nodes.extend([Node { value: 0.0, feature: LEAF, left: 0 }; 2]);
            open.push(Open { start: middle, end, node: left + 1 });
            open.push(Open { start, end: middle, node: left });
        }
    }

    /// As many rows as there are, with replacement.
    fn draw(&mut self, rng: &mut impl Rng) {
        let count = self.costs.len();
        self.drawn.fill(Sums::default());
        for _ in 0..count {
            let row = rng.random_range(0..count);
            self.drawn[row].weight += 1.0;
        }
        for (drawn, cost) in self.drawn.iter_mut().zip(self.costs) {
            drawn.cost = drawn.weight * cost;
            drawn.rows = 1;
        }
        let drawn = &self.drawn;
        let is_drawn = |row: &u32| drawn[*row as usize].weight > 0.0;
        self.rows.clear();
        self.rows.extend((0..count as u32).filter(is_drawn));
        for (order, column) in self.orders.iter_mut().zip(&self.columns) {
            order.clear();
            order.extend(column.sorted.iter().copied().filter(is_drawn));
        }
    }

    /// The split that leaves the least spread; of equal ones any. None where the node is to be a leaf.
    fn best_split(&mut self, start: usize, end: usize, rng: &mut impl Rng) -> Option<Split> {
        if end - start < self.settings.min_split.max(2) {
            return None;
        }
        let mut whole = Sums::default();
        self.rows[start..end].iter().for_each(|row| whole.add(self.drawn[*row as usize]));
        let first = self.costs[self.rows[start] as usize];
        if self.rows[start..end].iter().all(|row| self.costs[*row as usize] == first) {
            return None;
        }
        let share = (self.settings.feature_share * self.features.len() as f64) as usize;
        let (mut best, mut looked_at): (Option<Split>, usize) = (None, 0);
        for place in 0..self.features.len() {
            if looked_at >= share.max(1) {
                break;
            }
            let other = rng.random_range(place..self.features.len());
            self.features.swap(place, other);
            let feature = self.features[place];
            let (varies, split) = self.best_of_feature(feature, (start, end), whole);
            looked_at += usize::from(varies);
            // Sums in another order differ in their last bits: the first of equal ones stays, and the order is drawn.
            let better = |split: &Split| best.is_none_or(|best| split.gain > best.gain + SAME * libm::fabs(best.gain));
            if let Some(split) = split.filter(better) {
                best = Some(split);
            }
        }
        let decrease = |split: &Split| (split.gain - whole.gain()) / self.costs.len() as f64;
        best.filter(|split| decrease(split) >= LEAST_DECREASE)
    }

    /// Whether the feature varies in the node, and where it parts it best.
    fn best_of_feature(&self, feature: usize, (start, end): (usize, usize), whole: Sums) -> (bool, Option<Split>) {
        let column = &self.columns[feature];
        let mut scan = Scan { whole, left: Sums::default(), last: None, varies: false, best: None, feature };
        if column.sorted.is_empty() {
            let mut by_level = [Sums::default(); FEW];
            for row in &self.rows[start..end] {
                by_level[column.codes[*row as usize] as usize].add(self.drawn[*row as usize]);
            }
            let present = by_level.iter().enumerate().filter(|(_, sums)| sums.rows > 0);
            present.for_each(|(level, sums)| scan.next(level as u32, *sums, self.settings.min_leaf));
        } else {
            let order = &self.orders[feature][start..end];
            let code = |row: u32| column.codes[row as usize];
            if code(order[0]) != code(order[order.len() - 1]) {
                order.iter().for_each(|row| scan.next(code(*row), self.drawn[*row as usize], self.settings.min_leaf));
            }
        }
        (scan.varies, scan.best)
    }

    /// Puts the rows that go left before the others, everywhere; returns where the others begin.
    fn part(&mut self, start: usize, end: usize, split: Split) -> usize {
        let codes = &self.columns[split.feature].codes;
        for row in &self.rows[start..end] {
            self.goes_left[*row as usize] = codes[*row as usize] <= split.below;
        }
        let middle = stable_part(&mut self.rows[start..end], &self.goes_left, &mut self.spare);
        for order in self.orders.iter_mut().filter(|order| !order.is_empty()) {
            stable_part(&mut order[start..end], &self.goes_left, &mut self.spare);
        }
        start + middle
    }

    /// log(mean(exp cost)), the mean over the rows as often as they were drawn.
    fn leaf_value(&self, start: usize, end: usize) -> f64 {
        let rows = || self.rows[start..end].iter().map(|row| *row as usize);
        let largest = rows().map(|row| self.costs[row]).fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return 0.0;
        }
        let weight: f64 = rows().map(|row| self.drawn[row].weight).sum();
        let sum: f64 = rows().map(|row| self.drawn[row].weight * libm::exp(self.costs[row] - largest)).sum();
        largest + libm::log(sum / weight)
    }
}

/// Goes through the values of one feature, rising, and keeps the best place to part.
struct Scan {
    feature: usize,
    whole: Sums,
    /// Of the rows with smaller values than the next one.
    left: Sums,
    /// The value gone through last, by its place among the levels.
    last: Option<u32>,
    varies: bool,
    best: Option<Split>,
}

impl Scan {
    /// The next row, or all rows of the next level: looks at the split before it, unless a side were smaller than
    /// `min_leaf`.
    fn next(&mut self, code: u32, sums: Sums, min_leaf: usize) {
        if let Some(last) = self.last.filter(|last| *last != code) {
            self.varies = true;
            let right = self.whole.without(self.left);
            if self.left.rows.min(right.rows) >= min_leaf {
                let gain = self.left.gain() + right.gain();
                if self.best.is_none_or(|best| gain > best.gain) {
                    self.best = Some(Split { feature: self.feature, below: last, above: code, gain });
                }
            }
        }
        self.left.add(sums);
        self.last = Some(code);
    }
}

/// Moves the rows that go left before the others, each side in its order; returns how many go left.
fn stable_part(rows: &mut [u32], goes_left: &[bool], spare: &mut Vec<u32>) -> usize {
    spare.clear();
    let mut middle = 0;
    for place in 0..rows.len() {
        let row = rows[place];
        if goes_left[row as usize] {
            rows[middle] = row;
            middle += 1;
        } else {
            spare.push(row);
        }
    }
    rows[middle..].copy_from_slice(spare);
    middle
}
