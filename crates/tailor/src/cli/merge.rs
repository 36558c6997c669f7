//! `tailor merge`: from a recipe to a checkpoint, and what all commands share that write one.
//!
//! Weights are streamed: a tensor at a time is read, merged and written, into a hidden folder that gets its name when
//! it is whole.

use std::path::{Path, PathBuf};

use layer_ir::{Dtype, Hub};
use merge_ops::{
    DEFAULT_FORMAT, ExportOptions, ExportPreview, ExportProgress, ExportSummary, PlannedBridge, PlannedMerge,
    PlannedRead, RecipeTensors, Registry, WeightFile, checkpoint_writers, preview_export,
};
use tailor::Error;

use super::console::Console;
use super::hub::HubArguments;
use super::progress;
use super::target::read_recipe;

/// Write the model of a recipe as a Hugging Face checkpoint.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The recipe: Tailor's own, or a mergekit file.
    recipe: PathBuf,
    /// The folder to write; it must be empty, or not there yet.
    out: PathBuf,
    /// The number format of the weights; without it, the recipe's, else the base's.
    #[arg(long)]
    dtype: Option<DtypeName>,
    #[command(flatten)]
    writing: Writing,
    #[command(flatten)]
    hub: HubArguments,
    /// Print what would be read, computed and written, and write nothing. Of models of the hub, --download brings
    /// configs and the headers of the weights then, and no weights.
    #[arg(long)]
    dry_run: bool,
}

/// How a checkpoint is written, for all commands that write one.
#[derive(Debug, clap::Args)]
pub(super) struct Writing {
    #[arg(long, value_name = "NAME", default_value = DEFAULT_FORMAT, help = formats())]
    format: String,
    /// Do not wait until the weights are on the disk.
    #[arg(long)]
    no_sync: bool,
}

/// The help of `--format`: the table of formats.
fn formats() -> String {
    format!("The format of the checkpoint, one of\n{}", checkpoint_writers().help().trim_end())
}

impl Writing {
    pub fn options(&self) -> Result<ExportOptions<'static>, Error> {
        let writer = checkpoint_writers().get(&self.format).map_err(merge_ops::Error::from)?;
        Ok(ExportOptions { writer, sync: !self.no_sync, ..ExportOptions::default() })
    }
}

/// A number format of weights, by the words of the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum DtypeName {
    // Their doc comments would become help texts that only repeat the names.
    Bf16,
    F16,
    F32,
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::Bf16 => Self::BF16,
            DtypeName::F16 => Self::F16,
            DtypeName::F32 => Self::F32,
        }
    }
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let hub = Hub { headers_only: arguments.dry_run, ..arguments.hub.hub(console) };
    let recipe = read_recipe(&arguments.recipe, &hub)?;
    let family = if arguments.dry_run { recipe.open_outline()? } else { recipe.open_family()? };
    let registry = Registry::standard();
    let recipe = recipe.validate(&family, &registry)?;
    let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    let options = ExportOptions { dtype: arguments.dtype.map(Into::into), ..arguments.writing.options()? };
    let out = &arguments.out;
    if arguments.dry_run {
        return console.say(&preview(&preview_export(source, out, &options)?, out));
    }
    write(source, out, &options, console)
}

/// What an export to `out` would do, line by line: what it reads, computes and writes.
fn preview(preview: &ExportPreview, out: &Path) -> String {
    let ExportPreview { reads, bridges, merges, files, layers, parameters, bytes } = preview;
    let size = |bytes: &u64| format!("{:.3} GB", *bytes as f64 / 1e9);
    let mut lines = vec!["reads".to_owned()];
    for PlannedRead { model, folder, tensors, bytes } in reads {
        lines.push(format!("  {model}: {tensors} tensors, {}, of {}", size(bytes), folder.display()));
    }
    for PlannedBridge { file, layers, tensors, bytes } in bridges {
        let (size, file) = (size(bytes), file.display());
        let layers = layers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        lines.push(format!("  bridge of output layer {layers}: {tensors} tensors, {size}, of {file}"));
    }
    lines.push("computes".to_owned());
    for PlannedMerge { method, bridged, tensors, parameters } in merges {
        let how = method.as_deref().unwrap_or(if *bridged { "taken" } else { "taken as they are" });
        let bridge = if *bridged { ", a bridge added" } else { "" };
        lines.push(format!("  {how}{bridge}: {tensors} tensors, {parameters} parameters"));
    }
    lines.push(format!("writes to {}", out.display()));
    for WeightFile { name, tensors, bytes } in files {
        lines.push(format!("  {name}: {tensors} tensors, {}", size(bytes)));
    }
    lines.push("  config.json, the tokenizer's files, tailor_recipe.yaml, README.md".to_owned());
    lines.push(format!("{layers} layers, {parameters} parameters, {bytes} bytes; nothing was written"));
    lines.join("\n")
}

/// Writes the model with a bar, and says what was written.
///
/// # Errors
/// What merge-ops says; then nothing stands at `out` that was not there before.
pub(super) fn write(
    source: RecipeTensors<'_>,
    out: &Path,
    options: &ExportOptions<'_>,
    console: &Console,
) -> Result<(), Error> {
    let bar = progress::bytes(console);
    let progress = |done: ExportProgress| {
        bar.set_length(done.of_bytes);
        bar.set_position(done.bytes);
    };
    let written = merge_ops::export(source, out, &ExportOptions { progress: &progress, ..*options });
    bar.finish_and_clear();
    let ExportSummary { layers, parameters, bytes, old_folder, .. } = written?;
    if let Some(old) = old_folder {
        console.say(&format!("{}: the folder that was there before could not be removed; remove it", old.display()))?;
    }
    console.say(&format!("{}: {layers} layers, {parameters} parameters, {bytes} bytes", out.display()))
}
