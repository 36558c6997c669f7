//! What each site can be: bundles of values for the items, values for the other dimensions.

use rand::Rng;

use super::assignment::is_number;
use super::sites::{Bundle, Sites};
use crate::space::coding::{Code, Shape, level_count};
use crate::space::{Dimension, Domain};
use crate::{Point, Value};

/// An item has at most so many options.
const MOST: usize = 32;
/// Places in the range of a float that are tried.
const PLACES: [f64; 3] = [0.25, 0.5, 0.75];

/// The choices looked at: a grid, and whatever the best points have.
pub(super) struct Options {
    /// Of each item, bundles.
    pub(super) bundles: Vec<Vec<Bundle>>,
    /// Of each item, what its bundles mean.
    pub(super) embeddings: Vec<Vec<Vec<f64>>>,
    /// Of each other dimension, values and what they mean.
    pub(super) others: Vec<Vec<(Value, Vec<f64>)>>,
}

impl Options {
    /// The grid of each site, and what the elites have there or at a site like it.
    pub(super) fn of(sites: &Sites, elites: &[Point], rng: &mut impl Rng) -> Self {
        let mut bundles: Vec<Vec<Bundle>> = Vec::with_capacity(sites.items.len());
        for item in 0..sites.items.len() {
            let mut options = grid(&sites.items[item], sites);
            for elite in elites {
                let kept = (0..sites.items.len())
                    .filter(|other| sites.alike(item, *other) && !sites.removed(elite).contains(other));
                for other in kept {
                    let bundle = sites.bundle(elite, other);
                    if !options.contains(&bundle) {
                        options.push(bundle);
                    }
                }
            }
            options.truncate(2 * MOST);
            bundles.push(options);
        }
        let embeddings = bundles
            .iter()
            .enumerate()
            .map(|(item, options)| options.iter().map(|bundle| sites.embed(item, bundle)).collect());
        let others = sites.others.iter().map(|dimension| {
            let of_elites = elites.iter().filter_map(|elite| elite.get(&dimension.name).cloned());
            let mut values: Vec<Value> = values(&dimension.domain);
            values.extend(of_elites);
            values.push(dimension.domain.sample(rng));
            values.into_iter().map(|value| (value.clone(), Sites::embed_other(dimension, &value))).collect()
        });
        Self { embeddings: embeddings.collect(), others: others.collect(), bundles }
    }
}

/// Every combination of a few values of an item's dimensions, as far as they are active. Where there would be more
/// than [`MOST`], further numbers stay in the middle of their range, so that no choice before them is left out.
fn grid(dimensions: &[Dimension], sites: &Sites) -> Vec<Bundle> {
    let kept = sites
        .subset
        .as_ref()
        .map_or_else(Point::new, |subset| Point::new().with_subset(subset.name.clone(), Vec::new()));
    let mut rows: Vec<(Bundle, Point)> = vec![(Vec::new(), kept)];
    for dimension in dimensions {
        let active = rows.iter().filter(|(_, point)| dimension.is_active(point)).count();
        let mut values = values(&dimension.domain);
        if rows.len() + active * values.len().saturating_sub(1) > MOST && is_number(&dimension.domain) {
            values = values.get(values.len() / 2).cloned().into_iter().collect();
        }
        let mut next = Vec::new();
        for (bundle, point) in rows {
            if !dimension.is_active(&point) {
                next.push(([bundle.as_slice(), &[None]].concat(), point));
                continue;
            }
            for value in &values {
                let extended = [bundle.as_slice(), &[Some(value.clone())]].concat();
                next.push((extended, point.clone().with(dimension.name.clone(), value.clone())));
            }
        }
        next.truncate(MOST);
        rows = next;
    }
    rows.into_iter().map(|(bundle, _)| bundle).collect()
}

/// A few values of a domain that stand for all.
fn values(domain: &Domain) -> Vec<Value> {
    let codes: Vec<Code> = match domain.shape() {
        Shape::Unit => PLACES.map(Code::Unit).into(),
        Shape::Levels { first, last } => {
            let span = level_count(first, last) - 1;
            let all = || (0..=span).collect();
            let levels: Vec<i128> = if span < 6 { all() } else { [1, 2, 3].map(|quarter| span / 4 * quarter).into() };
            levels.into_iter().map(Code::Level).collect()
        }
        Shape::Choices(count) => (0..count).map(Code::Choice).collect(),
        Shape::Bits(n) if n <= 4 => {
            (0..1_usize << n).map(|bits| Code::Bits((0..n).map(|i| bits >> i & 1 == 1).collect())).collect()
        }
        Shape::Bits(n) => {
            let of = |set: &dyn Fn(usize) -> bool| Code::Bits((0..n).map(set).collect());
            let singles = (0..n).map(|one| of(&|i| i == one));
            [of(&|_| false), of(&|_| true)].into_iter().chain(singles).collect()
        }
        Shape::Items(_) | Shape::Order(_) => Vec::new(),
    };
    codes.into_iter().map(|code| domain.decode(code)).collect()
}
