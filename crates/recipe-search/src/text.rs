//! The tokenizer of a recipe's model, before it is written.

use layer_ir::{Family, ValidRecipe, tokenizer_files};
use task_eval::ModelTokenizer;

use crate::Error;

/// The tokenizer that the model of a recipe would be written with.
///
/// # Errors
/// The model that it is of has no `tokenizer.json` or `tokenizer.model`, or one that cannot take the tokens that the
/// recipe's vocabulary adds.
pub fn token_text(family: &Family, recipe: &ValidRecipe) -> Result<ModelTokenizer, Error> {
    let changed = tokenizer_files(family, recipe)?;
    Ok(ModelTokenizer::load_changed(family.get(recipe.tokenizer_owner())?.dir(), &changed)?)
}
