//! Llama checkpoints of random bf16 weights, a shard per layer. The same shape always gives the same files.
//!
//! Speed does not depend on what the weights say, so that models of any size can be measured without downloading one.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

use crate::Outcome;

/// The sizes of a Llama model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Width of the residual stream; a multiple of [`Self::heads`].
    pub hidden: usize,
    /// Width of the feed-forward network.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values, of which each serves equally many attention heads.
    pub kv_heads: usize,
    /// Tokens known.
    pub vocabulary: usize,
}

impl Shape {
    /// A known shape: `d512` (8 layers), `smollm2-135m` (30 layers), `llama-1b` (TinyLlama's, 22 layers) or `llama-7b`
    /// (Llama 2's, 32 layers, 13 GB).
    ///
    /// ```
    /// let shape = tailor_benches::Shape::named("d512")?.with_layers(4);
    /// assert_eq!((shape.hidden, shape.layers), (512, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For any other name.
    pub fn named(name: &str) -> Outcome<Self> {
        let [hidden, intermediate, layers, heads, kv_heads, vocabulary] = match name {
            "d512" => [512, 1376, 8, 8, 8, 4096],
            "smollm2-135m" => [576, 1536, 30, 9, 3, 49_152],
            "llama-1b" => [2048, 5632, 22, 32, 4, 32_000],
            "llama-7b" => [4096, 11_008, 32, 32, 32, 32_000],
            _ => return Err(format!("{name}: the shape is d512, smollm2-135m, llama-1b or llama-7b").into()),
        };
        Ok(Self { hidden, intermediate, layers, heads, kv_heads, vocabulary })
    }

    /// The same with another number of layers.
    #[must_use]
    pub fn with_layers(self, layers: usize) -> Self {
        Self { layers, ..self }
    }

    /// Writes a checkpoint of this shape into a folder, which is made: the base (`variant` 0), or a variant of it from
    /// 1 on. There is no tokenizer.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: &Path, variant: u64) -> Outcome {
        std::fs::create_dir_all(out)?;
        let (d, vocabulary) = (self.hidden, self.vocabulary);
        let mut files = BTreeMap::new();
        let (embedding, head, norm) = ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight");
        let ends = [(embedding, vec![vocabulary, d]), (norm, vec![d]), (head, vec![vocabulary, d])];
        write_shard(out, "ends.safetensors", &ends.map(|(name, shape)| (name.to_owned(), shape)), variant, &mut files)?;
        for layer in 0..self.layers {
            write_shard(out, &format!("layer-{layer:02}.safetensors"), &self.layer(layer), variant, &mut files)?;
        }
        let index = serde_json::json!({ "metadata": {}, "weight_map": files });
        std::fs::write(out.join("model.safetensors.index.json"), index.to_string())?;
        let config = serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "hidden_act": "silu",
            "hidden_size": d, "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads, "head_dim": d / self.heads,
            "vocab_size": vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
            "tie_word_embeddings": false,
        });
        std::fs::write(out.join("config.json"), format!("{config:#}"))?;
        Ok(())
    }

    /// Names and shapes of a layer's tensors.
    fn layer(&self, layer: usize) -> [(String, Vec<usize>); 9] {
        let (d, f) = (self.hidden, self.intermediate);
        let kv = self.kv_heads * d / self.heads;
        let tensors = [
            ("input_layernorm", vec![d]),
            ("self_attn.q_proj", vec![d, d]),
            ("self_attn.k_proj", vec![kv, d]),
            ("self_attn.v_proj", vec![kv, d]),
            ("self_attn.o_proj", vec![d, d]),
            ("post_attention_layernorm", vec![d]),
            ("mlp.gate_proj", vec![f, d]),
            ("mlp.up_proj", vec![f, d]),
            ("mlp.down_proj", vec![d, f]),
        ];
        tensors.map(|(suffix, shape)| (format!("model.layers.{layer}.{suffix}.weight"), shape))
    }
}

/// Writes tensors into a file of `out`, and enters the file under each of their names into `files`, the index.
fn write_shard(
    out: &Path,
    file: &str,
    tensors: &[(String, Vec<usize>)],
    variant: u64,
    files: &mut BTreeMap<String, String>,
) -> Outcome {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(name, shape)| random(name, shape, variant)).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, shape), bytes) in tensors.iter().zip(&bytes) {
        views.push((name, TensorView::new(Dtype::BF16, shape.clone(), bytes)?));
    }
    safetensors::serialize_to_file(views, None, &out.join(file))?;
    files.extend(tensors.iter().map(|(name, _)| (name.clone(), file.to_owned())));
    Ok(())
}

/// How large a variant's differences to the base are, relative to the numbers themselves.
const DIFFERENCE: f32 = 0.02;

/// A tensor's bytes in bf16: uniform numbers of deviation `1 / sqrt(inputs)`, which keeps activations of order 1; norms
/// are 1. A variant's differ from the base's a little. Each block of numbers has a stream of its own, so that threads
/// can share a tensor and the result does not depend on how many there are.
fn random(name: &str, shape: &[usize], variant: u64) -> Vec<u8> {
    let count: usize = shape.iter().product();
    if shape.len() == 1 {
        return half::bf16::ONE.to_le_bytes().repeat(count);
    }
    let seed = name.bytes().fold(17_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let width = (12.0 / shape[1] as f32).sqrt();
    let chunk = 1 << 16;
    let mut bytes = vec![0; 2 * count];
    bytes.par_chunks_mut(2 * chunk).enumerate().for_each(|(index, bytes)| {
        let mut base = Stream(seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut own = Stream(base.0 ^ variant.wrapping_mul(0xd1b5_4a32_d192_ed03));
        for slot in bytes.as_chunks_mut::<2>().0 {
            let difference = if variant == 0 { 0.0 } else { DIFFERENCE * own.next() };
            *slot = half::bf16::from_f32((base.next() + difference) * width).to_le_bytes();
        }
    });
    bytes
}

/// Knuth's linear congruential generator.
struct Stream(u64);

impl Stream {
    /// Uniform in -0.5 to 0.5.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}
