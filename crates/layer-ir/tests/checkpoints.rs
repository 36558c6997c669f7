//! Opening checkpoints: whole ones, and each way in which one can be broken.

mod support;

use std::path::Path;

use layer_ir::{Checkpoint, Dtype, Error, Family, OuterTensor, TensorView};
use serde_json::{Value, json};
use support::{LAYERS, Outcome, config, llama, model, shapes, sharded};

#[test]
fn one_file_opens_in_every_number_format() -> Outcome {
    let formats = [
        (safetensors::Dtype::F32, Dtype::F32),
        (safetensors::Dtype::F16, Dtype::F16),
        (safetensors::Dtype::BF16, Dtype::BF16),
    ];
    for (stored, dtype) in formats {
        let folder = tempfile::tempdir()?;
        model(folder.path(), &config(json!({})), &shapes(), stored)?;
        let opened = Checkpoint::open(folder.path())?;
        assert_eq!((opened.num_layers(), opened.dtype()), (LAYERS, dtype));
        let key = opened.tensor(&opened.layer_tensor_name(2, "self_attn.k_proj.weight"))?;
        assert_eq!((key.dtype, key.shape.as_slice(), key.elements()), (dtype, [4, 8].as_slice(), 32));
        assert_eq!(key.to_f32()[..3], [0.0, 0.25, 0.5]);
    }
    Ok(())
}

#[test]
fn a_part_of_a_tensor_is_read_from_its_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    sharded(folder.path())?;
    let opened = Checkpoint::open(folder.path())?;
    let stored = opened.tensor(&opened.layer_tensor_name(2, "self_attn.k_proj.weight"))?;
    let in_memory = TensorView { opened: None, ..stored.clone() };
    let mut part = [0; 7];
    for view in [&stored, &in_memory] {
        view.read(5, &mut part)?;
        assert_eq!(part, stored.data[5..12]);
    }
    assert!(matches!(in_memory.read(stored.data.len() - 6, &mut part), Err(Error::Read { .. })));
    std::fs::File::options().write(true).open(&stored.file)?.set_len(100)?;
    let cut = stored.read(5, &mut part);
    assert!(matches!(&cut, Err(Error::Read { file, .. }) if *file == stored.file), "{cut:?}");
    Ok(())
}

#[test]
fn shards_are_one_model() -> Outcome {
    let folder = tempfile::tempdir()?;
    sharded(folder.path())?;
    let opened = Checkpoint::open(folder.path())?;
    assert_eq!(opened.tensor_names().count(), shapes().len());
    assert_eq!(opened.outer_name(OuterTensor::Head), Some("lm_head.weight"));
    assert!(opened.tensor("model.norm.weight")?.file.ends_with("model-00002-of-00002.safetensors"));
    assert_eq!(opened.layer_tensors().len(), 9);
    assert_eq!(opened.other_tensors().count(), 0);
    Ok(())
}

#[test]
fn a_tied_head_is_none_even_if_it_is_stored() -> Outcome {
    let folder = tempfile::tempdir()?;
    model(folder.path(), &config(json!({"tie_word_embeddings": true})), &shapes(), safetensors::Dtype::F32)?;
    let opened = Checkpoint::open(folder.path())?;
    assert_eq!(opened.outer_name(OuterTensor::Head), None);
    assert_eq!(opened.other_tensors().count(), 0);
    Ok(())
}

#[test]
fn any_model_with_numbered_layers_opens() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut named: Vec<_> = vec![("transformer.wte.weight".to_owned(), vec![5, 8])];
    named.extend((0..2).map(|layer| (format!("transformer.h.{layer}.attn.weight"), vec![8, 24])));
    named.push(("transformer.ln_f.weight".to_owned(), vec![8]));
    model(folder.path(), &json!({"model_type": "gpt2", "num_hidden_layers": 2}), &named, safetensors::Dtype::F32)?;
    let opened = Checkpoint::open(folder.path())?;
    assert_eq!(opened.layer_tensor_name(1, "attn.weight"), "transformer.h.1.attn.weight");
    assert_eq!(opened.layer_tensors().iter().map(|tensor| tensor.role).collect::<Vec<_>>(), [None]);
    assert_eq!(opened.outer_name(OuterTensor::Embedding), Some("transformer.wte.weight"));
    assert_eq!(opened.outer_name(OuterTensor::FinalNorm), Some("transformer.ln_f.weight"));
    Ok(())
}

/// The message about a model that was spoilt.
fn spoilt(
    write: impl Fn(&Path) -> Outcome,
    spoil: impl Fn(&Path) -> std::io::Result<()>,
) -> Result<Error, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    write(folder.path())?;
    spoil(folder.path())?;
    Ok(Checkpoint::open(folder.path()).err().ok_or("it opened")?)
}

fn edit(file: &Path, edit: impl Fn(&mut Value)) -> std::io::Result<()> {
    let mut value = serde_json::from_slice(&std::fs::read(file)?)?;
    edit(&mut value);
    std::fs::write(file, value.to_string())
}

#[test]
fn a_path_that_leads_nowhere_is_named() {
    let error = Checkpoint::open("no/such/model").err();
    assert!(matches!(&error, Some(Error::Read { file, .. }) if file.ends_with("no/such/model")), "{error:?}");
}

#[test]
fn a_folder_without_config_or_weights_is_named() -> Outcome {
    let error = spoilt(llama, |folder| std::fs::remove_file(folder.join("config.json")))?;
    assert!(matches!(error, Error::NoConfig { .. }), "{error}");
    let error = spoilt(llama, |folder| std::fs::remove_file(folder.join("model.safetensors")))?;
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
    let error = spoilt(llama, |folder| std::fs::write(folder.join("config.json"), "{"))?;
    assert!(matches!(error, Error::Json { .. }), "{error}");
    Ok(())
}

#[test]
fn truncated_weights_are_named_wherever_they_end() -> Outcome {
    for kept in [0, 4, 8, 100, 4000] {
        let error = spoilt(llama, |folder| {
            let file = folder.join("model.safetensors");
            let whole = std::fs::read(&file)?;
            std::fs::write(file, &whole[..kept])
        })?;
        assert!(
            matches!(&error, Error::Safetensors { file, .. } if file.ends_with("model.safetensors")),
            "{kept}: {error}"
        );
    }
    Ok(())
}

#[test]
fn a_missing_shard_is_named() -> Outcome {
    let error = spoilt(sharded, |folder| std::fs::remove_file(folder.join("model-00002-of-00002.safetensors")))?;
    assert!(
        matches!(&error, Error::MissingShard { shard, .. } if shard == "model-00002-of-00002.safetensors"),
        "{error}"
    );
    Ok(())
}

#[test]
fn an_index_that_points_out_of_its_folder_is_refused() -> Outcome {
    for outside in ["../model-00001-of-00002.safetensors", "/etc/passwd", "", "a/../../b"] {
        let error = spoilt(sharded, |folder| {
            edit(&folder.join("model.safetensors.index.json"), |index| {
                index["weight_map"]["lm_head.weight"] = outside.into();
            })
        })?;
        assert!(matches!(&error, Error::ShardOutside { shard, .. } if shard == outside), "{outside}: {error}");
    }
    Ok(())
}

#[test]
fn a_tensor_that_only_the_index_knows_is_named() -> Outcome {
    let error = spoilt(sharded, |folder| {
        edit(&folder.join("model.safetensors.index.json"), |index| {
            index["weight_map"]["model.layers.0.new"] = "model-00001-of-00002.safetensors".into();
        })
    })?;
    assert!(matches!(&error, Error::NotInShard { name, .. } if name == "model.layers.0.new"), "{error}");
    Ok(())
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() -> Outcome {
    let wider = |folder: &Path| edit(&folder.join("config.json"), |config| config["intermediate_size"] = 16.into());
    let error = spoilt(llama, wider)?;
    let Error::ShapeMismatch { name, found, expected, .. } = error else { return Err(error.into()) };
    assert_eq!((name.as_str(), found, expected), ("model.layers.0.mlp.gate_proj.weight", vec![12, 8], vec![16, 8]));
    Ok(())
}

#[test]
fn missing_and_surplus_layers_are_named() -> Outcome {
    let layers =
        |n: usize| move |folder: &Path| edit(&folder.join("config.json"), |c| c["num_hidden_layers"] = n.into());
    let error = spoilt(llama, layers(7))?;
    assert!(matches!(&error, Error::MissingTensor { name, .. } if name.starts_with("model.layers.6.")), "{error}");
    let error = spoilt(llama, layers(5))?;
    assert!(matches!(error, Error::LayerCount { found: 6, expected: 5, .. }), "{error}");
    Ok(())
}

#[test]
fn integer_weights_are_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    model(folder.path(), &config(json!({})), &shapes(), safetensors::Dtype::I32)?;
    let error = Checkpoint::open(folder.path()).err();
    assert!(matches!(&error, Some(Error::UnsupportedDtype { dtype, .. }) if dtype == "I32"), "{error:?}");
    Ok(())
}

fn family(
    changes: Value,
    change: impl Fn(&mut Vec<(String, Vec<usize>)>),
) -> Result<Option<Error>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (base, variant) = (folder.path().join("base"), folder.path().join("variant"));
    llama(&base)?;
    let mut tensors = shapes();
    change(&mut tensors);
    model(&variant, &config(changes), &tensors, safetensors::Dtype::F32)?;
    let models = [("base".to_owned(), base), ("variant".to_owned(), variant)].into();
    Ok(Family::open(&models, "base").err())
}

#[test]
fn a_variant_may_differ_only_in_its_weights() -> Outcome {
    assert!(family(json!({}), |_| ())?.is_none());
    let error = family(json!({"model_type": "mistral"}), |_| ())?;
    let Some(Error::OtherArchitecture { model, found, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((model.as_str(), found.as_str()), ("variant", "mistral"));
    let error = family(json!({"rope_theta": 5e5}), |_| ())?;
    assert!(matches!(&error, Some(Error::Incompatible { what, .. }) if &**what == "a rotary embedding"), "{error:?}");
    let error = family(json!({"vocab_size": 6}), |tensors| {
        tensors.iter_mut().filter(|(_, shape)| shape[0] == 5).for_each(|(_, shape)| shape[0] = 6);
    })?;
    assert!(
        matches!(&error, Some(Error::OtherVocabulary { model, found: 6, expected: 5, .. }) if model == "variant"),
        "{error:?}"
    );
    let error = family(json!({"mlp_bias": true}), |tensors| {
        for layer in 0..LAYERS {
            for (name, n) in [("gate_proj", 12), ("up_proj", 12), ("down_proj", 8)] {
                tensors.push((format!("model.layers.{layer}.mlp.{name}.bias"), vec![n]));
            }
        }
    })?;
    assert!(matches!(&error, Some(Error::Incompatible { found, .. }) if found.contains(".bias")), "{error:?}");
    Ok(())
}

/// Opens a base and a variant of two configs with the tiny Llama's tensors, and says what is wrong with them.
fn pair(base: Value, variant: Value) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut models = indexmap::IndexMap::new();
    for (name, changes) in [("base", base), ("variant", variant)] {
        let path = folder.path().join(name);
        model(&path, &config(changes), &shapes(), safetensors::Dtype::F32)?;
        models.insert(name.to_owned(), path);
    }
    Ok(Family::open(&models, "base").err().map(|error| error.to_string()))
}

#[test]
fn a_variant_with_another_sliding_window_is_refused() -> Outcome {
    let mistral = |window: Value| json!({"model_type": "mistral", "sliding_window": window});
    assert_eq!(pair(mistral(json!(8)), mistral(json!(8)))?, None);
    assert_eq!(pair(mistral(json!(null)), mistral(json!(null)))?, None);
    for other in [json!(16), json!(null)] {
        let error = pair(mistral(json!(8)), mistral(other))?.unwrap_or_default();
        assert!(error.contains("model `variant` has a sliding window of"), "{error}");
    }
    assert_eq!(pair(json!({"sliding_window": 8}), json!({}))?, None, "a Llama has no window, whatever its config says");
    Ok(())
}

#[test]
fn what_an_unknown_architecture_says_of_its_layers_is_compared() -> Outcome {
    let novel = |more: Value| {
        let mut config = json!({"model_type": "novel", "hidden_act": "gelu", "n_head": 4, "rope_theta": 1e4});
        if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
            config.extend(more);
        }
        config
    };
    assert_eq!(pair(novel(json!({})), novel(json!({"my_note": 1})))?, None);
    for (key, value) in [("hidden_act", json!("relu")), ("n_head", json!(8)), ("rope_theta", json!(1e6))] {
        let error = pair(novel(json!({})), novel(json!({key: value})))?.unwrap_or_default();
        assert!(error.contains(&format!("model `variant` has {key}")), "{key}: {error}");
    }
    Ok(())
}
