//! What a task asks of the model: the key `output_type` of its file.

use serde::{Deserialize, Serialize};

/// What is asked of the model; written in snake case, as the key `output_type` says it.
///
/// | value | requests of a document | answers |
/// |---|---|---|
/// | `generate_until` (default) | the prompt | a text, cut at a stop string |
/// | `multiple_choice` | the prompt with each choice | ln p of each choice, and whether it is the greedy one |
/// | `whole_prompt_ppl` | the prompt with each choice, as one text | ln p of each whole text, per token |
/// | `loglikelihood` | the prompt with the target | ln p of the target, and whether it is the greedy one |
/// | `loglikelihood_rolling` | the windows of the target | ln p of the whole text |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// A text, written greedily up to a stop string.
    GenerateUntil,
    /// How likely each choice is.
    MultipleChoice,
    /// How likely the prompt is with each choice in it: OpenCompass's perplexity mode. The harness has no such value.
    WholePromptPpl,
    /// How likely the target is.
    Loglikelihood,
    /// How likely a whole text is, window by window.
    LoglikelihoodRolling,
}

impl OutputType {
    /// Whether a document has choices, of which the model's favourite is the answer.
    pub(crate) fn has_choices(self) -> bool {
        matches!(self, Self::MultipleChoice | Self::WholePromptPpl)
    }
}
