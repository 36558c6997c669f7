//! The weight files: a header that is known beforehand, then the tensors piece by piece.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use layer_ir::{Dtype, Family, ValidRecipe};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};

use super::ExportProgress;
use super::plan::{Origin, Plan, Planned};
use crate::build::{PIECE, Prepared};
use crate::precision::encode;
use crate::{Error, Operand, Registry};

/// How many pieces are in memory at once.
const WINDOW: usize = 64;

/// Writes all files; their names.
pub(super) fn write_all(
    plan: &Plan,
    registry: &Registry,
    family: &Family,
    recipe: &ValidRecipe,
    folder: &Path,
    progress: &dyn Fn(ExportProgress),
) -> Result<Vec<String>, Error> {
    let mut done = ExportProgress { tensors: 0, of_tensors: plan.tensors.len(), bytes: 0, of_bytes: plan.bytes() };
    let prepare = |tensor: &Planned| prepare(tensor, registry, family, recipe);
    let mut files = Vec::with_capacity(plan.shards.len());
    for (index, shard) in plan.shards.iter().enumerate() {
        let name = match plan.shards.len() {
            1 => "model.safetensors".to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", index + 1),
        };
        let path = folder.join(&name);
        let tensors = &plan.tensors[shard.clone()];
        let failed = |source| Error::Write { path: path.clone(), source };
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        file.write_all(&header(tensors, &path)?).map_err(failed)?;
        for group in groups(tensors) {
            write_group(group, &prepare, &mut |bytes| {
                done.bytes += bytes.len() as u64;
                progress(done);
                file.write_all(bytes).map_err(failed)
            })?;
            done.tensors += group.len();
            progress(done);
        }
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        files.push(name);
    }
    Ok(files)
}

fn prepare<'a>(
    tensor: &Planned,
    registry: &Registry,
    family: &Family,
    recipe: &'a ValidRecipe,
) -> Result<Prepared<'a>, Error> {
    match &tensor.origin {
        Origin::Layer { output, suffix } => Prepared::of_layer(registry, family, recipe, *output, suffix),
        Origin::End(end) => match Prepared::of_end(registry, family, recipe, *end)? {
            Some(prepared) => Ok(prepared),
            // The plan has only ends that the base stores.
            None => Err(layer_ir::Error::MissingEnd { folder: family.base().dir().to_owned(), end: *end }.into()),
        },
        Origin::Other => Ok(Prepared::Take(Operand::new(family.base().tensor(&tensor.name)?, Dtype::F32))),
    }
}

/// Tensors that are worked on at once: so many that there is work for all threads.
fn groups(tensors: &[Planned]) -> Vec<&[Planned]> {
    let mut groups = Vec::new();
    let (mut start, mut elements) = (0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        elements += tensor.elements();
        if elements >= WINDOW * PIECE || index + 1 == tensors.len() {
            groups.push(&tensors[start..=index]);
            (start, elements) = (index + 1, 0);
        }
    }
    groups
}

fn write_group<'a>(
    group: &[Planned],
    prepare: &(dyn Fn(&Planned) -> Result<Prepared<'a>, Error> + Sync),
    write: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let prepared = group.par_iter().map(prepare).collect::<Result<Vec<_>, Error>>()?;
    let cut = |index: usize| {
        let n = group[index].elements();
        (0..n).step_by(PIECE).map(move |start| (index, start..n.min(start + PIECE)))
    };
    let pieces: Vec<(usize, Range<usize>)> = (0..group.len()).flat_map(cut).collect();
    for window in pieces.chunks(WINDOW) {
        let piece = |(index, range): &(usize, Range<usize>)| bytes(&group[*index], &prepared[*index], range.clone());
        let window = window.par_iter().map(piece).collect::<Result<Vec<_>, Error>>()?;
        window.iter().try_for_each(|bytes| write(bytes))?;
    }
    Ok(())
}

fn bytes<'a>(tensor: &Planned, prepared: &'a Prepared<'_>, range: Range<usize>) -> Result<Cow<'a, [u8]>, Error> {
    if let Some((dtype, raw)) = prepared.raw(range.clone())
        && dtype == tensor.dtype
        && tensor.divisor == 1.0
    {
        return Ok(Cow::Borrowed(raw));
    }
    let mut values = prepared.values(range)?;
    if tensor.divisor != 1.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / tensor.divisor) as f32);
    }
    Ok(Cow::Owned(encode(&values, tensor.dtype)))
}

/// The header of a safetensors file, with its length before it.
fn header(tensors: &[Planned], path: &Path) -> Result<Vec<u8>, Error> {
    let mut end = 0;
    let info = |tensor: &Planned| {
        let start = end;
        end += tensor.elements() * tensor.dtype.size_in_bytes();
        let dtype = match tensor.dtype {
            Dtype::BF16 => safetensors::Dtype::BF16,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::F32 => safetensors::Dtype::F32,
        };
        (tensor.name.clone(), TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (start, end) })
    };
    // Without it transformers refuses the file.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), tensors.iter().map(info).collect());
    let metadata = metadata.map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
    let mut json = serde_json::to_vec(&metadata).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat())
}
