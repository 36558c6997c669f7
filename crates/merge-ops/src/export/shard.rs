//! The weight files: a header that is known beforehand, then the tensors piece by piece.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

use layer_ir::{Dtype, Family, ValidRecipe};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};

use super::ExportProgress;
use super::plan::{Origin, Plan, Planned};
use crate::build::Prepared;
use crate::{Error, Operand, Registry};

/// How many numbers one thread merges and writes at a time: the system takes few large pieces of a file sooner than many small ones.
const PIECE: usize = 1 << 20;
/// Tensors are prepared in groups of about so many pieces for each thread: enough work for all, little to remember.
const PIECES: usize = 4;

/// Writes all files; their names.
pub(super) fn write_all(
    plan: &Plan,
    registry: &Registry,
    family: &Family,
    recipe: &ValidRecipe,
    folder: &Path,
    progress: &(dyn Fn(ExportProgress) + Sync),
) -> Result<Vec<String>, Error> {
    let counter = Counter { progress, tensors: 0.into(), bytes: 0.into(), plan };
    let prepare = |tensor: &Planned| prepare(tensor, registry, family, recipe);
    let mut files = Vec::with_capacity(plan.shards.len());
    for (index, shard) in plan.shards.iter().enumerate() {
        let name = plan.file_name(index);
        write_file(&plan.tensors[shard.clone()], &prepare, &folder.join(&name), &counter)?;
        files.push(name);
    }
    Ok(files)
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

/// Makes a tensor known.
type Prepare<'p, 'a> = &'p (dyn Fn(&Planned) -> Result<Prepared<'a>, Error> + Sync);

fn write_file(tensors: &[Planned], prepare: Prepare<'_, '_>, path: &Path, counter: &Counter<'_>) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut file = File::create(path).map_err(failed)?;
    let header = header(tensors, path)?;
    file.write_all(&header).map_err(failed)?;
    let mut offset = header.len() as u64;
    let work = |disk: &Sender<()>| {
        for group in groups(tensors) {
            write_group(group, prepare, (&file, path, offset), counter)?;
            offset += group.iter().map(Planned::bytes).sum::<u64>();
            // If nobody listens, the disk has failed, which will be told.
            let _ = disk.send(());
        }
        Ok(())
    };
    beside_the_disk(&file, work, failed)?;
    file.sync_all().map_err(failed)
}

/// Makes tensors and writes them into a file from an offset on.
fn write_group(
    group: &[Planned],
    prepare: Prepare<'_, '_>,
    (file, path, offset): (&File, &Path, u64),
    counter: &Counter<'_>,
) -> Result<(), Error> {
    let prepared = group.par_iter().map(prepare).collect::<Result<Vec<_>, Error>>()?;
    pieces(group, offset).into_par_iter().try_for_each_init(Vec::new, |bytes, piece| {
        let tensor = &group[piece.tensor];
        bytes.resize(piece.range.len() * tensor.dtype.size_in_bytes(), 0);
        prepared[piece.tensor].encode(piece.range, tensor.divisor, tensor.dtype, bytes)?;
        write_at(file, bytes, piece.offset).map_err(|source| Error::Write { path: path.to_owned(), source })?;
        counter.add(0, bytes.len());
        Ok::<(), Error>(())
    })?;
    counter.add(group.len(), 0);
    Ok(())
}

/// Works, and each time it says so lets what is written so far go to the disk, without waiting for it.
fn beside_the_disk(
    file: &File,
    work: impl FnOnce(&Sender<()>) -> Result<(), Error>,
    failed: impl Fn(std::io::Error) -> Error,
) -> Result<(), Error> {
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        let disk = scope.spawn(move || {
            while receiver.recv().is_ok() {
                // What came meanwhile is written with it.
                while receiver.try_recv().is_ok() {}
                file.sync_data()?;
            }
            Ok(())
        });
        let worked = work(&sender);
        drop(sender);
        // A panic there is a bug of the standard library.
        let written = disk.join().unwrap_or(Ok(()));
        worked.and(written.map_err(failed))
    })
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

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
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
