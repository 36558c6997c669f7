//! What a training tells, and what comes of it.

use serde::{Deserialize, Serialize};

/// What was measured after a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps so far.
    pub step: usize,
    /// Tokens so far.
    pub tokens: usize,
    /// Mean loss of a counted token in the steps since the last point, in nats; `None` before the first step.
    pub loss: Option<f64>,
    /// Mean loss of a counted token of the held-back documents, in nats.
    pub validation: f64,
    /// The learning rate of the last step; 0 before the first.
    pub rate: f64,
}

/// What a training tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// It begins, or goes on after so many steps.
    Started {
        /// Steps that are done.
        done: usize,
        /// Steps in all.
        steps: usize,
        /// Tokens of the steps that are done.
        tokens: usize,
        /// Tokens of all steps.
        of_tokens: usize,
    },
    /// A step is done.
    Step {
        /// Steps so far.
        step: usize,
        /// Tokens of this step.
        tokens: usize,
        /// Mean loss of a counted token, in nats.
        loss: f64,
        /// The norm of the gradients, before it was bounded.
        norm: f64,
    },
    /// The held-back documents were read.
    Validated {
        /// What was measured.
        point: CurvePoint,
        /// Whether it is the lowest so far.
        best: bool,
    },
    /// Nothing better came for so many validations, so the training ends.
    Stopped {
        /// Those validations.
        validations: usize,
    },
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOutcome {
    /// The numbers of the model after [`Self::best`], in the order of its layout.
    pub values: Vec<f32>,
    /// The step after which the loss on held-back documents was lowest; 0 if that was the start.
    pub best: usize,
    /// Steps that were done.
    pub steps: usize,
    /// What was measured, the start first.
    pub curve: Vec<CurvePoint>,
    /// Seconds, those before it was killed counted in.
    pub seconds: f64,
}
