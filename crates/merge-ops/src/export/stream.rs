//! The numbers of an export, made and written piece by piece.
//!
//! Memory holds the pieces that threads work on and those that wait to be written, never a whole tensor. Neighbouring
//! tensors are worked on together, so that small ones keep all threads busy too.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use layer_ir::Dtype;
use rayon::prelude::*;

use super::disk::{self, PieceQueue};
use super::{ExportModel, ExportProgress, FileLayout, PlacedTensor};
use crate::Error;
use crate::block_reader::Scratch;

/// How many numbers one thread merges and writes at a time. The system takes few large pieces faster than many small
/// ones.
const PIECE: usize = 1 << 18;
/// Tensors are prepared in groups of about so many pieces for each thread, which gives all threads work and keeps
/// little in memory.
const PIECES: usize = 32;

/// Writes the files of weights.
pub(super) struct Stream<'a> {
    pub model: &'a ExportModel<'a>,
    /// Whether all files are on the disk at the end.
    pub sync: bool,
    counter: Counter<'a>,
}

impl<'a> Stream<'a> {
    /// `files` are all that will be written, for the totals that `progress` is told.
    pub fn new(
        model: &'a ExportModel<'a>,
        files: &[FileLayout],
        sync: bool,
        progress: &'a (dyn Fn(ExportProgress) + Sync),
    ) -> Self {
        let of_bytes = files.iter().map(FileLayout::bytes).sum();
        let of_tensors = model.tensors().len();
        Self { model, sync, counter: Counter { progress, of_tensors, of_bytes, tensors: 0.into(), bytes: 0.into() } }
    }

    /// Writes one file: its header, then what lies behind it.
    ///
    /// # Errors
    /// [`Error::Write`]; what reading and merging fail with.
    pub fn write_file(&self, layout: &FileLayout, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let mut file = File::create(path).map_err(failed)?;
        file.write_all(&layout.header).map_err(failed)?;
        let work = |queue: &PieceQueue<'_>| {
            for group in groups(&layout.tensors) {
                let tensors = self.make_group(group, queue)?;
                self.counter.add(tensors, 0);
            }
            Ok(())
        };
        disk::write((&file, path), layout.length(), self.sync, &|bytes| self.counter.add(0, bytes), work)
    }

    /// Makes the numbers of neighbours; how many tensors end with them.
    fn make_group(&self, group: &[PlacedTensor], queue: &PieceQueue<'_>) -> Result<usize, Error> {
        let of_model = self.model.tensors();
        let mut distinct: Vec<usize> = group.iter().map(|placed| placed.tensor).collect();
        distinct.dedup();
        let prepare = |tensor: &usize| self.model.prepare(&of_model[*tensor]);
        let prepared = distinct.par_iter().map(prepare).collect::<Result<Vec<_>, Error>>()?;
        pieces(group).into_par_iter().try_for_each_init(Scratch::new, |scratch, piece| {
            let mut bytes = queue.buffer(piece.range.len() * piece.dtype.size_in_bytes());
            let divisor = of_model[distinct[piece.tensor]].divisor;
            prepared[piece.tensor].encode(piece.range, divisor, piece.dtype, &mut bytes, scratch)?;
            queue.put(piece.offset, bytes)
        })?;
        Ok(distinct.len())
    }
}

/// Counts what is written, from all threads.
struct Counter<'a> {
    progress: &'a (dyn Fn(ExportProgress) + Sync),
    tensors: AtomicUsize,
    bytes: AtomicU64,
    of_tensors: usize,
    of_bytes: u64,
}

impl Counter<'_> {
    /// So many more tensors and bytes.
    fn add(&self, tensors: usize, bytes: usize) {
        (self.progress)(ExportProgress {
            tensors: self.tensors.fetch_add(tensors, Relaxed) + tensors,
            of_tensors: self.of_tensors,
            bytes: self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64,
            of_bytes: self.of_bytes,
        });
    }
}

/// Numbers that one thread makes, and where in the file they go.
struct Piece {
    /// Which of the group's distinct tensors.
    tensor: usize,
    /// Which of its elements.
    range: Range<usize>,
    /// The format in which they are written.
    dtype: Dtype,
    /// Where in the file, in bytes.
    offset: u64,
}

/// A group cut into pieces of at most [`PIECE`] numbers.
fn pieces(group: &[PlacedTensor]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut tensor = 0;
    for (index, placed) in group.iter().enumerate() {
        if index > 0 && group[index - 1].tensor != placed.tensor {
            tensor += 1;
        }
        let (Range { start: first, end }, width) = (placed.elements.clone(), placed.dtype.size_in_bytes());
        pieces.extend((first..end).step_by(PIECE).map(|start| {
            let offset = placed.offset + ((start - first) * width) as u64;
            Piece { tensor, range: start..end.min(start + PIECE), dtype: placed.dtype, offset }
        }));
    }
    pieces
}

/// Tensors that are worked on at once. The parts of one tensor that follow each other stay together, so that it is
/// prepared once.
fn groups(tensors: &[PlacedTensor]) -> Vec<&[PlacedTensor]> {
    let mut groups = Vec::new();
    let enough = PIECES * PIECE * rayon::current_num_threads();
    let (mut start, mut elements) = (0, 0);
    for (index, placed) in tensors.iter().enumerate() {
        elements += placed.elements.len();
        let next = tensors.get(index + 1);
        let goes_on = next.is_some_and(|next| next.tensor == placed.tensor);
        if elements >= enough && !goes_on || next.is_none() {
            groups.push(&tensors[start..=index]);
            (start, elements) = (index + 1, 0);
        }
    }
    groups
}
