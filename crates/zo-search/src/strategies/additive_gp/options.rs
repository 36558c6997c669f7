//! What each site can be: bundles of values for the items, values for the other dimensions.

use rand::Rng;

use super::sites::{Bundle, Sites};
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

/// Every combination of a few values of an item's dimensions, as far as they are active.
fn grid(dimensions: &[Dimension], sites: &Sites) -> Vec<Bundle> {
    let kept = sites
        .subset
        .as_ref()
        .map_or_else(Point::new, |subset| Point::new().with_subset(subset.name.clone(), Vec::new()));
    let mut rows: Vec<(Bundle, Point)> = vec![(Vec::new(), kept)];
    for dimension in dimensions {
        let mut next = Vec::new();
        for (bundle, point) in rows {
            if !dimension.is_active(&point) {
                next.push(([bundle.as_slice(), &[None]].concat(), point));
                continue;
            }
            for value in values(&dimension.domain) {
                let extended = [bundle.as_slice(), &[Some(value.clone())]].concat();
                next.push((extended, point.clone().with(dimension.name.clone(), value)));
            }
        }
        next.truncate(MOST);
        rows = next;
    }
    rows.into_iter().map(|(bundle, _)| bundle).collect()
}

/// A few values of a domain that stand for all.
fn values(domain: &Domain) -> Vec<Value> {
    match domain {
        Domain::Float { .. } => PLACES.iter().map(|place| domain.at_unit(*place)).collect(),
        Domain::Int { low, high } => {
            // The difference of two i64 need not be one.
            let (low, span) = (i128::from(*low), i128::from(*high) - i128::from(*low));
            let all = || (0..=span).collect();
            let places: Vec<i128> = if span < 6 { all() } else { [1, 2, 3].map(|quarter| span / 4 * quarter).into() };
            // Between the bounds, which are of this type.
            places.into_iter().filter_map(|place| i64::try_from(low + place).ok()).map(Value::Int).collect()
        }
        Domain::Categorical { choices } => choices.iter().cloned().map(Value::Categorical).collect(),
        Domain::Mask { n } if *n <= 4 => {
            (0..1_usize << n).map(|bits| Value::Mask((0..*n).map(|i| bits >> i & 1 == 1).collect())).collect()
        }
        Domain::Mask { n } => {
            let of = |set: &dyn Fn(usize) -> bool| Value::Mask((0..*n).map(set).collect());
            let singles = (0..*n).map(|one| of(&|i| i == one));
            [of(&|_| false), of(&|_| true)].into_iter().chain(singles).collect()
        }
        Domain::Subset { .. } | Domain::Permutation { .. } => Vec::new(),
    }
}
