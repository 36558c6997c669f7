//! Writes a net as a Hugging Face checkpoint in bf16, and the questions as task files of lm-evaluation-harness.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Tensor};
use half::bf16;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use crate::net::{NORM_EPSILON, Net, ROPE_THETA, Sizes};
use crate::tasks::{Question, Skill};
use crate::tokens::{BOS, EOS, PAD, tokenizer_config, tokenizer_json};

type Stored = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// A matrix `[in, out]` of ours, columns `from..to`, as `[out, in]` of Hugging Face.
fn put_matrix(
    stored: &mut Stored,
    name: String,
    weight: Tensor<2>,
    [from, to]: [usize; 2],
) -> Result<(), Box<dyn Error>> {
    let rows = weight.dims()[0];
    let values: Vec<f32> = weight.slice([0..rows, from..to]).transpose().cast(DType::F32).into_data().try_into_vec()?;
    stored.insert(name, (vec![to - from, rows], bytes(&values)));
    Ok(())
}

fn put_vector(stored: &mut Stored, name: String, weight: Tensor<1>) -> Result<(), Box<dyn Error>> {
    let values: Vec<f32> = weight.into_data().try_into_vec()?;
    stored.insert(name, (vec![values.len()], bytes(&values)));
    Ok(())
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect()
}

/// Writes `config.json`, `model.safetensors`, the tokenizer and `generation_config.json` into `folder`.
pub fn write(folder: &Path, net: &Net, sizes: Sizes) -> Result<(), Box<dyn Error>> {
    let Sizes { width, hidden, vocabulary, .. } = sizes;
    let mut stored = Stored::new();
    for (i, layer) in net.layers.iter().enumerate() {
        let name = |rest: &str| format!("model.layers.{i}.{rest}.weight");
        for (part, key) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            let columns = [part * width, (part + 1) * width];
            put_matrix(&mut stored, name(&format!("self_attn.{key}")), layer.qkv.val(), columns)?;
        }
        put_matrix(&mut stored, name("self_attn.o_proj"), layer.output.val(), [0, width])?;
        put_matrix(&mut stored, name("mlp.gate_proj"), layer.gate_up.val(), [0, hidden])?;
        put_matrix(&mut stored, name("mlp.up_proj"), layer.gate_up.val(), [hidden, 2 * hidden])?;
        put_matrix(&mut stored, name("mlp.down_proj"), layer.down.val(), [0, width])?;
        put_vector(&mut stored, name("input_layernorm"), layer.attention_norm.val())?;
        put_vector(&mut stored, name("post_attention_layernorm"), layer.mlp_norm.val())?;
    }
    let embedding: Vec<f32> = net.embedding.val().into_data().try_into_vec()?;
    stored.insert("model.embed_tokens.weight".into(), (vec![vocabulary, width], bytes(&embedding)));
    put_vector(&mut stored, "model.norm.weight".into(), net.norm.val())?;
    put_matrix(&mut stored, "lm_head.weight".into(), net.head.val(), [0, vocabulary])?;

    fs::create_dir_all(folder)?;
    let views: Vec<(String, TensorView<'_>)> = stored
        .iter()
        .map(|(name, (shape, data))| Ok((name.clone(), TensorView::new(Dtype::BF16, shape.clone(), data)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()?;
    let metadata = std::collections::HashMap::from([("format".to_string(), "pt".to_string())]);
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, Some(metadata))?)?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
        "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": hidden,
        "num_hidden_layers": sizes.layers, "num_attention_heads": sizes.heads, "num_key_value_heads": sizes.heads,
        "head_dim": width / sizes.heads, "hidden_act": "silu", "max_position_embeddings": 128,
        "rms_norm_eps": NORM_EPSILON, "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false, "initializer_range": 0.02,
        "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "use_cache": true
    });
    let generation = json!({"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "do_sample": false});
    for (name, value) in [
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer.json", tokenizer_json()),
        ("tokenizer_config.json", tokenizer_config()),
    ] {
        fs::write(folder.join(name), serde_json::to_string_pretty(&value)?)?;
    }
    Ok(())
}

/// Writes a JSONL file for each skill and split, a task file for each skill, and the group `family`.
pub fn write_tasks(folder: &Path, splits: &[(&str, Vec<Vec<Question>>)]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("data"))?;
    for (skill, name) in Skill::ALL.iter().map(|skill| skill.name()).enumerate() {
        for (split, questions) in splits {
            let lines: String = questions[skill]
                .iter()
                .map(|q| format!("{}\n", json!({"question": q.prompt, "choices": q.choices, "answer": q.answer})))
                .collect();
            fs::write(folder.join(format!("data/{name}_{split}.jsonl")), lines)?;
        }
        let files: String =
            splits.iter().map(|(split, _)| format!("    {split}: data/{name}_{split}.jsonl\n")).collect();
        let task = format!(
            "task: family_{name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n{files}training_split: train\n\
             validation_split: validation\ntest_split: test\noutput_type: multiple_choice\n\
             doc_to_text: question\ndoc_to_target: answer\ndoc_to_choice: choices\n\
             metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n\
             metadata:\n  version: 1.0\n"
        );
        fs::write(folder.join(format!("family_{name}.yaml")), task)?;
    }
    let tasks: String = Skill::ALL.iter().map(|skill| format!("  - family_{}\n", skill.name())).collect();
    let mean = "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n";
    fs::write(folder.join("family.yaml"), format!("group: family\ntask:\n{tasks}{mean}metadata:\n  version: 1.0\n"))?;
    Ok(())
}
