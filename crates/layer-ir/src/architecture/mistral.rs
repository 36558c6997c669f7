//! Mistral: Llama with a sliding window.

use super::llama::LLAMA;
use super::{ArchitectureSpec, Defaults, Presence, Sliding};

/// No biases; every layer slides if the config has a window, as that of the first release has.
pub(super) const MISTRAL: ArchitectureSpec = ArchitectureSpec {
    model_type: "mistral",
    summary: "Mistral",
    attention_bias: Presence::Never,
    output_bias: Presence::Never,
    mlp_bias: Presence::Never,
    sliding: Sliding::EveryLayer,
    defaults: Defaults { max_position_embeddings: 131_072, num_key_value_heads: Some(8), head_dim: None },
    ..LLAMA
};
