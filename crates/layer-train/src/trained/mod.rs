//! Which of a model's numbers are trained, and how; one file for each way.

mod direct;
pub(crate) mod lora;

use std::borrow::Cow;

use crate::adam_w::{Step, squared_norm};
use crate::{AdamW, Error, GradientSink, Layout, Parameter};

/// What of a model is trained.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TrainWhat {
    /// Everything.
    All,
    /// Some layers, by their places.
    Layers(Vec<usize>),
    /// For each matrix W `[out, in]` of the layers an addition `alpha / rank * B A` with A `[rank, in]` and B `[out,
    /// rank]` (Hu et al. 2021, LoRA, <https://arxiv.org/abs/2106.09685>). B begins at 0, A uniformly between -1 and 1
    /// over the root of `in`.
    Lora {
        /// Numbers between A and B, at least 1.
        rank: usize,
        /// The addition's scale times the rank.
        alpha: f32,
    },
}

/// The numbers that an optimiser changes, and the model that they make.
pub(crate) trait Trained: GradientSink {
    /// The gradients of all numbers, one after the other.
    fn gradients(&self) -> &[f32];

    /// Likewise, to be changed.
    fn gradients_mut(&mut self) -> &mut [f32];

    /// One step of the optimiser, and the model's numbers `values` after it.
    fn update(&mut self, adam: &AdamW, step: Step, moments: &mut [Vec<f32>; 2], values: &mut [f32]);

    /// The numbers themselves, to be kept; `values` are the model's.
    fn numbers<'a>(&'a self, values: &'a [f32]) -> Cow<'a, [f32]>;

    /// Takes kept numbers; `values` become the model's, from those that the training started from.
    fn restore(&mut self, numbers: Vec<f32>, values: &mut [f32]);
}

/// What is trained of a model that starts from `values`.
///
/// # Errors
/// As of [`TrainWhat::check`].
pub(crate) fn trained(layout: &Layout, what: &TrainWhat, values: &[f32], seed: u64) -> Result<Box<dyn Trained>, Error> {
    what.check(layout)?;
    Ok(match what {
        TrainWhat::All | TrainWhat::Layers(_) => Box::new(direct::Direct::new(layout, what)),
        TrainWhat::Lora { rank, alpha } => Box::new(lora::Lora::new(layout, *rank, *alpha, values, seed)),
    })
}

impl TrainWhat {
    /// Whether a model of this layout has it.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`] without a layer, or for one that the model does not have, or without a rank.
    pub(crate) fn check(&self, layout: &Layout) -> Result<(), Error> {
        let layers = layout.layers();
        let there = match self {
            Self::All => true,
            Self::Layers(chosen) => !chosen.is_empty() && chosen.iter().all(|layer| *layer < layers),
            Self::Lora { rank, .. } => *rank > 0,
        };
        if there { Ok(()) } else { Err(Error::NothingToTrain { layers }) }
    }

    /// Whether a tensor's own numbers are trained: `layer` is its layer, if it is in one.
    pub(crate) fn is_trained(&self, layer: Option<usize>) -> bool {
        match self {
            Self::All => true,
            Self::Layers(chosen) => layer.is_some_and(|layer| chosen.contains(&layer)),
            Self::Lora { .. } => false,
        }
    }

    /// The tensors whose own numbers are trained.
    pub(crate) fn trained_parameters<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = &'a Parameter> {
        layout.parameters().iter().filter(|parameter| self.is_trained(layout.layer_of(parameter)))
    }
}

/// The norm of gradients.
pub(crate) fn norm(gradients: &[f32]) -> f64 {
    squared_norm(gradients).sqrt()
}
