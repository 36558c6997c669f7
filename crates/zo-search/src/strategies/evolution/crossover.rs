//! Crossover: a child of two points.

use std::collections::HashMap;

use rand::{Rng, RngExt};

use super::reproduction::Reproduction;
use crate::random::sample_items;
use crate::space::coding::Shape;
use crate::space::{Condition, Dimension, Domain};
use crate::{Point, Space, Value};

/// Which parent each bundle comes from: drawn when first looked at.
#[derive(Default)]
struct Coins(HashMap<String, bool>);

impl Coins {
    /// Whether the bundle of a dimension comes from the first parent.
    fn first_parent(&mut self, dimension: &Dimension, rng: &mut impl Rng) -> bool {
        let bundle = dimension.bundle.as_ref().unwrap_or(&dimension.name);
        *self.0.entry(bundle.clone()).or_insert_with(|| rng.random())
    }
}

impl Reproduction<'_> {
    /// A point that takes each bundle of dimensions from one of two. Subsets are mixed item by item, each with the
    /// bundle that depends on it, and then repaired: their size stays.
    pub(crate) fn cross(&self, first: &Point, second: &Point, rng: &mut impl Rng) -> Point {
        let mut coins = Coins::default();
        self.space.assemble(|dimension, _| {
            let (a, b) = (first.get(&dimension.name), second.get(&dimension.name));
            if let (Some(Value::Subset(a)), Some(Value::Subset(b))) = (a, b) {
                return mix(self.space, dimension, (a, b), &mut coins, rng);
            }
            let (wanted, other) = if coins.first_parent(dimension, rng) { (a, b) } else { (b, a) };
            wanted.or(other).cloned().unwrap_or_else(|| self.activate(dimension, first, rng))
        })
    }
}

/// The subset of a child: what both parents have, and of the rest each item as its bundle's parent has it, until the
/// size is that of one of the parents.
fn mix(
    space: &Space,
    subset: &Dimension,
    (a, b): (&[usize], &[usize]),
    coins: &mut Coins,
    rng: &mut impl Rng,
) -> Value {
    let mut mixed: Vec<usize> = a.iter().copied().filter(|item| b.contains(item)).collect();
    let size = if a.len() == b.len() || rng.random() { a.len() } else { b.len() };
    let missing = size - mixed.len();
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for item in (0..item_count(&subset.domain)).filter(|item| a.contains(item) != b.contains(item)) {
        let dependent = space.dimensions().iter().find(|dimension| depends_on(dimension, &subset.name, item));
        let first = match dependent {
            Some(dependent) => coins.first_parent(dependent, rng),
            None => rng.random(),
        };
        if first == a.contains(&item) { taken.push(item) } else { left.push(item) }
    }
    let more = sample_items(left, missing.saturating_sub(taken.len()), rng);
    mixed.extend(sample_items(taken, missing, rng));
    mixed.extend(more);
    Value::Subset(mixed).canonical()
}

fn item_count(domain: &Domain) -> usize {
    if let Shape::Items(items) = domain.shape() { items.n } else { 0 }
}

/// Whether a dimension is active only where the item is in the subset, or only where it is not.
fn depends_on(dimension: &Dimension, subset: &str, item: usize) -> bool {
    dimension.when.iter().any(|condition| match condition {
        Condition::Inside { parent, item: on } | Condition::Outside { parent, item: on } => {
            parent == subset && *on == item
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, TrialId, random::generator};

    #[test]
    fn bundles_stay_together_and_subsets_keep_their_size() -> Result<(), Error> {
        let mut space = Space::new().subset("remove", 8, 3);
        for layer in 0..8 {
            let bundle = format!("layer_{layer}");
            space = space.int(format!("{layer}.a"), 0..=1).when_outside("remove", layer).in_bundle(&bundle);
            space = space.int(format!("{layer}.b"), 0..=1).when_outside("remove", layer).in_bundle(&bundle);
        }
        let space = space.build()?;
        let reproduction = Reproduction { space: &space, population: &[] };
        let whole = |removed: [usize; 3], x| {
            let kept = (0..8).filter(|layer| !removed.contains(layer));
            kept.fold(Point::new().with_subset("remove", removed), |point, layer| {
                point.with_int(format!("{layer}.a"), x).with_int(format!("{layer}.b"), x)
            })
        };
        let (first, second) = (whole([0, 1, 2], 0), whole([2, 3, 4], 1));
        let mut mixed = 0;
        for id in 0..200 {
            let child = reproduction.cross(&first, &second, &mut generator(1, "test", TrialId(id)));
            assert!(space.contains(&child), "{child:?}");
            let removed = child.subset("remove")?;
            assert!(removed.contains(&2) && removed.iter().all(|layer| *layer < 5), "{removed:?}");
            for layer in (0..8).filter(|layer| !removed.contains(layer)) {
                assert_eq!(
                    child.int(&format!("{layer}.a"))?,
                    child.int(&format!("{layer}.b"))?,
                    "layer {layer} of {child:?}"
                );
            }
            mixed += usize::from(child != first && child != second);
        }
        assert!(mixed > 150);
        Ok(())
    }
}
