//! A projection `y = x W^T + b`, forward and backward, on a block of rows or for a block of outputs.

use rayon::prelude::*;

use crate::blocks::output_block;
use tailor_simd::{Matrix, Store, product};

/// A weight `[outputs, inputs]` and its bias `[outputs]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projection<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
}

impl Projection<'_> {
    /// Numbers of a row that is projected.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.outputs.max(1)
    }

    /// `out = x W^T + b` or `out += x W^T + b`, where the rows of `out` begin `stride` numbers apart.
    pub fn forward(&self, x: &[f32], out: &mut [f32], stride: usize, store: Store) {
        let weight = Matrix::new(self.weight, self.inputs()).transposed();
        product(out, stride, store, Matrix::new(x, self.inputs()), weight);
        if let Some(bias) = self.bias {
            for row in out.chunks_mut(stride) {
                row.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
            }
        }
    }

    /// The gradient of the rows: `d_x = d_y W` or added to, where the rows of `d_y` begin `stride` numbers apart.
    pub fn backward(&self, d_y: &[f32], stride: usize, d_x: &mut [f32], store: Store) {
        let rows = d_x.len() / self.inputs().max(1);
        let d_y = Matrix::strided(d_y, rows, self.outputs, stride);
        product(d_x, self.inputs(), store, d_y, Matrix::new(self.weight, self.inputs()));
    }

    /// Adds the gradient of the weight, `d_y^T x`, on all threads; the rows of `d_y` begin `stride` numbers apart.
    pub fn gradient(&self, d_y: &[f32], stride: usize, x: &[f32], d_weight: &mut [f32]) {
        let inputs = self.inputs();
        let rows = x.len() / inputs.max(1);
        let size = output_block(self.outputs);
        d_weight.par_chunks_mut(size * inputs).enumerate().with_max_len(1).for_each(|(block, d_weight)| {
            let outputs = d_weight.len() / inputs;
            let d_y = Matrix::strided(&d_y[block * size..], rows, outputs, stride).transposed();
            product(d_weight, inputs, Store::Add, d_y, Matrix::new(x, inputs));
        });
    }
}
