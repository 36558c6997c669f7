//! What a task asks of the model.

use serde::{Deserialize, Serialize};

/// What is asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// A text, written greedily up to a stop string.
    GenerateUntil,
    /// How likely each choice is.
    MultipleChoice,
    /// How likely the target is.
    Loglikelihood,
    /// How likely a whole text is, window by window.
    LoglikelihoodRolling,
}
