//! A checkpoint ready to run, and prompts for it.

use std::path::Path;

use layer_ir::{Checkpoint, Recipe};
use layer_runtime::{RecipeModel, Runtime, RuntimeOptions, open_device};
use merge_ops::Registry;
use task_eval::{LanguageModel, Score, ScoreRequest};

use crate::Outcome;

/// A checkpoint's runtime, which has loaded nothing yet, and the recipe of all its layers as they are. `device` is
/// named as in a study: `cpu`, `cuda:0`.
///
/// # Errors
/// When it cannot be read, or the device is not there.
pub fn open(checkpoint: &Path, device: &str, options: RuntimeOptions) -> Outcome<(Runtime, Recipe)> {
    let layers = Checkpoint::open(checkpoint)?.num_layers();
    let models = [("model".to_owned(), checkpoint.display().to_string())];
    let recipe = Recipe::of_base(models.into(), "model", layers);
    let runtime = Runtime::new(recipe.open_family()?, Registry::standard(), open_device(device)?, options)?;
    Ok((runtime, recipe))
}

/// A recipe that runs on the runtime that [`open`] gave.
///
/// # Errors
/// When the recipe is not one of the family's.
pub fn model(runtime: &Runtime, recipe: Recipe) -> Outcome<RecipeModel> {
    Ok(runtime.model(recipe.validate(runtime.family(), &Registry::standard())?)?)
}

/// The scores of all requests: the log-likelihood of each one's continuation, and whether that was the most likely.
///
/// # Errors
/// When the model cannot be run.
pub fn score(model: &mut RecipeModel, requests: &[ScoreRequest]) -> Outcome<Vec<Score>> {
    model.score(requests).map_err(|error| error.to_string().into())
}

/// `length` token ids that look random and are always the same for an `index`; `benches/peers/forward.py` makes them
/// too. The first four ids, the special tokens of most vocabularies, are left out.
///
/// ```
/// assert_eq!(tailor_benches::prompt(0, 4, 4096), [4, 52, 162, 334]);
/// ```
#[must_use]
pub fn prompt(index: u32, length: usize, vocabulary: usize) -> Vec<u32> {
    let id = |i: u32| 4 + (i * i * 31 + i * 17 + index * 7919) % (vocabulary as u32 - 4);
    (0..length as u32).map(id).collect()
}

/// `count` prompts of `length` tokens, of which everything behind the first `given` ones is scored; `given` is at least
/// 1 and below `length`. No two begin alike, so that nothing is shared.
#[must_use]
pub fn requests(count: usize, length: usize, given: usize, vocabulary: usize) -> Vec<ScoreRequest> {
    let request = |index| {
        let tokens = prompt(index, length, vocabulary);
        ScoreRequest { context: tokens[..given].into(), continuation: tokens[given..].into() }
    };
    (0..count as u32).map(request).collect()
}
