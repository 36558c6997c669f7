//! A net as a Hugging Face checkpoint in bf16, there and back.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::bf16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::json;

use crate::net::{Layer, NORM_EPSILON, Net, ROPE_THETA, Sizes};
use crate::tokens::{BOS, EOS, PAD, tokenizer_config, tokenizer_json};

/// Tensors by Hugging Face's names, with their shapes.
pub type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The names of a layer's matrices and norms below `model.layers.N.`, each with its place in [`Layer`].
type Place<const D: usize> = (&'static str, fn(&mut Layer) -> &mut Param<Tensor<D>>);
const MATRICES: [Place<2>; 7] = [
    ("self_attn.q_proj", |layer| &mut layer.q),
    ("self_attn.k_proj", |layer| &mut layer.k),
    ("self_attn.v_proj", |layer| &mut layer.v),
    ("self_attn.o_proj", |layer| &mut layer.output),
    ("mlp.gate_proj", |layer| &mut layer.gate),
    ("mlp.up_proj", |layer| &mut layer.up),
    ("mlp.down_proj", |layer| &mut layer.down),
];
const NORMS: [Place<1>; 2] =
    [("input_layernorm", |layer| &mut layer.attention_norm), ("post_attention_layernorm", |layer| &mut layer.mlp_norm)];

fn layer_tensor(layer: usize, rest: &str) -> String {
    format!("model.layers.{layer}.{rest}.weight")
}

/// The weights of `net`, matrices `[in, out]` turned into `[out, in]`.
pub fn weights(mut net: Net) -> Result<Weights, Box<dyn Error>> {
    let mut all = Weights::new();
    let mut put = |name: String, shape: Vec<usize>, data: TensorData| -> Result<(), Box<dyn Error>> {
        all.insert(name, (shape, data.try_into_vec()?));
        Ok(())
    };
    for (i, layer) in net.layers.iter_mut().enumerate() {
        for (name, place) in MATRICES {
            let matrix = place(layer).val().transpose();
            put(layer_tensor(i, name), matrix.dims().to_vec(), matrix.into_data())?;
        }
        for (name, place) in NORMS {
            let norm = place(layer).val();
            put(layer_tensor(i, name), norm.dims().to_vec(), norm.into_data())?;
        }
    }
    let (embedding, norm, head) = (net.embedding.val(), net.norm.val(), net.head.val().transpose());
    put("model.embed_tokens.weight".into(), embedding.dims().to_vec(), embedding.into_data())?;
    put("model.norm.weight".into(), norm.dims().to_vec(), norm.into_data())?;
    put("lm_head.weight".into(), head.dims().to_vec(), head.into_data())?;
    Ok(all)
}

/// Puts `all` into the places of `net`.
pub fn put(all: &Weights, mut net: Net, device: &Device) -> Result<Net, Box<dyn Error>> {
    let get = |name: &str| -> Result<TensorData, Box<dyn Error>> {
        let (shape, values) = all.get(name).ok_or_else(|| format!("tensor `{name}` is missing"))?;
        Ok(TensorData::new(values.clone(), shape.clone()))
    };
    let vector = |name: &str| Ok::<_, Box<dyn Error>>(Param::from_tensor(Tensor::from_data(get(name)?, device)));
    let matrix = |name: &str| Ok::<_, Box<dyn Error>>(Tensor::<2>::from_data(get(name)?, device));
    for (i, layer) in net.layers.iter_mut().enumerate() {
        for (name, place) in MATRICES {
            *place(layer) = Param::from_tensor(matrix(&layer_tensor(i, name))?.transpose());
        }
        for (name, place) in NORMS {
            *place(layer) = vector(&layer_tensor(i, name))?;
        }
    }
    net.embedding = Param::from_tensor(matrix("model.embed_tokens.weight")?);
    net.norm = vector("model.norm.weight")?;
    net.head = Param::from_tensor(matrix("lm_head.weight")?.transpose());
    Ok(net)
}

/// Reads `model.safetensors` of `folder`.
pub fn load(folder: &Path) -> Result<Weights, Box<dyn Error>> {
    let bytes = fs::read(folder.join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let values =
        |data: &[u8]| data.chunks_exact(2).map(|pair| bf16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect();
    Ok(tensors.iter().map(|(name, view)| (name.to_string(), (view.shape().to_vec(), values(view.data())))).collect())
}

/// Writes `config.json`, `model.safetensors`, the tokenizer and `generation_config.json` into `folder`.
pub fn save(folder: &Path, all: &Weights, sizes: Sizes) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for (name, value) in [
        ("config.json", config(sizes)),
        (
            "generation_config.json",
            json!({"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "do_sample": false}),
        ),
        ("tokenizer.json", tokenizer_json()),
        ("tokenizer_config.json", tokenizer_config()),
    ] {
        fs::write(folder.join(name), serde_json::to_string_pretty(&value)?)?;
    }
    let halves = |values: &[f32]| values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
    let stored: Vec<(&String, &Vec<usize>, Vec<u8>)> =
        all.iter().map(|(name, (shape, values))| (name, shape, halves(values))).collect();
    let views = stored
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::BF16, (*shape).clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, Some(metadata))?)?;
    Ok(())
}

/// `config.json`, with rope in the older spelling and in the newer one.
fn config(sizes: Sizes) -> serde_json::Value {
    let Sizes { layers, width, heads, hidden, vocabulary } = sizes;
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
        "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
        "head_dim": width / heads, "hidden_act": "silu", "max_position_embeddings": 128,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA, "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false, "initializer_range": 0.02,
        "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "use_cache": true
    })
}
