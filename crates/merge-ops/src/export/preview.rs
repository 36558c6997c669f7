//! What an export would read, compute and write: found out from the checkpoints' headers alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use layer_ir::{Expr, Family, ValidRecipe};

use super::{ExportModel, ExportOptions, FileLayout, PlannedTensor, TensorOrigin, planned};
use crate::{Error, RecipeTensors};

/// An export that has not happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPreview {
    /// What would be read of each model that gives something.
    pub reads: Vec<PlannedRead>,
    /// The bridges that would be read, each once.
    pub bridges: Vec<PlannedBridge>,
    /// The tensors of the new model by how they are made.
    pub merges: Vec<PlannedMerge>,
    /// The weight files.
    pub files: Vec<WeightFile>,
    /// How many layers the model would have.
    pub layers: usize,
    /// How many numbers.
    pub parameters: u64,
    /// Bytes of the weights.
    pub bytes: u64,
}

/// What is read of a model; a tensor that is needed twice counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRead {
    /// The model's name.
    pub model: String,
    /// Its folder.
    pub folder: PathBuf,
    /// How many tensors.
    pub tensors: usize,
    /// Their bytes as they are stored.
    pub bytes: u64,
}

/// A bridge that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBridge {
    /// Its file.
    pub file: PathBuf,
    /// The output layers that it is added to.
    pub layers: Vec<usize>,
    /// How many tensors it holds.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Tensors that are made in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMerge {
    /// The merge method; absent: they are taken as they are.
    pub method: Option<String>,
    /// Whether the delta of a bridge is added to them.
    pub bridged: bool,
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers.
    pub parameters: u64,
}

/// A file of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFile {
    /// Its name in the folder.
    pub name: String,
    /// How many tensors.
    pub tensors: usize,
    /// Bytes of their numbers.
    pub bytes: u64,
}

/// What [`super::export`] would do; checks what can be checked without reading a weight, and writes nothing.
///
/// # Errors
/// As [`super::export`], but for what only reading and writing show.
pub fn preview_export(
    source: RecipeTensors<'_>,
    out: impl AsRef<Path>,
    options: &ExportOptions<'_>,
) -> Result<ExportPreview, Error> {
    let (model, files) = planned(source, out.as_ref(), options)?;
    let file = |file: &FileLayout| {
        let mut tensors: Vec<usize> = file.tensors.iter().map(|placed| placed.tensor).collect();
        tensors.dedup();
        WeightFile { name: file.name.clone(), tensors: tensors.len(), bytes: file.bytes() }
    };
    Ok(ExportPreview {
        reads: reads(&model)?,
        bridges: bridges(model.recipe()),
        merges: merges(&model),
        files: files.iter().map(file).collect(),
        layers: model.recipe().layers.len(),
        parameters: model.parameters(),
        bytes: files.iter().map(FileLayout::bytes).sum(),
    })
}

/// What is read of each model.
fn reads(model: &ExportModel<'_>) -> Result<Vec<PlannedRead>, Error> {
    let (family, recipe) = (model.family(), model.recipe());
    let mut read: IndexMap<&str, BTreeSet<String>> = family.names().map(|name| (name, BTreeSet::new())).collect();
    for (model, tensor) in model.tensors().iter().flat_map(|tensor| sources(tensor, family, recipe)) {
        read.entry(model).or_default().insert(tensor);
    }
    read.retain(|_, tensors| !tensors.is_empty());
    let of = |(name, tensors): (&str, BTreeSet<String>)| {
        let model = family.get(name)?;
        let bytes = tensors.iter().map(|tensor| Ok(model.tensor(tensor)?.stored_bytes())).sum::<Result<_, Error>>()?;
        Ok(PlannedRead { model: name.to_owned(), folder: model.dir().to_owned(), tensors: tensors.len(), bytes })
    };
    read.into_iter().map(of).collect()
}

/// What is read of which bridge, in the order of the layers.
fn bridges(recipe: &ValidRecipe) -> Vec<PlannedBridge> {
    let mut bridges: IndexMap<&Path, PlannedBridge> = IndexMap::new();
    for layer in 0..recipe.layers.len() {
        let Some(bridge) = recipe.bridge(layer) else { continue };
        let planned = bridges.entry(bridge.file()).or_insert_with(|| PlannedBridge {
            file: bridge.file().to_owned(),
            layers: Vec::new(),
            tensors: bridge.deltas().count(),
            bytes: bridge.deltas().map(|delta| delta.data.len() as u64).sum(),
        });
        planned.layers.push(layer);
    }
    bridges.into_values().collect()
}

/// The models and names of the stored tensors that one is made of.
fn sources<'a>(tensor: &PlannedTensor, family: &'a Family, recipe: &'a ValidRecipe) -> Vec<(&'a str, String)> {
    match &tensor.origin {
        TensorOrigin::Layer { output, suffix, .. } => {
            let name = |model: &'a str, layer| (model, family.base().layer_tensor_name(layer, suffix));
            match &recipe.layers[*output].from {
                Expr::Take(of) => vec![name(&of.model, of.layer)],
                Expr::Merge(merge) => {
                    let base = merge.base.iter().map(|base| name(&base.model, base.layer.unwrap_or(*output)));
                    merge.sources.iter().map(|source| name(&source.of.model, source.of.layer)).chain(base).collect()
                }
            }
        }
        TensorOrigin::Outer(outer) => {
            recipe.outer.get(*outer).models().map(|model| (model, tensor.name.clone())).collect()
        }
        TensorOrigin::Other => vec![(family.base_name(), tensor.name.clone())],
    }
}

/// How many tensors are made by which method, with a bridge or without, in the order in which these appear.
fn merges(model: &ExportModel<'_>) -> Vec<PlannedMerge> {
    fn method<S>(expr: &Expr<S>) -> Option<&str> {
        match expr {
            Expr::Take(_) => None,
            Expr::Merge(merge) => Some(&merge.method),
        }
    }
    let recipe = model.recipe();
    let mut merges: IndexMap<(Option<&str>, bool), (usize, u64)> = IndexMap::new();
    for tensor in model.tensors() {
        let method = match &tensor.origin {
            TensorOrigin::Layer { output, suffix, .. } => {
                let bridged = recipe.bridge(*output).is_some_and(|bridge| bridge.changes(suffix));
                (method(&recipe.layers[*output].from), bridged)
            }
            TensorOrigin::Outer(outer) => (method(recipe.outer.get(*outer)), false),
            TensorOrigin::Other => (None, false),
        };
        let (tensors, parameters) = merges.entry(method).or_default();
        (*tensors, *parameters) = (*tensors + 1, *parameters + tensor.elements() as u64);
    }
    let merge = |((method, bridged), (tensors, parameters)): ((Option<&str>, _), _)| {
        let method = method.map(str::to_owned);
        PlannedMerge { method, bridged, tensors, parameters }
    };
    merges.into_iter().map(merge).collect()
}
