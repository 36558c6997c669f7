//! A family of tiny models with a tokenizer and a task, made up on the spot, and the command run on it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub const LAYERS: usize = 6;
const HIDDEN: usize = 32;
const KV: usize = 16;
const MIDDLE: usize = 48;
pub const WORDS: usize = 48;

/// A folder with `models/{base,math,code}`, `tasks/words.yaml` with its data, and `study.toml`.
pub struct Family {
    folder: tempfile::TempDir,
}

impl Family {
    pub fn new() -> Result<Self> {
        let family = Self { folder: tempfile::tempdir()? };
        for (model, noise) in [("base", None), ("math", Some(1)), ("code", Some(2))] {
            write_model(&family.path("models").join(model), noise, &[], LAYERS)?;
        }
        write_task(&family.path("tasks"))?;
        family.write("study.toml", STUDY)?;
        Ok(family)
    }

    /// As [`Family::new`], but `math` has learned the token `<calc>`, and `code` `<pad>`.
    pub fn with_added_tokens() -> Result<Self> {
        let family = Self::new()?;
        write_model(&family.path("models/math"), Some(1), &["<calc>"], LAYERS)?;
        write_model(&family.path("models/code"), Some(2), &["<pad>"], LAYERS)?;
        Ok(family)
    }

    /// A base and fine-tunes with so many layers, in `models`; no tasks and no study.
    pub fn of_depth(layers: usize, fine_tunes: &[&str]) -> Result<Self> {
        let family = Self { folder: tempfile::tempdir()? };
        write_model(&family.path("models/base"), None, &[], layers)?;
        for (noise, model) in (1..).zip(fine_tunes) {
            write_model(&family.path("models").join(model), Some(noise), &[], layers)?;
        }
        Ok(family)
    }

    /// With the task of [`Family::new`].
    pub fn with_task(self) -> Result<Self> {
        write_task(&self.path("tasks"))?;
        Ok(self)
    }

    /// The log-likelihoods of all choices of the task under a checkpoint or recipe.
    pub fn log_likelihoods(&self, model: &str) -> Result<Vec<f64>> {
        self.run(&format!("eval {model} --tasks words --include tasks --log-samples samples.jsonl --quiet"))?;
        let lines = std::fs::read_to_string(self.path("samples.jsonl"))?;
        let mut found = Vec::new();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line)?;
            let choices = line["filtered_resps"].as_array().ok_or("no answers")?;
            for choice in choices {
                let number = choice[0].as_f64().or_else(|| choice[0].as_str()?.parse().ok());
                found.push(number.ok_or("no log-likelihood")?);
            }
        }
        Ok(found)
    }

    /// As [`Family::new`], but layer `layer` of every model writes a long row into the stream of the token `w3` alone,
    /// which begins every question: an attention sink.
    pub fn with_sink(layer: usize) -> Result<Self> {
        let family = Self::new()?;
        for model in ["base", "math", "code"] {
            make_sink(&family.path("models").join(model).join("model.safetensors"), layer)?;
        }
        for split in ["validation", "test"] {
            let file = format!("tasks/words_{split}.jsonl");
            family.replace(&file, "\"question\":\"", "\"question\":\"w3 ")?;
        }
        Ok(family)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result {
        Ok(std::fs::write(self.path(name), text)?)
    }

    /// Changes a piece of a file.
    pub fn replace(&self, name: &str, from: &str, to: &str) -> Result {
        let text = std::fs::read_to_string(self.path(name))?;
        assert!(text.contains(from), "{name} has no `{from}`");
        self.write(name, &text.replace(from, to))
    }

    /// The command `tailor`, in the family's folder.
    pub fn tailor(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailor"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command
    }

    /// Runs `tailor` and returns what it says on stdout.
    pub fn run(&self, arguments: &str) -> Result<String> {
        let output = self.tailor(arguments).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tailor {arguments}: {complaint}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `tailor`, which must fail, and returns its complaint.
    pub fn fail(&self, arguments: &str) -> Result<String> {
        let Output { status, stdout, stderr } = self.tailor(arguments).output()?;
        let complaint = String::from_utf8(stderr)?;
        assert_eq!(status.code(), Some(1), "tailor {arguments}: {complaint}");
        assert!(stdout.is_empty(), "tailor {arguments} has a result: {}", String::from_utf8_lossy(&stdout));
        assert!(!complaint.contains("panicked"), "tailor {arguments}: {complaint}");
        Ok(complaint)
    }

    pub fn json(&self, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.path(name))?)?)
    }

    /// Every file and folder below, for seeing that nothing was left.
    pub fn listing(&self) -> Result<Vec<PathBuf>> {
        let (mut found, mut open) = (Vec::new(), vec![self.folder.path().to_path_buf()]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

const STUDY: &str = r#"
seed = 5
include = ["tasks"]

[models]
base = "models/base"
variants = { math = "models/math", code = "models/code" }

[space]
remove = 2

[[tasks]]
name = "words"

[search]
trials = 12

[baselines]
random_draws = 1
calibration = 4
test = "all"
"#;

/// Weights of a base; with a seed, those of a fine-tune of it, which may have tokens of its own.
fn write_model(folder: &Path, noise: Option<u64>, added: &[&str], layers: usize) -> Result {
    std::fs::create_dir_all(folder)?;
    let words = WORDS + added.len();
    let mut base = ChaCha8Rng::seed_from_u64(0);
    let mut tuned = noise.map(ChaCha8Rng::seed_from_u64);
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape) in shapes(words, layers) {
        let norm = shape.len() == 1;
        let elements: usize = shape.iter().product();
        let value = |_| {
            let own: f32 = base.random_range(-0.2..0.2);
            let added: f32 = tuned.as_mut().map_or(0.0, |tuned| tuned.random_range(-0.06..0.06));
            (if norm { 1.0 } else { own }) + added
        };
        let bytes = (0..elements).map(value).flat_map(f32::to_le_bytes).collect();
        tensors.push((name, shape, bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors"))?;
    write_json(&folder.join("config.json"), &config(words, layers))?;
    write_json(&folder.join("tokenizer.json"), &tokenizer(added))?;
    write_json(&folder.join("tokenizer_config.json"), &json!({"bos_token": "<s>", "eos_token": "</s>"}))
}

/// The stream's axis 0 is the token's alone: the first unit of the layer's MLP answers to it, and writes into axis 1.
fn make_sink(weights: &Path, layer: usize) -> Result {
    let mut bytes = std::fs::read(weights)?;
    let header = u64::from_le_bytes(*bytes.first_chunk().ok_or("no header")?) as usize;
    let names: Value = serde_json::from_slice(&bytes[8..8 + header])?;
    let mut change = |name: &str, value: &dyn Fn(usize) -> Option<f32>| -> Result {
        let end = |place: usize| names[name]["data_offsets"][place].as_u64().ok_or("no such tensor");
        let (start, end) = (8 + header + end(0)? as usize, 8 + header + end(1)? as usize);
        for (index, number) in bytes[start..end].as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *number = value(index).unwrap_or(f32::from_le_bytes(*number)).to_le_bytes();
        }
        Ok(())
    };
    change("model.embed_tokens.weight", &|index| match (index / HIDDEN, index % HIDDEN) {
        (3, 0) => Some(3.0),
        (3, _) | (_, 0) => Some(0.0),
        _ => None,
    })?;
    for each in 0..LAYERS {
        let tensor = |name: &str| format!("model.layers.{each}.{name}.weight");
        change(&tensor("self_attn.o_proj"), &|index| (index / HIDDEN == 0).then_some(0.0))?;
        change(&tensor("mlp.down_proj"), &|index| (index / MIDDLE == 0).then_some(0.0))?;
    }
    let tensor = |name: &str| format!("model.layers.{layer}.mlp.{name}.weight");
    for name in ["gate_proj", "up_proj"] {
        change(&tensor(name), &|index| (index < HIDDEN).then_some(if index == 0 { 5.0 } else { 0.0 }))?;
    }
    change(&tensor("down_proj"), &|index| (index == MIDDLE).then_some(100.0))?;
    Ok(std::fs::write(weights, bytes)?)
}

fn shapes(words: usize, layers: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_string(), vec![words, HIDDEN]),
        ("model.norm.weight".to_string(), vec![HIDDEN]),
        ("lm_head.weight".to_string(), vec![words, HIDDEN]),
    ];
    for layer in 0..layers {
        let tensors = [
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![KV, HIDDEN]),
            ("self_attn.v_proj", vec![KV, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj", vec![MIDDLE, HIDDEN]),
            ("mlp.up_proj", vec![MIDDLE, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, MIDDLE]),
        ];
        shapes.extend(tensors.map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)));
    }
    shapes
}

fn config(words: usize, layers: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "vocab_size": words,
        "intermediate_size": MIDDLE, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
    })
}

fn tokenizer(added: &[&str]) -> Value {
    let words = ["<unk>", "<s>", "</s>"].map(str::to_string).into_iter().chain((3..WORDS).map(|i| format!("w{i}")));
    let vocabulary: serde_json::Map<String, Value> = words.enumerate().map(|(id, word)| (word, id.into())).collect();
    let special = |id: usize, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let all = ["<unk>", "<s>", "</s>"].into_iter().enumerate().chain((WORDS..).zip(added.iter().copied()));
    let added: Vec<Value> = all.map(|(id, content)| special(id, content)).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "decoder": null, "added_tokens": added,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    })
}

fn write_task(folder: &Path) -> Result {
    std::fs::create_dir_all(folder)?;
    let mut random = ChaCha8Rng::seed_from_u64(9);
    for split in ["validation", "test"] {
        let mut text = String::new();
        for _ in 0..48 {
            let mut words = |count: usize| -> String {
                let words: Vec<String> = (0..count).map(|_| format!("w{}", random.random_range(3..WORDS))).collect();
                words.join(" ")
            };
            let (question, choices) = (words(5), [words(1), words(1), words(1), words(1)]);
            let label: usize = random.random_range(0..4);
            text += &format!("{}\n", json!({"question": question, "choices": choices, "label": label}));
        }
        std::fs::write(folder.join(format!("words_{split}.jsonl")), text)?;
    }
    let files = |split: &str| folder.join(format!("words_{split}.jsonl")).display().to_string();
    let task = json!({
        "task": "words", "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": files("validation"), "test": files("test")}},
        "output_type": "multiple_choice", "validation_split": "validation", "test_split": "test",
        "doc_to_text": "{{question}}", "doc_to_target": "label", "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": true}],
    });
    write_json(&folder.join("words.yaml"), &task)
}

fn write_json(path: &Path, value: &Value) -> Result {
    Ok(std::fs::write(path, format!("{value:#}"))?)
}
