//! The tensors of a decoder layer: names, roles and shapes.
//!
//! All architectures share one table, [`LLAMA_LAYER`], of which a config switches parts on and off. Matrices are stored
//! as torch's `nn.Linear` has them, `[out, in]`: `y = x W^T`.

/// What a tensor of a decoder layer does. `hidden` is the width of the residual stream, `q` and `kv` are the numbers of
/// query heads and of key and value heads, times the width of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// RMSNorm before the attention, `[hidden]`.
    InputNorm,
    /// Projection to the queries, `[q, hidden]`.
    QProj,
    /// Projection to the keys, `[kv, hidden]`.
    KProj,
    /// Projection to the values, `[kv, hidden]`.
    VProj,
    /// Bias of the queries, `[q]`.
    QBias,
    /// Bias of the keys, `[kv]`.
    KBias,
    /// Bias of the values, `[kv]`.
    VBias,
    /// Projection of the attention's output to the residual stream, `[hidden, q]`.
    OProj,
    /// Bias of the attention's output, `[hidden]`.
    OBias,
    /// RMSNorm over each head's queries, `[head_dim]`.
    QNorm,
    /// RMSNorm over each head's keys, `[head_dim]`.
    KNorm,
    /// RMSNorm before the MLP, `[hidden]`.
    PostAttentionNorm,
    /// The MLP's projection that goes through the activation, `[intermediate, hidden]`.
    GateProj,
    /// The MLP's projection that is multiplied by the gate, `[intermediate, hidden]`.
    UpProj,
    /// The MLP's projection to the residual stream, `[hidden, intermediate]`.
    DownProj,
    /// Bias of the gate, `[intermediate]`.
    GateBias,
    /// Bias of the projection up, `[intermediate]`.
    UpBias,
    /// Bias of the projection down, `[hidden]`.
    DownBias,
}

/// A tensor that every layer of a model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTensor {
    /// Its name within the layer, such as `self_attn.q_proj.weight`.
    pub suffix: String,
    /// What it does; `None` if the architecture's description does not have it.
    pub role: Option<Role>,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<usize>,
}

/// A row of an architecture's table of layer tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name within the layer.
    pub suffix: &'static str,
    /// What it does.
    pub role: Role,
    /// Its shape, `[out, in]` for matrices.
    pub shape: &'static [Dimension],
    /// The part that it belongs to; `None` if every model has it.
    pub part: Option<OptionalPart>,
}

/// A size that the config states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// `hidden_size`.
    Hidden,
    /// `intermediate_size`.
    Intermediate,
    /// Query heads times the width of a head.
    Queries,
    /// Key and value heads times the width of a head.
    KeysAndValues,
    /// Width of a head.
    Head,
}

/// A part of a layer that not every model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalPart {
    /// Biases of queries, keys and values.
    AttentionBias,
    /// Bias of the attention's output.
    OutputBias,
    /// Biases of the MLP.
    MlpBias,
    /// Norms over each head's queries and keys.
    QkNorm,
}

use Dimension::{Head, Hidden, Intermediate, KeysAndValues, Queries};
use OptionalPart::{AttentionBias, MlpBias, OutputBias, QkNorm};

/// One row, so that the table below fits a screen.
const fn row(suffix: &'static str, role: Role, shape: &'static [Dimension], part: Option<OptionalPart>) -> TensorSpec {
    TensorSpec { suffix, role, shape, part }
}

/// The layer of Llama, with all parts that its descendants added.
pub(super) const LLAMA_LAYER: &[TensorSpec] = &[
    row("input_layernorm.weight", Role::InputNorm, &[Hidden], None),
    row("self_attn.q_proj.weight", Role::QProj, &[Queries, Hidden], None),
    row("self_attn.q_proj.bias", Role::QBias, &[Queries], Some(AttentionBias)),
    row("self_attn.k_proj.weight", Role::KProj, &[KeysAndValues, Hidden], None),
    row("self_attn.k_proj.bias", Role::KBias, &[KeysAndValues], Some(AttentionBias)),
    row("self_attn.v_proj.weight", Role::VProj, &[KeysAndValues, Hidden], None),
    row("self_attn.v_proj.bias", Role::VBias, &[KeysAndValues], Some(AttentionBias)),
    row("self_attn.q_norm.weight", Role::QNorm, &[Head], Some(QkNorm)),
    row("self_attn.k_norm.weight", Role::KNorm, &[Head], Some(QkNorm)),
    row("self_attn.o_proj.weight", Role::OProj, &[Hidden, Queries], None),
    row("self_attn.o_proj.bias", Role::OBias, &[Hidden], Some(OutputBias)),
    row("post_attention_layernorm.weight", Role::PostAttentionNorm, &[Hidden], None),
    row("mlp.gate_proj.weight", Role::GateProj, &[Intermediate, Hidden], None),
    row("mlp.gate_proj.bias", Role::GateBias, &[Intermediate], Some(MlpBias)),
    row("mlp.up_proj.weight", Role::UpProj, &[Intermediate, Hidden], None),
    row("mlp.up_proj.bias", Role::UpBias, &[Intermediate], Some(MlpBias)),
    row("mlp.down_proj.weight", Role::DownProj, &[Hidden, Intermediate], None),
    row("mlp.down_proj.bias", Role::DownBias, &[Hidden], Some(MlpBias)),
];

/// What a layer without norms behind its projections adds to the residual stream.
pub(super) const RESIDUAL_WRITERS: &[Role] = &[Role::OProj, Role::OBias, Role::DownProj, Role::DownBias];
