//! One layer's tensors, joined for few and large products.

use burn::tensor::Tensor;
use layer_ir::{ModelConfig, Role};

use crate::Error;
use crate::ops::Heads;

/// A matrix product's weight, seen as `[in, out]`, and its bias.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<2>>,
}

impl Linear {
    /// `x W + b`, `x` being `[n, in]`.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.clone());
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }
}

/// A decoder layer, ready to run.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub input_norm: Tensor<1>,
    /// Queries, keys and values side by side.
    pub qkv: Linear,
    /// Over each head's queries and keys.
    pub head_norms: Option<(Tensor<1>, Tensor<1>)>,
    pub output: Linear,
    pub post_attention_norm: Tensor<1>,
    /// Gate and up side by side.
    pub gate_up: Linear,
    pub down: Linear,
    /// What the layer takes in memory.
    pub bytes: usize,
}

/// The sizes that a layer's tensors must have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: Heads,
}

impl Sizes {
    pub fn new(config: &ModelConfig) -> Self {
        let heads = Heads { queries: config.num_heads, kv: config.num_kv_heads, dim: config.head_dim };
        Self { hidden: config.hidden_size, intermediate: config.intermediate_size, heads }
    }
}

impl LayerWeights {
    /// Fetches each tensor of the layer, flat and in f32, by its role; `fetch` answers `None` for what the model has not.
    pub fn build(sizes: Sizes, mut fetch: impl FnMut(Role) -> Result<Option<Tensor<1>>, Error>) -> Result<Self, Error> {
        let Sizes { hidden, intermediate, heads } = sizes;
        let (q, kv) = (heads.queries * heads.dim, heads.kv * heads.dim);
        let mut parts = Parts { fetch: &mut fetch, elements: 0 };
        let qkv = [(Role::QProj, Role::QBias, q), (Role::KProj, Role::KBias, kv), (Role::VProj, Role::VBias, kv)];
        let gate_up = [(Role::GateProj, Role::GateBias, intermediate), (Role::UpProj, Role::UpBias, intermediate)];
        let mut layer = Self {
            input_norm: parts.required(Role::InputNorm, hidden)?,
            qkv: parts.joined(&qkv, hidden)?,
            head_norms: parts.optional(Role::QNorm, heads.dim)?.zip(parts.optional(Role::KNorm, heads.dim)?),
            output: parts.joined(&[(Role::OProj, Role::OBias, hidden)], q)?,
            post_attention_norm: parts.required(Role::PostAttentionNorm, hidden)?,
            gate_up: parts.joined(&gate_up, hidden)?,
            down: parts.joined(&[(Role::DownProj, Role::DownBias, hidden)], intermediate)?,
            bytes: 0,
        };
        layer.bytes = parts.elements * size_of::<f32>();
        Ok(layer)
    }
}

/// Fetches tensors and counts their elements.
struct Parts<'a, F> {
    fetch: &'a mut F,
    elements: usize,
}

impl<F: FnMut(Role) -> Result<Option<Tensor<1>>, Error>> Parts<'_, F> {
    fn optional(&mut self, role: Role, expected: usize) -> Result<Option<Tensor<1>>, Error> {
        let Some(tensor) = (self.fetch)(role)? else { return Ok(None) };
        let [found] = tensor.dims();
        if found != expected {
            return Err(Error::WrongSize { role, found, expected });
        }
        self.elements += found;
        Ok(Some(tensor))
    }

    fn required(&mut self, role: Role, expected: usize) -> Result<Tensor<1>, Error> {
        self.optional(role, expected)?.ok_or(Error::MissingTensor { role })
    }

    /// The products of one input (weight, bias, outputs) as one.
    fn joined(&mut self, products: &[(Role, Role, usize)], input: usize) -> Result<Linear, Error> {
        let outputs = products.iter().map(|(.., output)| output).sum();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for &(weight, bias, output) in products {
            weights.push(self.required(weight, output * input)?);
            biases.push(self.optional(bias, output)?);
        }
        // A checkpoint's [out, in], seen transposed: the products take any strides.
        let weight = joined(weights).reshape([outputs, input]).transpose();
        let device = weight.device();
        let bias = biases.iter().any(Option::is_some).then(|| {
            let or_zeros = |(bias, (.., output)): (Option<Tensor<1>>, &(Role, Role, usize))| {
                bias.unwrap_or_else(|| Tensor::zeros([*output], &device))
            };
            joined(biases.into_iter().zip(products).map(or_zeros).collect()).unsqueeze()
        });
        Ok(Linear { weight, bias })
    }
}

/// One after the other; a single one is not copied.
fn joined(mut parts: Vec<Tensor<1>>) -> Tensor<1> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}
