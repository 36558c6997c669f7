//! A small model with an attention sink, for tests.

use layer_ir::Recipe;
use layer_runtime::{RecipeModel, Runtime, RuntimeOptions, open_device};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A copy of the small model, whose layer `layer` writes a long row into the stream of the token 5 alone, which
/// begins every sequence: the MLP's first unit answers to that token's stream, and its column of `down_proj` is
/// long.
pub(crate) fn with_sink(folder: &std::path::Path, layer: usize) -> Outcome<RecipeModel> {
    let source =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../layer-runtime/tests/golden/models/llama-mha");
    std::fs::copy(source.join("config.json"), folder.join("config.json"))?;
    let mut bytes = std::fs::read(source.join("model.safetensors"))?;
    let header = u64::from_le_bytes(*bytes.first_chunk().ok_or("no header")?) as usize;
    let names: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header])?;
    let mut change = |name: &str, value: &dyn Fn(usize, f32) -> f32| -> Outcome {
        let start = 8 + header + names[name]["data_offsets"][0].as_u64().ok_or("no such tensor")? as usize;
        let end = 8 + header + names[name]["data_offsets"][1].as_u64().ok_or("no such tensor")? as usize;
        for (index, number) in bytes[start..end].as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *number = value(index, f32::from_le_bytes(*number)).to_le_bytes();
        }
        Ok(())
    };
    const HIDDEN: usize = 48;
    const INNER: usize = 96;
    // The token's embedding is along one axis that no other uses and no layer writes into.
    change("model.embed_tokens.weight", &|index, old| match (index / HIDDEN, index % HIDDEN) {
        (5, 0) => 3.0,
        (5, _) | (_, 0) => 0.0,
        _ => old,
    })?;
    for each in 0..4 {
        let tensor = |name: &str| format!("model.layers.{each}.{name}.weight");
        for name in ["self_attn.o_proj", "mlp.down_proj"] {
            let width = if name == "mlp.down_proj" { INNER } else { HIDDEN };
            change(&tensor(name), &|index, old| if index / width == 0 { 0.0 } else { old })?;
        }
        if each == layer {
            for name in ["mlp.gate_proj", "mlp.up_proj"] {
                let unit = |index: usize, old| match (index / HIDDEN, index % HIDDEN) {
                    (0, 0) => 5.0,
                    (0, _) => 0.0,
                    _ => old,
                };
                change(&tensor(name), &unit)?;
            }
            change(&tensor("mlp.down_proj"), &|index, old| if index == INNER { 100.0 } else { old })?;
        }
    }
    std::fs::write(folder.join("model.safetensors"), bytes)?;
    let recipe = Recipe::of_base([("base".to_owned(), folder.display().to_string())].into(), "base", 4);
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &())?;
    let options = RuntimeOptions { batch_tokens: 200, ..RuntimeOptions::default() };
    Ok(Runtime::new(family, merge_ops::Registry::standard(), open_device("cpu")?, options)?.model(recipe)?)
}

/// Sequences that begin with the token that becomes the sink.
pub(crate) fn text() -> Vec<Vec<u32>> {
    text_of(30)
}

/// The same, of so many tokens each: in longer ones the first token counts for less.
pub(crate) fn text_of(length: u32) -> Vec<Vec<u32>> {
    let token = |i: u32, j: u32| if j == 0 { 5 } else { 6 + (i * 7919 + j * j * 31 + j * 17) % 290 };
    (0..20).map(|i| (0..length).map(|j| token(i, j)).collect()).collect()
}
