//! A batch on the device, its sequences as padded rectangles for the attention.
//!
//! Sequences of about equal length form a group. Lengths are rounded up to few values and rows to a multiple, as a GPU
//! tunes a kernel for each size and multiplies whole tiles. Padding stands to the right of what is real, where the
//! causal rule hides it.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::tensors::{indices, table};
use crate::PackedBatch;

/// Rows are padded to a multiple of this.
const ROWS: usize = 32;

/// A batch on the device. Its rows are followed by rows of padding, which nothing reads.
#[derive(Debug)]
pub(super) struct DeviceBatch {
    /// `[rows]`
    pub tokens: Tensor<1, Int>,
    /// Cosines and sines of the rotary angles, `[rows, 1, dim / 2]` each.
    pub rotations: [Tensor<3>; 2],
    /// Sequences of one rounded length each.
    pub groups: Vec<SequenceGroup>,
    /// Where each row stands in the groups' outputs, one after the other; `[rows]`.
    pub back: Tensor<1, Int>,
}

/// Sequences that are padded to the same length.
#[derive(Debug)]
pub(super) struct SequenceGroup {
    /// How many sequences.
    pub count: usize,
    /// Their padded length.
    pub length: usize,
    /// The row of each token, `[count * length]`.
    pub rows: Tensor<1, Int>,
    /// For each window the keys that are hidden from each query, `[1, 1, length, length]`.
    hidden: Vec<(Option<usize>, Tensor<4, Bool>)>,
}

impl DeviceBatch {
    /// `windows` are those of the model's layers.
    pub fn new(batch: &PackedBatch, windows: &[Option<usize>], device: &Device) -> Self {
        let rows = batch.rows();
        let padded = rows.next_multiple_of(ROWS);
        let tokens = batch.tokens().iter().map(|token| *token as i32);
        let half = batch.cos.len() / rows;
        let rotation = |values: &[f32]| {
            let values = values.iter().copied().chain(std::iter::repeat(0.0)).take(padded * half);
            table(values.collect(), [padded, 1, half], device)
        };
        let (groups, mut back) = groups(batch, windows, device);
        back.resize(padded, 0);
        Self {
            tokens: indices(followed_by_zeros(tokens, padded), device),
            rotations: [rotation(&batch.cos), rotation(&batch.sin)],
            groups,
            back: indices(back, device),
        }
    }

    /// Rows, those of padding with them.
    pub fn rows(&self) -> usize {
        self.back.dims()[0]
    }
}

/// The sequences in groups, and for each row its place in the groups' outputs.
fn groups(batch: &PackedBatch, windows: &[Option<usize>], device: &Device) -> (Vec<SequenceGroup>, Vec<i32>) {
    let mut by_length: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
    for rows in batch.sequences() {
        by_length.entry(round_up(rows.len())).or_default().push(rows.clone());
    }
    let (mut groups, mut back, mut used) = (Vec::new(), vec![0; batch.rows()], 0);
    for (length, sequences) in by_length {
        let mut rows = Vec::with_capacity(sequences.len() * length);
        for sequence in &sequences {
            for (place, row) in sequence.clone().enumerate() {
                back[row] = (used + place) as i32;
            }
            used += length;
            rows.extend(followed_by_zeros(sequence.clone().map(|row| row as i32), length));
        }
        let (count, rows) = (sequences.len(), indices(rows, device));
        groups.push(SequenceGroup { count, length, rows, hidden: hidden_keys(length, windows, device) });
    }
    (groups, back)
}

impl SequenceGroup {
    /// The keys that are hidden from each query of a layer with this window, `[1, 1, length, length]`.
    pub fn hidden(&self, window: Option<usize>) -> Option<Tensor<4, Bool>> {
        let known = self.hidden.iter().find(|(of, _)| *of == window);
        known.map(|(_, mask)| mask.clone())
    }
}

/// For each window what is hidden: later keys, and those beyond the window.
fn hidden_keys(length: usize, windows: &[Option<usize>], device: &Device) -> Vec<(Option<usize>, Tensor<4, Bool>)> {
    let mut masks: Vec<(Option<usize>, Tensor<4, Bool>)> = Vec::new();
    for window in windows {
        if masks.iter().any(|(known, _)| known == window) {
            continue;
        }
        let sees = |query: usize, key: usize| key <= query && window.is_none_or(|window| query - key < window);
        let hidden: Vec<bool> = (0..length * length).map(|place| !sees(place / length, place % length)).collect();
        let data = TensorData::new(hidden, [1, 1, length, length]);
        masks.push((*window, Tensor::from_data(data, device)));
    }
    masks
}

/// The next of 1, 2, 3, 4, 6, 8, 12, 16, ...: few sizes, and little padding.
fn round_up(length: usize) -> usize {
    let power = length.next_power_of_two();
    if power >= 4 && length <= power / 4 * 3 { power / 4 * 3 } else { power }
}

/// Numbers, followed by zeros up to a length.
fn followed_by_zeros(numbers: impl Iterator<Item = i32>, length: usize) -> Vec<i32> {
    numbers.chain(std::iter::repeat(0)).take(length).collect()
}
