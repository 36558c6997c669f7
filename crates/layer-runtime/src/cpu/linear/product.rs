//! The walk over rows and panels, the same for every kernel.
//!
//! A product `[rows, inputs] x [inputs, outputs]` is cut into steps of a few rows and panels of [`PANEL`] outputs:
//!
//! ```text
//!              panel 0   panel 1   ...
//!    step 0    tile      tile              a tile is [rows of the step, PANEL] sums over all inputs,
//!    step 1    tile      tile              computed in registers by the kernel and finished in the cache
//!    ...
//! ```
//!
//! Rows are packed once for all panels, weights once for all calls. Whatever is read again and again (a step's rows
//! or a panel) stays in the first cache.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::tile::PANEL;
use super::weights::{Columns, WeightRows};
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::simd::{exp, run, update};

/// A product of a few rows with a panel, in registers: what an instruction set has to provide.
///
/// A value of the type is the proof that this processor has the instructions: [`Kernel::detect`] is the only way to
/// get one.
///
/// Laws, which the tests hold for every kernel of the table:
/// - A tile is the product of the packed numbers, each sum in f32 or better.
/// - The sums of a row do not depend on the step that the row is in: a row alone has the same result to the bit.
/// - [`Kernel::pack`] and [`Kernel::panels`] pad the inputs with zeros, so that padding adds nothing.
pub(super) trait Kernel: std::fmt::Debug + Copy + Send + Sync + 'static {
    /// A number of packed activations.
    type X: PackedNumber;
    /// A number of packed weights.
    type W: std::fmt::Debug + Send + Sync;

    /// The kernel, if the processor has its instructions and the system lets this process use them.
    fn detect() -> Option<Self>;

    /// Whether it multiplies with these weights; the default is yes.
    fn takes(self, _rows: &WeightRows<'_>) -> bool {
        true
    }

    /// Lays weights out: `[panels][weights(inputs)][PANEL]`.
    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<Self::W>;

    /// How many rows to take next when `left` rows are left; at least 1, at most [`MOST_ROWS`].
    fn step(self, left: usize) -> usize;

    /// Packed numbers of a row of activations.
    fn width(self, inputs: usize) -> usize;

    /// Packed numbers of an output's weights.
    fn weights(self, inputs: usize) -> usize {
        self.width(inputs)
    }

    /// Packed numbers that `rows` rows of activations need.
    fn room(self, rows: usize, inputs: usize) -> usize {
        rows * self.width(inputs)
    }

    /// Packs the rows of one step, `[rows, inputs]`.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [Self::X]);

    /// Writes the sums of one step of `rows` rows with a panel to the first rows of the tile.
    fn tile(self, x: &[Self::X], panel: &[Self::W], rows: usize, tile: &mut [[f32; PANEL]; MOST_ROWS]);
}

/// A weight in panels, for a kernel whose type is not known.
pub(super) trait PackedWeights: std::fmt::Debug + Send + Sync {
    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// The product of `x`, `[rows, inputs]`, and what follows it, to `out`, `[rows, outputs]`.
    fn multiply(&self, shape: &ProductShape<'_>, x: &[f32], out: &mut [f32], buffers: &mut PackBuffers);
}

/// A kernel and the panels that it reads.
#[derive(Debug)]
pub(super) struct Packed<K: Kernel> {
    kernel: K,
    /// `[panels][weights(inputs)][PANEL]`
    panels: CacheAligned<K::W>,
}

impl<K: Kernel> Packed<K> {
    /// Lays the weights out for the kernel.
    pub fn new(kernel: K, rows: &WeightRows<'_>) -> Self {
        Self { kernel, panels: kernel.panels(rows) }
    }
}

impl<K: Kernel> PackedWeights for Packed<K> {
    fn bytes(&self) -> usize {
        size_of_val::<[_]>(&self.panels)
    }

    fn multiply(&self, shape: &ProductShape<'_>, x: &[f32], out: &mut [f32], buffers: &mut PackBuffers) {
        product(self.kernel, shape, x, &self.panels, out, K::X::buffer(buffers));
    }
}

/// How results are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreMode {
    /// They replace what stands there.
    Set,
    /// They are added to what stands there.
    Add,
}

/// Memory for packed activations, kept from product to product.
#[derive(Debug, Default)]
pub(crate) struct PackBuffers {
    /// Of kernels that read f32.
    numbers: CacheAligned<f32>,
    /// Of kernels that read pairs of bf16.
    pairs: CacheAligned<u32>,
}

/// A type of packed activations, which knows its buffer.
pub(super) trait PackedNumber: Copy + Default + Send + Sync {
    /// The buffer of the type.
    fn buffer(buffers: &mut PackBuffers) -> &mut CacheAligned<Self>;
}

impl PackedNumber for f32 {
    fn buffer(buffers: &mut PackBuffers) -> &mut CacheAligned<Self> {
        &mut buffers.numbers
    }
}

impl PackedNumber for u32 {
    fn buffer(buffers: &mut PackBuffers) -> &mut CacheAligned<Self> {
        &mut buffers.pairs
    }
}

/// What a product is beside its operands.
#[derive(Clone, Copy)]
pub(super) struct ProductShape<'a> {
    /// Numbers of a row of activations.
    pub inputs: usize,
    /// Numbers of a row of the result.
    pub outputs: usize,
    /// How a panel's outputs belong together.
    pub columns: Columns,
    /// Per panel.
    pub bias: Option<&'a [[f32; PANEL]]>,
    /// What happens to the numbers that stand in the result.
    pub store: StoreMode,
    /// Whether the panels are shared out to the threads.
    pub split: bool,
}

/// The most rows of a step.
pub(super) const MOST_ROWS: usize = 32;

/// Bytes that the rows of a step may take of a first cache, which has at least 32 KiB.
const STEP_BYTES: usize = 20 << 10;

/// Packs all rows of `x`, then walks over steps of rows and panels.
fn product<K: Kernel>(
    kernel: K,
    shape: &ProductShape<'_>,
    x: &[f32],
    panels: &[K::W],
    out: &mut [f32],
    packed: &mut CacheAligned<K::X>,
) {
    let rows = x.len() / shape.inputs;
    packed.grow(kernel.room(rows, shape.inputs));
    let count = shape.outputs.div_ceil(shape.columns.of_panel());
    for step in steps(kernel, rows) {
        let packed = &mut packed[step.start * kernel.width(shape.inputs)..];
        kernel.pack(&x[step.start * shape.inputs..step.end * shape.inputs], shape.inputs, packed);
    }
    let walk = Walk { kernel, shape, rows, packed: &*packed, panels };
    if shape.split { walk.split(count, out) } else { walk.panels(0..count, out, shape.outputs) }
}

/// The steps that `rows` rows are cut into.
fn steps<K: Kernel>(kernel: K, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = rows - start;
        let step = start..start + kernel.step(left).min(left);
        start = step.end;
        (left > 0).then_some(step)
    })
}

/// Sums of a step and a panel, whose rows are lines of the cache.
#[repr(align(64))]
struct Tile([[f32; PANEL]; MOST_ROWS]);

/// A product whose activations are packed.
struct Walk<'a, K: Kernel> {
    kernel: K,
    shape: &'a ProductShape<'a>,
    /// Rows of activations.
    rows: usize,
    /// They, packed step by step.
    packed: &'a [K::X],
    /// All panels of the weight.
    panels: &'a [K::W],
}

impl<K: Kernel> Walk<'_, K> {
    /// Some panels; `out` begins with the first one's first column and has rows of `width`.
    fn panels(&self, range: Range<usize>, out: &mut [f32], width: usize) {
        let (kernel, shape, of_panel) = (self.kernel, self.shape, self.shape.columns.of_panel());
        let (per_row, of_output) = (kernel.width(shape.inputs), kernel.weights(shape.inputs));
        let first = range.start * of_panel;
        let mut tile = Tile([[0.0; PANEL]; MOST_ROWS]);
        let mut one = |index: usize, step: Range<usize>| {
            let panel = &self.panels[index * of_output * PANEL..(index + 1) * of_output * PANEL];
            let column = index * of_panel;
            let count = of_panel.min(shape.outputs - column);
            kernel.tile(&self.packed[step.start * per_row..], panel, step.len(), &mut tile.0);
            let (tile, out) = (&tile.0[..step.len()], &mut out[step.start * width + column - first..]);
            run(Finish { shape, bias: shape.bias.map(|bias| &bias[index]), tile, out, width, count });
        };
        // What is read again and again should stay in the first cache: a step's rows if they fit, else a panel.
        if kernel.step(self.rows) * per_row * size_of::<K::X>() <= STEP_BYTES {
            steps(kernel, self.rows).for_each(|step| range.clone().for_each(|index| one(index, step.clone())));
        } else {
            range.for_each(|index| steps(kernel, self.rows).for_each(|step| one(index, step)));
        }
    }

    /// All panels, groups of them on different threads, each into a buffer of its own.
    fn split(&self, count: usize, out: &mut [f32]) {
        let (of_panel, outputs) = (self.shape.columns.of_panel(), self.shape.outputs);
        let group = count.div_ceil(2 * rayon::current_num_threads()).max(1);
        let columns = |first: usize| first * of_panel..((first + group) * of_panel).min(outputs);
        let firsts: Vec<usize> = (0..count).step_by(group).collect();
        let part = |&first: &usize| {
            let columns = columns(first);
            let mut part: Vec<f32> = out.chunks_exact(outputs).flat_map(|row| &row[columns.clone()]).copied().collect();
            self.panels(first..(first + group).min(count), &mut part, columns.len());
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
}

/// Takes a tile to where its numbers go.
struct Finish<'a> {
    shape: &'a ProductShape<'a>,
    /// That of the panel's outputs.
    bias: Option<&'a [f32; PANEL]>,
    /// The sums of some rows with a panel.
    tile: &'a [[f32; PANEL]],
    /// Begins with the panel's first column of the first of the rows.
    out: &'a mut [f32],
    /// Numbers of a row of `out`.
    width: usize,
    /// Columns of the result.
    count: usize,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    /// Adds the bias, gates where the columns are gated, and stores.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let bias = self.bias.unwrap_or(&[0.0; PANEL]);
        for (tile, out) in self.tile.iter().zip(self.out.chunks_mut(self.width)) {
            let out = &mut out[..self.count];
            match self.shape.columns {
                Columns::Plain => {
                    let sums = [&tile[..self.count], &bias[..self.count]];
                    update(
                        simd,
                        out,
                        sums,
                        #[inline(always)]
                        |before, [sum, bias]| {
                            let sum = simd.add_f32s(sum, bias);
                            stored(simd, self.shape.store, before, sum)
                        },
                    );
                }
                Columns::Gated => {
                    let ([gates, ups], [gate_bias, up_bias]) = (halves(tile), halves(bias));
                    let sums = [gates, ups, gate_bias, up_bias].map(|half| &half[..self.count]);
                    update(
                        simd,
                        out,
                        sums,
                        #[inline(always)]
                        |before, [gate, up, gate_bias, up_bias]| {
                            let (gate, up) = (simd.add_f32s(gate, gate_bias), simd.add_f32s(up, up_bias));
                            stored(simd, self.shape.store, before, simd.mul_f32s(silu(simd, gate), up))
                        },
                    );
                }
            }
        }
    }
}

/// What is stored where `before` stands.
#[inline(always)]
fn stored<S: Simd>(simd: S, store: StoreMode, before: S::f32s, value: S::f32s) -> S::f32s {
    match store {
        StoreMode::Set => value,
        StoreMode::Add => simd.add_f32s(before, value),
    }
}

/// Gates and factors.
#[inline(always)]
fn halves(panel: &[f32; PANEL]) -> [&[f32]; 2] {
    let (first, second) = panel.split_at(PANEL / 2);
    [first, second]
}

/// x / (1 + e^-x)
#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.div_f32s(x, simd.add_f32s(simd.splat_f32s(1.0), exp(simd, simd.neg_f32s(x))))
}
