//! Families on the hub, from a server that answers as the hub does.
#![cfg(feature = "download")]

#[path = "../../hub/tests/support/fake_hub.rs"]
mod fake_hub;

use std::path::Path;

use fake_hub::{FakeHub, Outcome};
use layer_ir::{Checkpoint, Error, Hub, ModelFinder, resolve_model_with};
use tailor_hub::Download;

const CONFIG: &str = r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 8,
    "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "torch_dtype": "float16", "hidden_act": "silu",
    "max_position_embeddings": 32, "tie_word_embeddings": false}"#;

fn hub(server: &FakeHub, cache: &Path) -> Hub {
    Hub { cache: cache.to_owned(), download: Some(Download::new(&server.endpoint, None)), ..Hub::default() }
}

/// An index of pickles with all tensors of the config but those that `left_out` says.
fn index(left_out: &str) -> String {
    let layer = |layer: usize| {
        let of = ["q_proj", "k_proj", "v_proj", "o_proj"].map(|name| format!("self_attn.{name}"));
        let mlp = ["gate_proj", "up_proj", "down_proj"].map(|name| format!("mlp.{name}"));
        let norms = ["input_layernorm", "post_attention_layernorm"].map(str::to_owned);
        let all = of.into_iter().chain(mlp).chain(norms);
        all.map(move |name| format!("model.layers.{layer}.{name}.weight")).collect::<Vec<_>>()
    };
    let outer = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"].map(str::to_owned);
    let names = (0..2).flat_map(layer).chain(outer).filter(|name| name != left_out);
    let entries: Vec<String> = names.map(|name| format!(r#""{name}": "pytorch_model-1.bin""#)).collect();
    format!(r#"{{"weight_map": {{{}}}}}"#, entries.join(", "))
}

fn pickles(index: String, config: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (config, index) = (config.as_bytes().to_vec(), index.into_bytes());
    vec![("config.json", config), ("pytorch_model.bin.index.json", index), ("pytorch_model-1.bin", vec![1; 100])]
}

#[test]
fn names_and_shapes_of_pickles_are_what_index_and_config_say() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &pickles(index(""), CONFIG))?, tempfile::tempdir()?);
    let hub = Hub { headers_only: true, ..hub(&server, cache.path()) };
    let folder = resolve_model_with("org/name", Path::new("."), &hub)?;
    let outline = Checkpoint::open_outline(&folder)?;
    let tensor = outline.tensor("model.layers.1.mlp.down_proj.weight")?;
    assert_eq!((tensor.shape.as_slice(), tensor.stored_bytes(), outline.tensor_names().count()), (&[4, 6][..], 48, 21));
    assert!(!server.paths().iter().any(|path| path.ends_with("pytorch_model-1.bin")));
    // A folder that is nobody's promise has no weights.
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("config.json"), CONFIG)?;
    assert!(matches!(Checkpoint::open_outline(folder.path()), Err(Error::NoWeights { .. })));
    Ok(())
}

#[test]
fn a_tensor_that_is_missing_is_known_before_the_weights_come() -> Outcome {
    let name = "model.layers.1.mlp.up_proj.weight";
    let (server, cache) = (FakeHub::new("models/org/name", &pickles(index(name), CONFIG))?, tempfile::tempdir()?);
    let hub = hub(&server, cache.path());
    let error = resolve_model_with("org/name", Path::new("."), &hub).expect_err("a tensor is missing");
    assert!(matches!(&error, Error::MissingTensor { name: missing, .. } if missing == name), "{error}");
    assert!(!server.paths().iter().any(|path| path.ends_with("pytorch_model-1.bin")));
    Ok(())
}

#[test]
fn a_variant_of_another_size_is_known_before_the_weights_come() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/base", &pickles(index(""), CONFIG))?, tempfile::tempdir()?);
    let wider = CONFIG.replace("\"intermediate_size\": 6", "\"intermediate_size\": 7");
    server.add("models/org/other", &pickles(index(""), &wider));
    let hub = hub(&server, cache.path());
    let mut finder = ModelFinder::new(&hub);
    let models =
        [("base", finder.find("org/base", Path::new("."))?), ("it", finder.find("org/other", Path::new("."))?)];
    let error = finder.complete(&models.into(), "base", false).expect_err("of another size");
    assert!(matches!(&error, Error::Incompatible { model, .. } if model == "it"), "{error}");
    assert!(!server.paths().iter().any(|path| path.ends_with("pytorch_model-1.bin")));
    Ok(())
}
