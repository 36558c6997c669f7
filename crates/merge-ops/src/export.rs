//! A recipe as a checkpoint: streamed in pieces, written aside and renamed when whole.
//!
//! An [`ExportModel`] lists the tensors to be written; a [`CheckpointWriter`] says where each of them lies in which
//! file; `stream.rs` makes the numbers and `disk.rs` writes them; `folder.rs` gives the folder its name in the end.

mod card;
mod config;
mod disk;
mod folder;
mod model;
mod preview;
mod safetensors;
mod stream;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use layer_ir::{Dtype, Expr, Family, Place, ValidRecipe};

use self::safetensors::HuggingFace;
use crate::{Error, RecipeTensors, Registry};
use folder::Partial;
pub use folder::check_output;
pub use model::{ExportModel, PlannedTensor, TensorOrigin};
pub use preview::{ExportPreview, PlannedBridge, PlannedMerge, PlannedRead, WeightFile, preview_export};
use stream::Stream;
pub use writer::{CheckpointWriter, DEFAULT_FORMAT, FileLayout, PlacedTensor};

/// The formats that there are, by name.
#[must_use]
pub fn checkpoint_writers() -> &'static tailor_registry::Registry<dyn CheckpointWriter> {
    static WRITERS: LazyLock<tailor_registry::Registry<dyn CheckpointWriter>> = LazyLock::new(|| {
        tailor_registry::Registry::with_rows("checkpoint format", [Box::new(HuggingFace) as Box<dyn CheckpointWriter>])
    });
    &WRITERS
}

/// How an export is written. By default as a Hugging Face folder whose files hold up to 5 GB, in the recipe's number
/// format, into an empty or new folder, and waited for until it is on the disk.
#[derive(Clone, Copy)]
pub struct ExportOptions<'a> {
    /// The format: one of [`checkpoint_writers`], or your own.
    pub writer: &'a dyn CheckpointWriter,
    /// The number format of all tensors; absent: the recipe's, or else that of each tensor in the base.
    pub dtype: Option<Dtype>,
    /// The most bytes of one file; a larger tensor has a file of its own.
    pub max_shard_bytes: u64,
    /// Whether a folder that is not empty is replaced, as soon as the new one is whole.
    pub overwrite: bool,
    /// Whether the weights are on the disk before the folder gets its name, so that not even a loss of power leaves one
    /// that looks finished and is not. Without it, the system writes them when it likes.
    pub sync: bool,
    /// Told how far the export is, after each piece that is written, by several threads.
    pub progress: &'a (dyn Fn(ExportProgress) + Sync),
}

impl Default for ExportOptions<'_> {
    fn default() -> Self {
        Self {
            writer: &HuggingFace,
            dtype: None,
            max_shard_bytes: 5_000_000_000,
            overwrite: false,
            sync: true,
            progress: &|_| (),
        }
    }
}

impl std::fmt::Debug for ExportOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportOptions")
            .field("writer", &self.writer.name())
            .field("dtype", &self.dtype)
            .field("max_shard_bytes", &self.max_shard_bytes)
            .field("overwrite", &self.overwrite)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportProgress {
    /// Whole tensors made.
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

/// Writes a recipe as a checkpoint. The default format is what stock software loads: weights, `config.json`, the
/// tokenizer's files, a model card, and the recipe itself as `tailor_recipe.yaml`.
///
/// The tensors are made in pieces on the CPU, a few megabytes at a time whatever the model's size. Output scales are
/// folded into the weights. All is written to a folder beside `out`, which takes its name when it is whole; after an
/// error nothing is left.
///
/// ```no_run
/// use layer_ir::{Dtype, Recipe};
/// use merge_ops::{ExportOptions, RecipeTensors, Registry, export};
///
/// let recipe = Recipe::read("tailored.yaml")?;
/// let (family, registry) = (recipe.open_family()?, Registry::standard());
/// let recipe = recipe.validate(&family, &registry)?;
/// let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
/// let progress = |done: merge_ops::ExportProgress| println!("{} of {} bytes", done.bytes, done.of_bytes);
/// let options = ExportOptions { dtype: Some(Dtype::BF16), progress: &progress, ..ExportOptions::default() };
/// let written = export(source, "tailored", &options)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::At`] names the place of a wrong merge. [`Error::OutputNotEmpty`], [`Error::OutputIsSource`],
/// [`Error::OutputHoldsBridge`] and [`Error::OutputNotFolder`] refuse `out`. [`Error::ScalesUnknown`] are output scales
/// that cannot be folded; [`Error::Layout`] is a format that does not place every element once; [`Error::Read`] and
/// [`Error::Write`] name a file. Nothing is changed then.
pub fn export(
    source: RecipeTensors<'_>,
    out: impl AsRef<Path>,
    options: &ExportOptions<'_>,
) -> Result<ExportSummary, Error> {
    let out = out.as_ref();
    let (model, files) = planned(source, out, options)?;
    let partial = Partial::create(out)?;
    let stream = Stream::new(&model, &files, options.sync, options.progress);
    files.iter().try_for_each(|file| stream.write_file(file, &partial.path().join(&file.name)))?;
    options.writer.write_companions(&model, &files, partial.path())?;
    let old_folder = partial.finish()?;
    Ok(ExportSummary {
        folder: out.to_owned(),
        bytes: files.iter().map(FileLayout::bytes).sum(),
        files: files.into_iter().map(|file| file.name).collect(),
        layers: source.recipe.layers.len(),
        tensors: model.tensors().len(),
        parameters: model.parameters(),
        old_folder,
    })
}

/// The model and its files. Checks what can be known before anything is computed.
fn planned<'a>(
    source: RecipeTensors<'a>,
    out: &Path,
    options: &ExportOptions<'_>,
) -> Result<(ExportModel<'a>, Vec<FileLayout>), Error> {
    check_methods(source.registry, source.recipe)?;
    check_scales(source.family, source.recipe)?;
    if out.is_dir() {
        folder::check_apart(out, source)?;
    }
    check_output(out, options.overwrite)?;
    let model = ExportModel::new(source, out, options.dtype)?;
    let files = options.writer.weight_files(&model, options.max_shard_bytes)?;
    writer::check_layout(options.writer.name(), &model, &files)?;
    Ok((model, files))
}

/// Whether the methods that the recipe was validated with are these: another registry may lack one.
fn check_methods(registry: &Registry, recipe: &ValidRecipe) -> Result<(), Error> {
    let merge = |output: &layer_ir::OutputLayer| match &output.from {
        Expr::Merge(merge) => registry.get(&merge.method).map(|_| ()),
        Expr::Take(_) => Ok(()),
    };
    let at = |(layer, output)| merge(output).map_err(|error| Error::from(error).at(Place::Layer(layer)));
    recipe.layers.iter().enumerate().try_for_each(at)
}

/// Whether the output scales can be folded: it must be known which matrices write into the residual stream.
fn check_scales(family: &Family, recipe: &ValidRecipe) -> Result<(), Error> {
    let architecture = family.base().architecture();
    let foldable = architecture.spec().is_some_and(|spec| !spec.residual_writers.is_empty());
    if foldable || recipe.layers.iter().all(|layer| layer.scale == 1.0) {
        return Ok(());
    }
    Err(Error::ScalesUnknown { architecture: architecture.to_string() })
}

/// Writes a file of indented JSON.
fn write_json(path: &Path, content: &impl serde::Serialize) -> Result<(), Error> {
    let json = |source| Error::Json { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(content).map_err(json)?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Writes a file, and names it where that fails.
fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content).map_err(|source| Error::Write { path: path.to_owned(), source })
}
