//! Qwen 3, the dense models: norms over queries and keys, and heads of a width of their own.

use super::llama::LLAMA;
use super::{ArchitectureSpec, Defaults, Presence, Sliding};

/// The biases of queries, keys and values are gone, each head has norms, and its width is a setting of its own.
pub(super) const QWEN3: ArchitectureSpec = ArchitectureSpec {
    model_type: "qwen3",
    summary: "Qwen 3, dense",
    mlp_bias: Presence::Never,
    qk_norm: Presence::Always,
    sliding: Sliding::UpperLayers,
    defaults: Defaults { max_position_embeddings: 32_768, num_key_value_heads: Some(32), head_dim: Some(128) },
    ..LLAMA
};
