//! What each layer of a model does, before any search: what the removals without a search read, layer by layer.

use layer_ir::{Recipe, ValidRecipe};
use layer_runtime::Runtime;
use serde::Serialize;
use task_eval::{LanguageModel, ScoreRequest};

use crate::Error;
use crate::baselines::{HiddenStates, angular_distances, block_influence};
use crate::bridges::{FitError, Sink};

/// What a text tells of the layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Screening {
    /// How many sequences the text has.
    pub sequences: usize,
    /// How many tokens they have.
    pub tokens: usize,
    /// The mean of -ln p over the tokens behind the first one of each sequence, in nats, of the whole model.
    pub loss: f64,
    /// Its layers.
    pub layers: Vec<ScreenedLayer>,
}

/// What a text tells of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScreenedLayer {
    /// The layer, from 0.
    pub layer: usize,
    /// 1 - the mean cosine of the residual stream before and after it ([`block_influence`]).
    pub block_influence: f64,
    /// The mean angle by which it turns the stream of a sequence's last token, over pi ([`angular_distances`]).
    pub angular_distance: f64,
    /// The mean length of the stream after it of the sequences' first tokens.
    pub first_length: f64,
    /// The same of all other tokens; absent where there are none.
    pub other_length: Option<f64>,
    /// The attention sink that it makes, if it makes one.
    pub sink: Option<Sink>,
    /// The loss of the model without this layer alone (the first step of SLEB); absent of an only layer.
    pub loss_without: Option<f64>,
}

/// Looks at each layer of a model on some sequences of at least two tokens: one walk, and the loss once for the whole
/// model and once without each layer.
///
/// ```
/// use layer_ir::Recipe;
/// use layer_runtime::{RecipeModel, open_device};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");
/// let model = RecipeModel::open(folder, open_device("cpu")?)?;
/// let screening = recipe_search::screen(model.runtime(), model.recipe(), &[vec![1, 17, 4], vec![1, 9]])?;
/// assert_eq!((screening.tokens, screening.layers.len()), (5, model.recipe().layers.len()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Bridge`] without any sequence of two tokens; when the model cannot be run.
pub fn screen(runtime: &Runtime, model: &ValidRecipe, sequences: &[Vec<u32>]) -> Result<Screening, Error> {
    let sequences: Vec<Vec<u32>> = sequences.iter().filter(|tokens| tokens.len() > 1).cloned().collect();
    if sequences.is_empty() {
        return Err(FitError::NoTokens.into());
    }
    let hidden = HiddenStates::of(&mut runtime.model(model.clone())?, &sequences)?;
    let (influence, angles, sinks) = (block_influence(&hidden), angular_distances(&hidden, 1), hidden.sinks());
    let requests: Vec<ScoreRequest> = sequences.iter().map(|tokens| all_but_first(tokens)).collect();
    let loss = |recipe: &Recipe| -> Result<f64, Error> {
        let mut model = runtime.model(recipe.clone().validate(runtime.family(), runtime.registry())?)?;
        let scores = model
            .score(&requests)
            .map_err(|source| Error::Model { what: "the loss without a layer".into(), source })?;
        let predicted: usize = requests.iter().map(|request| request.continuation.len()).sum();
        Ok(-scores.iter().map(|score| score.log_likelihood).sum::<f64>() / predicted as f64)
    };
    let mut layers = Vec::new();
    for layer in 0..hidden.layers() {
        let mut without = model.recipe().clone();
        without.layers.remove(layer);
        let [first_length, other_length] = mean_lengths(&hidden, layer + 1);
        layers.push(ScreenedLayer {
            layer,
            block_influence: influence[layer],
            angular_distance: angles[layer],
            first_length: first_length.unwrap_or(f64::NAN),
            other_length,
            sink: sinks.iter().find(|sink| sink.layer == layer).copied(),
            loss_without: if without.layers.is_empty() { None } else { Some(loss(&without)?) },
        });
    }
    let tokens = sequences.iter().map(Vec::len).sum();
    Ok(Screening { sequences: sequences.len(), tokens, loss: loss(model.recipe())?, layers })
}

/// Asks for all tokens of a sequence behind the first one.
pub(crate) fn all_but_first(tokens: &[u32]) -> ScoreRequest {
    ScoreRequest { context: tokens[..1].into(), continuation: tokens[1..].into() }
}

/// The mean length of the stream at a place: of the sequences' first tokens, and of all others.
fn mean_lengths(hidden: &HiddenStates, place: usize) -> [Option<f64>; 2] {
    let (mut sums, mut counts) = ([0.0; 2], [0_usize; 2]);
    let mut start = 0;
    for last in &hidden.last_tokens {
        for token in start..=*last {
            let part = usize::from(token > start);
            let squares = hidden.row(place, token).iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
            sums[part] += squares.sqrt();
            counts[part] += 1;
        }
        start = last + 1;
    }
    [0, 1].map(|part| (counts[part] > 0).then(|| sums[part] / counts[part] as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink_model::{Outcome, text, with_sink};

    #[test]
    fn the_layer_that_makes_the_sink_stands_out_by_the_length_of_the_first_token() -> Outcome {
        let folder = tempfile::tempdir()?;
        let model = with_sink(folder.path(), 2)?;
        let screening = screen(model.runtime(), model.recipe(), &text())?;
        assert_eq!((screening.sequences, screening.tokens, screening.layers.len()), (20, 600, 4));
        for pair in screening.layers.windows(2) {
            let longer = |length: fn(&ScreenedLayer) -> f64| length(&pair[1]) > 10.0 * length(&pair[0]);
            assert_eq!(pair[1].sink.is_some(), pair[1].layer == 2, "{pair:?}");
            assert_eq!(longer(|layer| layer.first_length), pair[1].layer == 2, "{pair:?}");
            assert!(!longer(|layer| layer.other_length.unwrap_or(f64::NAN)), "{pair:?}");
        }
        Ok(())
    }

    #[test]
    fn the_loss_without_a_layer_is_that_of_the_smaller_model() -> Outcome {
        let folder = tempfile::tempdir()?;
        let model = with_sink(folder.path(), 1)?;
        let (runtime, sequences) = (model.runtime(), text());
        let screening = screen(runtime, model.recipe(), &sequences)?;
        let mut smaller = model.recipe().recipe().clone();
        smaller.layers.remove(3);
        let alone = screen(runtime, &smaller.validate(runtime.family(), &())?, &sequences)?;
        assert_eq!(screening.layers[3].loss_without, Some(alone.loss));
        assert!(screening.layers.iter().all(|layer| layer.loss_without != Some(screening.loss)));
        // Nothing before the layer has changed.
        let facts = |layer: &ScreenedLayer| (layer.block_influence, layer.angular_distance, layer.first_length);
        assert_eq!(facts(&screening.layers[1]), facts(&alone.layers[1]));
        Ok(())
    }
}
