//! Golden files, and models made for a test.
#![allow(dead_code, reason = "each test uses a part")]

pub mod choices;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use layer_ir::{Dtype, Family, Merge, OutputLayer, Parameters, Recipe};
use merge_ops::{ExportOptions, ExportSummary, Inputs, Operand, RecipeTensors, Registry, export, merge_on_cpu};
use safetensors::SafeTensors;

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The tensors of one file as they are stored, by name.
pub type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub fn tensors(file: &Path) -> Outcome<Tensors> {
    let bytes = std::fs::read(file)?;
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let dtype = match view.dtype() {
            safetensors::Dtype::BF16 => Dtype::BF16,
            safetensors::Dtype::F16 => Dtype::F16,
            _ => Dtype::F32,
        };
        (name, (dtype, view.shape().to_vec(), view.data().to_vec()))
    };
    Ok(SafeTensors::deserialize(&bytes)?.tensors().into_iter().map(read).collect())
}

/// The golden family's models by name.
pub fn models() -> indexmap::IndexMap<String, String> {
    let folder = |name: &str| golden("family").join(name).display().to_string();
    ["base", "chat", "math", "code"].map(|name| (name.to_owned(), folder(name))).into()
}

/// All layers of the golden base.
pub fn plain() -> Recipe {
    Recipe::of_base(models(), "base", 6)
}

pub fn take(model: &str, layer: usize, scale: f32) -> OutputLayer {
    OutputLayer { scale, ..OutputLayer::take(model, layer) }
}

/// A merge of models of the golden family at one layer.
pub fn merge(method: &str, layer: usize, models: &[&str], parameters: &[(&str, f64)]) -> OutputLayer {
    let merge = parameters.iter().fold(Merge::new(method), |merge, (key, value)| merge.with(key, *value));
    OutputLayer::merge(models.iter().fold(merge, |merge, model| merge.source(model, layer)))
}

pub fn write(recipe: Recipe, out: &Path, options: &ExportOptions<'_>) -> Outcome<(Family, ExportSummary)> {
    let family = recipe.open_family()?;
    let registry = Registry::standard();
    let recipe = recipe.validate(&family, &registry)?;
    let done = export(RecipeTensors { family: &family, recipe: &recipe, registry: &registry }, out, options)?;
    Ok((family, done))
}

/// What an error says, with `place` first.
pub fn message<T>(outcome: Outcome<T>) -> String {
    outcome.map_or_else(|error| error.to_string(), |_| "no error".to_owned())
}

/// A matrix in memory.
pub fn matrix(values: &[f32], columns: usize) -> Operand {
    let mut view = Operand::from_values("w", values).view().clone();
    view.shape = vec![values.len() / columns, columns];
    Operand::new(view, Dtype::F32)
}

/// A merge of tensors in memory by a registered method.
pub fn try_out(
    method: &str,
    parameters: &Parameters,
    base: Option<Operand>,
    sources: Vec<Operand>,
) -> Outcome<Vec<f32>> {
    let registry = Registry::standard();
    let method = registry.get(method)?;
    Ok(merge_on_cpu(method, &Inputs::of(method, parameters, base, sources), 1024)?)
}
