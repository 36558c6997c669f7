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
use crate::products::{Matrix, Store, product};
use crate::{AdamW, AddLayer, Error, GradientSink, Layout};

/// One matrix and its addition.
#[derive(Debug, Clone)]
struct Slot {
    layer: usize,
    /// The matrix among the model's numbers.
    range: Range<usize>,
    /// Numbers of its rows.
    inputs: usize,
    /// B, `[out, rank]`, among all factors.
    b: Range<usize>,
    /// A, `[rank, in]`, likewise.
    a: Range<usize>,
    /// Where the matrix as it began stands among all of them.
    base: usize,
}

/// The additions of all layers.
#[derive(Debug)]
pub(super) struct Lora {
    layout: Layout,
    rank: usize,
    scale: f32,
    slots: Vec<Slot>,
    /// B and A of all slots.
    factors: Vec<f32>,
    gradients: Vec<f32>,
    /// The matrices as they began.
    base: Vec<f32>,
    /// The gradients of a layer's numbers.
    layer: Vec<f32>,
}

impl Lora {
    /// Additions that change nothing yet.
    pub fn new(layout: &Layout, rank: usize, alpha: f32, values: &[f32], seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x6c6f_7261); // not the order of the documents
        let (mut slots, mut factors, mut base) = (Vec::new(), Vec::new(), Vec::new());
        for parameter in layout.parameters() {
            let layer = (0..layout.layers()).find(|layer| layout.layer(*layer).contains(&parameter.range.start));
            let (Some(layer), [outputs, inputs]) = (layer, parameter.shape.as_slice()) else { continue };
            let b = factors.len()..factors.len() + outputs * rank;
            let a = b.end..b.end + rank * inputs;
            factors.resize(b.end, 0.0);
            let most = 1.0 / (*inputs as f32).sqrt();
            factors.extend((0..a.len()).map(|_| random.random_range(-most..most)));
            let range = parameter.range.clone();
            slots.push(Slot { layer, inputs: *inputs, b, a, base: base.len(), range: range.clone() });
            base.extend_from_slice(&values[range]);
        }
        let (gradients, layer) = (vec![0.0; factors.len()], vec![0.0; layout.layer_layout().len()]);
        Self { layout: layout.clone(), rank, scale: alpha / rank as f32, slots, factors, gradients, base, layer }
    }

    /// The matrices with their additions.
    fn add_to(&self, values: &mut [f32]) {
        for slot in &self.slots {
            let base = &self.base[slot.base..slot.base + slot.range.len()];
            let b: Vec<f32> = self.factors[slot.b.clone()].iter().map(|value| value * self.scale).collect();
            let a = Matrix::new(&self.factors[slot.a.clone()], slot.inputs);
            let values = &mut values[slot.range.clone()];
            values.copy_from_slice(base);
            product(values, slot.inputs, Store::Add, Matrix::new(&b, self.rank), a);
        }
    }

    /// Adds the gradients of a layer's factors, from those of its matrices.
    fn project(&mut self, layer: usize) {
        let Self { layout, rank, scale, slots, factors, gradients, layer: of_layer, .. } = self;
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
