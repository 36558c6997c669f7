//! One layer's tensors, checked against the config, for an engine to lay out.

use burn::tensor::Tensor;
use layer_ir::{ModelConfig, Role};

use crate::Error;

/// How many attention heads there are, and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; each serves `queries / kv` query heads.
    pub kv: usize,
    /// Numbers per head.
    pub dim: usize,
}

/// A weight `[outputs, inputs]`, flat, in f32 or as it is stored, and its bias `[outputs]`.
#[derive(Debug)]
pub(crate) struct Projection {
    /// `[outputs * inputs]`
    pub weight: Tensor<1>,
    /// `[outputs]`
    pub bias: Option<Tensor<1>>,
    /// Rows of the weight.
    pub outputs: usize,
    /// Columns of the weight.
    pub inputs: usize,
}

/// The tensors of a decoder layer.
#[derive(Debug)]
pub(crate) struct LayerTensors {
    /// `[hidden]`
    pub input_norm: Tensor<1>,
    /// Queries `[queries * dim, hidden]`, keys and values `[kv * dim, hidden]`, for one product.
    pub qkv: Vec<Projection>,
    /// The norms over each head's query and key, `[dim]` each.
    pub head_norms: Option<(Tensor<1>, Tensor<1>)>,
    /// `[hidden, queries * dim]`
    pub output: Projection,
    /// `[hidden]`
    pub post_attention_norm: Tensor<1>,
    /// Gate and up, `[intermediate, hidden]` each, for one product.
    pub gate_up: Vec<Projection>,
    /// `[hidden, intermediate]`
    pub down: Projection,
}

impl LayerTensors {
    /// The same, each tensor changed.
    pub fn map(self, change: impl Fn(Tensor<1>) -> Tensor<1>) -> Self {
        let projection = |projection: Projection| Projection {
            weight: change(projection.weight),
            bias: projection.bias.map(&change),
            ..projection
        };
        Self {
            input_norm: change(self.input_norm),
            qkv: self.qkv.into_iter().map(projection).collect(),
            head_norms: self.head_norms.map(|(queries, keys)| (change(queries), change(keys))),
            output: projection(self.output),
            post_attention_norm: change(self.post_attention_norm),
            gate_up: self.gate_up.into_iter().map(projection).collect(),
            down: projection(self.down),
        }
    }
}

/// The sizes that a layer's tensors must have, and the epsilon of its norms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Numbers of a row of the residual stream.
    pub hidden: usize,
    /// Numbers of a row between gate and down projection.
    pub intermediate: usize,
    /// Of the attention.
    pub heads: Heads,
    /// The epsilon of the norms.
    pub eps: f32,
}

impl Sizes {
    /// As the config says.
    pub fn new(config: &ModelConfig) -> Self {
        let heads = Heads { queries: config.num_heads, kv: config.num_kv_heads, dim: config.head_dim };
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        Self { hidden, intermediate, heads, eps: config.rms_norm_eps as f32 }
    }
}

impl LayerTensors {
    /// Fetches each tensor of the layer, flat, by its role; `fetch` answers `None` for what the model does not have.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] or [`Error::WrongSize`] for a tensor that is not there or does not fit `sizes`; those
    /// of `fetch`.
    pub fn fetch(sizes: Sizes, mut fetch: impl FnMut(Role) -> Result<Option<Tensor<1>>, Error>) -> Result<Self, Error> {
        let Sizes { hidden, intermediate, heads, .. } = sizes;
        let (q, kv) = (heads.queries * heads.dim, heads.kv * heads.dim);
        let mut optional = |role: Role, expected: usize| {
            let Some(tensor) = fetch(role)? else { return Ok(None) };
            let [found] = tensor.dims();
            if found == expected { Ok(Some(tensor)) } else { Err(Error::WrongSize { role, found, expected }) }
        };
        let head_norms = optional(Role::QNorm, heads.dim)?.zip(optional(Role::KNorm, heads.dim)?);
        let mut norm = |role| optional(role, hidden)?.ok_or(Error::MissingTensor { role });
        let (input_norm, post_attention_norm) = (norm(Role::InputNorm)?, norm(Role::PostAttentionNorm)?);
        let mut projection = |role, bias, outputs: usize, inputs: usize| {
            let weight = optional(role, outputs * inputs)?.ok_or(Error::MissingTensor { role })?;
            Ok::<_, Error>(Projection { weight, bias: optional(bias, outputs)?, outputs, inputs })
        };
        Ok(Self {
            input_norm,
            qkv: vec![
                projection(Role::QProj, Role::QBias, q, hidden)?,
                projection(Role::KProj, Role::KBias, kv, hidden)?,
                projection(Role::VProj, Role::VBias, kv, hidden)?,
            ],
            head_norms,
            output: projection(Role::OProj, Role::OBias, hidden, q)?,
            post_attention_norm,
            gate_up: vec![
                projection(Role::GateProj, Role::GateBias, intermediate, hidden)?,
                projection(Role::UpProj, Role::UpBias, intermediate, hidden)?,
            ],
            down: projection(Role::DownProj, Role::DownBias, hidden, intermediate)?,
        })
    }
}
