//! The new model's `config.json`: the base's, cut to the layers that are left, with the tokens that it has.
//!
//! Everything that is not said of layers, tokens or the number format stays as it is in the base, also keys that are
//! unknown here.

use layer_ir::{Dtype, Family, ModelConfig, Sliding, ValidRecipe};
use serde_json::{Map, Value, json};

/// The base's config for the recipe's layers, written in `dtype`, or as the base if `None`.
pub(super) fn edited(family: &Family, recipe: &ValidRecipe, dtype: Option<Dtype>) -> Map<String, Value> {
    let mut raw = family.base().raw_config().clone();
    raw.insert("num_hidden_layers".to_owned(), json!(recipe.layers.len()));
    if let Some(alignment) = recipe.alignment() {
        raw.insert("vocab_size".to_owned(), json!(alignment.rows()));
    }
    for (key, value) in &mut raw {
        if let Value::Array(list) = value
            && list.len() == family.base().num_layers()
            && is_per_layer(key)
        {
            *list = entries(key, list, family, recipe);
        }
    }
    if let Some(config) =
        family.base().config().ok().filter(|config| config.architecture.sliding == Sliding::UpperLayers)
    {
        cut_windows(&mut raw, config, family, recipe);
    }
    if let Some(dtype) = dtype {
        let key = if raw.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        raw.insert(key.to_owned(), json!(dtype.torch_name()));
    }
    raw
}

/// Whether a list under this key has an entry for each layer, in the configs of transformers and of models with code of
/// their own.
fn is_per_layer(key: &str) -> bool {
    const SIZES: [&str; 7] = [
        "activation_sparsity_pattern",
        "attn_type_list",
        "ffn_multipliers",
        "intermediate_size",
        "num_kv_heads",
        "num_query_heads",
        "num_key_value_heads",
    ];
    // `layer_types`, `no_rope_layers`, `attention_layers`, `layers_block_type`, `block_configs`, `..._per_layer`, ...
    key.contains("layer") || key.contains("block") || SIZES.contains(&key)
}

/// The entries of the layers whose place the recipe's layers take; a layer beyond the base's depth has that of its own
/// model.
fn entries(key: &str, of_base: &[Value], family: &Family, recipe: &ValidRecipe) -> Vec<Value> {
    let own = |model: &str, layer: usize| family.get(model).ok()?.raw_config().get(key)?.get(layer);
    let entry = |(model, layer): (&str, usize)| {
        let entry = of_base.get(layer).or_else(|| own(model, layer)).or(of_base.last());
        entry.cloned()
    };
    recipe.layers.iter().filter_map(|layer| layer.from.origin().and_then(entry)).collect()
}

/// States which layers slide in the words of [`Sliding::UpperLayers`]: all from `max_window_layers` on, or what
/// `layer_types` lists.
fn cut_windows(raw: &mut Map<String, Value>, base: &ModelConfig, family: &Family, recipe: &ValidRecipe) {
    const KEY: &str = "max_window_layers";
    let kept = recipe.layers.len();
    let slides: Vec<bool> = recipe.layers.iter().map(|layer| family.window(&layer.from).is_some()).collect();
    if base.windows.iter().all(Option::is_none) && !slides.contains(&true) {
        // Off: the number means nothing, but must not exceed the layers.
        if let Some(last) = raw.get(KEY).and_then(Value::as_u64) {
            let all = last >= base.num_layers as u64;
            let last = if all { kept as u64 } else { last.min(kept as u64) };
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
