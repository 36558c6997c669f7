//! The new model's `config.json`: the base's, cut to the layers that are left, with the tokens that it has.

use layer_ir::{Architecture, Checkpoint, Dtype, ValidRecipe};
use serde_json::{Map, Value, json};

use crate::origin_layer;

/// The base's config for the recipe's layers, written in `dtype`, or as the base if `None`.
pub(super) fn edited(base: &Checkpoint, recipe: &ValidRecipe, dtype: Option<Dtype>) -> Map<String, Value> {
    let origins: Vec<usize> = recipe.layers.iter().map(|layer| origin_layer(&layer.from)).collect();
    let mut raw = base.raw_config().clone();
    raw.insert("num_hidden_layers".to_owned(), json!(origins.len()));
    if let Some(alignment) = recipe.alignment() {
        raw.insert("vocab_size".to_owned(), json!(alignment.rows()));
    }
    for (key, value) in &mut raw {
        if let Value::Array(list) = value
            && list.len() == base.num_layers()
            && may_be_per_layer(key)
        {
            *list = origins.iter().filter_map(|layer| list.get(*layer).or(list.last())).cloned().collect();
        }
    }
    if matches!(base.config().architecture, Architecture::Qwen2 | Architecture::Qwen3) {
        cut_windows(&mut raw, base, &origins);
    }
    if let Some(dtype) = dtype {
        let key = if raw.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        raw.insert(key.to_owned(), json!(torch_name(dtype)));
    }
    raw
}

/// A list as long as the model is deep is one of its layers, but for these.
fn may_be_per_layer(key: &str) -> bool {
    !key.contains("token") && !["architectures", "auto_map"].contains(&key)
}

/// Says which layers slide as Qwen does: those from `max_window_layers` on, or what `layer_types` lists.
fn cut_windows(raw: &mut Map<String, Value>, base: &Checkpoint, origins: &[usize]) {
    const KEY: &str = "max_window_layers";
    let windows = &base.config().windows;
    let slides: Vec<bool> = origins.iter().map(|layer| windows.get(*layer).copied().flatten().is_some()).collect();
    if windows.iter().all(Option::is_none) {
        // Off: the number means nothing, but must not exceed the layers.
        if let Some(last) = raw.get(KEY).and_then(Value::as_u64) {
            let all = last >= base.num_layers() as u64;
            let last = if all { origins.len() as u64 } else { last.min(origins.len() as u64) };
            raw.insert(KEY.to_owned(), json!(last));
        }
        return;
    }
    let first = slides.iter().position(|slides| *slides).unwrap_or(slides.len());
    raw.insert(KEY.to_owned(), json!(first));
    if !slides[first..].iter().all(|slides| *slides) && !raw.contains_key("layer_types") {
        let name = |slides: &bool| if *slides { "sliding_attention" } else { "full_attention" };
        raw.insert("layer_types".to_owned(), slides.iter().map(name).collect());
    }
}

fn torch_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BF16 => "bfloat16",
        Dtype::F16 => "float16",
        Dtype::F32 => "float32",
    }
}
