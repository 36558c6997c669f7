//! The seam between the training and what learns: numbers, gradients and moments stay where they are computed.

use std::borrow::Cow;

use crate::{Error, Layout, OptimizerMemory, PackedBatch, Step, Target};

/// A model, what of it is trained, and the gradients and moments of that.
///
/// Order of the calls of a step: [`zero_gradients`](Self::zero_gradients); [`add_gradients`](Self::add_gradients) for
/// each of its batches; [`gradient_norm`](Self::gradient_norm); [`update`](Self::update). Losses may be asked for
/// between steps.
///
/// Laws: (1) what [`restore`](Self::restore) takes comes back from [`state`](Self::state) to the bit, and the training
/// goes on from it as it did from there; (2) only `update` and `restore` change [`values`](Self::values); (3) an error
/// leaves the numbers in any state, and the training ends with it.
///
/// [`CpuLearner`](crate::CpuLearner) is one.
pub trait Learner {
    /// The layout of the model's numbers.
    fn layout(&self) -> &Layout;

    /// The losses of some rows of a batch, each times its weight, in nats; in the order of the targets.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn losses(&self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<Vec<f64>, Error>;

    /// Their sum.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn loss(&self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error> {
        Ok(self.losses(batch, targets)?.iter().sum())
    }

    /// Whether losses and gradients are those of [`Target::hidden`] too; else a training with such targets is refused.
    fn learns_hidden_states(&self) -> bool {
        false
    }

    /// In what the optimiser keeps gradients and moments; a training whose settings say something else is refused.
    fn optimizer_memory(&self) -> OptimizerMemory {
        OptimizerMemory::Full
    }

    /// Sets the gradients to zero.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn zero_gradients(&mut self) -> Result<(), Error>;

    /// As [`Self::loss`], and adds its gradients to those that are there.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn add_gradients(&mut self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error>;

    /// The gradients of the numbers that are trained.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn gradients(&self) -> Result<Cow<'_, [f32]>, Error>;

    /// The norm of all gradients together.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn gradient_norm(&self) -> Result<f64, Error>;

    /// One step of the optimiser by the gradients.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn update(&mut self, step: Step) -> Result<(), Error>;

    /// The model's numbers, in the order of the layout.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn values(&self) -> Result<Cow<'_, [f32]>, Error>;

    /// How many numbers are trained.
    fn trained_numbers(&self) -> usize;

    /// What a training goes on from.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn state(&self) -> Result<LearnerState<'_>, Error>;

    /// Goes on from a state of the same training, in place of the start.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn restore(&mut self, state: LearnerState<'_>) -> Result<(), Error>;

    /// The model's numbers in the end; all else is given up.
    ///
    /// # Errors
    /// A device that fails says so; the CPU cannot.
    fn into_values(self: Box<Self>) -> Result<Vec<f32>, Error> {
        Ok(self.values()?.into_owned())
    }
}

/// The numbers that are trained, and the optimiser's moments of each.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnerState<'a> {
    /// [`Learner::trained_numbers`] numbers; of low-rank additions their factors.
    pub numbers: Cow<'a, [f32]>,
    /// The means of the gradients and of their squares, of [`Learner::trained_numbers`] numbers each.
    pub moments: Moments<'a>,
}

/// The means of the gradients and of their squares.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Moments<'a> {
    /// As they are.
    Full([Cow<'a, [f32]>; 2]),
    /// In a byte each.
    Blocks([BlockMoments<'a>; 2]),
}

/// Means of which those of matrices are codes of a map, in blocks that share a scale.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockMoments<'a> {
    /// Of the matrices, one after the other.
    pub codes: Cow<'a, [u8]>,
    /// Of each block of a matrix, one after the other.
    pub scales: Cow<'a, [f32]>,
    /// The means of the vectors, one after the other.
    pub vectors: Cow<'a, [f32]>,
}

impl<'a> Moments<'a> {
    /// How many numbers have them; 0 where one of the two has more than the other.
    #[must_use]
    pub fn len(&self) -> usize {
        let [m, v] = match self {
            Self::Full(both) => both.each_ref().map(|of| of.len()),
            Self::Blocks(both) => both.each_ref().map(|of| of.codes.len() + of.vectors.len()),
        };
        if m == v { m } else { 0 }
    }

    /// Whether nothing has them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As they are.
    ///
    /// # Errors
    /// [`Error::OptimizerMemory`] for codes.
    pub fn full(self) -> Result<[Cow<'a, [f32]>; 2], Error> {
        match self {
            Self::Full(both) => Ok(both),
            Self::Blocks(_) => Err(Error::OptimizerMemory),
        }
    }
}
