//! Llama, and the models that call themselves so.

use super::tensors::{LLAMA_LAYER, RESIDUAL_WRITERS};
use super::{ArchitectureSpec, Defaults, Presence, Sliding};

/// The layer that the others are variants of: no norms over heads, no sliding window, biases only if the config asks
/// for them.
pub(super) const LLAMA: ArchitectureSpec = ArchitectureSpec {
    model_type: "llama",
    summary: "Llama 1 to 3",
    layer_tensors: LLAMA_LAYER,
    attention_bias: Presence::IfSet("attention_bias"),
    output_bias: Presence::IfSet("attention_bias"),
    mlp_bias: Presence::IfSet("mlp_bias"),
    qk_norm: Presence::Never,
    sliding: Sliding::Never,
    activations: &["silu", "swish"],
    defaults: Defaults { max_position_embeddings: 2048, num_key_value_heads: None, head_dim: None },
    residual_writers: RESIDUAL_WRITERS,
};
