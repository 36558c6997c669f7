//! The size and the work of a model, counted exactly from a config or from stored shapes. No weight is read.

use serde::Serialize;

use crate::config::keys_width;
use crate::{Alignment, Checkpoint, Dtype, ModelConfig, OuterTensor, ValidRecipe};

/// Sizes and work of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Decoder layers.
    pub layers: usize,
    /// Stored weights; a tied head counts once, with the embedding.
    pub parameters: u64,
    /// Bytes of the weights, all in one number format.
    pub bytes: u64,
    /// Floating-point operations of the matrix products for one token, head included, 2 per multiply-add; attention
    /// over the context is not in it: it adds `4 * heads * head_dim` per layer and token seen.
    pub flops_per_token: u64,
    /// Bytes of keys and values kept for one token; `None` where the config of an unknown architecture does not say how
    /// wide they are.
    pub kv_bytes_per_token: Option<u64>,
}

impl Cost {
    /// The cost of a model made as `config` says, but of `layers` layers, its weights and its cache in `dtype`.
    ///
    /// ```
    /// # let raw = serde_json::json!({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
    /// #   "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000, "rms_norm_eps": 1e-5});
    /// # let config = layer_ir::ModelConfig::from_json(raw.as_object().unwrap(), "config.json".as_ref())?;
    /// let llama2_7b = layer_ir::Cost::of(&config, 32, layer_ir::Dtype::F16);
    /// assert_eq!(llama2_7b.parameters, 6_738_415_616);
    /// # Ok::<(), layer_ir::Error>(())
    /// ```
    #[must_use]
    pub fn of(config: &ModelConfig, layers: usize, dtype: Dtype) -> Self {
        let layer = Count::of(config.layer_tensors().iter().map(|tensor| tensor.shape.as_slice()));
        let vocabulary = elements(&[config.vocab_size, config.hidden_size]);
        let head = if config.tie_word_embeddings { 0 } else { vocabulary };
        let outside = vocabulary.saturating_add(head).saturating_add(config.hidden_size as u64);
        let keys = config.num_kv_heads * config.head_dim;
        Self::from_counts(layers, dtype, &layer, Outside { parameters: outside, head: vocabulary, keys: Some(keys) })
    }

    /// The cost of a stored model with another number of layers, counted from its tensors, whatever its architecture.
    #[must_use]
    pub fn of_checkpoint(model: &Checkpoint, layers: usize, dtype: Dtype) -> Self {
        Self::with_rows(model, layers, dtype, None)
    }

    /// The cost of a recipe's model, whose embedding and head have as many rows as its vocabulary has tokens; `base` is
    /// the base of its family.
    #[must_use]
    pub fn of_recipe(base: &Checkpoint, recipe: &ValidRecipe, dtype: Dtype) -> Self {
        Self::with_rows(base, recipe.layers.len(), dtype, recipe.alignment().map(Alignment::rows))
    }

    /// `rows`: how many the embedding and the head have, if not as many as they are stored with.
    fn with_rows(model: &Checkpoint, layers: usize, dtype: Dtype, rows: Option<usize>) -> Self {
        let layer = Count::of(model.layer_tensors().iter().map(|tensor| tensor.shape.as_slice()));
        let size = |outer: OuterTensor| {
            let mut shape = model.tensor(model.outer_name(outer)?).ok()?.shape;
            if let Some((first, rows)) =
                shape.first_mut().zip(rows.filter(|_| OuterTensor::WITH_TOKENS.contains(&outer)))
            {
                *first = rows;
            }
            Some(elements(&shape))
        };
        let others = model.other_tensors().filter_map(|name| model.tensor(name).ok());
        let outside = OuterTensor::ALL.into_iter().filter_map(size).chain(others.map(|view| elements(&view.shape)));
        let head = size(OuterTensor::Head).or_else(|| size(OuterTensor::Embedding)).unwrap_or(0);
        let keys = match model.config() {
            Ok(config) => Some(config.num_kv_heads * config.head_dim),
            Err(_) => keys_width(model.raw_config()),
        };
        let outside = Outside { parameters: outside.fold(0, u64::saturating_add), head, keys };
        Self::from_counts(layers, dtype, &layer, outside)
    }

    /// Puts the numbers together. A config that no model can have must not overflow: sums and products stop at
    /// `u64::MAX`.
    fn from_counts(layers: usize, dtype: Dtype, layer: &Count, outside: Outside) -> Self {
        let (size, count) = (dtype.size_in_bytes() as u64, layers as u64);
        let parameters = layer.parameters.saturating_mul(count).saturating_add(outside.parameters);
        let products = layer.products.saturating_mul(count).saturating_add(outside.head);
        let kv = outside.keys.map(|keys| elements(&[2, keys, layers]).saturating_mul(size));
        Self {
            layers,
            parameters,
            bytes: parameters.saturating_mul(size),
            flops_per_token: products.saturating_mul(2),
            kv_bytes_per_token: kv,
        }
    }
}

/// Numbers beside those of the layers.
struct Outside {
    /// Weights that are in no layer.
    parameters: u64,
    /// Weights of the product that makes the logits.
    head: u64,
    /// Width of one layer's keys, of its heads together.
    keys: Option<usize>,
}

/// Numbers of one layer.
struct Count {
    /// All weights.
    parameters: u64,
    /// Those of matrices.
    products: u64,
}

impl Count {
    /// Adds up tensors; those of two dimensions are multiplied with each token.
    fn of<'a>(shapes: impl Iterator<Item = &'a [usize]>) -> Self {
        shapes.fold(Self { parameters: 0, products: 0 }, |count, shape| Self {
            parameters: count.parameters.saturating_add(elements(shape)),
            products: count.products.saturating_add(if shape.len() == 2 { elements(shape) } else { 0 }),
        })
    }
}

/// How many numbers a shape has; `u64::MAX` instead of an overflow.
fn elements(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |product, n| product.saturating_mul(*n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// hidden, MLP, layers, heads, key/value heads, vocabulary.
    fn config(sizes: [usize; 6], more: Value) -> Result<ModelConfig, crate::Error> {
        let [hidden, wide, layers, heads, kv_heads, vocabulary] = sizes;
        let mut raw = json!({
            "model_type": "llama", "hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary
        });
        if let (Some(raw), Value::Object(more)) = (raw.as_object_mut(), more) {
            raw.extend(more);
        }
        ModelConfig::from_json(raw.as_object().unwrap_or(&serde_json::Map::new()), "config.json".as_ref())
    }

    #[test]
    fn parameters_of_published_models_are_exact() -> Result<(), crate::Error> {
        let qwen2 = json!({"model_type": "qwen2", "tie_word_embeddings": true});
        let qwen3 = json!({"model_type": "qwen3", "tie_word_embeddings": true, "head_dim": 128});
        let known = [
            ("Llama-2-7b", [4096, 11_008, 32, 32, 32, 32_000], json!({}), 6_738_415_616),
            ("Llama-2-13b", [5120, 13_824, 40, 40, 40, 32_000], json!({}), 13_015_864_320),
            ("Llama-3-8B", [4096, 14_336, 32, 32, 8, 128_256], json!({}), 8_030_261_248),
            ("Mistral-7B-v0.1", [4096, 14_336, 32, 32, 8, 32_000], json!({"model_type": "mistral"}), 7_241_732_096),
            ("Qwen2-0.5B", [896, 4864, 24, 14, 2, 151_936], qwen2, 494_032_768),
            ("Qwen3-0.6B", [1024, 3072, 28, 16, 8, 151_936], qwen3, 596_049_920),
        ];
        for (name, sizes, more, parameters) in known {
            let config = config(sizes, more)?;
            assert_eq!(Cost::of(&config, config.num_layers, Dtype::BF16).parameters, parameters, "{name}");
        }
        Ok(())
    }

    #[test]
    fn work_and_cache_count_what_one_token_needs() -> Result<(), crate::Error> {
        let llama3 = Cost::of(&config([4096, 14_336, 32, 32, 8, 128_256], json!({}))?, 32, Dtype::BF16);
        // 8 key/value heads of 128, keys and values, 32 layers, 2 bytes.
        assert_eq!(llama3.kv_bytes_per_token, Some(131_072));
        assert_eq!(llama3.bytes, 2 * llama3.parameters);
        // All weights but the embedding and the 65 norms, twice.
        assert_eq!(llama3.flops_per_token, 2 * (llama3.parameters - 128_256 * 4096 - 65 * 4096));
        Ok(())
    }

    #[test]
    fn a_config_of_no_model_does_not_overflow() -> Result<(), crate::Error> {
        let most = u32::MAX as usize - 1;
        let config = config([most, most, 100_000, 2, 1, most], json!({"head_dim": most}))?;
        assert_eq!(Cost::of(&config, 100_000, Dtype::F32).bytes, u64::MAX);
        Ok(())
    }
}
