//! Matrix products whose weights are laid out once, in the order in which the processor's registers take them.
//!
//! A weight `[outputs, inputs]` becomes panels of [`PANEL`](tile::PANEL) outputs. A kernel multiplies a few rows of
//! activations with a panel in registers, over all inputs. What follows the product (bias, residual sum, gate) happens
//! while the tile is in the cache. The sums of a row run over the inputs in order, whatever the other rows are: a row's
//! result depends on that row alone.
//!
//! | file | what |
//! |---|---|
//! | `weights.rs` | weights as checkpoints and merges have them, and the order of outputs in panels |
//! | `kernels.rs` | the table: which instructions multiply which types, the fastest first |
//! | `product.rs` | the walk over rows and panels, and the trait of a kernel |
//! | `f32.rs`, `portable.rs` | kernels for registers of any width, in the shapes of `tile.rs` |
//! | `pairs.rs`, `x86/` | bf16 in pairs, and the kernels of instructions for it |
//!
//! A new instruction set is one file with a [`Kernel`](product::Kernel) and one row in the table of [`kernels`].

mod f32;
mod kernels;
mod pairs;
mod portable;
mod product;
#[cfg(test)]
mod tests;
mod tile;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use kernels::{Kernels, Products, instruction_sets};
pub(crate) use product::{PackBuffers, StoreMode};
pub(crate) use weights::{Columns, WeightPart, WeightValues};

use product::{PackedWeights, ProductShape};
use tile::PANEL;
use weights::WeightRows;

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

    /// `x W^T + b`, from `[rows, inputs]` to `[rows, outputs]`; with gated columns `silu(gate) * up`. With `split`,
    /// the panels are shared out to the threads instead of the rows, which pays when there are few rows.
    pub fn apply(&self, x: &[f32], out: &mut [f32], store: StoreMode, buffers: &mut PackBuffers, split: bool) {
        let Self { inputs, outputs, columns, bias, .. } = self;
        let shape =
            ProductShape { inputs: *inputs, outputs: *outputs, columns: *columns, bias: bias.as_deref(), store, split };
        self.weights.multiply(&shape, x, out, buffers);
    }
}
