//! `tailor merge`: from a recipe to a checkpoint.

use std::path::{Path, PathBuf};

use layer_ir::{Dtype, Family, ValidRecipe};
use merge_ops::{ExportSummary, Registry};
use tailor::{Error, write_model};

use super::console::Console;
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
}

/// A number format of weights.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum DtypeName {
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
    let recipe = read_recipe(&arguments.recipe)?;
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family)?;
    let dtype = arguments.dtype.map(Into::into);
    write(&family, &recipe, &Registry::standard(), &arguments.out, dtype, console)
}

/// Writes the model with a bar, and says what was written.
pub(super) fn write(
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    dtype: Option<Dtype>,
    console: &Console,
) -> Result<(), Error> {
    let bar = progress::bytes(console);
    let written = write_model(family, recipe, registry, out, dtype, &|done| {
        bar.set_length(done.of_bytes);
        bar.set_position(done.bytes);
    });
    bar.finish_and_clear();
    let ExportSummary { layers, parameters, bytes, .. } = written?;
    console.say(&format!("{}: {layers} layers, {parameters} parameters, {bytes} bytes", out.display()))
}
