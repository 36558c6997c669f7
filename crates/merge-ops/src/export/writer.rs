//! Formats of checkpoints: what each must say, and the table of those that there are.
//!
//! A format decides on names and places; it computes and writes no weights itself.

use std::ops::Range;
use std::path::Path;

use layer_ir::Dtype;
use tailor_registry::Entry;

use super::ExportModel;
use crate::Error;

/// Writes the model of a recipe in one format.
///
/// A format says where in which file each tensor lies; [`export`](crate::export) merges, folds scales, converts and
/// writes the numbers, piece by piece and by all threads. It calls [`Self::weight_files`], then writes these files,
/// then calls [`Self::write_companions`].
///
/// Laws: (1) every element of every tensor of [`ExportModel::tensors`] lies in exactly one place; (2) the same model
/// gives the same files.
///
/// A new format is a file with an implementation and a row in
/// [`checkpoint_writers`](crate::checkpoint_writers); one of your own is the
/// [`writer`](crate::ExportOptions::writer) of an export. A whole one, raw numbers behind each other and their names in
/// a text beside them:
/// ```
/// use std::path::Path;
/// use merge_ops::{CheckpointWriter, Error, ExportModel, FileLayout, PlacedTensor};
/// use tailor_registry::Entry;
///
/// struct Raw;
///
/// impl Entry for Raw {
///     fn name(&self) -> &str { "raw" }
///     fn summary(&self) -> &str { "Raw numbers in one file." }
/// }
///
/// impl CheckpointWriter for Raw {
///     fn weight_files(&self, model: &ExportModel<'_>, _: u64) -> Result<Vec<FileLayout>, Error> {
///         let mut offset = 0;
///         let place = |(tensor, planned): (usize, &merge_ops::PlannedTensor)| {
///             let placed = PlacedTensor { tensor, elements: 0..planned.elements(), offset, dtype: planned.dtype };
///             offset += planned.bytes();
///             placed
///         };
///         let tensors = model.tensors().iter().enumerate().map(place).collect();
///         Ok(vec![FileLayout { name: "weights.bin".to_owned(), header: Vec::new(), tensors }])
///     }
///
///     fn write_companions(&self, model: &ExportModel<'_>, _: &[FileLayout], folder: &Path) -> Result<(), Error> {
///         let names: Vec<&str> = model.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
///         let path = folder.join("names.txt");
///         std::fs::write(&path, names.join("\n")).map_err(|source| Error::Write { path, source })
///     }
/// }
/// ```
pub trait CheckpointWriter: Entry + Send + Sync {
    /// The files of the weights, in the order in which they are written. A file should hold at most `max_file_bytes` of
    /// numbers, unless one tensor alone is larger.
    ///
    /// # Errors
    /// Something of the model has no words in the format.
    fn weight_files(&self, model: &ExportModel<'_>, max_file_bytes: u64) -> Result<Vec<FileLayout>, Error>;

    /// Writes the files beside the weights, such as the config and the tokenizer, into `folder`. The weights are there
    /// already.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Write`] name the file.
    fn write_companions(&self, model: &ExportModel<'_>, files: &[FileLayout], folder: &Path) -> Result<(), Error>;
}

/// One file of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// Its name in the folder.
    pub name: String,
    /// The bytes at its beginning.
    pub header: Vec<u8>,
    /// What lies behind the header, in the order of the offsets. Between two of them may be room, which is filled with
    /// zeros.
    pub tensors: Vec<PlacedTensor>,
}

/// A tensor, or some of its elements, at a place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedTensor {
    /// Its place in [`ExportModel::tensors`].
    pub tensor: usize,
    /// Which elements of it, row-major. A format that stores rows in another order places them one by one.
    pub elements: Range<usize>,
    /// Where the first of them begins, in bytes from the start of the file.
    pub offset: u64,
    /// The number format in which they are stored, little-endian.
    pub dtype: Dtype,
}

impl PlacedTensor {
    /// How many bytes its numbers take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.elements.len() * self.dtype.size_in_bytes()) as u64
    }
}

impl FileLayout {
    /// How many bytes the numbers in it take, without the header.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(PlacedTensor::bytes).sum()
    }

    /// How many bytes the whole file takes.
    #[must_use]
    pub fn length(&self) -> u64 {
        let ends = self.tensors.iter().map(|placed| placed.offset + placed.bytes());
        ends.max().unwrap_or(0).max(self.header.len() as u64)
    }
}

/// The format of an export that does not name one.
pub const DEFAULT_FORMAT: &str = "safetensors";

/// Whether the files hold every element of every tensor once; else the first tensor of which they do not.
pub(super) fn check_layout(format: &str, model: &ExportModel<'_>, files: &[FileLayout]) -> Result<(), Error> {
    let mut placed: Vec<Vec<Range<usize>>> = vec![Vec::new(); model.tensors().len()];
    for part in files.iter().flat_map(|file| &file.tensors) {
        if let Some(ranges) = placed.get_mut(part.tensor) {
            ranges.push(part.elements.clone());
        }
    }
    for (tensor, mut ranges) in model.tensors().iter().zip(placed) {
        ranges.sort_by_key(|range| (range.start, range.end));
        let end = ranges.iter().try_fold(0, |end, range| (range.start == end).then_some(range.end));
        if end != Some(tensor.elements()) {
            return Err(Error::Layout { format: format.to_owned(), tensor: tensor.name.clone() });
        }
    }
    Ok(())
}
