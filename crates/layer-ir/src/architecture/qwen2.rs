//! Qwen 2 and 2.5: queries, keys and values have biases.

use super::llama::LLAMA;
use super::{ArchitectureSpec, Defaults, Presence, Sliding};

/// Biases of queries, keys and values in every model, no others; upper layers may slide.
pub(super) const QWEN2: ArchitectureSpec = ArchitectureSpec {
    model_type: "qwen2",
    summary: "Qwen 2 and 2.5",
    attention_bias: Presence::Always,
    output_bias: Presence::Never,
    mlp_bias: Presence::Never,
    sliding: Sliding::UpperLayers,
    defaults: Defaults { max_position_embeddings: 32_768, num_key_value_heads: Some(32), head_dim: None },
    ..LLAMA
};
