//! The model card: what the model is made of, what that saves, and the recipe that makes it again.

use std::fmt::Write as _;

use layer_ir::{Cost, Expr, Family, LayerExpr, ValidRecipe};

use super::ExportModel;

/// The text of `README.md`, with the recipe's YAML in it.
pub(super) fn card(model: &ExportModel<'_>, yaml: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (family, recipe) = (model.family(), model.recipe());
    let (layers, of) = (recipe.layers.len(), family.base().num_layers());
    format!(
        "---\nlibrary_name: transformers\ntags:\n- merge\n- tailor\n---\n# {title}\n\n\
         {layers} layers, cut and stitched from models of {of} by Tailor {version}; {training}. The licences \
         of its sources hold for it.\n\n{cost}\n## Sources\n\n{sources}\n## Layers\n\n{table}\n## Recipe\n\n\
         Tailor makes this model again from `tailor_recipe.yaml`:\n```yaml\n{yaml}```\n",
        title = model.name(),
        training = training(recipe),
        cost = cost(model),
        sources = sources(family, recipe),
        table = layers_table(recipe),
    )
}

/// What was done to the weights beside merging.
fn training(recipe: &ValidRecipe) -> String {
    match recipe.layers.iter().filter(|layer| layer.bridge.is_some()).count() {
        0 => "nothing was trained".to_owned(),
        bridged => format!("{bridged} of the layers are bridged, nothing else was trained"),
    }
}

/// A table of what base and model cost.
fn cost(model: &ExportModel<'_>) -> String {
    let (family, recipe) = (model.family(), model.recipe());
    let base = family.base();
    let dtype = model.tensors().first().map_or(base.dtype(), |tensor| tensor.dtype);
    let before = Cost::of_checkpoint(base, base.num_layers(), base.dtype());
    let after = Cost::of_recipe(base, recipe, dtype);
    let rows = [
        ("layers", Some(before.layers as u64), Some(after.layers as u64)),
        ("parameters", Some(before.parameters), Some(model.parameters())),
        ("bytes of weights", Some(before.bytes), Some(model.bytes())),
        ("floating-point operations per token", Some(before.flops_per_token), Some(after.flops_per_token)),
        ("bytes of keys and values per token", before.kv_bytes_per_token, after.kv_bytes_per_token),
    ];
    let mut text = format!("| | base `{}` | this model |\n|---|---|---|\n", family.base_name());
    for (what, before, after) in rows {
        let Some((before, after)) = before.zip(after) else { continue };
        let _ = writeln!(text, "| {what} | {before} | {after} |");
    }
    text
}

/// A table of the models and what each gives.
fn sources(family: &Family, recipe: &ValidRecipe) -> String {
    let tokenizer = recipe.tokenizer_owner();
    let mut text = String::from("| name | model | gives |\n|---|---|---|\n");
    for (name, path) in family.paths() {
        let base = if name == recipe.base { ", the settings" } else { "" };
        let tokens = if name == tokenizer { ", the tokenizer" } else { "" };
        let layers = recipe.layers.iter().filter(|layer| uses(&layer.from, &name)).count();
        let _ = writeln!(text, "| `{name}` | `{path}` | {layers} layers{base}{tokens} |");
    }
    text
}

/// Whether a model gives something to a layer; a base that differences are taken to does not count.
fn uses(from: &LayerExpr, model: &str) -> bool {
    match from {
        Expr::Take(source) => source.model == model,
        Expr::Merge(merge) => merge.sources.iter().any(|source| source.of.model == model),
    }
}

/// A table of the output layers: which layers each is made of, how, and its scale.
fn layers_table(recipe: &ValidRecipe) -> String {
    let mut text = String::from("| layer | from | output scale |\n|---|---|---|\n");
    for (index, layer) in recipe.layers.iter().enumerate() {
        let from = match &layer.from {
            Expr::Take(source) => format!("`{}` {}", source.model, source.layer),
            Expr::Merge(merge) => {
                let sources = merge.sources.iter().map(|source| format!("`{}` {}", source.of.model, source.of.layer));
                format!("{} of {}", merge.method, sources.collect::<Vec<_>>().join(", "))
            }
        };
        let bridged = if layer.bridge.is_some() { ", bridged" } else { "" };
        let _ = writeln!(text, "| {index} | {from}{bridged} | {} |", layer.scale);
    }
    for layer in 0..recipe.layers.len() {
        let Some(bridge) = recipe.bridge(layer) else { continue };
        let tensors = bridge.deltas().map(|delta| format!("`{}`", delta.name)).collect::<Vec<_>>().join(", ");
        let (file, hash) = (bridge.file().display(), bridge.hash());
        let _ = writeln!(text, "\nBridge of layer {layer}: `{file}` (BLAKE3 `{hash}`) is added to {tensors}.");
    }
    if recipe.layers.iter().any(|layer| layer.scale != 1.0) {
        text.push_str("\nThe output scales are folded into the weights of the layers behind.\n");
    }
    text
}
