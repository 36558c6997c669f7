//! A regression forest: what a point will cost, and how sure that is.
//!
//! Written here and not taken from a crate, for three reasons: the same seed must give the same trees on every
//! machine; leaves hold the logarithm of a mean cost, which is not what regression forests average; and local search
//! asks again and again for points that differ in one feature, which only few trees look at.

mod grow;
mod table;

use rand_chacha::ChaCha8Rng;

use grow::Grower;
pub(crate) use table::Table;

/// The least variance: trees that agree are not certain.
const LEAST_VARIANCE: f64 = 1e-10;
/// In the place of a feature: the node is a leaf.
const LEAF: u32 = u32::MAX;

/// How a forest is grown. The default is that of SMAC3 2.4.1.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct ForestSettings {
    /// How many trees, at least 1.
    pub(crate) trees: usize,
    /// A node of fewer different rows is not split.
    pub(crate) min_split: usize,
    /// A leaf holds at least so many different rows.
    pub(crate) min_leaf: usize,
    /// The share of the features that a split chooses from.
    pub(crate) feature_share: f64,
}

impl Default for ForestSettings {
    fn default() -> Self {
        Self { trees: 10, min_split: 2, min_leaf: 1, feature_share: 1.0 }
    }
}

/// A node: where it parts, or what it says.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The threshold up to which rows go left; of a leaf, its value.
    value: f64,
    /// The feature that it looks at, or [`LEAF`].
    feature: u32,
    /// The left child; the right one follows it.
    left: u32,
}

/// Mean and variance over the trees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prediction {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// Trees grown on logarithms of costs.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    /// Of all trees, each from its root on.
    nodes: Vec<Node>,
    /// Where each tree begins.
    roots: Vec<u32>,
}

/// What each tree said of a row, and which features it looked at on the way: enough to tell quickly what it says of a
/// row near it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// What each tree said, `[trees]`.
    values: Vec<f64>,
    /// A bit for each tree and feature.
    looked_at: Vec<u64>,
    /// How many words the bits of one tree take.
    words: usize,
}

impl Forest {
    /// Grows on rows and their log-costs, one for each row.
    pub(crate) fn grow(table: &Table, costs: &[f64], settings: &ForestSettings, rng: &mut ChaCha8Rng) -> Self {
        let mut forest = Self { nodes: Vec::new(), roots: Vec::with_capacity(settings.trees) };
        let mut grower = Grower::new(table, costs, settings);
        for _ in 0..settings.trees {
            forest.roots.push(forest.nodes.len() as u32);
            grower.grow(&mut forest.nodes, rng);
        }
        forest
    }

    /// What the trees say of a row.
    pub(crate) fn predict(&self, row: &[f64]) -> Prediction {
        let leaves = self.roots.iter().map(|root| self.leaf(*root, row, |_| {}));
        summary(leaves, self.roots.len())
    }

    /// What one tree says of a row; `looked_at` is called with the feature of each node on the way.
    fn leaf(&self, root: u32, row: &[f64], mut looked_at: impl FnMut(u32)) -> f64 {
        let mut node = &self.nodes[root as usize];
        while node.feature != LEAF {
            looked_at(node.feature);
            let right = row[node.feature as usize] > node.value;
            node = &self.nodes[node.left as usize + usize::from(right)];
        }
        node.value
    }

    /// As [`Forest::predict`], and keeps the way there.
    pub(crate) fn trace(&self, row: &[f64], trace: &mut Trace) -> Prediction {
        trace.words = row.len().div_ceil(64);
        trace.values.clear();
        trace.looked_at.clear();
        trace.looked_at.resize(trace.words * self.roots.len(), 0);
        for (root, bits) in self.roots.iter().zip(trace.looked_at.chunks_mut(trace.words.max(1))) {
            let value = self.leaf(*root, row, |feature| bits[feature as usize / 64] |= 1 << (feature % 64));
            trace.values.push(value);
        }
        summary(trace.values.iter().copied(), self.roots.len())
    }

    /// [`Forest::predict`] of a row that differs from the traced one in these features alone; none where no tree
    /// looks at them.
    pub(crate) fn predict_changed(&self, row: &[f64], changed: &[usize], trace: &Trace) -> Option<Prediction> {
        let looks = |tree: usize| {
            let bits = &trace.looked_at[tree * trace.words..(tree + 1) * trace.words];
            changed.iter().any(|feature| bits[feature / 64] & (1 << (feature % 64)) != 0)
        };
        let first = (0..self.roots.len()).find(|tree| looks(*tree))?;
        let leaves = self.roots.iter().zip(&trace.values).enumerate().map(|(tree, (root, known))| {
            if tree >= first && looks(tree) { self.leaf(*root, row, |_| {}) } else { *known }
        });
        Some(summary(leaves, self.roots.len()))
    }
}

/// Mean and population variance.
fn summary(leaves: impl Iterator<Item = f64>, count: usize) -> Prediction {
    let count = count as f64;
    // Around the first value: trees that agree differ by exactly nothing.
    let mut leaves = leaves;
    let Some(first) = leaves.next() else { return Prediction { mean: 0.0, variance: LEAST_VARIANCE } };
    let (mut sum, mut squares) = (0.0, 0.0);
    for leaf in leaves {
        let off = leaf - first;
        sum += off;
        squares += off * off;
    }
    let off = sum / count;
    Prediction { mean: first + off, variance: (squares / count - off * off).max(LEAST_VARIANCE) }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::{TrialId, random::generator};

    fn rng(id: u64) -> ChaCha8Rng {
        generator(3, "test", TrialId(id))
    }

    fn random_table(rows: usize, width: usize) -> Table {
        let mut rng = rng(0);
        let mut table = Table::new(width);
        for _ in 0..rows {
            let row: Vec<f64> = (0..width)
                .map(|i| if i % 2 == 0 { rng.random::<f64>() } else { f64::from(rng.random_range(0..2)) })
                .collect();
            table.push(&row);
        }
        table
    }

    #[test]
    fn without_noise_the_forest_learns_a_step_and_an_interaction() {
        let table = random_table(400, 8);
        let truth = |row: &[f64]| f64::from(row[0] > 0.3) + 0.5 * f64::from(row[1] == 1.0 && row[3] == 0.0);
        let costs: Vec<f64> = (0..table.len()).map(|i| truth(table.row(i))).collect();
        let forest = Forest::grow(&table, &costs, &ForestSettings::default(), &mut rng(1));
        let mut rng = rng(2);
        for _ in 0..200 {
            let row: Vec<f64> =
                (0..8).map(|i| if i % 2 == 0 { rng.random() } else { f64::from(rng.random_range(0..2)) }).collect();
            let far_from_the_step = (row[0] - 0.3).abs() > 0.02;
            let error = (forest.predict(&row).mean - truth(&row)).abs();
            assert!(!far_from_the_step || error < 0.05, "off by {error} at {row:?}");
        }
    }

    #[test]
    fn a_leaf_says_the_logarithm_of_the_mean_cost() {
        let mut table = Table::new(1);
        (0..3).for_each(|_| table.push(&[1.0]));
        let costs = [1.0_f64, 2.0, 4.0].map(libm::log);
        // Without a feature that varies, each tree is one leaf over its draw of the rows.
        let forest = Forest::grow(&table, &costs, &ForestSettings::default(), &mut rng(4));
        assert_eq!(forest.nodes.len(), 10);
        for node in &forest.nodes {
            let mean = libm::exp(node.value) * 3.0;
            let whole = (0..=3).flat_map(|a| (0..=3 - a).map(move |b| f64::from(a + 2 * b + 4 * (3 - a - b))));
            assert!(whole.into_iter().any(|sum| (sum - mean).abs() < 1e-9), "{mean}");
        }
    }

    #[test]
    fn a_row_nearby_is_predicted_as_if_anew() {
        let table = random_table(300, 70);
        let mut rng = rng(5);
        let costs: Vec<f64> = (0..table.len()).map(|_| rng.random()).collect();
        let forest = Forest::grow(&table, &costs, &ForestSettings::default(), &mut rng);
        let mut trace = Trace::default();
        let (mut near, mut far) = (0, 0);
        for i in 0..table.len() {
            let mut row = table.row(i).to_vec();
            let before = forest.trace(&row, &mut trace);
            assert_eq!(before, forest.predict(&row));
            let changed = rng.random_range(0..70);
            row[changed] = rng.random();
            match forest.predict_changed(&row, &[changed], &trace) {
                Some(after) => assert_eq!(after, forest.predict(&row)),
                None => assert_eq!(before, forest.predict(&row)),
            }
            let looked = forest.predict_changed(&row, &[changed], &trace).is_some();
            if looked { near += 1 } else { far += 1 }
        }
        assert!(near > 0 && far > 0);
    }

    #[test]
    fn leaves_are_as_large_as_asked_for() {
        let table = random_table(200, 4);
        let costs: Vec<f64> = (0..table.len()).map(|i| table.row(i)[0]).collect();
        let grown = |min_leaf| {
            let settings = ForestSettings { min_leaf, ..ForestSettings::default() };
            Forest::grow(&table, &costs, &settings, &mut rng(6)).nodes.len()
        };
        // Some 126 different rows in a draw of 200.
        assert!((2000..3000).contains(&grown(1)), "{}", grown(1));
        assert!(grown(10) < 10 * 2 * 13, "{}", grown(10));
    }

    #[test]
    fn no_rows_give_a_forest_that_says_nothing() {
        let forest = Forest::grow(&Table::new(3), &[], &ForestSettings::default(), &mut rng(7));
        assert_eq!(forest.predict(&[0.0; 3]).mean, 0.0);
    }
}
