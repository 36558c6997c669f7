//! The weight files: a header that is known beforehand, then the tensors piece by piece.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use layer_ir::{Dtype, Family, ValidRecipe};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};

use super::ExportProgress;
use super::disk::{self, Outbox};
use super::plan::{Origin, Plan, Planned};
use crate::build::Prepared;
use crate::window::Scratch;
use crate::{Error, Operand, Registry};

/// How many numbers one thread merges at a time and the system takes at a time: it takes few large pieces of a file sooner than many small ones.
const PIECE: usize = 1 << 18;
/// Tensors are prepared in groups of about so many pieces for each thread: enough work for all, little to remember.
const PIECES: usize = 32;

/// What all tensors of an export are made from.
pub(super) struct Export<'a> {
    pub plan: &'a Plan,
    pub registry: &'a Registry,
    pub family: &'a Family,
    pub recipe: &'a ValidRecipe,
    /// Whether all files are on the disk at the end.
    pub sync: bool,
}

impl Export<'_> {
    /// Writes all files; their names.
    pub fn write_all(&self, folder: &Path, progress: &(dyn Fn(ExportProgress) + Sync)) -> Result<Vec<String>, Error> {
        let counter = Counter { progress, tensors: 0.into(), bytes: 0.into(), plan: self.plan };
        let mut files = Vec::with_capacity(self.plan.shards.len());
        for (index, shard) in self.plan.shards.iter().enumerate() {
            let name = self.plan.file_name(index);
            self.write_file(&self.plan.tensors[shard.clone()], &folder.join(&name), &counter)?;
            files.push(name);
        }
        Ok(files)
    }

    fn write_file(&self, tensors: &[Planned], path: &Path, counter: &Counter<'_>) -> Result<(), Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let mut file = File::create(path).map_err(failed)?;
        let header = header(tensors, path)?;
        file.write_all(&header).map_err(failed)?;
        let mut offset = header.len() as u64;
        let bytes = offset + tensors.iter().map(Planned::bytes).sum::<u64>();
        let work = |outbox: &Outbox<'_>| {
            for group in groups(tensors) {
                self.make_group(group, offset, outbox)?;
                counter.add(group.len(), 0);
                offset += group.iter().map(Planned::bytes).sum::<u64>();
            }
            Ok(())
        };
        disk::write((&file, path), bytes, self.sync, &|bytes| counter.add(0, bytes), work)
    }

    /// Makes tensors that stand in a file from an offset on.
    fn make_group(&self, group: &[Planned], offset: u64, outbox: &Outbox<'_>) -> Result<(), Error> {
        let prepared = group.par_iter().map(|tensor| self.prepare(tensor)).collect::<Result<Vec<_>, Error>>()?;
        pieces(group, offset).into_par_iter().try_for_each_init(Scratch::new, |scratch, piece| {
            let tensor = &group[piece.tensor];
            let mut bytes = outbox.buffer(piece.range.len() * tensor.dtype.size_in_bytes());
            prepared[piece.tensor].encode(piece.range, tensor.divisor, tensor.dtype, &mut bytes, scratch)?;
            outbox.put(piece.offset, bytes)
        })
    }

    fn prepare(&self, tensor: &Planned) -> Result<Prepared<'_>, Error> {
        let Self { registry, family, recipe, .. } = self;
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
}

/// Counts what is written, from all threads.
struct Counter<'a> {
    progress: &'a (dyn Fn(ExportProgress) + Sync),
    tensors: AtomicUsize,
    bytes: AtomicU64,
    plan: &'a Plan,
}

impl Counter<'_> {
    fn add(&self, tensors: usize, bytes: usize) {
        (self.progress)(ExportProgress {
            tensors: self.tensors.fetch_add(tensors, Relaxed) + tensors,
            of_tensors: self.plan.tensors.len(),
            bytes: self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64,
            of_bytes: self.plan.bytes(),
        });
    }
}

/// A part of a tensor, and where in the file it goes.
struct Place {
    tensor: usize,
    range: Range<usize>,
    offset: u64,
}

fn pieces(group: &[Planned], mut offset: u64) -> Vec<Place> {
    let mut pieces = Vec::new();
    for (tensor, planned) in group.iter().enumerate() {
        let (n, width) = (planned.elements(), planned.dtype.size_in_bytes());
        pieces.extend((0..n).step_by(PIECE).map(|start| {
            let range = start..n.min(start + PIECE);
            Place { tensor, range, offset: offset + (start * width) as u64 }
        }));
        offset += planned.bytes();
    }
    pieces
}

/// Tensors that are worked on at once.
fn groups(tensors: &[Planned]) -> Vec<&[Planned]> {
    let mut groups = Vec::new();
    let enough = PIECES * PIECE * rayon::current_num_threads();
    let (mut start, mut elements) = (0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        elements += tensor.elements();
        if elements >= enough || index + 1 == tensors.len() {
            groups.push(&tensors[start..=index]);
            (start, elements) = (index + 1, 0);
        }
    }
    groups
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
