//! Exports are read back, and what is wrong is refused before anything is written.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use burn::tensor::Device;
use layer_ir::{Checkpoint, Dtype, Expr, ModelRef, OuterTensor, Place, Recipe};
use merge_ops::{
    CheckpointWriter, DEFAULT_FORMAT, Error, ExportModel, ExportOptions, FileLayout, Inputs, Operand, PlacedTensor,
    RecipeTensors, Registry, checkpoint_writers, merge_on_cpu,
};
use serde_json::{Value, json};
use support::{Outcome, golden, merge, message, plain, take, write};
use tailor_registry::Entry;

/// Takes, merges and output scales.
fn mixed() -> Recipe {
    let mut recipe = plain();
    recipe.layers = vec![
        take("base", 0, 1.5),
        merge("gptailor_task_arithmetic", 2, &["math", "code"], &[("coefficient", 0.4)]),
        take("chat", 5, 0.5),
        merge("ties", 4, &["math", "chat"], &[("weight", 0.5), ("density", 0.4)]),
    ];
    recipe.outer.head = Expr::Take(ModelRef { model: "chat".to_owned() });
    recipe
}

#[test]
fn an_export_opens_as_a_checkpoint_with_the_recipes_tensors() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("deep/model");
    let options = ExportOptions { dtype: Some(Dtype::F32), ..ExportOptions::default() };
    let (family, done) = write(mixed(), &out, &options)?;
    let recipe = mixed().validate(&family, &Registry::standard())?;
    let written = Checkpoint::open(&out)?;
    assert_eq!(
        (written.num_layers(), done.layers, done.files.as_slice()),
        (4, 4, ["model.safetensors".to_owned()].as_slice())
    );
    let (registry, device) = (Registry::standard(), Device::flex());
    let tensors = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    for (layer, divisor) in recipe.scale_divisors().into_iter().enumerate() {
        for tensor in written.layer_tensors() {
            let divides = ["o_proj", "down_proj"].iter().any(|name| tensor.suffix.contains(name));
            let divisor = if divides { divisor } else { 1.0 };
            let built = tensors.layer(layer, &tensor.suffix, &device, Dtype::F32)?;
            let expected: Vec<f32> = built.try_into_vec_as::<f32>()?;
            let expected: Vec<f32> = expected.into_iter().map(|value| (f64::from(value) / divisor) as f32).collect();
            let name = written.layer_tensor_name(layer, &tensor.suffix);
            assert!(written.tensor(&name)?.to_f32() == expected, "{name} differs");
        }
    }
    for outer in OuterTensor::ALL {
        let built = tensors.outer_tensor(outer, &device)?.ok_or("no outer tensor")?;
        let name = written.outer_name(outer).ok_or("no outer tensor")?;
        assert!(written.tensor(name)?.to_f32() == built.try_into_vec_as::<f32>()?, "{outer} differs");
    }
    let parameters: usize = written.tensor_names().map(|name| written.tensor(name).map_or(0, |t| t.elements())).sum();
    assert_eq!((done.parameters, done.bytes, done.tensors), (parameters as u64, 4 * parameters as u64, 4 * 9 + 3));
    Ok(())
}

#[test]
fn a_layer_that_is_taken_is_copied_byte_for_byte() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("model");
    let mut recipe = plain();
    recipe.layers = vec![take("math", 3, 1.0), take("base", 1, 1.0)];
    let (family, _) = write(recipe, &out, &ExportOptions::default())?;
    let written = Checkpoint::open(&out)?;
    let (ours, theirs) = (
        written.tensor("model.layers.0.mlp.up_proj.weight")?,
        family.get("math")?.tensor("model.layers.3.mlp.up_proj.weight")?,
    );
    assert_eq!((ours.dtype, ours.data), (Dtype::BF16, theirs.data));
    Ok(())
}

#[test]
fn shards_have_an_index_and_stay_below_their_size() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("model");
    let options = ExportOptions { max_shard_bytes: 50_000, ..ExportOptions::default() };
    let (family, done) = write(plain(), &out, &options)?;
    assert!(done.files.len() > 2 && done.files[0] == format!("model-00001-of-{:05}.safetensors", done.files.len()));
    for file in &done.files {
        let bytes = fs::metadata(out.join(file))?.len();
        assert!(bytes < 50_000 + 4_000, "{file} has {bytes} bytes");
    }
    let written = Checkpoint::open(&out)?;
    for name in family.base().tensor_names() {
        assert_eq!(written.tensor(name)?.data, family.base().tensor(name)?.data, "{name}");
    }
    Ok(())
}

/// A format of a user's: rows in reverse order, in f32, each tensor from a multiple of 32 bytes on.
struct Reversed {
    /// How many of the tensors it leaves out.
    without: usize,
}

impl Entry for Reversed {
    fn name(&self) -> &str {
        "reversed"
    }

    fn summary(&self) -> &str {
        "Rows in reverse order."
    }
}

impl CheckpointWriter for Reversed {
    fn weight_files(&self, model: &ExportModel<'_>, _: u64) -> Result<Vec<FileLayout>, Error> {
        let mut file =
            FileLayout { name: "reversed.bin".to_owned(), header: b"REVERSED".to_vec(), tensors: Vec::new() };
        for (tensor, planned) in model.tensors().iter().enumerate().skip(self.without) {
            let width = planned.shape.last().copied().unwrap_or(1);
            let mut offset = file.length().next_multiple_of(32);
            for row in (0..planned.elements() / width).rev() {
                let elements = row * width..(row + 1) * width;
                file.tensors.push(PlacedTensor { tensor, elements, offset, dtype: Dtype::F32 });
                offset += 4 * width as u64;
            }
        }
        Ok(vec![file])
    }

    fn write_companions(&self, model: &ExportModel<'_>, _: &[FileLayout], folder: &Path) -> Result<(), Error> {
        let path = folder.join("recipe.yaml");
        fs::write(&path, model.recipe_yaml()?).map_err(|source| Error::Write { path, source })
    }
}

fn reversed(without: usize, out: &Path) -> Outcome {
    write(mixed(), out, &ExportOptions { writer: &Reversed { without }, ..ExportOptions::default() })?;
    Ok(())
}

#[test]
fn a_format_of_ones_own_places_rows_where_it_likes() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (plain, out) = (folder.path().join("plain"), folder.path().join("reversed"));
    write(mixed(), &plain, &ExportOptions { dtype: Some(Dtype::F32), ..ExportOptions::default() })?;
    reversed(0, &out)?;
    let (plain, bytes) = (Checkpoint::open(&plain)?, fs::read(out.join("reversed.bin"))?);
    let mut offset = 8;
    for name in plain.tensor_names().collect::<Vec<_>>() {
        let tensor = plain.tensor(name)?;
        let width = 4 * tensor.shape.last().ok_or("no shape")?;
        offset = usize::next_multiple_of(offset, 32);
        let rows: Vec<u8> = tensor.data.chunks(width).rev().flatten().copied().collect();
        assert!(bytes[offset..offset + rows.len()] == rows, "{name} differs");
        offset += rows.len();
    }
    assert_eq!((&bytes[..8], bytes.len()), (b"REVERSED".as_slice(), offset));
    assert!(out.join("recipe.yaml").exists());
    Ok(())
}

#[test]
fn a_format_that_leaves_a_tensor_out_is_refused_before_anything_is_written() -> Outcome {
    let folder = tempfile::tempdir()?;
    let says = message(reversed(1, &folder.path().join("out")));
    assert!(says.contains("format `reversed` does not place") && says.contains("embed_tokens"), "{says}");
    assert_eq!(listing(folder.path())?, [] as [&str; 0]);
    Ok(())
}

#[test]
fn every_format_of_the_table_writes_what_it_says() -> Outcome {
    for writer in checkpoint_writers().iter() {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("out");
        let options = ExportOptions { writer, ..ExportOptions::default() };
        let (_, done) = write(mixed(), &out, &options)?;
        let bytes: u64 = done.files.iter().map(|file| fs::metadata(out.join(file)).map_or(0, |file| file.len())).sum();
        assert!(bytes >= done.bytes && !writer.summary().is_empty(), "{}", writer.name());
    }
    assert_eq!(ExportOptions::default().writer.name(), DEFAULT_FORMAT);
    let says = message(checkpoint_writers().get("gguf").map(|writer| writer.name().to_owned()).map_err(Into::into));
    assert!(says.contains("no checkpoint format is named `gguf`; there is `safetensors`"), "{says}");
    Ok(())
}

#[test]
fn progress_ends_with_everything_written() -> Outcome {
    let folder = tempfile::tempdir()?;
    let seen = Mutex::new(Vec::new());
    let progress = |progress| seen.lock().expect("no thread failed").push(progress);
    let options = ExportOptions { progress: &progress, ..ExportOptions::default() };
    let (_, done) = write(plain(), &folder.path().join("m"), &options)?;
    let mut seen = seen.into_inner()?;
    seen.sort_by_key(|progress| (progress.tensors, progress.bytes));
    let last = seen.last().ok_or("no progress")?;
    assert_eq!((last.tensors, last.bytes), (done.tensors, last.of_bytes));
    assert_eq!(last.of_bytes, done.bytes);
    Ok(())
}

#[test]
fn the_recipe_beside_the_weights_makes_them_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    write(mixed(), &first, &ExportOptions::default())?;
    write(Recipe::read(first.join("tailor_recipe.yaml"))?, &second, &ExportOptions::default())?;
    assert!(fs::read(first.join("model.safetensors"))? == fs::read(second.join("model.safetensors"))?);
    let card = fs::read_to_string(first.join("README.md"))?;
    for part in [
        "library_name: transformers",
        "| layers | 6 | 4 |",
        "gptailor_task_arithmetic of `math` 2, `code` 2",
        "coefficient: 0.4",
    ] {
        assert!(card.contains(part), "{part} is not in\n{card}");
    }
    Ok(())
}

/// A copy of the golden base with other settings.
fn changed_base(folder: &Path, changes: Value) -> Outcome<Recipe> {
    let base = folder.join("changed");
    fs::create_dir(&base)?;
    fs::copy(golden("family/base/model.safetensors"), base.join("model.safetensors"))?;
    let mut config: Value = serde_json::from_slice(&fs::read(golden("family/base/config.json"))?)?;
    for (key, value) in changes.as_object().ok_or("no object")? {
        config[key] = value.clone();
    }
    fs::write(base.join("config.json"), config.to_string())?;
    let mut recipe = plain();
    recipe.models = [("base".to_owned(), base.display().to_string())].into();
    Ok(recipe)
}

fn config(out: &Path) -> Outcome<Value> {
    Ok(serde_json::from_slice(&fs::read(out.join("config.json"))?)?)
}

#[test]
fn the_config_is_cut_to_the_kept_layers() -> Outcome {
    let folder = tempfile::tempdir()?;
    let types = ["full_attention", "a", "b", "c", "d", "e"];
    let lists = json!({"layer_types": types, "eos_token_id": [1, 2, 3, 4, 5, 6]});
    let mut recipe = changed_base(folder.path(), lists)?;
    recipe.layers = vec![take("base", 0, 1.0), take("base", 3, 1.0), take("base", 3, 1.0), take("base", 5, 1.0)];
    let out = folder.path().join("out");
    write(recipe, &out, &ExportOptions { dtype: Some(Dtype::F16), ..ExportOptions::default() })?;
    let config = config(&out)?;
    assert_eq!(config["layer_types"], json!(["full_attention", "c", "c", "e"]));
    assert_eq!(config["eos_token_id"], json!([1, 2, 3, 4, 5, 6]));
    assert_eq!((&config["num_hidden_layers"], &config["dtype"]), (&json!(4), &json!("float16")));
    assert_eq!((&config["hidden_size"], config.get("torch_dtype")), (&json!(32), None));
    Ok(())
}

#[test]
fn a_list_that_is_not_of_layers_is_kept_even_if_it_is_as_long() -> Outcome {
    let folder = tempfile::tempdir()?;
    let lists = json!({"mrope_section": [1, 2, 3, 4, 5, 6], "languages": ["a", "b", "c", "d", "e", "f"],
                       "no_rope_layers": [1, 1, 0, 1, 1, 0], "heads_per_layer": [1, 2, 3, 4, 5, 6]});
    let mut recipe = changed_base(folder.path(), lists.clone())?;
    recipe.layers = vec![take("base", 2, 1.0), take("base", 5, 1.0)];
    let out = folder.path().join("out");
    write(recipe, &out, &ExportOptions::default())?;
    let config = config(&out)?;
    assert_eq!((&config["mrope_section"], &config["languages"]), (&lists["mrope_section"], &lists["languages"]));
    assert_eq!((&config["no_rope_layers"], &config["heads_per_layer"]), (&json!([0, 0]), &json!([3, 6])));
    Ok(())
}

#[test]
fn the_layers_of_qwen_slide_as_in_the_base() -> Outcome {
    let off = json!({"model_type": "qwen3", "use_sliding_window": false, "max_window_layers": 6});
    let on = json!({"model_type": "qwen3", "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 3});
    for (changes, kept, last, types) in [
        (off, vec![0, 4], json!(2), Value::Null),
        (on.clone(), vec![1, 2, 4], json!(2), Value::Null),
        (on, vec![4, 1, 5], json!(0), json!(["sliding_attention", "full_attention", "sliding_attention"])),
    ] {
        let folder = tempfile::tempdir()?;
        let base = folder.path().join("base");
        qwen(&base, &changes)?;
        let mut recipe = plain();
        recipe.models = [("base".to_owned(), base.display().to_string())].into();
        recipe.layers = kept.iter().map(|layer| take("base", *layer, 1.0)).collect();
        let out = folder.path().join("out");
        let (family, _) = write(recipe, &out, &ExportOptions::default())?;
        let config = config(&out)?;
        assert_eq!((&config["max_window_layers"], config.get("layer_types").unwrap_or(&Value::Null)), (&last, &types));
        let windows = |model: &Checkpoint| model.config().map(|config| config.windows.clone());
        let of_base = windows(family.base())?;
        let expected: Vec<_> = kept.iter().map(|layer| of_base[*layer]).collect();
        assert_eq!(windows(&Checkpoint::open(&out)?)?, expected);
    }
    Ok(())
}

/// The golden base with q and k norms.
fn qwen(folder: &Path, changes: &Value) -> Outcome {
    fs::create_dir(folder)?;
    let bytes = fs::read(golden("family/base/model.safetensors"))?;
    let stored = safetensors::SafeTensors::deserialize(&bytes)?;
    let mut tensors = stored.tensors();
    let norm = vec![0_u8; 16];
    for layer in 0..6 {
        for part in ["q_norm", "k_norm"] {
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, vec![8], &norm)?;
            tensors.push((format!("model.layers.{layer}.self_attn.{part}.weight"), view));
        }
    }
    safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors"))?;
    let mut config: Value = serde_json::from_slice(&fs::read(golden("family/base/config.json"))?)?;
    for (key, value) in changes.as_object().ok_or("no object")? {
        config[key] = value.clone();
    }
    fs::write(folder.join("config.json"), config.to_string())?;
    Ok(())
}

#[test]
fn unknown_architectures_are_cut_with_all_their_tensors() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut recipe = changed_base(folder.path(), json!({"model_type": "novel"}))?;
    recipe.layers = vec![take("base", 5, 1.0), take("base", 2, 1.0)];
    let scaled = Recipe { layers: vec![take("base", 5, 0.5), take("base", 2, 1.0)], ..recipe.clone() };
    let out = folder.path().join("out");
    write(recipe, &out, &ExportOptions::default())?;
    let written = Checkpoint::open(&out)?;
    assert_eq!((written.num_layers(), written.tensor_names().count()), (2, 2 * 9 + 3));
    let says = message(write(scaled, &folder.path().join("scaled"), &ExportOptions::default()));
    assert!(says.contains("novel"), "{says}");
    Ok(())
}

#[test]
fn the_tokenizer_comes_from_its_owner() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut recipe = changed_base(folder.path(), json!({}))?;
    let base = folder.path().join("changed");
    for name in ["tokenizer.json", "chat_template.jinja", "generation_config.json", "training_args.bin"] {
        fs::write(base.join(name), name)?;
    }
    recipe.models.insert("chat".to_owned(), golden("family/chat").display().to_string());
    recipe.tokenizer = Some("base".to_owned());
    let out = folder.path().join("out");
    write(recipe, &out, &ExportOptions::default())?;
    assert_eq!(fs::read_to_string(out.join("chat_template.jinja"))?, "chat_template.jinja");
    assert!(out.join("tokenizer.json").exists() && out.join("generation_config.json").exists());
    assert!(!out.join("training_args.bin").exists());
    Ok(())
}

/// What lies in a folder, hidden or not.
fn listing(folder: &Path) -> Outcome<Vec<String>> {
    let name = |entry: std::io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder)?.map(name).collect()
}

#[test]
fn an_output_that_is_in_use_is_refused_and_kept() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    fs::create_dir(&out)?;
    fs::write(out.join("thesis.tex"), "all of it")?;
    let says = message(write(plain(), &out, &ExportOptions::default()));
    assert!(says.contains("out: the folder is not empty"), "{says}");
    assert_eq!((listing(folder.path())?, listing(&out)?), (vec!["out".to_owned()], vec!["thesis.tex".to_owned()]));

    write(plain(), &out, &ExportOptions { overwrite: true, ..ExportOptions::default() })?;
    assert!(!out.join("thesis.tex").exists() && out.join("model.safetensors").exists());
    assert_eq!(listing(folder.path())?, ["out"], "nothing of the old folder is left");

    let file = folder.path().join("file");
    fs::write(&file, "")?;
    let says = message(write(plain(), &file, &ExportOptions::default()));
    assert!(says.contains("is not a folder"), "{says}");
    let says = message(write(plain(), &file.join("out"), &ExportOptions::default()));
    assert!(says.contains("cannot be written"), "{says}");
    Ok(())
}

#[test]
fn a_model_of_the_recipe_is_never_overwritten() -> Outcome {
    let folder = tempfile::tempdir()?;
    let recipe = changed_base(folder.path(), json!({}))?;
    let overwrite = ExportOptions { overwrite: true, ..ExportOptions::default() };
    for out in [folder.path().join("changed"), folder.path().to_owned()] {
        let says = message(write(recipe.clone(), &out, &overwrite));
        assert!(says.contains("one of the recipe's own models"), "{says}");
    }
    assert!(folder.path().join("changed/model.safetensors").exists());
    Ok(())
}

#[test]
fn a_chat_template_is_written_with_the_tokenizer() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let recipe = Recipe { chat_template: Some("chatml".into()), ..plain() };
    write(recipe, &out, &ExportOptions::default())?;
    let template = std::fs::read_to_string(out.join("chat_template.jinja"))?;
    assert!(template.contains("<|im_start|>"), "{template}");
    let config: Value = serde_json::from_slice(&std::fs::read(out.join("tokenizer_config.json"))?)?;
    assert_eq!(config["chat_template"], template);
    Ok(())
}

#[test]
fn wrong_merges_are_refused_at_their_place_before_anything_is_written() -> Outcome {
    let folder = tempfile::tempdir()?;
    let refused = |method, models: &[&str], parameters: &[(&str, f64)]| {
        let mut recipe = plain();
        recipe.layers[3] = merge(method, 3, models, parameters);
        message(write(recipe, &folder.path().join("out"), &ExportOptions::default()))
    };
    let says = refused("soup", &["chat"], &[]);
    assert!(says.starts_with("output layer 3: there is no merge method `soup`"), "{says}");
    let says = refused("linear", &["chat", "math"], &[("weight", 1.0), ("wieght", 1.0)]);
    assert!(says.starts_with("output layer 3: merge method `linear` has no parameter `wieght`"), "{says}");
    let says = refused("gptailor_slerp", &["chat"], &[("t", 0.5)]);
    assert!(says.contains("exactly 2 sources, not 1"), "{says}");
    assert_eq!(listing(folder.path())?, [] as [&str; 0]);

    let family = plain().open_family()?;
    let mut recipe = plain();
    recipe.layers[3] = merge("ties", 3, &["chat"], &[]);
    let checked = recipe.validate(&family, &Registry::standard());
    assert!(matches!(checked, Err(layer_ir::Error::Method { place: Place::Layer(3), .. })), "{checked:?}");
    Ok(())
}

/// A model of two layers of one tensor, which is larger than a piece.
fn large(folder: &Path, seed: usize) -> Outcome {
    fs::create_dir(folder)?;
    let number = |index: usize| ((index * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0;
    let layers = [0, 300_000]
        .map(|start| (start..start + 210_000).map(number).map(f32::to_le_bytes).collect::<Vec<_>>().concat());
    let view = |data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 70_000], data);
    let tensors = [("blocks.0.w", view(&layers[0])?), ("blocks.1.w", view(&layers[1])?)];
    safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors"))?;
    fs::write(folder.join("config.json"), json!({"model_type": "novel", "num_hidden_layers": 2}).to_string())?;
    Ok(())
}

#[test]
fn tensors_larger_than_a_piece_are_those_made_at_once() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut recipe = plain();
    recipe.models.clear();
    for (seed, name) in ["base", "chat", "math"].into_iter().enumerate() {
        large(&folder.path().join(name), seed)?;
        recipe.models.insert(name.to_owned(), folder.path().join(name).display().to_string());
    }
    recipe.layers = vec![
        merge("ties", 1, &["chat", "math"], &[("weight", 0.5), ("density", 0.3)]),
        merge("slerp", 0, &["math"], &[("t", 0.4)]),
        merge("gptailor_ties", 1, &["chat", "math"], &[("coefficient", 0.5)]),
    ];
    let out = folder.path().join("out");
    let (family, _) = write(recipe.clone(), &out, &ExportOptions::default())?;
    let (written, registry, device) = (Checkpoint::open(&out)?, Registry::standard(), Device::flex());
    let recipe = recipe.validate(&family, &Registry::standard())?;
    let tensors = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    for (layer, output) in recipe.layers.iter().enumerate() {
        let Expr::Merge(merge) = &output.from else { return Err("no merge".into()) };
        let operand = |model: &str, layer| {
            let view = family.get(model)?.tensor(&format!("blocks.{layer}.w"))?;
            Ok::<_, layer_ir::Error>(Operand::new(view, Dtype::F32))
        };
        let sources = merge.sources.iter().map(|source| operand(&source.of.model, source.of.layer));
        let (sources, at) = (sources.collect::<Result<_, _>>()?, merge.sources[0].of.layer);
        let method = registry.get(&merge.method)?;
        let inputs = Inputs::of(method, &merge.parameters, Some(operand("base", at)?), sources);
        let whole = merge_on_cpu(method, &inputs, usize::MAX)?;
        let built = tensors.layer(layer, "w", &device, Dtype::F32)?;
        assert!(built.try_into_vec_as::<f32>()? == whole, "{}: built in pieces differs", merge.method);
        let exported = written.tensor(&format!("blocks.{layer}.w"))?;
        assert!(exported.to_f32() == whole, "{}: exported in pieces differs", merge.method);
    }
    Ok(())
}

/// Issue 19, defect 1: they had been drawn by the name of the output tensor, which is not in the key.
#[test]
fn equal_layer_expressions_are_equal_tensors_wherever_they_stand() -> Outcome {
    let family = plain().open_family()?;
    let (registry, device) = (Registry::standard(), Device::flex());
    for method in ["dare_linear", "dare_ties", "della", "della_linear"] {
        let mut recipe = plain();
        let made = merge(method, 2, &["math", "code"], &[("weight", 0.5), ("density", 0.5)]);
        recipe.layers = vec![made.clone(), take("base", 1, 1.0), made];
        let recipe = recipe.validate(&family, &registry)?;
        assert!(recipe.layer_key(0).is_some() && recipe.layer_key(0) == recipe.layer_key(2), "{method}");
        let tensors = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
        for tensor in family.base().layer_tensors() {
            let built = |layer| {
                let built = tensors.layer(layer, &tensor.suffix, &device, Dtype::F32)?;
                Ok::<_, Box<dyn std::error::Error>>(built.try_into_vec_as::<f32>()?)
            };
            assert!(built(0)? == built(2)?, "{method}: {}", tensor.suffix);
        }
    }
    Ok(())
}
