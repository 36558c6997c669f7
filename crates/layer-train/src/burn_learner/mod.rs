//! What learns on any device of burn: numbers, gradients and moments stay there, and gradients are autodiff's.
//!
//! | file | what |
//! |---|---|
//! | `batch.rs` | a batch on the device, its sequences as padded rectangles |
//! | `weights.rs` | the model's tensors, trained or not, and low-rank additions |
//! | `layer.rs` | a decoder layer |
//! | `head.rs` | losses and the gradient of logits |
//! | `tape.rs` | one layer's record, and the way back through it |
//! | `trained_tensors.rs` | numbers, gradients, moments, AdamW |
//! | `pass.rs` | a whole model forward and back |

mod batch;
mod head;
mod layer;
mod pass;
mod tape;
mod tensors;
mod trained_tensors;
mod weights;

use std::borrow::Cow;

use burn::tensor::{DType, Device};
use layer_ir::Dtype;

use crate::{AdamW, Error, Layout, Learner, LearnerState, PackedBatch, Step, Target, TrainSettings, TrainWhat};
use pass::Pass;
use trained_tensors::TrainedTensors;
use weights::Weights;

/// How a [`BurnLearner`] computes.
#[derive(Debug, Clone)]
pub struct BurnSettings {
    /// Where.
    pub device: Device,
    /// The type of products, f32 or bf16. Numbers that are trained, their gradients and moments, norms, softmax and the
    /// residual stream are f32 with either.
    pub compute: Dtype,
    /// The most bytes of activations that are kept from the forward pass for the gradient, by an estimate; what does
    /// not fit is computed twice.
    pub activation_bytes: usize,
}

/// Learns on any device of burn. Steps are those of [`CpuLearner`](crate::CpuLearner) but for rounding; on GPUs the
/// order of sums, and so the last bits, may differ from run to run.
#[derive(Debug)]
pub struct BurnLearner {
    layout: Layout,
    settings: BurnSettings,
    adam: AdamW,
    weights: Weights,
    trained: TrainedTensors,
    what: TrainWhat,
    /// The model's numbers at the start, where not all of them are trained; otherwise empty.
    start: Vec<f32>,
}

impl BurnLearner {
    /// A model that starts from `values`, in the order of the layout, and of the training's settings what is trained,
    /// the optimiser and the seed.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`] for what cannot be trained; [`Error::UnsupportedCompute`] for a type of products that
    /// the device does not have, or that is neither f32 nor bf16.
    pub fn new(
        layout: Layout,
        values: Vec<f32>,
        training: &TrainSettings,
        settings: BurnSettings,
    ) -> Result<Self, Error> {
        training.what.check(&layout)?;
        let dtype = settings.dtype()?;
        let (weights, trained) = Weights::new(&layout, &values, training, dtype, &settings.device);
        let (what, adam) = (training.what.clone(), training.adam);
        let start = if what == TrainWhat::All { Vec::new() } else { values };
        Ok(Self { layout, settings, adam, weights, trained, what, start })
    }
}

impl BurnSettings {
    /// On a device; without a wish, products are in bf16 where the device has it, else in f32. Of activations 2 GiB are
    /// kept.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompute`] for a type that the device does not have, or that is neither f32 nor bf16.
    pub fn new(device: Device, compute: Option<Dtype>) -> Result<Self, Error> {
        let bf16 = device.supports_dtype(DType::BF16);
        let compute = compute.unwrap_or(if bf16 { Dtype::BF16 } else { Dtype::F32 });
        let settings = Self { device, compute, activation_bytes: 2 << 30 };
        settings.dtype()?;
        Ok(settings)
    }

    /// The type of products.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompute`].
    fn dtype(&self) -> Result<DType, Error> {
        match self.compute {
            Dtype::F32 => Ok(DType::F32),
            Dtype::BF16 if self.device.supports_dtype(DType::BF16) => Ok(DType::BF16),
            found => Err(Error::UnsupportedCompute { found }),
        }
    }
}

impl Learner for BurnLearner {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn losses(&self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<Vec<f64>, Error> {
        Pass::new(&self.layout, &self.weights, &self.settings, batch).losses(&self.trained, targets)
    }

    fn learns_hidden_states(&self) -> bool {
        true
    }

    fn zero_gradients(&mut self) -> Result<(), Error> {
        self.trained.zero_gradients();
        Ok(())
    }

    fn add_gradients(&mut self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error> {
        Pass::new(&self.layout, &self.weights, &self.settings, batch).gradients(&mut self.trained, targets)
    }

    fn gradients(&self) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Owned(self.trained.gradients()?))
    }

    fn gradient_norm(&self) -> Result<f64, Error> {
        self.trained.gradient_norm()
    }

    fn update(&mut self, step: Step) -> Result<(), Error> {
        self.trained.update(&self.adam, step);
        Ok(())
    }

    fn values(&self) -> Result<Cow<'_, [f32]>, Error> {
        let numbers = self.trained.values()?;
        if self.what == TrainWhat::All {
            return Ok(Cow::Owned(numbers));
        }
        let mut values = self.start.clone();
        match &self.weights.additions {
            Some(additions) => additions.add(&numbers, &mut values),
            None => {
                let mut rest = numbers.as_slice();
                for parameter in self.what.trained_parameters(&self.layout) {
                    let (part, others) = rest.split_at(parameter.range.len());
                    values[parameter.range.clone()].copy_from_slice(part);
                    rest = others;
                }
            }
        }
        Ok(Cow::Owned(values))
    }

    fn trained_numbers(&self) -> usize {
        self.trained.len()
    }

    fn state(&self) -> Result<LearnerState<'_>, Error> {
        self.trained.state()
    }

    fn restore(&mut self, state: LearnerState<'_>) -> Result<(), Error> {
        self.trained.restore(state)
    }
}
