//! What a search makes small.

use serde::{Deserialize, Serialize};

/// What a search makes small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// 1 - the weighted mean over the tasks of score / best parent's score.
    #[default]
    Retention,
    /// The weighted mean over the tasks of loss / best parent's loss, a dense measure: less noise, but not what is reported.
    Loss,
    /// The mean of the two.
    Mixed,
    /// 1 - score / best parent's score of the task where it is highest, whatever the weights.
    Worst,
    /// The weighted mean over the tasks of the Kullback-Leibler divergence, in nats per token of the prompts, from the best parent of each
    /// task. Needs no labels but to say which parent that is.
    Divergence,
    /// The weighted mean over the tasks of -ln p per token of the prompts / the best parent's: the logarithm of the perplexity. Needs no labels.
    Perplexity,
}

/// What a search makes small beside its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FurtherObjective {
    /// The share of the base's parameters that is left.
    Parameters,
    /// For each task, 1 - score / best parent's score.
    Tasks,
}

impl ObjectiveKind {
    /// Whether it needs the loss that each task gives.
    pub(crate) fn needs_loss(self) -> bool {
        matches!(self, Self::Loss | Self::Mixed)
    }

    /// Of what is lost of the best parents' scores, and the loss beside theirs.
    pub(crate) fn of(self, lost: f64, loss: f64) -> f64 {
        match self {
            Self::Retention | Self::Worst => lost,
            Self::Loss | Self::Divergence | Self::Perplexity => loss,
            Self::Mixed => 0.5 * (lost + loss),
        }
    }

    /// A loss beside the best parent's: their ratio, but of a divergence itself, as the best parent's is 0.
    pub(crate) fn beside(self, loss: f64, best: f64) -> f64 {
        if self == Self::Divergence { loss } else { loss / best }
    }
}
