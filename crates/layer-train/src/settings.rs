//! How a model is trained.

use crate::{AdamW, TrainWhat};

/// In what an optimiser keeps gradients and moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptimizerMemory {
    /// All in f32: 12 bytes for each number that is trained, beside its own 4.
    #[default]
    Full,
    /// The gradients of the layers in bf16, the moments of matrices in a byte each: 4 bytes for each number of a layer,
    /// 6 for those of embedding and head.
    Compact,
}

/// How a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSettings {
    /// Tokens to train on, those read again counted again; the last step may bring some more.
    pub tokens: usize,
    /// Tokens of a step, at least, in whole documents.
    pub batch_tokens: usize,
    /// The most tokens whose activations are held at once; one longer document is held alone.
    pub micro_tokens: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// The share of the steps in which it is reached, from 0 to 1.
    pub warm_up: f64,
    /// The optimiser.
    pub adam: AdamW,
    /// The largest norm of a step's gradients; larger ones are scaled down to it.
    pub clip: f64,
    /// In what gradients and moments are kept.
    pub optimizer_memory: OptimizerMemory,
    /// What the loss of a teacher's last stream counts beside that of its prediction; 0 for not at all. See
    /// [`HiddenTarget`](crate::HiddenTarget).
    pub hidden_weight: f32,
    /// The seed of the documents' order.
    pub seed: u64,
    /// How many times the loss on held-back documents is measured, evenly over the steps; at least 1.
    pub validations: usize,
    /// The training ends after so many validations in a row that bring nothing better.
    pub patience: usize,
    /// What is trained.
    pub what: TrainWhat,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            tokens: 100_000,
            batch_tokens: 1024,
            micro_tokens: 1024,
            rate: 1e-4,
            warm_up: 0.1,
            adam: AdamW::default(),
            clip: 1.0,
            optimizer_memory: OptimizerMemory::Full,
            hidden_weight: 0.0,
            seed: 0,
            validations: 10,
            patience: 3,
            what: TrainWhat::All,
        }
    }
}
