//! The walk over rows and panels, the same for every kernel.
//!
//! A product `[rows, inputs] x [inputs, outputs]` is cut into groups of rows and panels of [`PANEL`] outputs:
//!
//! ```text
//!               panel 0   panel 1   ...
//!    group 0    sums      sums              [rows of the group, PANEL], computed by the kernel, a few rows at a
//!    group 1    sums      sums              time in registers, and finished in the cache
//!    ...
//! ```
//!
//! Rows are packed once for all panels, weights once for all calls. A panel is read from memory once for all rows.

use std::ops::Range;

use tailor_simd::{Simd, WithSimd, exp, run, update};

use super::tile::PANEL;
use super::weights::{Columns, WeightRows};
use crate::cpu::cache_aligned::CacheAligned;

/// A product of a few rows with a panel, in registers: what an instruction set has to provide.
///
/// A value of the type is the proof that this processor has the instructions: [`Kernel::detect`] is the only way to
/// get one.
///
/// Laws, which the tests hold for every kernel of the table:
/// - The sums are products of the packed numbers, each in f32 or better.
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

    /// Lays weights out, panel after panel of `weights(inputs) * PANEL` numbers.
    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<Self::W>;

    /// How many rows to take next when `left` rows are left; at least 1, at most [`GROUP`].
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

    /// Writes the sums of packed rows, at most [`GROUP`], with a panel to the first rows of the scratch's sums.
    fn sums(self, x: PackedRows<'_, Self::X>, panel: &[Self::W], scratch: &mut Scratch);
}

/// Rows of activations as a kernel has packed them, step after step.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedRows<'a, X> {
    /// Those of all rows, and the padding behind them.
    pub numbers: &'a [X],
    /// Packed numbers of a row.
    pub width: usize,
    /// Rows.
    pub count: usize,
}

impl<'a, X> PackedRows<'a, X> {
    /// The rows of each step, and the packed numbers from its first on.
    pub fn steps(self, step: impl Fn(usize) -> usize) -> impl Iterator<Item = (Range<usize>, &'a [X])> {
        steps(step, self.count).map(move |rows| (rows.clone(), &self.numbers[rows.start * self.width..]))
    }

    /// Some of the rows, from the beginning of a step on.
    fn part(self, rows: Range<usize>) -> Self {
        Self { numbers: &self.numbers[rows.start * self.width..], count: rows.len(), ..self }
    }
}

/// The steps that `rows` rows are cut into.
fn steps(step: impl Fn(usize) -> usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = rows - start;
        let next = start..start + step(left).min(left);
        start = next.end;
        (left > 0).then_some(next)
    })
}

/// A weight in panels, for a kernel whose type is not known.
pub(super) trait PackedWeights: std::fmt::Debug + Send + Sync {
    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// Packs all rows of `x`, `[rows, inputs]`.
    fn pack(&self, x: &[f32], inputs: usize, packed: &mut PackedActivations);

    /// The product of packed rows with some panels, and what follows it.
    fn multiply(
        &self,
        shape: &ProductShape<'_>,
        packed: &PackedActivations,
        panels: Range<usize>,
        out: Destination<'_>,
        scratch: &mut Scratch,
    );
}

/// A kernel and the panels that it reads.
#[derive(Debug)]
pub(super) struct Packed<K: Kernel> {
    kernel: K,
    /// Panel after panel, each of `weights(inputs) * PANEL` numbers.
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

    fn pack(&self, x: &[f32], inputs: usize, packed: &mut PackedActivations) {
        let (kernel, rows) = (self.kernel, x.len() / inputs);
        packed.rows = rows;
        let packed = K::X::buffer_mut(packed);
        packed.grow(kernel.room(rows, inputs));
        for step in steps(|left| kernel.step(left), rows) {
            let packed = &mut packed[step.start * kernel.width(inputs)..];
            kernel.pack(&x[step.start * inputs..step.end * inputs], inputs, packed);
        }
    }

    fn multiply(
        &self,
        shape: &ProductShape<'_>,
        packed: &PackedActivations,
        panels: Range<usize>,
        out: Destination<'_>,
        scratch: &mut Scratch,
    ) {
        let (kernel, of_panel, rows, width) = (self.kernel, shape.columns.of_panel(), packed.rows, out.width);
        let size = kernel.weights(shape.inputs) * PANEL;
        let x = PackedRows { numbers: K::X::buffer(packed), width: kernel.width(shape.inputs), count: rows };
        scratch.sums.grow(GROUP);
        for index in panels.clone() {
            let (panel, bias) = (&self.panels[index * size..(index + 1) * size], shape.bias.map(|bias| &bias[index]));
            let count = of_panel.min(shape.outputs - index * of_panel);
            for first in (0..rows).step_by(GROUP) {
                let group = first..rows.min(first + GROUP);
                kernel.sums(x.part(group.clone()), panel, scratch);
                let out = &mut out.numbers[first * width + (index - panels.start) * of_panel..];
                run(Finish { shape, bias, sums: &scratch.sums[..group.len()], out, width, count });
            }
        }
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

/// Memory of products, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct ProductBuffers {
    /// Packed once for all panels.
    pub(super) packed: PackedActivations,
    pub(super) scratch: Scratch,
}

/// Rows as a kernel has packed them.
#[derive(Debug, Default)]
pub(super) struct PackedActivations {
    /// How many.
    rows: usize,
    /// Of kernels that read f32.
    numbers: CacheAligned<f32>,
    /// Of kernels that read pairs of bf16.
    pairs: CacheAligned<u32>,
}

/// What a thread computes in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Sums of a group of rows with a panel, [`GROUP`] rows. Those behind the group's rows may hold anything.
    pub sums: CacheAligned<[f32; PANEL]>,
    /// Weights in f32, of kernels that keep them in another type.
    pub widened: CacheAligned<f32>,
}

/// Where a product goes.
#[derive(Debug)]
pub(super) struct Destination<'a> {
    /// Begins with the first panel's first column.
    pub numbers: &'a mut [f32],
    /// Numbers of a row.
    pub width: usize,
}

/// A type of packed activations, which knows its buffer.
pub(super) trait PackedNumber: Copy + Default + Send + Sync {
    /// The buffer of the type.
    fn buffer(packed: &PackedActivations) -> &CacheAligned<Self>;

    /// The same, to write.
    fn buffer_mut(packed: &mut PackedActivations) -> &mut CacheAligned<Self>;
}

impl PackedNumber for f32 {
    fn buffer(packed: &PackedActivations) -> &CacheAligned<Self> {
        &packed.numbers
    }

    fn buffer_mut(packed: &mut PackedActivations) -> &mut CacheAligned<Self> {
        &mut packed.numbers
    }
}

impl PackedNumber for u32 {
    fn buffer(packed: &PackedActivations) -> &CacheAligned<Self> {
        &packed.pairs
    }

    fn buffer_mut(packed: &mut PackedActivations) -> &mut CacheAligned<Self> {
        &mut packed.pairs
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
}

/// The most rows that a panel is multiplied with before the next one: whole steps of every kernel.
pub(super) const GROUP: usize = 96;

/// Takes sums to where they go.
struct Finish<'a> {
    shape: &'a ProductShape<'a>,
    /// That of the panel's outputs.
    bias: Option<&'a [f32; PANEL]>,
    /// Of some rows with a panel.
    sums: &'a [[f32; PANEL]],
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
        match self.shape.store {
            StoreMode::Set => self.stored(
                simd,
                #[inline(always)]
                |_, value| value,
            ),
            StoreMode::Add => self.stored(
                simd,
                #[inline(always)]
                |before, value| simd.add_f32s(before, value),
            ),
        }
    }
}

impl Finish<'_> {
    /// A whole panel is a few registers, as many as the compiler knows: written out, without a loop.
    #[inline(always)]
    fn stored<S: Simd>(self, simd: S, store: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        let (columns, count) = (self.shape.columns, self.count);
        match (columns, count == columns.of_panel()) {
            (Columns::Plain, true) => self.plain(simd, PANEL, store),
            (Columns::Plain, false) => self.plain(simd, count, store),
            (Columns::Gated, true) => self.gated(simd, PANEL / 2, store),
            (Columns::Gated, false) => self.gated(simd, count, store),
        }
    }

    #[inline(always)]
    fn plain<S: Simd>(self, simd: S, count: usize, store: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        let bias = &self.bias.unwrap_or(&[0.0; PANEL])[..count];
        for (sums, out) in self.sums.iter().zip(self.out.chunks_mut(self.width)) {
            update(
                simd,
                &mut out[..count],
                [&sums[..count], bias],
                #[inline(always)]
                |before, [sum, bias]| store(before, simd.add_f32s(sum, bias)),
            );
        }
    }

    #[inline(always)]
    fn gated<S: Simd>(self, simd: S, count: usize, store: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        let [gate_bias, up_bias] = halves(self.bias.unwrap_or(&[0.0; PANEL])).map(|half| &half[..count]);
        for (sums, out) in self.sums.iter().zip(self.out.chunks_mut(self.width)) {
            let [gates, ups] = halves(sums).map(|half| &half[..count]);
            update(
                simd,
                &mut out[..count],
                [gates, ups, gate_bias, up_bias],
                #[inline(always)]
                |before, [gate, up, gate_bias, up_bias]| {
                    let (gate, up) = (simd.add_f32s(gate, gate_bias), simd.add_f32s(up, up_bias));
                    store(before, simd.mul_f32s(silu(simd, gate), up))
                },
            );
        }
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
