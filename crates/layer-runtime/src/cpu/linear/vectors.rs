//! Products by multiply-adds on registers of any width, one design for all: f32, and bf16 widened while it is read.
//!
//! ```text
//!                   a strip of a panel, some of the inputs
//!    6 rows         tile
//!    6 rows         tile            rows stream by, the strip stays in the cache
//!    ...
//! ```
//!
//! A tile is summed in registers over a block of inputs and then added to, block after block. The order of a sum is
//! that of the inputs, however they are cut.

use std::marker::PhantomData;

use tailor_simd::{Arch, Simd, WithSimd, arch, caches};

use super::pairs;
use super::product::{Kernel, PackedRows, Scratch};
use super::tile::{PANEL, TileShape};
use super::transpose;
use super::weights::WeightRows;
use crate::cpu::cache_aligned::CacheAligned;

/// Multiply-adds in f32 with weights of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct VectorKernel<W> {
    arch: Arch,
    shape: TileShape,
    /// Inputs that are summed at once, so that a strip stays in the second cache beside the rows that stream by.
    most_inputs: usize,
    weight: PhantomData<W>,
}

/// Weights in f32.
pub(super) type F32Kernel = VectorKernel<f32>;

/// Weights and activations rounded to bf16, weights kept in pairs: half the memory of f32, at about its speed. It is
/// also the twin that the tests of bf16 instructions compare with: like `vdpbf16ps`, it adds the product of the second
/// input of a pair first.
pub(super) type WidenedBf16 = VectorKernel<u32>;

impl<W: PackedWeight> VectorKernel<W> {
    /// For the registers of this processor.
    pub fn new() -> Self {
        let (shape, bytes) = (TileShape::here(), (caches().second / 8).max(caches().first / 2));
        let most_inputs = (bytes / (shape.strip * size_of::<f32>())).clamp(W::INPUTS, W::MOST_WIDENED);
        Self { arch: arch(), shape, most_inputs, weight: PhantomData }
    }
}

/// A number of packed weights, which holds one input of an output or several.
pub(super) trait PackedWeight: std::fmt::Debug + Copy + Send + Sync + 'static {
    /// Inputs in a number.
    const INPUTS: usize;
    /// The most inputs that are widened at once, so that they stay in the first cache.
    const MOST_WIDENED: usize;

    /// Strips of weights: `[panels][strips][weights][strip]`.
    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<Self>;

    /// Packed numbers of an output with `inputs` inputs.
    fn count(inputs: usize) -> usize {
        inputs.div_ceil(Self::INPUTS)
    }

    /// Rounds packed activations to what the weights' products take.
    fn round<S: Simd>(simd: S, activations: &mut [f32]);

    /// A strip's weights in f32, `[inputs][strip]`; in the buffer, which is as long, or where they stand.
    fn widened<'a, S: Simd>(simd: S, weights: &'a [Self], strip: usize, buffer: &'a mut [f32]) -> &'a [f32];
}

impl PackedWeight for f32 {
    const INPUTS: usize = 1;
    const MOST_WIDENED: usize = usize::MAX;

    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<f32> {
        transpose::panels(rows, strip)
    }

    #[inline(always)]
    fn round<S: Simd>(_: S, _: &mut [f32]) {}

    #[inline(always)]
    fn widened<'a, S: Simd>(_: S, weights: &'a [f32], _: usize, _: &'a mut [f32]) -> &'a [f32] {
        weights
    }
}

impl PackedWeight for u32 {
    const INPUTS: usize = 2;
    const MOST_WIDENED: usize = 256;

    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<u32> {
        pairs::panels(rows, strip, Self::count(rows.inputs))
    }

    #[inline(always)]
    fn round<S: Simd>(simd: S, activations: &mut [f32]) {
        pairs::round(simd, activations);
    }

    /// The halves of a pair are the upper halves of numbers in f32.
    #[inline(always)]
    fn widened<'a, S: Simd>(simd: S, weights: &'a [u32], strip: usize, buffer: &'a mut [f32]) -> &'a [f32] {
        let (sixteen, upper) = (simd.splat_u32s(16), simd.splat_u32s(0xffff_0000));
        for (pairs, inputs) in weights.chunks_exact(strip).zip(buffer.chunks_exact_mut(2 * strip)) {
            let (first, second) = inputs.split_at_mut(strip);
            let (first, second) = (S::as_mut_simd_f32s(first).0, S::as_mut_simd_f32s(second).0);
            for ((pairs, first), second) in S::as_simd_u32s(pairs).0.iter().zip(first).zip(second) {
                *first = simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(*pairs, sixteen));
                *second = simd.transmute_f32s_u32s(simd.and_u32s(*pairs, upper));
            }
        }
        &buffer[..weights.len() * 2]
    }
}

impl<W: PackedWeight> Kernel for VectorKernel<W> {
    type X = f32;
    type W = W;

    /// Every processor has registers for it.
    fn detect() -> Option<Self> {
        Some(Self::new())
    }

    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<W> {
        W::panels(rows, self.shape.strip)
    }

    fn step(self, left: usize) -> usize {
        self.shape.step(left)
    }

    fn width(self, inputs: usize) -> usize {
        W::count(inputs) * W::INPUTS
    }

    fn weights(self, inputs: usize) -> usize {
        W::count(inputs)
    }

    /// Rows become columns: `[inputs][rows]`; the padding is zero.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [f32]) {
        self.arch.dispatch(Pack::<W> { x, inputs, packed, weight: PhantomData });
    }

    fn sums(self, x: PackedRows<'_, f32>, panel: &[W], scratch: &mut Scratch) {
        self.arch.dispatch(PanelProduct { x, panel, scratch, block: self.block(x.width) });
    }
}

impl<W: PackedWeight> VectorKernel<W> {
    /// How many of `width` inputs are summed at once: about equal blocks, each of whole packed numbers.
    fn block(self, width: usize) -> usize {
        if width <= self.most_inputs {
            return width.max(W::INPUTS);
        }
        width.div_ceil(width.div_ceil(self.most_inputs)).next_multiple_of(W::INPUTS)
    }
}

/// Packs the rows of a step.
struct Pack<'a, W> {
    /// `[rows, inputs]`
    x: &'a [f32],
    inputs: usize,
    /// `[inputs with padding][rows]`
    packed: &'a mut [f32],
    weight: PhantomData<W>,
}

impl<W: PackedWeight> WithSimd for Pack<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.x.len() / self.inputs.max(1);
        let packed = &mut self.packed[..W::count(self.inputs) * W::INPUTS * rows];
        transpose::rows(self.x, self.inputs, packed, rows);
        packed[self.inputs * rows..].fill(0.0);
        W::round(simd, packed);
    }
}

/// Rows by a panel.
struct PanelProduct<'a, W> {
    x: PackedRows<'a, f32>,
    /// `[strips][weights][strip]`
    panel: &'a [W],
    scratch: &'a mut Scratch,
    /// Inputs that are summed at once.
    block: usize,
}

impl<W: PackedWeight> WithSimd for PanelProduct<'_, W> {
    type Output = ();

    /// Strip after strip, of each block after block, of each all rows. A row or two make few sums of a strip, so that
    /// each would wait for the one before it: these take two strips at a time.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (strip, width) = (const { TileShape::of(S::F32_LANES).strip }, self.x.width);
        let Scratch { sums, widened } = self.scratch;
        if W::INPUTS > 1 {
            widened.grow(2 * self.block * strip);
        }
        let half = widened.len() / 2;
        let (buffer, next_buffer) = widened.split_at_mut(half);
        let few = self.x.count <= 2 && matches!(S::F32_LANES, 4 | 8);
        let size = width / W::INPUTS * strip;
        for (index, strips) in self.panel.chunks_exact(if few { 2 * size } else { size }).enumerate() {
            for start in (0..width).step_by(self.block) {
                let inputs = start..width.min(start + self.block);
                let numbers = inputs.start / W::INPUTS * strip..inputs.end / W::INPUTS * strip;
                let weights = W::widened(simd, &strips[numbers.clone()], strip, buffer);
                let next = if few { W::widened(simd, &strips[size..][numbers], strip, next_buffer) } else { &[] };
                for (rows, x) in self.x.steps(
                    #[inline(always)]
                    |left| TileShape::of(S::F32_LANES).step(left),
                ) {
                    let count = rows.len();
                    let (x, sums) = (&x[inputs.start * count..inputs.end * count], &mut sums[rows]);
                    let column = index * if few { PANEL } else { strip };
                    let tile = Tile::<W> { x, weights, sums, column, goes_on: start > 0, weight: PhantomData };
                    if few { tile.compute_few(simd, next) } else { tile.compute(simd) }
                }
            }
        }
    }
}

/// A step of rows by a strip, over a block of inputs.
struct Tile<'a, W> {
    /// `[inputs][rows]`
    x: &'a [f32],
    /// `[inputs][strip]`
    weights: &'a [f32],
    /// The sums, one row for each row of `x`.
    sums: &'a mut [[f32; PANEL]],
    /// The strip's first column.
    column: usize,
    /// Whether the sums begin with what stands there.
    goes_on: bool,
    weight: PhantomData<W>,
}

/// Sums of `R` rows by the `V` registers of a strip.
type Sums<S, const V: usize, const R: usize> = [[<S as Simd>::f32s; V]; R];

impl<W: PackedWeight> Tile<'_, W> {
    /// Sums in the shape that the registers and the rows ask for, as [`TileShape`] has them.
    #[inline(always)]
    fn compute<S: Simd>(self, simd: S) {
        match (S::F32_LANES, self.sums.len()) {
            (16, 12) => self.sum::<S, 2, 12>(simd),
            (16, 8) => self.sum::<S, 2, 8>(simd),
            (16, 4) => self.sum::<S, 2, 4>(simd),
            (16, 2) => self.sum::<S, 2, 2>(simd),
            (16, _) => self.sum::<S, 2, 1>(simd),
            (8, 6) => self.sum::<S, 2, 6>(simd),
            (8, 4) => self.sum::<S, 2, 4>(simd),
            (8, 2) => self.sum::<S, 2, 2>(simd),
            (8, _) => self.sum::<S, 2, 1>(simd),
            (4, 6) => self.sum::<S, 4, 6>(simd),
            (4, 4) => self.sum::<S, 4, 4>(simd),
            (4, 2) => self.sum::<S, 4, 2>(simd),
            (4, _) => self.sum::<S, 4, 1>(simd),
            (_, 2) => self.sum::<S, 16, 2>(simd),
            _ => self.sum::<S, 16, 1>(simd),
        }
    }

    /// As [`Tile::compute`], of a row or two by this strip and the next one, whose weights are `next`.
    #[inline(always)]
    fn compute_few<S: Simd>(self, simd: S, next: &[f32]) {
        match (S::F32_LANES, self.sums.len()) {
            (8, 2) => self.sum_two::<S, 2, 2>(simd, next),
            (8, _) => self.sum_two::<S, 2, 1>(simd, next),
            (_, 2) => self.sum_two::<S, 4, 2>(simd, next),
            _ => self.sum_two::<S, 4, 1>(simd, next),
        }
    }

    #[inline(always)]
    fn sum<S: Simd, const V: usize, const R: usize>(self, simd: S) {
        let mut sums = self.begin::<S, V, R>(simd, self.column);
        let inputs = self.x.as_chunks::<R>().0.chunks_exact(W::INPUTS);
        for (x, weights) in inputs.zip(registers::<S, V>(self.weights).chunks_exact(W::INPUTS)) {
            add(simd, &mut sums, x, weights);
        }
        store::<S, V, R>(self.sums, self.column, sums);
    }

    #[inline(always)]
    fn sum_two<S: Simd, const V: usize, const R: usize>(self, simd: S, next: &[f32]) {
        let second = self.column + V * S::F32_LANES;
        let mut sums = self.begin::<S, V, R>(simd, self.column);
        let mut next_sums = self.begin::<S, V, R>(simd, second);
        let inputs = self.x.as_chunks::<R>().0.chunks_exact(W::INPUTS);
        let weights = registers::<S, V>(self.weights).chunks_exact(W::INPUTS);
        for (x, (weights, next)) in inputs.zip(weights.zip(registers::<S, V>(next).chunks_exact(W::INPUTS))) {
            add(simd, &mut sums, x, weights);
            add(simd, &mut next_sums, x, next);
        }
        store::<S, V, R>(self.sums, self.column, sums);
        store::<S, V, R>(self.sums, second, next_sums);
    }

    /// What the sums of a strip begin with. Register by register: a copy of rows would go through memory.
    #[inline(always)]
    fn begin<S: Simd, const V: usize, const R: usize>(&self, simd: S, column: usize) -> Sums<S, V, R> {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if let (true, Some(rows)) = (self.goes_on, self.sums.first_chunk::<R>()) {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let registers = S::as_simd_f32s(&row[column..column + V * S::F32_LANES]).0;
                for (sum, register) in sums.iter_mut().zip(registers) {
                    *sum = *register;
                }
            }
        }
        sums
    }
}

/// The strip's weights of each input as registers.
#[inline(always)]
fn registers<S: Simd, const V: usize>(weights: &[f32]) -> &[[S::f32s; V]] {
    S::as_simd_f32s(weights).0.as_chunks::<V>().0
}

/// Adds the products of the inputs of a packed number, `[inputs][rows]` by `[inputs][strip]`: each activation,
/// broadcast, times the strip's registers. The last input is added first.
#[inline(always)]
fn add<S: Simd, const V: usize, const R: usize>(
    simd: S,
    sums: &mut Sums<S, V, R>,
    x: &[[f32; R]],
    weights: &[[S::f32s; V]],
) {
    for (x, weights) in x.iter().zip(weights).rev() {
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = simd.splat_f32s(*x);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, *weight, *sum);
            }
        }
    }
}

/// Writes the sums of a strip.
#[inline(always)]
fn store<S: Simd, const V: usize, const R: usize>(rows: &mut [[f32; PANEL]], column: usize, sums: Sums<S, V, R>) {
    for (row, sums) in rows.iter_mut().zip(&sums) {
        S::as_mut_simd_f32s(&mut row[column..column + V * S::F32_LANES]).0.copy_from_slice(sums);
    }
}
