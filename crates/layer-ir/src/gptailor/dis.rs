//! The search over stacked layers: at each position of the base, the layers of the chosen candidates one behind the
//! other, or the base's where none is chosen.

use std::collections::BTreeMap;

use super::entries::{Entries, index};
use super::{Context, Kind, Problem, ScaleSite, Stack, Stacking};
use crate::{Error, Recipe};

/// The least scale of the residual stream that a recipe may have.
pub const LEAST_SCALE: f64 = 1e-3;

/// What a key says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    /// Whether a candidate has a layer at a position.
    Block { position: usize, candidate: usize },
    /// The number of the order in which candidates have their layers there.
    Permutation { position: usize },
    /// The factor behind the position's last layer.
    Scale { position: usize },
}

impl Key {
    /// `layer_5_block_1_selection`, `layer_5_permutation_selection` or `scale_5`.
    pub fn read(name: &str) -> Option<Self> {
        if let Some(position) = name.strip_prefix("scale_") {
            return Some(Self::Scale { position: index(position)? });
        }
        let (position, what) = name.strip_prefix("layer_")?.strip_suffix("_selection")?.split_once('_')?;
        let position = index(position)?;
        match what.strip_prefix("block_") {
            Some(candidate) => Some(Self::Block { position, candidate: index(candidate)? }),
            None => (what == "permutation").then_some(Self::Permutation { position }),
        }
    }
}

/// The recipe of a result.
pub(super) fn recipe(entries: &Entries, context: &Context) -> Result<Recipe, Error> {
    let stacks = Stacks::read(entries)?;
    let order = stacks.check(context)?;
    let stack = |position| {
        let candidates = stacks.candidates_at(position, order.as_deref())?;
        // A position without a layer has nothing to scale.
        let scale =
            if candidates.is_empty() && !context.remain_base { 1.0 } else { scale(position, entries, context)? };
        Ok(Stack { candidates, scale })
    };
    let positions = (0..stacks.positions.len()).map(stack).collect::<Result<_, Error>>()?;
    Ok(Stacking { positions }.recipe(context))
}

/// The scale of a position.
fn scale(position: usize, entries: &Entries, context: &Context) -> Result<f64, Error> {
    let key = format!("scale_{position}");
    let scale = entries.number(&key)?;
    let too_small = context.scale_site == ScaleSite::Stream && scale < LEAST_SCALE;
    if too_small { Err(entries.fail(key, Problem::TooSmall)) } else { Ok(scale) }
}

/// The order of a file without permutations, as the reference has it: it falls back to permutation 1 where there are
/// several. A candidate that the file has no block of takes no part.
pub(super) fn assumed_order(entries: &Entries, candidates: usize) -> Option<Vec<usize>> {
    let stacks = Stacks::read(entries).ok()?;
    (stacks.permutation.is_none() && stacks.candidates > 1).then(|| stacks.fallback(candidates))
}

/// The keys of a result.
struct Stacks<'a> {
    entries: &'a Entries,
    /// A key of each position.
    positions: BTreeMap<usize, &'a str>,
    /// How many candidates have blocks.
    candidates: usize,
    /// A block of the last candidate.
    last_block: &'a str,
    /// A key of a permutation, if there is one.
    permutation: Option<&'a str>,
}

impl<'a> Stacks<'a> {
    /// Sorts all keys.
    fn read(entries: &'a Entries) -> Result<Self, Error> {
        let mut stacks = Self { entries, positions: BTreeMap::new(), candidates: 0, last_block: "", permutation: None };
        for name in entries.keys() {
            let key = Key::read(name).ok_or_else(|| entries.fail(name, Problem::Unknown(Kind::Dis)))?;
            entries.number(name)?;
            let position = match key {
                Key::Block { position, candidate } => {
                    if candidate >= stacks.candidates {
                        (stacks.candidates, stacks.last_block) = (candidate + 1, name);
                    }
                    position
                }
                Key::Permutation { position } => {
                    stacks.permutation.get_or_insert(name);
                    position
                }
                Key::Scale { position } => position,
            };
            stacks.positions.insert(position, name);
        }
        Ok(stacks)
    }

    /// Whether the file fits the context; the order of all positions where the file does not say any.
    fn check(&self, context: &Context) -> Result<Option<Vec<usize>>, Error> {
        let (entries, given) = (self.entries, context.candidates.len());
        // The reference reads a file without permutations also where more models are listed than it has blocks of.
        let fits = if self.permutation.is_some() { self.candidates == given } else { self.candidates <= given };
        if self.candidates == 0 || !fits {
            let key = if self.candidates == 0 { "layer_0_block_0_selection" } else { self.last_block };
            return Err(entries.fail(key, Problem::Candidates { found: self.candidates, given }));
        }
        self.check_positions(context)?;
        let order = match (&context.order, self.permutation) {
            (Some(_), Some(key)) => return Err(entries.fail(key, Problem::OrderTwice)),
            (None, Some(_)) => return Ok(None),
            (Some(order), None) => order.clone(),
            (None, None) => self.fallback(given),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.candidates) {
            let problem = Problem::BadOrder { models: self.candidates };
            return Err(entries.fail("layer_0_permutation_selection", problem));
        }
        Ok(Some(order))
    }

    /// Whether the positions are those of the base.
    fn check_positions(&self, context: &Context) -> Result<(), Error> {
        let (entries, fixed) = (self.entries, context.fixed_layers);
        let Some((&last, key)) = self.positions.last_key_value() else { return Ok(()) };
        let positions = last + 1;
        let found = positions + 2 * fixed;
        if let Some(layers) = context.layers.filter(|layers| *layers != found) {
            return Err(entries.fail(*key, Problem::Positions { positions, fixed, layers }));
        }
        match (0..positions).find(|position| !self.positions.contains_key(position)) {
            Some(missing) => Err(entries.fail(format!("layer_{missing}_block_0_selection"), Problem::Missing)),
            None => Ok(()),
        }
    }

    /// The second permutation of all models that were given, without those that have no blocks.
    fn fallback(&self, given: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..given).collect();
        if let [.., before_last, last] = order.as_mut_slice() {
            std::mem::swap(before_last, last);
        }
        order.retain(|candidate| *candidate < self.candidates);
        order
    }

    /// The numbers of the candidates whose layers stand at a position, in order.
    fn candidates_at(&self, position: usize, order: Option<&[usize]>) -> Result<Vec<usize>, Error> {
        let order = match order {
            Some(order) => order.to_vec(),
            None => {
                let key = format!("layer_{position}_permutation_selection");
                let models = self.candidates;
                let problem = Problem::NoPermutation { models };
                let number = self.entries.whole(&key, problem.clone())?;
                permutation(models, number).ok_or_else(|| self.entries.fail(key, problem))?
            }
        };
        let mut chosen = Vec::new();
        for candidate in order {
            if self.entries.chosen(&format!("layer_{position}_block_{candidate}_selection"))? {
                chosen.push(candidate);
            }
        }
        Ok(chosen)
    }
}

/// A permutation of `0..count` by its number in lexicographic order; none behind the last one.
///
/// ```
/// use layer_ir::gptailor::permutation;
///
/// assert_eq!(permutation(3, 1), Some(vec![0, 2, 1]));
/// assert_eq!(permutation(3, 6), None);
/// ```
#[must_use]
pub fn permutation(count: usize, number: usize) -> Option<Vec<usize>> {
    // Permutations that begin alike.
    let mut alike = (1..count).try_fold(1_usize, usize::checked_mul)?;
    let (mut rest, mut number): (Vec<usize>, _) = ((0..count).collect(), number);
    let mut order = Vec::with_capacity(count);
    while !rest.is_empty() {
        let at = number / alike;
        if at >= rest.len() {
            return None;
        }
        order.push(rest.remove(at));
        number %= alike;
        alike /= rest.len().max(1);
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::permutation;

    #[test]
    fn permutations_are_counted_in_lexicographic_order() {
        let all: Vec<_> = (0..7).map(|number| permutation(3, number)).collect();
        let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        assert_eq!(all, order.map(|order| Some(order.to_vec())).into_iter().chain([None]).collect::<Vec<_>>());
        assert_eq!(permutation(1, 0), Some(vec![0]));
        assert_eq!((permutation(1, 1), permutation(4, 24), permutation(30, 0)), (None, None, None));
        assert_eq!(permutation(4, 23), Some(vec![3, 2, 1, 0]));
    }
}
