//! Golden files, and runtimes over them.
#![allow(dead_code, reason = "each test uses a part")]

use std::error::Error;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use layer_ir::{Family, Recipe, ValidRecipe};
use layer_runtime::{RecipeModel, Runtime, RuntimeOptions, open_device};
use merge_ops::Registry;
use safetensors::SafeTensors;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub const MODELS: [&str; 5] =
    ["llama-mha", "llama3-gqa-sharded-bf16", "mistral-window-headdim", "qwen2-tied-f16", "qwen3-qknorm-bf16"];

/// The family of `golden/family`, its base first.
pub const FAMILY: [&str; 4] = ["base", "chat", "math", "code"];

/// A golden file. A test that was built elsewhere is told by the variable where this crate is.
pub fn golden(path: &str) -> PathBuf {
    let folder =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    folder.join("tests/golden").join(path)
}

/// Arrays by name, whatever their type, as f32 and flat.
pub fn arrays(path: &Path) -> Outcome<IndexMap<String, Vec<f32>>> {
    let bytes = std::fs::read(path)?;
    let mut arrays = IndexMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
        let values = match view.dtype() {
            safetensors::Dtype::I64 => {
                view.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect()
            }
            _ => view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        };
        arrays.insert(name, values);
    }
    Ok(arrays)
}

pub fn tokens(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| *value as u32).collect()
}

/// The sequences of a golden model, and their logits.
pub fn expected(model: &str) -> Outcome<Vec<(Vec<u32>, Vec<f32>)>> {
    let arrays = arrays(&golden(&format!("models/{model}.expected.safetensors")))?;
    (0..4).map(|i| Ok((tokens(&arrays[&format!("ids.{i}")]), arrays[&format!("logits.{i}")].clone()))).collect()
}

/// A runtime over some checkpoints, the base first, on the CPU.
pub fn runtime(checkpoints: &[(&str, PathBuf)], options: RuntimeOptions) -> Outcome<Runtime> {
    runtime_on("cpu", checkpoints, options)
}

/// A runtime over some checkpoints, the base first, on a device by its name.
pub fn runtime_on(device: &str, checkpoints: &[(&str, PathBuf)], options: RuntimeOptions) -> Outcome<Runtime> {
    let models: IndexMap<String, PathBuf> =
        checkpoints.iter().map(|(name, path)| ((*name).to_owned(), path.clone())).collect();
    let family = Family::open(&models, checkpoints[0].0)?;
    Ok(Runtime::new(family, Registry::standard(), open_device(device)?, options)?)
}

/// All layers of the base, as they are.
pub fn plain(runtime: &Runtime) -> Outcome<ValidRecipe> {
    let family = runtime.family();
    let models = family.names().map(|name| (name.to_owned(), name.to_owned())).collect();
    let (base, layers) = (family.base_name(), family.base().num_layers());
    Ok(Recipe::of_base(models, base, layers).validate(family, &Registry::standard())?)
}

/// The checkpoint in a folder, as it is.
pub fn plain_model(folder: &Path, options: RuntimeOptions) -> Outcome<RecipeModel> {
    let runtime = runtime(&[("base", folder.to_owned())], options)?;
    Ok(runtime.model(plain(&runtime)?)?)
}

pub fn worst_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, |a, b| if b >= a || b.is_nan() { b } else { a })
}
