//! Tiny models, written to a temporary folder.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::path::Path;

use layer_ir::{BaseRule, Identity, MethodSpec};
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use tailor_registry::Parameter;

const SHARED: &[Parameter] = &[
    Parameter::number("coefficient", -10.0, 10.0, "A factor.").optional(),
    Parameter::number("lambda", -10.0, 10.0, "A factor.").optional(),
    Parameter::flag("normalize", true, "A flag."),
];
const PER_SOURCE: &[Parameter] = &[Parameter::number("weight", -10.0, 10.0, "A weight.").optional()];

const fn method(name: &'static str, base: BaseRule, identity: Identity) -> MethodSpec {
    MethodSpec { base, identity, shared: SHARED, per_source: PER_SOURCE, ..MethodSpec::new(name, "A method.") }
}

/// As the methods of these names in `merge-ops`, as far as the tests here need them.
pub const METHODS: [MethodSpec; 5] = [
    method("linear", BaseRule::Never, Identity::OnlySourceWhere(&[("weight", 1.0)])),
    method("passthrough", BaseRule::Never, Identity::OnlySourceWhere(&[])),
    method("ties", BaseRule::Always, Identity::BaseWhere("lambda", 0.0)),
    method("task_arithmetic", BaseRule::Always, Identity::BaseWhere("lambda", 0.0)),
    method("gptailor_task_arithmetic", BaseRule::Always, Identity::BaseWhere("coefficient", 0.0)),
];

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

pub const LAYERS: usize = 6;

/// A config of a tiny Llama, with changes.
pub fn config(changes: Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 5, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 64, "torch_dtype": "float32"
    });
    if let (Some(config), Value::Object(changes)) = (config.as_object_mut(), changes) {
        config.extend(changes);
    }
    config
}

/// Names and shapes of the tiny Llama's tensors.
pub fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![5, 8])];
    for layer in 0..LAYERS {
        for (suffix, shape) in [
            ("input_layernorm", vec![8]),
            ("self_attn.q_proj", vec![8, 8]),
            ("self_attn.k_proj", vec![4, 8]),
            ("self_attn.v_proj", vec![4, 8]),
            ("self_attn.o_proj", vec![8, 8]),
            ("post_attention_layernorm", vec![8]),
            ("mlp.gate_proj", vec![12, 8]),
            ("mlp.up_proj", vec![12, 8]),
            ("mlp.down_proj", vec![8, 12]),
        ] {
            shapes.push((format!("model.layers.{layer}.{suffix}.weight"), shape));
        }
    }
    shapes.extend([("model.norm.weight".to_owned(), vec![8]), ("lm_head.weight".to_owned(), vec![5, 8])]);
    shapes
}

/// The bytes of a safetensors file: element `i` of each tensor is `i / 4`.
pub fn file(
    shapes: &[(String, Vec<usize>)],
    dtype: safetensors::Dtype,
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes = |value: f32| match dtype {
        safetensors::Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        safetensors::Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    let data = |shape: &[usize]| -> Vec<u8> {
        (0..shape.iter().product()).flat_map(|i: usize| bytes(i as f32 / 4.0)).collect()
    };
    let all: Vec<_> = shapes.iter().map(|(name, shape)| (name, shape, data(shape))).collect();
    let views = all.iter().map(|(name, shape, data)| Ok((name, TensorView::new(dtype, (*shape).clone(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    safetensors::serialize(views, None)
}

/// Writes a model of one file.
pub fn model(folder: &Path, config: &Value, shapes: &[(String, Vec<usize>)], dtype: safetensors::Dtype) -> Outcome {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("config.json"), config.to_string())?;
    std::fs::write(folder.join("model.safetensors"), file(shapes, dtype)?)?;
    Ok(())
}

/// Writes the tiny Llama.
pub fn llama(folder: &Path) -> Outcome {
    model(folder, &config(json!({})), &shapes(), safetensors::Dtype::F32)
}

/// Writes the tiny Llama in two shards.
pub fn sharded(folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("config.json"), config(json!({})).to_string())?;
    let all = shapes();
    let (first, second) = all.split_at(30);
    let mut map = Map::new();
    for (shard, part) in [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)] {
        std::fs::write(folder.join(shard), file(part, safetensors::Dtype::BF16)?)?;
        map.extend(part.iter().map(|(name, _)| (name.clone(), shard.into())));
    }
    std::fs::write(folder.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string())?;
    Ok(())
}
