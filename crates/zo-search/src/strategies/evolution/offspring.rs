//! Children that were not asked before.

use rand::{Rng, RngExt};

use super::reproduction::Reproduction;
use crate::{Entry, Origin, Point};

/// How often a child is begun anew because its point was asked before; in the end there is none.
pub(crate) const ATTEMPTS: usize = 16;
/// After so many children that were asked before, the next ones are changed at one more place.
const PATIENCE: usize = 4;

/// How many values of a child are changed: one to three, the more the rarer.
pub(crate) fn edits(attempt: usize, rng: &mut impl Rng) -> usize {
    rng.random_range(1..=3).min(rng.random_range(1..=3)) + attempt / PATIENCE
}

impl Reproduction<'_> {
    /// A child that is not known, and where it comes from: mutated, and with this probability of two parents. None if
    /// there is no parent or all children are known.
    pub(crate) fn child<'e, R: Rng>(
        &self,
        crossover: f64,
        mut parent: impl FnMut(&mut R) -> Option<&'e Entry>,
        known: impl Fn(&Point) -> bool,
        rng: &mut R,
    ) -> Option<(Point, Origin)> {
        for attempt in 0..ATTEMPTS {
            let first = parent(rng)?;
            let mut origin = format!("mutation of {}", first.trial.id);
            let mut point = first.trial.point.clone();
            if rng.random::<f64>() < crossover {
                let second = parent(rng)?;
                if second.trial.id != first.trial.id {
                    origin = format!("child of {} and {}", first.trial.id, second.trial.id);
                    point = self.cross(&point, &second.trial.point, rng);
                }
            }
            let child = self.mutate(&point, edits(attempt, rng), rng);
            if !known(&child) {
                return Some((child, origin.into()));
            }
        }
        None
    }
}
