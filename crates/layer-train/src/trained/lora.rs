//! Low-rank additions to the matrices of the layers.
//!
//! The model's matrices are `W + s B A`, so that everything else sees a plain model. From the gradient dW of such a
//! matrix, which is held of one layer at a time: `dB = s dW A^T`, `dA = s B^T dW`.

use std::borrow::Cow;
use std::ops::Range;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Trained;
use crate::adam_w::{Numbers, Step};
use crate::{AdamW, AddLayer, Error, GradientSink, Layout};
use tailor_simd::{Matrix, Store, product};

/// Low-rank additions to all matrices of the layers: where their factors stand, and what these add.
#[derive(Debug, Clone)]
pub(crate) struct Additions {
    /// Numbers between A and B.
    pub rank: usize,
    /// What the product B A is multiplied by.
    pub scale: f32,
    /// In the order of the layout.
    pub slots: Vec<Slot>,
}

/// One matrix and its addition.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    layer: usize,
    /// The matrix among the model's numbers.
    pub range: Range<usize>,
    /// Numbers of its rows.
    inputs: usize,
    /// B, `[out, rank]`, among all factors.
    pub b: Range<usize>,
    /// A, `[rank, in]`, likewise, behind B.
    pub a: Range<usize>,
}

impl Additions {
    /// The additions, and their factors at the start, which change nothing yet.
    pub fn new(layout: &Layout, rank: usize, alpha: f32, seed: u64) -> (Self, Vec<f32>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x6c6f_7261); // not the order of the documents
        let (mut slots, mut factors) = (Vec::new(), Vec::new());
        for parameter in layout.parameters() {
            let layer = layout.layer_of(parameter);
            let (Some(layer), [outputs, inputs]) = (layer, parameter.shape.as_slice()) else { continue };
            let b = factors.len()..factors.len() + outputs * rank;
            let a = b.end..b.end + rank * inputs;
            factors.resize(b.end, 0.0);
            let most = 1.0 / (*inputs as f32).sqrt();
            factors.extend((0..a.len()).map(|_| random.random_range(-most..most)));
            slots.push(Slot { layer, range: parameter.range.clone(), inputs: *inputs, b, a });
        }
        (Self { rank, scale: alpha / rank as f32, slots }, factors)
    }

    /// Adds `s B A` to each matrix among the model's numbers.
    pub fn add(&self, factors: &[f32], values: &mut [f32]) {
        for slot in &self.slots {
            let b: Vec<f32> = factors[slot.b.clone()].iter().map(|value| value * self.scale).collect();
            let a = Matrix::new(&factors[slot.a.clone()], slot.inputs);
            product(&mut values[slot.range.clone()], slot.inputs, Store::Add, Matrix::new(&b, self.rank), a);
        }
    }
}

/// The additions, their gradients, and the matrices without them.
#[derive(Debug)]
pub(super) struct Lora {
    layout: Layout,
    additions: Additions,
    /// B and A of all matrices.
    factors: Vec<f32>,
    gradients: Vec<f32>,
    /// The matrices as they began, in the order of the slots.
    base: Vec<f32>,
    /// The gradients of a layer's numbers.
    layer: Vec<f32>,
}

impl Lora {
    /// Additions that change nothing yet.
    pub fn new(layout: &Layout, rank: usize, alpha: f32, values: &[f32], seed: u64) -> Self {
        let (additions, factors) = Additions::new(layout, rank, alpha, seed);
        let base = additions.slots.iter().flat_map(|slot| &values[slot.range.clone()]).copied().collect();
        let (gradients, layer) = (vec![0.0; factors.len()], vec![0.0; layout.layer_layout().len()]);
        Self { layout: layout.clone(), additions, factors, gradients, base, layer }
    }

    /// The matrices with their additions.
    fn add_to(&self, values: &mut [f32]) {
        let mut base = self.base.as_slice();
        for slot in &self.additions.slots {
            let (matrix, others) = base.split_at(slot.range.len());
            values[slot.range.clone()].copy_from_slice(matrix);
            base = others;
        }
        self.additions.add(&self.factors, values);
    }

    /// Adds the gradients of a layer's factors, from those of its matrices.
    fn project(&mut self, layer: usize) {
        let Self { layout, additions: Additions { rank, scale, slots }, factors, gradients, layer: of_layer, .. } =
            self;
        let first = layout.layer(layer).start;
        of_layer.par_iter_mut().with_min_len(1 << 14).for_each(|value| *value *= *scale);
        for slot in slots.iter().filter(|slot| slot.layer == layer) {
            let d_w = &of_layer[slot.range.start - first..slot.range.end - first];
            let d_w = Matrix::new(d_w, slot.inputs);
            let a = Matrix::new(&factors[slot.a.clone()], slot.inputs);
            product(&mut gradients[slot.b.clone()], *rank, Store::Add, d_w, a.transposed());
            let b = Matrix::new(&factors[slot.b.clone()], *rank);
            product(&mut gradients[slot.a.clone()], slot.inputs, Store::Add, b.transposed(), d_w);
        }
    }
}

impl Trained for Lora {
    fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    fn gradients_mut(&mut self) -> &mut [f32] {
        &mut self.gradients
    }

    fn update(&mut self, adam: &AdamW, step: Step, [m, v]: &mut [Vec<f32>; 2], values: &mut [f32]) {
        let (factors, gradients) = (&mut self.factors, &self.gradients);
        adam.update(step, Numbers { values: factors, gradients, moments: [m, v], matrix: true });
        self.add_to(values);
    }

    fn numbers<'a>(&'a self, _: &'a [f32]) -> Cow<'a, [f32]> {
        Cow::Borrowed(&self.factors)
    }

    fn restore(&mut self, numbers: Vec<f32>, values: &mut [f32]) {
        self.factors = numbers;
        self.add_to(values);
    }
}

impl GradientSink for Lora {
    fn embedding(&mut self) -> Option<&mut [f32]> {
        None
    }

    fn head(&mut self) -> Option<&mut [f32]> {
        None
    }

    fn final_norm(&mut self) -> Option<&mut [f32]> {
        None
    }

    fn first_layer(&self) -> usize {
        0
    }

    fn layer(&mut self, layer: usize, add: AddLayer<'_>) -> Result<(), Error> {
        self.layer.fill(0.0);
        add(Some(&mut self.layer))?;
        self.project(layer);
        Ok(())
    }
}
