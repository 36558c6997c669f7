//! Products by multiply-adds on registers of any width, one design for all: f32, and bf16 widened while it is read.
//!
//! ```text
//!                   a strip of a panel, some of the inputs: stays in the first cache
//!    6 rows         tile
//!    6 rows         tile            rows stream by from the second cache
//!    ...
//! ```
//!
//! A tile is summed in registers over a block of inputs and then added to, block after block. The order of a sum is
//! that of the inputs, however they are cut.

use tailor_simd::{Arch, Simd, WithSimd, arch, caches};

use super::pairs;
use super::product::{GROUP, Kernel, PackedRows};
use super::tile::{PANEL, TileShape};
use super::transpose;
use super::weights::WeightRows;
use crate::cpu::cache_aligned::CacheAligned;

/// Multiply-adds in f32 with weights of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct VectorKernel<W> {
    arch: Arch,
    shape: TileShape,
    /// Bytes of a strip that stay in the first cache beside the rows that stream by.
    block_bytes: usize,
    weight: std::marker::PhantomData<W>,
}

/// Weights in f32.
pub(super) type F32Kernel = VectorKernel<f32>;

/// Weights and activations rounded to bf16, weights kept in pairs: half the memory of f32, at about its speed. It is
/// also the twin that the tests of bf16 instructions compare with: like `vdpbf16ps`, it adds the product of the second
/// input of a pair first.
pub(super) type WidenedBf16 = VectorKernel<u32>;

impl<W> VectorKernel<W> {
    /// For the registers of this processor.
    pub fn new() -> Self {
        Self {
            arch: arch(),
            shape: TileShape::here(),
            block_bytes: caches().first / 2,
            weight: std::marker::PhantomData,
        }
    }
}

/// A number of packed weights, which holds one input of an output or several.
pub(super) trait PackedWeight: std::fmt::Debug + Copy + Send + Sync + 'static {
    /// Inputs in a number.
    const INPUTS: usize;
    /// A register of them.
    type Register<S: Simd>: Copy;

    /// Strips of weights: `[panels][strips][weights][strip]`.
    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<Self>;

    /// Packed numbers of an output with `inputs` inputs.
    fn count(inputs: usize) -> usize;

    /// Rounds packed activations to what the weights' products take.
    fn round<S: Simd>(simd: S, activations: &mut [f32]);

    /// Whole registers.
    fn registers<S: Simd>(numbers: &[Self]) -> &[Self::Register<S>];

    /// One of the inputs in f32.
    fn input<S: Simd>(simd: S, register: Self::Register<S>, input: usize) -> S::f32s;
}

impl PackedWeight for f32 {
    const INPUTS: usize = 1;
    type Register<S: Simd> = S::f32s;

    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<f32> {
        transpose::panels(rows, strip)
    }

    fn count(inputs: usize) -> usize {
        inputs
    }

    #[inline(always)]
    fn round<S: Simd>(_: S, _: &mut [f32]) {}

    #[inline(always)]
    fn registers<S: Simd>(numbers: &[f32]) -> &[S::f32s] {
        S::as_simd_f32s(numbers).0
    }

    #[inline(always)]
    fn input<S: Simd>(_: S, register: S::f32s, _: usize) -> S::f32s {
        register
    }
}

impl PackedWeight for u32 {
    const INPUTS: usize = 2;
    type Register<S: Simd> = S::u32s;

    fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<u32> {
        pairs::panels(rows, strip, Self::count(rows.inputs))
    }

    fn count(inputs: usize) -> usize {
        inputs.div_ceil(Self::INPUTS)
    }

    #[inline(always)]
    fn round<S: Simd>(simd: S, activations: &mut [f32]) {
        pairs::round(simd, activations);
    }

    #[inline(always)]
    fn registers<S: Simd>(numbers: &[u32]) -> &[S::u32s] {
        S::as_simd_u32s(numbers).0
    }

    /// The halves of a pair are the upper halves of numbers in f32.
    #[inline(always)]
    fn input<S: Simd>(simd: S, register: S::u32s, input: usize) -> S::f32s {
        let bits = match input {
            0 => simd.wrapping_dyn_shl_u32s(register, simd.splat_u32s(16)),
            _ => simd.and_u32s(register, simd.splat_u32s(0xffff_0000)),
        };
        simd.transmute_f32s_u32s(bits)
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
        self.arch.dispatch(Pack::<W> { x, inputs, packed, weight: std::marker::PhantomData });
    }

    fn sums(self, x: PackedRows<'_, f32>, panel: &[W], sums: &mut [[f32; PANEL]; GROUP]) {
        self.arch.dispatch(PanelProduct { x, panel, sums, block: self.block(x.width) });
    }
}

impl<W: PackedWeight> VectorKernel<W> {
    /// How many of `width` inputs are summed at once: about equal blocks, each of whole packed numbers.
    fn block(self, width: usize) -> usize {
        let most = (self.block_bytes / (self.shape.strip * size_of::<W>()) * W::INPUTS).max(W::INPUTS);
        width.div_ceil(width.div_ceil(most).max(1)).next_multiple_of(W::INPUTS).max(W::INPUTS)
    }
}

/// Packs the rows of a step.
struct Pack<'a, W> {
    /// `[rows, inputs]`
    x: &'a [f32],
    inputs: usize,
    /// `[inputs with padding][rows]`
    packed: &'a mut [f32],
    weight: std::marker::PhantomData<W>,
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
    /// A row for each row of `x`.
    sums: &'a mut [[f32; PANEL]],
    /// Inputs that are summed at once.
    block: usize,
}

impl<W: PackedWeight> WithSimd for PanelProduct<'_, W> {
    type Output = ();

    /// Strip after strip, of each block after block, of each all rows. A row or two make few sums of a strip, so that each
    /// would wait for the one before it: these take two strips at a time.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (shape, width) = (const { TileShape::of(S::F32_LANES) }, self.x.width);
        let size = width / W::INPUTS * shape.strip;
        let few = self.x.count <= 2 && matches!(S::F32_LANES, 4 | 8);
        for (index, strips) in self.panel.chunks_exact(if few { 2 * size } else { size }).enumerate() {
            for start in (0..width).step_by(self.block) {
                let inputs = start..width.min(start + self.block);
                let numbers = inputs.start / W::INPUTS * shape.strip..inputs.end / W::INPUTS * shape.strip;
                for (rows, x) in self.x.steps(
                    #[inline(always)]
                    |left| shape.step(left),
                ) {
                    let count = rows.len();
                    let tile = Tile {
                        x: &x[inputs.start * count..inputs.end * count],
                        weights: &strips[numbers.clone()],
                        sums: &mut self.sums[rows],
                        column: index * if few { PANEL } else { shape.strip },
                        goes_on: start > 0,
                    };
                    if few { tile.compute_few(simd, &strips[size..][numbers.clone()]) } else { tile.compute(simd) }
                }
            }
        }
    }
}

/// A step of rows by a strip, over a block of inputs.
struct Tile<'a, W> {
    /// `[inputs][rows]`
    x: &'a [f32],
    /// `[weights][strip]`
    weights: &'a [W],
    /// The sums, one row for each row of `x`.
    sums: &'a mut [[f32; PANEL]],
    /// The strip's first column.
    column: usize,
    /// Whether the sums begin with what stands there.
    goes_on: bool,
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
    fn compute_few<S: Simd>(self, simd: S, next: &[W]) {
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
        for (x, weights) in inputs.zip(W::registers::<S>(self.weights).as_chunks::<V>().0) {
            add::<S, W, V, R>(simd, &mut sums, x, weights);
        }
        store::<S, V, R>(self.sums, self.column, sums);
    }

    #[inline(always)]
    fn sum_two<S: Simd, const V: usize, const R: usize>(self, simd: S, next: &[W]) {
        let second = self.column + V * S::F32_LANES;
        let mut sums = self.begin::<S, V, R>(simd, self.column);
        let mut next_sums = self.begin::<S, V, R>(simd, second);
        let inputs = self.x.as_chunks::<R>().0.chunks_exact(W::INPUTS);
        let strips = [self.weights, next].map(
            #[inline(always)]
            |weights| W::registers::<S>(weights).as_chunks::<V>().0,
        );
        for (x, (weights, next)) in inputs.zip(strips[0].iter().zip(strips[1])) {
            add::<S, W, V, R>(simd, &mut sums, x, weights);
            add::<S, W, V, R>(simd, &mut next_sums, x, next);
        }
        store::<S, V, R>(self.sums, self.column, sums);
        store::<S, V, R>(self.sums, second, next_sums);
    }

    /// What the sums of a strip begin with.
    #[inline(always)]
    fn begin<S: Simd, const V: usize, const R: usize>(&self, simd: S, column: usize) -> Sums<S, V, R> {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.goes_on {
            for (sums, row) in sums.iter_mut().zip(&*self.sums) {
                sums.copy_from_slice(S::as_simd_f32s(&row[column..column + V * S::F32_LANES]).0);
            }
        }
        sums
    }
}

/// Adds the products of a packed number's inputs, `[inputs][rows]`: each activation, broadcast, times the strip's
/// registers.
#[inline(always)]
fn add<S: Simd, W: PackedWeight, const V: usize, const R: usize>(
    simd: S,
    sums: &mut Sums<S, V, R>,
    x: &[[f32; R]],
    weights: &[W::Register<S>; V],
) {
    for (input, x) in x.iter().enumerate().rev() {
        let weights = weights.map(
            #[inline(always)]
            |weight| W::input(simd, weight, input),
        );
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = simd.splat_f32s(*x);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, weight, *sum);
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
