//! The walk over rows and panels, the same for every kernel.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Columns, PANEL};
use crate::cpu::lines::Lines;
use crate::cpu::simd::{exp, run, update};

/// A product of a few rows with a panel, in registers.
pub(super) trait Kernel: Copy + Sync {
    /// A number of packed activations.
    type X: Copy + Default + Send + Sync;
    /// A number of packed weights.
    type W: Sync;

    /// How many rows to take next when so many are left.
    fn step(self, left: usize) -> usize;

    /// Packed numbers of a row.
    fn width(self, inputs: usize) -> usize;

    /// Packed numbers of an output's weights.
    fn weights(self, inputs: usize) -> usize {
        self.width(inputs)
    }

    /// Room that packed rows need.
    fn room(self, rows: usize, inputs: usize) -> usize {
        rows * self.width(inputs)
    }

    /// Packs the rows of one step, `[rows, inputs]`.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [Self::X]);

    /// The sums of the `rows` rows of one step with a panel, in the tile's first rows.
    fn tile(self, x: &[Self::X], panel: &[Self::W], rows: usize, tile: &mut [[f32; PANEL]; MOST_ROWS]);
}

/// What becomes of the numbers where the result goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// They are replaced.
    Set,
    /// They are added to.
    Add,
}

/// Packed activations; kept from product to product.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) plain: Lines<f32>,
    pub(super) pairs: Lines<u32>,
}

/// A product beside its operands.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub inputs: usize,
    pub outputs: usize,
    pub columns: Columns,
    pub bias: Option<&'a [[f32; PANEL]]>,
    pub put: Put,
    pub split: bool,
}

/// The most rows of a step.
pub(super) const MOST_ROWS: usize = 32;

/// What of a first cache (32 KiB at least) the rows of a step may take.
const STEP_BYTES: usize = 20 << 10;

pub(super) fn product<K: Kernel>(
    kernel: K,
    job: &Job<'_>,
    x: &[f32],
    panels: &[K::W],
    out: &mut [f32],
    packed: &mut Lines<K::X>,
) {
    let rows = x.len() / job.inputs;
    packed.grow(kernel.room(rows, job.inputs));
    let count = job.outputs.div_ceil(job.columns.of_panel());
    for step in steps(kernel, rows) {
        let packed = &mut packed[step.start * kernel.width(job.inputs)..];
        kernel.pack(&x[step.start * job.inputs..step.end * job.inputs], job.inputs, packed);
    }
    let walk = Walk { kernel, job, rows, packed: &*packed, panels };
    if job.split { walk.split(count, out) } else { walk.panels(0..count, out, job.outputs) }
}

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

struct Walk<'a, K: Kernel> {
    kernel: K,
    job: &'a Job<'a>,
    rows: usize,
    packed: &'a [K::X],
    panels: &'a [K::W],
}

impl<K: Kernel> Walk<'_, K> {
    /// Some panels; `out` begins with the first one's first column and has rows of `width`.
    fn panels(&self, range: Range<usize>, out: &mut [f32], width: usize) {
        let (kernel, job, of_panel) = (self.kernel, self.job, self.job.columns.of_panel());
        let (per_row, of_output) = (kernel.width(job.inputs), kernel.weights(job.inputs));
        let first = range.start * of_panel;
        let mut tile = Tile([[0.0; PANEL]; MOST_ROWS]);
        let mut one = |index: usize, step: Range<usize>| {
            let panel = &self.panels[index * of_output * PANEL..(index + 1) * of_output * PANEL];
            let column = index * of_panel;
            let count = of_panel.min(job.outputs - column);
            kernel.tile(&self.packed[step.start * per_row..], panel, step.len(), &mut tile.0);
            let (tile, out) = (&tile.0[..step.len()], &mut out[step.start * width + column - first..]);
            run(Finish { job, bias: job.bias.map(|bias| &bias[index]), tile, out, width, count });
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
        let (of_panel, outputs) = (self.job.columns.of_panel(), self.job.outputs);
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
    job: &'a Job<'a>,
    bias: Option<&'a [f32; PANEL]>,
    tile: &'a [[f32; PANEL]],
    out: &'a mut [f32],
    width: usize,
    /// Columns of the result.
    count: usize,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let bias = self.bias.unwrap_or(&[0.0; PANEL]);
        for (tile, out) in self.tile.iter().zip(self.out.chunks_mut(self.width)) {
            let out = &mut out[..self.count];
            match self.job.columns {
                Columns::Plain => {
                    let sums = [&tile[..self.count], &bias[..self.count]];
                    update(
                        simd,
                        out,
                        sums,
                        #[inline(always)]
                        |before, [sum, bias]| {
                            let sum = simd.add_f32s(sum, bias);
                            put(simd, self.job.put, before, sum)
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
                            put(simd, self.job.put, before, simd.mul_f32s(silu(simd, gate), up))
                        },
                    );
                }
            }
        }
    }
}

#[inline(always)]
fn put<S: Simd>(simd: S, how: Put, before: S::f32s, value: S::f32s) -> S::f32s {
    match how {
        Put::Set => value,
        Put::Add => simd.add_f32s(before, value),
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
