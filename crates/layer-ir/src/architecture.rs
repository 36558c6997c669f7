//! The tensors of each architecture, as data: one table for all.

use crate::config::ModelConfig;

/// The architectures that can be run; every other one can still be cut, stitched and merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama 1 to 3.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3, dense.
    Qwen3,
    /// Any other, by its `model_type`.
    Other(String),
}

impl Architecture {
    pub(crate) fn of(model_type: &str) -> Self {
        match model_type {
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Other(name) => name,
        })
    }
}

/// What a tensor of a decoder layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the field's")]
pub enum Role {
    InputNorm,
    QProj,
    KProj,
    VProj,
    QBias,
    KBias,
    VBias,
    OProj,
    OBias,
    QNorm,
    KNorm,
    PostAttentionNorm,
    GateProj,
    UpProj,
    DownProj,
    GateBias,
    UpBias,
    DownBias,
}

/// What stands before the first layer and after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The token embedding `[vocabulary, hidden]`.
    Embedding,
    /// The final norm `[hidden]`.
    FinalNorm,
    /// The output head `[vocabulary, hidden]`; a model with tied embeddings stores none.
    Head,
}

impl End {
    /// All of them, in the order of a forward pass.
    pub const ALL: [Self; 3] = [Self::Embedding, Self::FinalNorm, Self::Head];
    /// Those that have a row for each token.
    pub const WITH_TOKENS: [Self; 2] = [Self::Embedding, Self::Head];

    pub(crate) fn tensor_name(self) -> &'static str {
        match self {
            Self::Embedding => "model.embed_tokens.weight",
            Self::FinalNorm => "model.norm.weight",
            Self::Head => "lm_head.weight",
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedding => "embedding",
            Self::FinalNorm => "final norm",
            Self::Head => "head",
        })
    }
}

/// A tensor that every layer of a model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTensor {
    /// Its name within the layer, such as `self_attn.q_proj.weight`.
    pub suffix: String,
    /// What it does; `None` if the architecture's table does not know it.
    pub role: Option<Role>,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<usize>,
}

/// The tensors of one layer of a known architecture; empty for others.
pub(crate) fn layer_table(config: &ModelConfig) -> Vec<LayerTensor> {
    if matches!(config.architecture, Architecture::Other(_)) {
        return Vec::new();
    }
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
    let qkv_bias = config.attention_bias;
    let rows: [(&str, Role, Vec<usize>, bool); 18] = [
        ("input_layernorm.weight", Role::InputNorm, vec![hidden], true),
        ("self_attn.q_proj.weight", Role::QProj, vec![q, hidden], true),
        ("self_attn.q_proj.bias", Role::QBias, vec![q], qkv_bias),
        ("self_attn.k_proj.weight", Role::KProj, vec![kv, hidden], true),
        ("self_attn.k_proj.bias", Role::KBias, vec![kv], qkv_bias),
        ("self_attn.v_proj.weight", Role::VProj, vec![kv, hidden], true),
        ("self_attn.v_proj.bias", Role::VBias, vec![kv], qkv_bias),
        ("self_attn.q_norm.weight", Role::QNorm, vec![config.head_dim], config.qk_norm),
        ("self_attn.k_norm.weight", Role::KNorm, vec![config.head_dim], config.qk_norm),
        ("self_attn.o_proj.weight", Role::OProj, vec![hidden, q], true),
        ("self_attn.o_proj.bias", Role::OBias, vec![hidden], config.output_bias),
        ("post_attention_layernorm.weight", Role::PostAttentionNorm, vec![hidden], true),
        ("mlp.gate_proj.weight", Role::GateProj, vec![wide, hidden], true),
        ("mlp.gate_proj.bias", Role::GateBias, vec![wide], config.mlp_bias),
        ("mlp.up_proj.weight", Role::UpProj, vec![wide, hidden], true),
        ("mlp.up_proj.bias", Role::UpBias, vec![wide], config.mlp_bias),
        ("mlp.down_proj.weight", Role::DownProj, vec![hidden, wide], true),
        ("mlp.down_proj.bias", Role::DownBias, vec![hidden], config.mlp_bias),
    ];
    rows.into_iter()
        .filter(|(.., present)| *present)
        .map(|(suffix, role, shape, _)| LayerTensor { suffix: suffix.to_owned(), role: Some(role), shape })
        .collect()
}
