//! What does a model cost? Exact counts from a config alone.

use serde::Serialize;

use crate::architecture::layer_table;
use crate::{Dtype, ModelConfig};

/// Sizes and work of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Decoder layers.
    pub layers: usize,
    /// Stored weights; a tied head counts once.
    pub parameters: u64,
    /// Bytes of the weights.
    pub bytes: u64,
    /// Floating-point operations of the matrix products for one token, head included, 2 per multiply-add; attention
    /// over the context is not in it: it adds `4 * heads * head_dim` per layer and token seen.
    pub flops_per_token: u64,
    /// Bytes of keys and values kept for one token.
    pub kv_bytes_per_token: u64,
}

impl Cost {
    /// The cost of a model made as `config` says, but of `layers` layers, its weights and its cache in `dtype`.
    ///
    /// Exact for the architectures with a table ([`crate::Architecture`]); 0 parameters per layer for others, whose counts come from
    /// their weights: [`Cost::of_checkpoint`].
    /// ```
    /// # let raw = serde_json::json!({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    /// #   "num_attention_heads": 32, "vocab_size": 32000, "rms_norm_eps": 1e-5});
    /// # let config = layer_ir::ModelConfig::from_json(raw.as_object().unwrap(), "config.json".as_ref())?;
    /// let llama2_7b = layer_ir::Cost::of(&config, 32, layer_ir::Dtype::F16);
    /// assert_eq!(llama2_7b.parameters, 6_738_415_616);
    /// # Ok::<(), layer_ir::Error>(())
    /// ```
    #[must_use]
    pub fn of(config: &ModelConfig, layers: usize, dtype: Dtype) -> Self {
        let elements = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
        let table = layer_table(config);
        let layer: u64 = table.iter().map(|tensor| elements(&tensor.shape)).sum();
        let matrices: u64 = table.iter().filter(|t| t.shape.len() == 2).map(|t| elements(&t.shape)).sum();
        let vocabulary = elements(&[config.vocab_size, config.hidden_size]);
        let heads = if config.tie_word_embeddings { 0 } else { vocabulary };
        Self::from_counts(
            config,
            layers,
            dtype,
            layers as u64 * layer + vocabulary + heads + config.hidden_size as u64,
            layers as u64 * matrices + vocabulary,
        )
    }

    /// The cost of a stored model, counted from its tensors, with another number of layers.
    #[must_use]
    pub fn of_checkpoint(model: &crate::Checkpoint, layers: usize, dtype: Dtype) -> Self {
        if !matches!(model.config().architecture, crate::Architecture::Other(_)) {
            return Self::of(model.config(), layers, dtype);
        }
        let elements = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
        let layer: u64 = model.layer_tensors().iter().map(|tensor| elements(&tensor.shape)).sum();
        let matrices =
            model.layer_tensors().iter().filter(|t| t.shape.len() == 2).map(|t| elements(&t.shape)).sum::<u64>();
        let ends = crate::End::ALL.iter().filter_map(|end| model.end_name(*end));
        let outside = ends.chain(model.other_tensors()).filter_map(|name| model.tensor(name).ok());
        let outside: u64 = outside.map(|view| view.elements() as u64).sum();
        let head = (model.config().vocab_size * model.config().hidden_size) as u64;
        let products = layers as u64 * matrices + head;
        Self::from_counts(model.config(), layers, dtype, layers as u64 * layer + outside, products)
    }

    fn from_counts(config: &ModelConfig, layers: usize, dtype: Dtype, parameters: u64, products: u64) -> Self {
        let size = dtype.size_in_bytes() as u64;
        let kv = 2 * (config.num_kv_heads * config.head_dim * layers) as u64;
        Self {
            layers,
            parameters,
            bytes: parameters * size,
            flops_per_token: 2 * products,
            kv_bytes_per_token: kv * size,
        }
    }
}
