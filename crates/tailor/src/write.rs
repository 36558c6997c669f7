//! The recipe as a checkpoint on disk.

use std::path::Path;

use layer_ir::{Family, ValidRecipe};
use merge_ops::{ExportOptions, ExportPreview, ExportProgress, ExportSummary, Registry, export, preview_export};

use crate::Error;
use recipe_search::is_free;

/// Writes the model of a recipe as a Hugging Face checkpoint into a folder that is empty or not there yet; `progress` is told
/// how far it is, from several threads. The folder gets its name when the checkpoint is whole.
///
/// # Errors
/// [`Error::ExportNotEmpty`]; what merge-ops says of the recipe, its tensors and the disk.
pub fn write_model(
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    options: &ExportOptions,
    progress: &(dyn Fn(ExportProgress) + Sync),
) -> Result<ExportSummary, Error> {
    check_export_folder(out)?;
    Ok(export(family, recipe, registry, out, options, progress)?)
}

/// What [`write_model`] would do; writes nothing.
///
/// # Errors
/// As [`write_model`], but for what only reading and writing show.
pub fn preview_model(
    family: &Family,
    recipe: &ValidRecipe,
    registry: &Registry,
    out: &Path,
    options: &ExportOptions,
) -> Result<ExportPreview, Error> {
    check_export_folder(out)?;
    Ok(preview_export(family, recipe, registry, out, options)?)
}

/// Whether a model could be written into this folder: it is empty, or it is not there and could be made. Leaves nothing behind.
///
/// # Errors
/// [`Error::ExportNotEmpty`], [`Error::Io`].
pub fn check_export_folder(out: &Path) -> Result<(), Error> {
    if is_free(out)? { Ok(()) } else { Err(Error::ExportNotEmpty(out.to_path_buf())) }
}
