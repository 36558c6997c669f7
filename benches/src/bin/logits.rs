//! Our logits of a checkpoint or a recipe, in a file that other software can be compared with
//! (`benches/peers/transformers_logits.sh`).
//!
//! `logits PATH OUT.safetensors`: arrays `ids.0` (`[tokens]`, i64), `logits.0` (`[tokens, vocabulary]`, f32), ... for
//! four sequences of unequal lengths, run in one batch: padding and packing must not show.

use std::collections::BTreeMap;
use std::path::Path;

use layer_ir::{Checkpoint, Family, Recipe, ValidRecipe};
use layer_runtime::{Runtime, RuntimeOptions, open_device};
use merge_ops::Registry;
use safetensors::{Dtype, tensor::TensorView};

/// Tokens of each sequence.
const LENGTHS: [usize; 4] = [3, 17, 64, 33];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: logits PATH OUT.safetensors".into());
    };
    let (family, recipe) = open(Path::new(&path))?;
    let vocabulary = family.base().config()?.vocab_size;
    let runtime = Runtime::new(family, Registry::standard(), open_device("cpu")?, RuntimeOptions::default())?;
    let sequences: Vec<Vec<u32>> = LENGTHS.iter().map(|length| ids(*length, vocabulary as u32)).collect();
    let borrowed: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let logits = runtime.model(recipe)?.logits(&borrowed)?;

    let mut arrays: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (i, (sequence, logits)) in sequences.iter().zip(&logits).enumerate() {
        let bytes = sequence.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect();
        arrays.insert(format!("ids.{i}"), (Dtype::I64, vec![sequence.len()], bytes));
        let bytes = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
        arrays.insert(format!("logits.{i}"), (Dtype::F32, vec![sequence.len(), vocabulary], bytes));
    }
    let views =
        arrays.iter().map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>()?;
    std::fs::write(out, safetensors::serialize(views, None)?)?;
    Ok(())
}

/// The models of a path, and the recipe to run: its own, or all layers as they are.
fn open(path: &Path) -> Result<(Family, ValidRecipe), Box<dyn std::error::Error>> {
    if path.is_file() {
        let recipe = Recipe::read(path)?;
        let family = recipe.open_family()?;
        return Ok((family.clone(), recipe.validate(&family, &Registry::standard())?));
    }
    let models = [("model".to_owned(), path.display().to_string())];
    let recipe = Recipe::of_base(models.into(), "model", Checkpoint::open(path)?.num_layers());
    let family = recipe.open_family()?;
    Ok((family.clone(), recipe.validate(&family, &Registry::standard())?))
}

/// `length` ids that look random and are always the same; the first few, the special tokens of most vocabularies, are
/// left out. They go into the file, so that the other software need not make them again.
fn ids(length: usize, vocabulary: u32) -> Vec<u32> {
    (0..length as u32).map(|i| 4 + (i * i * 31 + i * 17 + length as u32 * 7919) % (vocabulary - 4)).collect()
}
