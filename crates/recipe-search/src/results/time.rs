//! Where the time of a search's trials went.

use layer_runtime::Timings;
use serde::{Deserialize, Serialize};

/// Seconds of wall time of the trials, and what they were spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSpent {
    /// How many trials were run in that time.
    #[serde(default)]
    pub ran: usize,
    /// Everything from the first ask to the last tell.
    pub trials: f64,
    /// Whether workers evaluated, whose time is not known here: the rest is 0 then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_workers: bool,
    /// In the models' forward passes.
    pub forward: f64,
    /// Building layers: reading, merging, uploading.
    pub build: f64,
    /// Tokens times layers that plain forward passes of all documents would compute.
    #[serde(default)]
    pub layer_tokens: u64,
    /// Of these, saved as prompts begin alike.
    #[serde(default)]
    pub shared: u64,
    /// Of these, saved as recipes begin alike.
    #[serde(default)]
    pub kept: u64,
}

impl TimeSpent {
    /// What a runtime spent on `ran` trials in so many seconds of wall time.
    #[must_use]
    pub fn of(ran: usize, seconds: f64, spent: &Timings) -> Self {
        Self {
            ran,
            trials: seconds,
            by_workers: false,
            forward: spent.forward.as_secs_f64(),
            build: spent.build.as_secs_f64(),
            layer_tokens: spent.layer_tokens_asked,
            shared: spent.layer_tokens_shared,
            kept: spent.layer_tokens_kept,
        }
    }

    /// What share of the trials' layer-token work some of it is; 0 when none was asked for.
    #[must_use]
    pub fn work_share(&self, layer_tokens: u64) -> f64 {
        if self.layer_tokens > 0 { layer_tokens as f64 / self.layer_tokens as f64 } else { 0.0 }
    }

    /// What share of the trials' time some of its seconds are; 0 when no trial was run.
    #[must_use]
    pub fn share(&self, seconds: f64) -> f64 {
        if self.trials > 0.0 { seconds / self.trials } else { 0.0 }
    }

    /// Seconds in neither: tokens, scores, the strategy, the journal.
    #[must_use]
    pub fn bookkeeping(&self) -> f64 {
        (self.trials - self.forward - self.build).max(0.0)
    }
}
