//! One stored tensor that takes part in a merge, read in pieces.
//!
//! An operand hides three things from a method: the number format of the checkpoint, the precision that the recipe
//! merges in, and, where models have different tokens, that its rows are gathered from several tensors.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{AllocationProperty, Bytes, DType, Device, Tensor, TensorData};
use layer_ir::{Dtype, OuterRows, TensorView};
use rayon::prelude::*;

use crate::gathered::Gathered;
use crate::precision::burn_dtype;
use crate::{Error, Lanes, Numbers};

/// How many numbers are converted by one thread at a time.
const STRIDE: usize = 1 << 18;

/// One stored tensor, read as f32 in pieces, rounded to the format in which the merge computes. Cloning shares it.
///
/// ```
/// use merge_ops::Operand;
///
/// let weight = Operand::from_values("w", &[1.0, 2.0, 3.0]);
/// assert_eq!((weight.elements(), weight.values(1..9)), (3, vec![2.0, 3.0]));
/// ```
#[derive(Debug, Clone)]
pub struct Operand {
    view: TensorView,
    /// The format that numbers are rounded to as they are read.
    precision: Dtype,
    /// Its rows, where they are not those that are stored.
    rows: Option<Arc<Gathered>>,
}

impl Operand {
    /// A tensor of a checkpoint, for a merge that computes in `precision`.
    #[must_use]
    pub fn new(view: TensorView, precision: Dtype) -> Self {
        Self { view, precision, rows: None }
    }

    /// One of several embeddings or heads, in the rows of their shared vocabulary: that at place `own` of `views`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where a row that is named is not there, or has another width.
    pub(crate) fn aligned(
        rows: &Arc<OuterRows>,
        views: &Arc<Vec<TensorView>>,
        own: usize,
        precision: Dtype,
    ) -> Result<Self, Error> {
        let gathered = Gathered::new(Arc::clone(rows), Arc::clone(views), own, precision)?;
        Ok(Self { view: views[own].clone(), precision, rows: Some(Arc::new(gathered)) })
    }

    /// Numbers in memory as a tensor of one axis, for trying a method.
    #[must_use]
    pub fn from_values(name: &str, values: &[f32]) -> Self {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (name, shape) = (name.to_owned(), vec![values.len()]);
        let (file, dtype) = ("memory".into(), Dtype::F32);
        let view = TensorView { name, file, dtype, shape, data: data.into(), opened: None };
        Self::new(view, Dtype::F32)
    }

    /// The stored tensor; [`Operand::shape`] may differ from its where vocabularies are aligned.
    #[must_use]
    pub fn view(&self) -> &TensorView {
        &self.view
    }

    /// The shape in which it takes part in the merge.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.rows.as_ref().map_or(&self.view.shape, |rows| rows.shape())
    }

    /// The product of its shape.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// The numbers in a range of elements; fewer where the range ends behind the last one.
    #[must_use]
    pub fn values(&self, range: Range<usize>) -> Vec<f32> {
        let bytes = match self.bytes(range) {
            Ok(bytes) => bytes,
            Err(gathered) => return gathered,
        };
        let width = self.view.dtype.size_in_bytes();
        let mut values = vec![0.0; bytes.len() / width];
        let strides = values.par_chunks_mut(STRIDE).zip(bytes.par_chunks(STRIDE * width));
        strides.for_each(|(out, bytes)| self.decoded(bytes).copy_to(out));
        values
    }

    /// A short run of its numbers, from the mapped file.
    pub(crate) fn lanes(&self, range: Range<usize>) -> Lanes<'_> {
        match self.bytes(range) {
            Ok(bytes) => self.decoded(bytes),
            Err(gathered) => gathered.into(),
        }
    }

    /// Reads the stored bytes of a block from their file; none where it is not stored in one piece.
    pub(crate) fn read_block(&self, block: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let place = self.place(block).unwrap_or_default();
        let width = self.view.dtype.size_in_bytes();
        bytes.resize(place.len() * width, 0);
        Ok(self.view.read(place.start * width, bytes)?)
    }

    /// A short run of its numbers, of a block whose first number is number `start` and whose bytes [`Self::read_block`]
    /// has read.
    pub(crate) fn lanes_of_block<'a>(&'a self, bytes: &'a [u8], start: usize, run: Range<usize>) -> Lanes<'a> {
        if bytes.is_empty() {
            return self.lanes(run);
        }
        let width = self.view.dtype.size_in_bytes();
        self.decoded(&bytes[(run.start - start) * width..(run.end - start) * width])
    }

    /// Stored bytes as numbers, rounded to the precision if they are stored in another.
    fn decoded<'a>(&self, bytes: &'a [u8]) -> Lanes<'a> {
        let lanes = Lanes::stored(bytes, self.view.dtype);
        if self.rounds() { lanes.round(self.precision) } else { lanes }
    }

    /// Reads the bytes as they are stored; `false` if that would change numbers, or they are not stored in one piece.
    pub(crate) fn read_raw(&self, range: Range<usize>, bytes: &mut [u8]) -> Result<bool, Error> {
        let Some(place) = self.place(range).filter(|_| !self.rounds()) else { return Ok(false) };
        self.view.read(place.start * self.view.dtype.size_in_bytes(), bytes)?;
        Ok(true)
    }

    /// The bytes as they are stored, if reading changes nothing of them.
    pub(crate) fn raw(&self, range: Range<usize>) -> Option<&[u8]> {
        if self.rounds() {
            return None;
        }
        let range = self.place(range)?;
        Some(self.stored_bytes(range))
    }

    /// Some of its numbers as an f32 tensor; where they are stored so and aligned, the mapped file itself.
    pub(crate) fn tensor(&self, range: Range<usize>, device: &Device) -> Tensor<1> {
        let stored = burn_dtype(self.view.dtype);
        let bytes = match self.bytes(range.clone()) {
            Ok(bytes) => bytes,
            Err(gathered) => {
                let length = gathered.len();
                return Tensor::from_data(TensorData::new(gathered, [length]), (device, DType::F32));
            }
        };
        let aligned = cfg!(target_endian = "little") && bytes.as_ptr().addr().is_multiple_of(stored.size());
        // On the CPU a conversion of ours runs on all threads; to other devices the narrow numbers travel.
        let as_stored = stored == DType::F32 || *device != Device::flex() && device.supports_dtype(stored);
        let length = bytes.len() / stored.size();
        if aligned && as_stored {
            let shared = Bytes::from_shared(self.view.data.slice_ref(bytes), AllocationProperty::File);
            if let Ok(data) = TensorData::try_from_bytes(shared, [length], stored) {
                let tensor = Tensor::<1>::from_data(data, (device, stored)).cast(DType::F32);
                return if self.rounds() { Numbers::round(tensor, self.precision) } else { tensor };
            }
        }
        Tensor::from_data(TensorData::new(self.values(range), [length]), (device, DType::F32))
    }

    /// All numbers as they are stored, on the CPU the mapped file itself; none where reading changes them, they do not
    /// lie as a processor reads them, or the device does not have their type.
    pub(crate) fn stored(&self, device: &Device) -> Option<Tensor<1>> {
        let stored = burn_dtype(self.view.dtype);
        if *device != Device::flex() && !device.supports_dtype(stored) {
            return None;
        }
        let bytes = self.raw(0..self.elements())?;
        let aligned = cfg!(target_endian = "little") && bytes.as_ptr().addr().is_multiple_of(stored.size());
        let shared = aligned.then(|| Bytes::from_shared(self.view.data.slice_ref(bytes), AllocationProperty::File))?;
        let data = TensorData::try_from_bytes(shared, [self.elements()], stored).ok()?;
        Some(Tensor::from_data(data, (device, stored)))
    }

    /// The stored bytes of a range; the numbers themselves where it is not stored in one piece.
    fn bytes(&self, range: Range<usize>) -> Result<&[u8], Vec<f32>> {
        match (self.place(range.clone()), &self.rows) {
            (None, Some(rows)) => Err(rows.values(range)),
            (place, _) => Ok(self.stored_bytes(place.unwrap_or(range))),
        }
    }

    /// Where in the stored tensor a range lies, if in one piece.
    fn place(&self, range: Range<usize>) -> Option<Range<usize>> {
        match &self.rows {
            None => Some(range),
            Some(rows) => rows.stored(range),
        }
    }

    /// The bytes of a range of the stored elements, as far as they are there.
    fn stored_bytes(&self, range: Range<usize>) -> &[u8] {
        let width = self.view.dtype.size_in_bytes();
        let end = (range.end * width).min(self.view.data.len());
        &self.view.data[(range.start * width).min(end)..end]
    }

    /// Whether reading changes numbers.
    fn rounds(&self) -> bool {
        self.precision != Dtype::F32 && self.precision != self.view.dtype
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_f32_is_not_copied_and_misaligned_is_read_all_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let values: Vec<f32> = (0..64_u8).map(f32::from).collect();
        let aligned = Operand::from_values("w", &values);
        let mut shifted = aligned.clone();
        shifted.view.data = [&[0], &*aligned.view.data].concat().into();
        shifted.view.data = shifted.view.data.slice(1..);
        for operand in [aligned, shifted] {
            let tensor = operand.tensor(3..50, &Device::flex());
            assert_eq!(tensor.try_into_vec_as::<f32>()?, values[3..50]);
            assert_eq!(operand.values(60..99), values[60..]);
        }
        Ok(())
    }

    #[test]
    fn numbers_are_rounded_to_the_format_of_the_merge() {
        let mut operand = Operand::from_values("w", &[1.003, 2.0]);
        operand.precision = Dtype::BF16;
        assert_eq!(operand.values(0..2), [half::bf16::from_f32(1.003).to_f32(), 2.0]);
        assert!(operand.raw(0..2).is_none());
    }
}
