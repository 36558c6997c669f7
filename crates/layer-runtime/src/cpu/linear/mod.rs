//! Matrix products whose weights are laid out once, in the order in which the processor's registers take them.
//!
//! A weight `[outputs, inputs]` becomes panels of [`PANEL`](tile::PANEL) outputs. A kernel multiplies rows of
//! activations with a panel, a few at a time in registers. What follows the product (bias, residual sum, gate) happens
//! while the sums are in the cache. The sums of a row run over the inputs in order, whatever the other rows are: a
//! row's result depends on that row alone.
//!
//! | file | what |
//! |---|---|
//! | `weights.rs` | weights as checkpoints and merges have them, and the order of outputs in panels |
//! | `kernels.rs` | the table: which instructions multiply which types, the fastest first |
//! | `product.rs` | the walk over rows and panels, and the trait of a kernel |
//! | `vectors.rs`, `transpose.rs` | the kernel for registers of any width, in the shapes of `tile.rs` |
//! | `pairs.rs`, `x86/` | bf16 in pairs, and the kernels of instructions for it |
//!
//! A new instruction set is one file with a [`Kernel`](product::Kernel) and one row in the table of [`kernels`].

mod kernels;
mod pairs;
mod product;
#[cfg(test)]
mod tests;
mod tile;
mod transpose;
mod vectors;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use kernels::{Kernels, Products, instruction_sets};
pub(crate) use product::{ProductBuffers, StoreMode};
pub(crate) use weights::{Columns, WeightPart, WeightValues};

use std::ops::Range;

use rayon::prelude::*;

use product::{Destination, PackedActivations, PackedWeights, ProductShape, Scratch};
use tile::PANEL;
use weights::WeightRows;

/// Panels of a chunk of outputs, whose products stay in the cache while they are read.
const CHUNK: usize = 8;

/// A weight `[outputs, inputs]`, ready to multiply rows with.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    /// Numbers of a row of the result: half of the weight's outputs where they are gated.
    outputs: usize,
    columns: Columns,
    weights: Box<dyn PackedWeights>,
    /// Per panel.
    bias: Option<Vec<[f32; PANEL]>>,
}

impl Linear {
    /// Lays the parts' outputs out side by side, for the first of `kernels` that takes these weights.
    pub fn new(parts: &[WeightPart], inputs: usize, columns: Columns, kernels: &Kernels) -> Self {
        let padding = vec![0.0; inputs];
        let weights = kernels.pack(&WeightRows::new(parts, inputs, columns, &padding));
        let outputs: usize = parts.iter().map(|part| part.outputs).sum();
        let outputs = if columns == Columns::Gated { outputs / 2 } else { outputs };
        Self { inputs, outputs, columns, weights, bias: weights::bias(parts, columns) }
    }

    /// Numbers of a row of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()))
    }

    /// Panels of the weight.
    fn panels(&self) -> usize {
        self.outputs.div_ceil(self.columns.of_panel())
    }

    /// The product's form beside its operands.
    fn shape(&self, store: StoreMode) -> ProductShape<'_> {
        let Self { inputs, outputs, columns, bias, .. } = self;
        ProductShape { inputs: *inputs, outputs: *outputs, columns: *columns, bias: bias.as_deref(), store }
    }

    /// `x W^T + b`, from `[rows, inputs]` to `[rows, outputs]`; with gated columns `silu(gate) * up`. With `split`,
    /// the panels are shared out to the threads, which pays when there are few rows.
    pub fn apply(&self, x: &[f32], out: &mut [f32], store: StoreMode, buffers: &mut ProductBuffers, split: bool) {
        let ProductBuffers { packed, scratch } = buffers;
        self.weights.pack(x, self.inputs, packed);
        if split {
            self.split(out, store, packed);
        } else {
            let out = Destination { numbers: out, width: self.outputs };
            self.weights.multiply(&self.shape(store), packed, 0..self.panels(), out, scratch);
        }
    }

    /// All panels, groups of them on different threads, each into a buffer of its own.
    fn split(&self, out: &mut [f32], store: StoreMode, packed: &PackedActivations) {
        let (outputs, shape) = (self.outputs, self.shape(store));
        let group = self.panels().div_ceil(2 * rayon::current_num_threads()).max(1);
        let columns = |first: usize| self.columns_of(first..first + group);
        let firsts: Vec<usize> = (0..self.panels()).step_by(group).collect();
        let part = |&first: &usize| {
            let (panels, columns) = (first..(first + group).min(self.panels()), columns(first));
            let mut part: Vec<f32> = out.chunks_exact(outputs).flat_map(|row| &row[columns.clone()]).copied().collect();
            let to = Destination { numbers: &mut part, width: columns.len() };
            self.weights.multiply(&shape, packed, panels, to, &mut Scratch::default());
            part
        };
        let parts: Vec<Vec<f32>> = firsts.par_iter().map(part).collect();
        for (first, part) in firsts.into_iter().zip(parts) {
            let columns = columns(first);
            for (out, part) in out.chunks_exact_mut(outputs).zip(part.chunks_exact(columns.len())) {
                out[columns.clone()].copy_from_slice(part);
            }
        }
    }

    /// The columns of the result that some panels make.
    fn columns_of(&self, panels: Range<usize>) -> Range<usize> {
        let of_panel = self.columns.of_panel();
        panels.start * of_panel..(panels.end * of_panel).min(self.outputs)
    }

    /// Packs rows `[rows, inputs]` for [`Linear::chunk`].
    pub fn pack(&self, x: &[f32], buffers: &mut ProductBuffers) {
        self.weights.pack(x, self.inputs, &mut buffers.packed);
    }

    /// The chunks of [`Linear::chunk`] that hold all outputs.
    pub fn chunks(&self) -> usize {
        self.panels().div_ceil(CHUNK)
    }

    /// The products of the `rows` packed rows with the outputs of a chunk, `[rows, outputs of the chunk]`, in `out`,
    /// and which outputs they are.
    pub fn chunk(&self, rows: usize, buffers: &mut ProductBuffers, chunk: usize, out: &mut Vec<f32>) -> Range<usize> {
        let panels = chunk * CHUNK..((chunk + 1) * CHUNK).min(self.panels());
        let columns = self.columns_of(panels.clone());
        out.resize(rows * columns.len(), 0.0);
        let to = Destination { numbers: out, width: columns.len() };
        self.weights.multiply(&self.shape(StoreMode::Set), &buffers.packed, panels, to, &mut buffers.scratch);
        columns
    }
}
