//! Attention sinks: tokens whose stream is many times as long as that of others, and the layers that make them so.
//!
//! A layer that makes a sink must stay. Without it all later layers read a first token that they have never seen, and
//! no bridge can mend that: what the layer before it computes says too little of which token becomes the sink. Neither
//! block influence nor angular distance sees such a layer, as it changes one token of a text.

use std::collections::{BTreeMap, BTreeSet};

use layer_runtime::{Activations, ActivationsOptions, RecipeModel};
use serde::{Deserialize, Serialize};

use super::sums::dot;
use super::{FitError, Statistics};

/// A token is massive if its stream is so many times as long as the median token's at the same place (Sun et al. 2024
/// count single numbers a thousand times the median; the whole stream of such a token is 100 to 200 times as long).
const MASSIVE: f32 = 10.0;

/// Tokens that a layer makes massive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    /// The layer: before it these tokens are like others, or ten times shorter than after it.
    pub layer: usize,
    /// The position in their sequences at which most of them stand, from 0.
    pub position: usize,
    /// How many tokens of the calibration text.
    pub tokens: usize,
    /// The mean length of their stream before the layer.
    pub before: f64,
    /// The same after the layer.
    pub after: f64,
    /// The median length of all tokens after the layer.
    pub median: f64,
}

/// The layers of a model that make an attention sink, and so should not be removed.
///
/// ```
/// use layer_runtime::{RecipeModel, open_device};
/// use recipe_search::bridges::{Statistics, StatisticsSettings, sink_makers};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");
/// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
/// let calibration: Vec<Vec<u32>> = (0..20).map(|i| (0..40).map(|j| (i * 31 + j * 7) % 300).collect()).collect();
/// let statistics = Statistics::gather(&mut model, &calibration, StatisticsSettings::default())?;
/// assert!(sink_makers(&statistics).is_empty(), "a model of random numbers has none");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn sink_makers(statistics: &Statistics) -> BTreeSet<usize> {
    statistics.sinks.iter().map(|sink| sink.layer).collect()
}

/// The attention sinks of a model, from one walk of some sequences through it, without the sums of bridges.
///
/// # Errors
/// [`FitError::NoTokens`]; [`FitError::Model`] when the model cannot be run.
pub fn find_sinks(model: &mut RecipeModel, sequences: &[Vec<u32>]) -> Result<Vec<Sink>, FitError> {
    let (hidden, mut lengths) = (model.runtime().config().hidden_size, StreamLengths::default());
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    model.activations_with(&slices, ActivationsOptions::default(), |seen| {
        lengths.add(&seen, hidden);
        Ok::<_, FitError>(())
    })?;
    if lengths.positions.is_empty() {
        return Err(FitError::NoTokens);
    }
    Ok(lengths.sinks(sequences.len()))
}

impl Statistics {
    /// The attention sinks of the model, as far as the walk went: to the end of the last gap.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }
}

/// The lengths of the stream's rows: 4 bytes for each token and place.
#[derive(Debug, Default)]
pub(crate) struct StreamLengths {
    /// Of each token, in the order of the walk.
    positions: Vec<usize>,
    /// For each place, of each token.
    lengths: Vec<Vec<f32>>,
}

impl StreamLengths {
    /// Those of whole streams, `[tokens, hidden]` at each place, whose sequences end with these tokens.
    pub fn of(streams: &[Vec<f32>], hidden: usize, last_tokens: &[usize]) -> Self {
        let starts = std::iter::once(0).chain(last_tokens.iter().map(|last| last + 1));
        let positions = starts.zip(last_tokens).flat_map(|(start, last)| 0..=last.saturating_sub(start)).collect();
        Self { positions, lengths: streams.iter().map(|stream| row_lengths(stream, hidden).collect()).collect() }
    }

    /// Adds a batch at one place; batches come in one order at all places.
    pub fn add(&mut self, seen: &Activations<'_>, hidden: usize) {
        if seen.place == 0 {
            self.positions.extend(seen.tokens.iter().map(|token| token.position));
        }
        self.lengths.resize_with(self.lengths.len().max(seen.place + 1), Vec::new);
        self.lengths[seen.place].extend(row_lengths(&seen.stream, hidden));
    }

    /// The sinks: of each layer the tokens that it makes massive, if there are as many as every other sequence has one.
    pub fn sinks(&self, sequences: usize) -> Vec<Sink> {
        let medians: Vec<f32> = self.lengths.iter().map(|lengths| median(lengths)).collect();
        let sink = |layer: usize| {
            let (before, after) = (self.lengths.get(layer)?, self.lengths.get(layer + 1)?);
            let made = |token: &usize| {
                let (shorter, longer) = (before[*token], after[*token]);
                let was = shorter > MASSIVE * medians[layer] && longer < MASSIVE * shorter;
                longer > MASSIVE * medians[layer + 1] && !was
            };
            let tokens: Vec<usize> = (0..before.len().min(after.len())).filter(made).collect();
            let mut at = BTreeMap::<usize, usize>::new();
            tokens.iter().for_each(|token| *at.entry(self.positions[*token]).or_default() += 1);
            let (position, _) = at.into_iter().rev().max_by_key(|(_, count)| *count)?;
            let mean = |lengths: &[f32]| {
                tokens.iter().map(|token| f64::from(lengths[*token])).sum::<f64>() / tokens.len() as f64
            };
            let median = f64::from(medians[layer + 1]);
            let sink = Sink { layer, position, tokens: tokens.len(), before: mean(before), after: mean(after), median };
            (2 * tokens.len() >= sequences).then_some(sink)
        };
        (0..self.lengths.len().saturating_sub(1)).filter_map(sink).collect()
    }
}

/// The length of each row of a stream, `[tokens, hidden]`.
fn row_lengths(stream: &[f32], hidden: usize) -> impl Iterator<Item = f32> {
    stream.chunks_exact(hidden.max(1)).map(|row| dot(row, row).sqrt() as f32)
}

/// The middle one; 0 of none.
fn median(lengths: &[f32]) -> f32 {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink_model::{Outcome, text, with_sink};

    #[test]
    fn the_layer_that_makes_a_sink_is_named_with_position_and_lengths() -> Outcome {
        for layer in [1, 2] {
            let folder = tempfile::tempdir()?;
            let mut model = with_sink(folder.path(), layer)?;
            let sinks = find_sinks(&mut model, &text())?;
            let [sink] = &sinks[..] else { return Err(format!("not one sink: {sinks:?}").into()) };
            assert_eq!((sink.layer, sink.position, sink.tokens), (layer, 0, 20), "{sink:?}");
            assert!(sink.after > 10.0 * sink.median && sink.before < sink.after / 10.0, "{sink:?}");
            let settings = super::super::StatisticsSettings::default();
            let statistics = Statistics::gather(&mut model, &text(), settings)?;
            assert_eq!((statistics.sinks(), sink_makers(&statistics)), (&sinks[..], [layer].into()));
            // A walk that ends before the layer does not see it.
            let gap = [super::super::Gap { after: 0, length: layer - 1 }];
            if layer > 1 {
                let statistics = Statistics::gather_gaps(&mut model, &text(), &gap, settings)?;
                assert!(statistics.sinks().is_empty());
            }
        }
        Ok(())
    }
}
