//! What an export would read, compute and write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use layer_ir::{Expr, Family, ValidRecipe};

use super::plan::{Origin, Plan, Planned};
use super::{ExportOptions, planned};
use crate::{Error, Registry};

/// An export that has not happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPreview {
    /// What would be read of each model that gives something.
    pub reads: Vec<Read>,
    /// The tensors of the new model by how they are made.
    pub makes: Vec<Make>,
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
pub struct Read {
    /// The model's name.
    pub model: String,
    /// Its folder.
    pub folder: PathBuf,
    /// How many tensors.
    pub tensors: usize,
    /// Their bytes as they are stored.
    pub bytes: u64,
}

/// Tensors that are made in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// The merge method; absent: they are taken as they are.
    pub method: Option<String>,
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
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    options: &ExportOptions,
) -> Result<ExportPreview, Error> {
    let plan = planned(family, recipe, registry, out, options)?;
    let files = plan.shards.iter().enumerate().map(|(index, shard)| {
        let tensors = &plan.tensors[shard.clone()];
        WeightFile {
            name: plan.file_name(index),
            tensors: tensors.len(),
            bytes: tensors.iter().map(Planned::bytes).sum(),
        }
    });
    Ok(ExportPreview {
        reads: reads(&plan, family, recipe)?,
        makes: makes(&plan, recipe),
        files: files.collect(),
        layers: recipe.layers.len(),
        parameters: plan.parameters(),
        bytes: plan.bytes(),
    })
}

fn reads(plan: &Plan, family: &Family, recipe: &ValidRecipe) -> Result<Vec<Read>, Error> {
    let mut read: IndexMap<&str, BTreeSet<String>> = family.names().map(|name| (name, BTreeSet::new())).collect();
    for (model, tensor) in plan.tensors.iter().flat_map(|tensor| sources(tensor, family, recipe)) {
        read.entry(model).or_default().insert(tensor);
    }
    read.retain(|_, tensors| !tensors.is_empty());
    let of = |(name, tensors): (&str, BTreeSet<String>)| {
        let model = family.get(name)?;
        let bytes =
            tensors.iter().map(|tensor| Ok(model.tensor(tensor)?.data.len() as u64)).sum::<Result<_, Error>>()?;
        Ok(Read { model: name.to_owned(), folder: model.dir().to_owned(), tensors: tensors.len(), bytes })
    };
    read.into_iter().map(of).collect()
}

/// The models and names of the stored tensors that one is made of.
fn sources<'a>(tensor: &Planned, family: &'a Family, recipe: &'a ValidRecipe) -> Vec<(&'a str, String)> {
    match &tensor.origin {
        Origin::Layer { output, suffix } => {
            let name = |model: &'a str, layer| (model, family.base().layer_tensor_name(layer, suffix));
            match &recipe.layers[*output].from {
                Expr::Take(of) => vec![name(&of.model, of.layer)],
                Expr::Merge(merge) => {
                    let base = merge.base.iter().map(|base| name(&base.model, base.layer.unwrap_or(*output)));
                    merge.sources.iter().map(|source| name(&source.of.model, source.of.layer)).chain(base).collect()
                }
            }
        }
        Origin::End(end) => recipe.ends.get(*end).models().map(|model| (model, tensor.name.clone())).collect(),
        Origin::Other => vec![(family.base_name(), tensor.name.clone())],
    }
}

fn makes(plan: &Plan, recipe: &ValidRecipe) -> Vec<Make> {
    fn method<S>(expr: &Expr<S>) -> Option<&str> {
        match expr {
            Expr::Take(_) => None,
            Expr::Merge(merge) => Some(&merge.method),
        }
    }
    let mut makes: IndexMap<Option<&str>, (usize, u64)> = IndexMap::new();
    for tensor in &plan.tensors {
        let method = match &tensor.origin {
            Origin::Layer { output, .. } => method(&recipe.layers[*output].from),
            Origin::End(end) => method(recipe.ends.get(*end)),
            Origin::Other => None,
        };
        let (tensors, parameters) = makes.entry(method).or_default();
        (*tensors, *parameters) = (*tensors + 1, *parameters + tensor.elements() as u64);
    }
    let make = |(method, (tensors, parameters)): (Option<&str>, _)| {
        let method = method.map(str::to_owned);
        Make { method, tensors, parameters }
    };
    makes.into_iter().map(make).collect()
}
