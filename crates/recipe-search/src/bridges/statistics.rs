//! The sums over calibration tokens that all bridges of a model are computed from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gaps::GapSet;
use super::sums::{FIT, GapSums, HELD_BACK, Part, Sums};
use super::{FitError, Gap, Sink, StatisticsShape};

/// How the statistics of a model are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsSettings {
    /// Gaps of 1 to so many layers are known; at least 1. Not looked at where the gaps themselves are given.
    pub largest_gap: usize,
    /// Every so-manieth sequence (of 5: the fifth, the tenth, ...) is held back from the fit, to choose the ridge on;
    /// at least 2.
    pub held_back_every: usize,
    /// The most bytes that the statistics and the fits may take beside the model: [`StatisticsShape::bytes`], and the
    /// larger one of [`StatisticsShape::batch_bytes`] and [`StatisticsShape::fit_bytes`].
    pub memory_bytes: u64,
}

impl StatisticsSettings {
    /// The part that a sequence of the calibration text belongs to.
    pub(super) fn part_of(&self, sequence: usize) -> Part {
        if sequence % self.held_back_every == self.held_back_every - 1 { HELD_BACK } else { FIT }
    }

    /// # Errors
    /// [`FitError::Setting`] for a setting that makes no sense.
    pub(super) fn check(&self) -> Result<(), FitError> {
        let least = [("largest_gap", self.largest_gap, 1), ("held_back_every", self.held_back_every, 2)];
        match least.into_iter().find(|(_, found, least)| found < least) {
            Some((key, found, least)) => Err(FitError::Setting { key, found, least }),
            None => Ok(()),
        }
    }
}

impl Default for StatisticsSettings {
    /// Gaps of up to 4 layers, a fifth of the sequences held back, 4 GiB.
    fn default() -> Self {
        Self { largest_gap: 4, held_back_every: 5, memory_bytes: 4 << 30 }
    }
}

/// What the bridges of one model are computed from: sums over its calibration tokens, for every layer and every gap
/// up to a largest length, or for some gaps, from one walk through the model ([`Statistics::gather`]).
///
/// Beside the model's layers (`X_k`: the residual stream before layer `k`; `h`: the inner activations of layer `i`),
/// the sums of layer `i` are
///
/// | sum | size | |
/// |---|---|---|
/// | `G = Σ w h hᵀ` | `[intermediate, intermediate]` | one for all gaps behind the layer |
/// | `C = Σ w h rᵀ`, `r = X_j - X_{i+1}` | `[intermediate, hidden]` | one for each next layer `j` |
/// | `Σ w r·r`, `Σ w X_{i+1}·r` | numbers | one for each next layer `j` |
///
/// each over the tokens of the fit, and over those that are held back. The weight of a token is `w = 1/|X_{i+1}|²`, of
/// the stream as the layer leaves it. A token's error is so counted in shares of its own stream: a massive activation
/// (an attention sink, a hundred times as long as other tokens) takes part as one token among others, where unweighted
/// it would be all that the fit sees. The weight does not depend on the gap, so that one Gram matrix serves all gaps of
/// a layer. A gap over the layer that makes the sink is the exception: before it the sink's stream is short, so its
/// weight is not small, and the sink rules the fit. No bridge mends a model without that layer anyway
/// ([`Statistics::sinks`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The sizes of the model, and the largest gap.
    pub(super) shape: StatisticsShape,
    /// Sequences of the calibration text, and every how-manieth is held back.
    pub(super) sequences: usize,
    pub(super) held_back_every: usize,
    /// Of each layer before a gap: the sums of the fit, and of what is held back.
    pub(super) layers: BTreeMap<usize, [Sums; 2]>,
    /// What stands out of the residual stream.
    pub(super) sinks: Vec<Sink>,
}

impl Statistics {
    /// Sums of no tokens.
    pub(super) fn zero(shape: StatisticsShape, gaps: &GapSet, held_back_every: usize) -> Self {
        let sums = |lengths: &std::collections::BTreeSet<usize>| {
            Sums::zero(shape.intermediate, shape.hidden, lengths.iter().copied())
        };
        let layers = gaps.layers().map(|(after, lengths)| (after, [sums(lengths), sums(lengths)])).collect();
        Self { shape, sequences: 0, held_back_every, layers, sinks: Vec::new() }
    }

    /// The sizes of the model, and the largest gap.
    #[must_use]
    pub fn shape(&self) -> StatisticsShape {
        self.shape
    }

    /// The gaps that they know, in their order.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        let lengths = |(after, parts): (&usize, &[Sums; 2])| {
            let after = *after;
            parts[FIT].gaps.keys().map(move |length| Gap { after, length: *length }).collect::<Vec<_>>()
        };
        self.layers.iter().flat_map(lengths)
    }

    /// How many calibration tokens there are: those of the fit, and those held back.
    #[must_use]
    pub fn tokens(&self) -> [usize; 2] {
        self.layers.values().next().map_or([0, 0], |parts| parts.each_ref().map(|sums| sums.tokens))
    }

    /// The sums that a gap's bridge is fitted on, and those that it is tried on.
    ///
    /// # Errors
    /// [`FitError::UnknownGap`].
    pub(super) fn of_gap(&self, gap: Gap) -> Result<[(&Sums, &GapSums); 2], FitError> {
        let StatisticsShape { layers, largest_gap: largest, .. } = self.shape;
        let unknown = || FitError::UnknownGap { after: gap.after, length: gap.length, layers, largest };
        let [fit, held_back] = self.layers.get(&gap.after).ok_or_else(unknown)?;
        let of = |sums| -> Result<(&Sums, &GapSums), FitError> {
            let sums: &Sums = sums;
            Ok((sums, sums.gaps.get(&gap.length).ok_or_else(unknown)?))
        };
        Ok([of(fit)?, of(held_back)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_matrices() {
        for (layers, largest_gap) in [(5, 2), (5, 9), (3, 1), (1, 1), (0, 1), (2, 0)] {
            let shape = StatisticsShape { layers, intermediate: 7, hidden: 3, largest_gap };
            let gaps: Vec<Gap> = Gap::up_to(largest_gap, layers).collect();
            let statistics = Statistics::zero(shape, &GapSet::of(gaps.iter().copied()), 5);
            let sums = statistics.layers.values().flatten();
            let gram = |sums: &Sums| sums.gram.panels.iter().map(nalgebra::DMatrix::len).sum::<usize>();
            let cross = |sums: &Sums| sums.gaps.values().map(|gap| gap.cross.len()).sum::<usize>();
            let numbers = sums.map(|sums| gram(sums) + cross(sums)).sum::<usize>() as u64;
            assert_eq!((shape.bytes(), shape.bytes_of_gaps(&gaps)), (8 * numbers, 8 * numbers), "{shape:?}");
        }
    }
}
