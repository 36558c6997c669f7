//! A recipe as a Hugging Face checkpoint: streamed in pieces, written aside and renamed when whole.

mod card;
mod config;
mod disk;
mod folder;
mod plan;
mod preview;
mod shard;

use std::path::{Path, PathBuf};

use layer_ir::{Dtype, Family, ValidRecipe};
use serde_json::json;

use crate::{Error, Registry, check_recipe};
use folder::Partial;
use plan::Plan;
pub use preview::{ExportPreview, Make, Read, WeightFile, preview_export};
use shard::Export;

/// How an export is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// The number format of all tensors; absent: the recipe's, or else that of each tensor in the base.
    pub dtype: Option<Dtype>,
    /// The most bytes of one file; a larger tensor has a file of its own.
    pub max_shard_bytes: u64,
    /// Whether a folder that is not empty is replaced, as soon as the new one is whole.
    pub overwrite: bool,
    /// Whether the weights are on the disk before the folder gets its name, so that not even a loss of power leaves one that looks
    /// finished and is not. Without it, the system writes them when it likes.
    pub sync: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { dtype: None, max_shard_bytes: 5_000_000_000, overwrite: false, sync: true }
    }
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportProgress {
    /// Whole tensors written.
    pub tensors: usize,
    /// Tensors in all.
    pub of_tensors: usize,
    /// Bytes of weights written.
    pub bytes: u64,
    /// Bytes of weights in all.
    pub of_bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSummary {
    /// The folder.
    pub folder: PathBuf,
    /// The names of the weight files in it.
    pub files: Vec<String>,
    /// How many layers the model has.
    pub layers: usize,
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers.
    pub parameters: u64,
    /// Bytes of the weights.
    pub bytes: u64,
    /// The folder that had the name before, if it was replaced and could not be removed.
    pub old_folder: Option<PathBuf>,
}

/// Writes a recipe as a checkpoint that stock software loads: weights, `config.json`, the tokenizer's files, a model card, and the
/// recipe itself as `tailor_recipe.yaml`.
///
/// The tensors are made in pieces on the CPU, a few megabytes at a time whatever the model's size. Output scales are folded into
/// the weights. All is written to a folder beside `out`, which takes its name when it is whole; after an error nothing is left.
///
/// # Errors
/// The recipe's merges are wrong, `out` is not empty, holds a model of the recipe or cannot be written; nothing is changed then.
pub fn export(
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    options: &ExportOptions,
    progress: &(dyn Fn(ExportProgress) + Sync),
) -> Result<ExportSummary, Error> {
    let plan = planned(family, recipe, registry, out, options)?;
    let partial = Partial::create(out)?;
    let export = Export { plan: &plan, registry, family, recipe, sync: options.sync };
    let files = export.write_all(partial.path(), progress)?;
    if files.len() > 1 {
        write_index(&plan, &files, partial.path())?;
    }
    let raw = config::edited(family, recipe, plan.dtype);
    write_json(&partial.path().join("config.json"), &raw)?;
    write_tokenizer(family, recipe, partial.path())?;
    card::write_card(&plan, family, recipe, out, partial.path())?;
    let old_folder = partial.finish()?;
    Ok(ExportSummary {
        folder: out.to_owned(),
        files,
        layers: recipe.layers.len(),
        tensors: plan.tensors.len(),
        parameters: plan.parameters(),
        bytes: plan.bytes(),
        old_folder,
    })
}

/// Checks what can be known before anything is computed.
fn planned(
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    options: &ExportOptions,
) -> Result<Plan, Error> {
    check_recipe(registry, family, recipe)?;
    check_scales(family, recipe)?;
    folder::check(out, family, options.overwrite)?;
    Plan::new(family, recipe, options.dtype.or(recipe.dtype), options.max_shard_bytes)
}

fn check_scales(family: &Family, recipe: &ValidRecipe) -> Result<(), Error> {
    let architecture = family.base().architecture();
    let foldable = architecture.spec().is_some_and(|spec| !spec.residual_writers.is_empty());
    if foldable || recipe.layers.iter().all(|layer| layer.scale == 1.0) {
        return Ok(());
    }
    Err(Error::ScalesUnknown { architecture: architecture.to_string() })
}

fn write_index(plan: &Plan, files: &[String], folder: &Path) -> Result<(), Error> {
    let of = |(file, shard): (&String, &std::ops::Range<usize>)| {
        let names = plan.tensors[shard.clone()].iter().map(|tensor| tensor.name.clone());
        names.map(|name| (name, json!(file))).collect::<Vec<_>>()
    };
    let map: serde_json::Map<_, _> = files.iter().zip(&plan.shards).flat_map(of).collect();
    let metadata = json!({"total_parameters": plan.parameters(), "total_size": plan.bytes()});
    let index = json!({"metadata": metadata, "weight_map": map});
    write_json(&folder.join("model.safetensors.index.json"), &index)
}

/// The files that a tokenizer may be made of, and how its model speaks.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "generation_config.json",
];

fn write_tokenizer(family: &Family, recipe: &ValidRecipe, folder: &Path) -> Result<(), Error> {
    let owner = family.get(recipe.tokenizer_owner())?.dir();
    let changed = layer_ir::tokenizer_files(family, recipe)?;
    let read = |path: &Path, source| Error::Read { path: path.to_owned(), source };
    for entry in std::fs::read_dir(owner).map_err(|source| read(owner, source))? {
        let path = entry.map_err(|source| read(owner, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let wanted = TOKENIZER_FILES.contains(&name) || name.starts_with("chat_template");
        if wanted && !changed.contains_key(name) && path.is_file() {
            // Not a copy with the file's permissions: those of a cache may forbid to write.
            let content = std::fs::read(&path).map_err(|source| read(&path, source))?;
            write(&folder.join(name), &content)?;
        }
    }
    changed.iter().try_for_each(|(name, content)| write(&folder.join(name), content))
}

fn write_json(path: &Path, content: &impl serde::Serialize) -> Result<(), Error> {
    let json = |source| Error::Json { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(content).map_err(json)?;
    text.push('\n');
    write(path, text.as_bytes())
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content).map_err(|source| Error::Write { path: path.to_owned(), source })
}
