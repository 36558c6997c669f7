//! Gradients in two bytes a number: those of the layers in bf16, each batch's sum in f32 rounded to nearest as it is
//! added. Those of embedding, head and final norm stay in f32, as they come in pieces.

use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use crate::adam_w::squared_norm;
use crate::{AddLayer, Error, GradientSink, Layout, TrainWhat};

/// Numbers that a thread takes at once.
const PIECE: usize = 1 << 14;

/// The gradients of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gradients<'a> {
    Full(&'a [f32]),
    Rounded(&'a [bf16]),
}

impl<'a> Gradients<'a> {
    /// Some of them.
    pub fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::Full(all) => Self::Full(&all[range]),
            Self::Rounded(all) => Self::Rounded(&all[range]),
        }
    }

    /// Appends them to `into`.
    pub fn read(self, into: &mut Vec<f32>) {
        match self {
            Self::Full(all) => into.extend_from_slice(all),
            Self::Rounded(all) => into.extend(all.iter().map(|gradient| gradient.to_f32())),
        }
    }
}

/// The gradients of a model's own numbers, of all its tensors or of some layers.
#[derive(Debug)]
pub(crate) struct CompactGradients {
    layout: Layout,
    /// For each layer, where its gradients begin; `None` for one that is not trained.
    layers: Vec<Option<usize>>,
    /// Of all layers that are trained.
    rounded: Vec<bf16>,
    /// Of one layer and one batch.
    layer: Vec<f32>,
    /// Of what stands outside of the layers, in the order of the layout; empty if that is not trained.
    outer: Vec<f32>,
}

impl CompactGradients {
    /// All zero.
    pub fn new(layout: &Layout, what: &TrainWhat) -> Self {
        let len = layout.layer_layout().len();
        let mut trained = 0;
        let layers = (0..layout.layers()).map(|layer| {
            what.is_trained(Some(layer)).then(|| {
                trained += 1;
                (trained - 1) * len
            })
        });
        let layers: Vec<Option<usize>> = layers.collect();
        let outer = if what.is_trained(None) { layout.len() - layout.layers() * len } else { 0 };
        let rounded = vec![bf16::ZERO; trained * len];
        Self { layout: layout.clone(), layers, rounded, layer: vec![0.0; len], outer: vec![0.0; outer] }
    }

    /// Sets all to zero.
    pub fn clear(&mut self) {
        self.rounded.fill(bf16::ZERO);
        self.outer.fill(0.0);
    }

    /// Those of a tensor that is trained, by its place in the model.
    pub fn of(&self, range: Range<usize>) -> Gradients<'_> {
        let layers = self.layout.layer(0).start..self.layout.final_norm().start;
        if !layers.contains(&range.start) {
            return Gradients::Full(&self.outer[self.outer_place(range)]);
        }
        let len = self.layer.len().max(1);
        let (layer, within) = ((range.start - layers.start) / len, (range.start - layers.start) % len);
        let start = self.layers[layer].unwrap_or_default() + within;
        Gradients::Rounded(&self.rounded[start..start + range.len()])
    }

    /// Where a tensor outside of the layers stands among the outer gradients.
    fn outer_place(&self, range: Range<usize>) -> Range<usize> {
        let (first, behind) = (self.layout.layer(0).start, self.layout.final_norm().start);
        let gone = if range.start < first { 0 } else { behind - first };
        range.start - gone..range.end - gone
    }

    /// The memory for a tensor outside of the layers.
    fn outer(&mut self, range: Range<usize>) -> Option<&mut [f32]> {
        let place = self.outer_place(range);
        self.outer.get_mut(place)
    }

    /// The norm of all together.
    pub fn norm(&self) -> f64 {
        let of_piece = |piece: &[bf16]| {
            let piece: Vec<f32> = piece.iter().map(|gradient| gradient.to_f32()).collect();
            squared_norm(&piece)
        };
        let parts: Vec<f64> = self.rounded.par_chunks(PIECE).map(of_piece).collect();
        (parts.into_iter().sum::<f64>() + squared_norm(&self.outer)).sqrt()
    }
}

impl GradientSink for CompactGradients {
    fn embedding(&mut self) -> Option<&mut [f32]> {
        self.outer(self.layout.embedding())
    }

    fn head(&mut self) -> Option<&mut [f32]> {
        self.outer(self.layout.head())
    }

    fn final_norm(&mut self) -> Option<&mut [f32]> {
        self.outer(self.layout.final_norm())
    }

    fn first_layer(&self) -> usize {
        let trained = || self.layers.iter().position(Option::is_some);
        if self.outer.is_empty() { trained().unwrap_or(self.layers.len()) } else { 0 }
    }

    fn layer(&mut self, layer: usize, add: AddLayer<'_>) -> Result<(), Error> {
        let Some(start) = self.layers[layer] else { return add(None) };
        self.layer.fill(0.0);
        add(Some(&mut self.layer))?;
        let rounded = &mut self.rounded[start..start + self.layer.len()];
        rounded.par_chunks_mut(PIECE).zip(self.layer.par_chunks(PIECE)).for_each(|(sums, gradients)| {
            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                *sum = bf16::from_f32(sum.to_f32() + gradient);
            }
        });
        Ok(())
    }
}
