//! `tests/golden/family`: transformers' logits of GPTailor-style recipes, in memory and after an export.

mod support;

use indexmap::IndexMap;
use layer_ir::{
    BaseAt, BaseRef, Dtype, Expr, LayerExpr, LayerRef, Merge, OuterTensors, OutputLayer, Parameters, Recipe, Source,
    ValidRecipe,
};
use layer_runtime::{Runtime, RuntimeOptions};
use merge_ops::{ExportOptions, RecipeTensors, Registry, export};
use serde_json::Value;
use support::{FAMILY, Outcome, arrays, golden, plain_model, runtime, tokens, worst_difference};

const ALLOWED: f32 = 5e-4;

fn family() -> Outcome<Runtime> {
    runtime(&FAMILY.map(|name| (name, golden(&format!("family/{name}")))), RuntimeOptions::default())
}

/// Every recipe, in the order of the file.
fn recipes(runtime: &Runtime) -> Outcome<IndexMap<String, ValidRecipe>> {
    let all: IndexMap<String, Vec<Value>> =
        serde_json::from_str(&std::fs::read_to_string(golden("family/recipes.json"))?)?;
    let of = |(name, layers): (String, Vec<Value>)| {
        let recipe = Recipe {
            models: FAMILY
                .map(|name| (name.to_owned(), golden(&format!("family/{name}")).display().to_string()))
                .into(),
            base: "base".to_owned(),
            base_at: BaseAt::Source,
            layers: layers.iter().map(output_layer).collect::<Option<_>>().ok_or("a layer that is none")?,
            outer: OuterTensors::of("base"),
            dtype: None,
            compute: None,
            tokenizer: None,
            vocabulary: None,
            chat_template: None,
        };
        Ok((name, recipe.validate(runtime.family(), &Registry::standard())?))
    };
    all.into_iter().map(of).collect()
}

fn output_layer(layer: &Value) -> Option<OutputLayer> {
    let reference = |pair: &Value| {
        Some(LayerRef { model: pair[0].as_str()?.to_owned(), layer: usize::try_from(pair[1].as_u64()?).ok()? })
    };
    let mut sources: Vec<LayerRef> = layer["sources"].as_array()?.iter().map(reference).collect::<Option<_>>()?;
    let base = reference(&layer["base"])?;
    let from = match sources.len() {
        0 => LayerExpr::Take(base),
        1 => LayerExpr::Take(sources.remove(0)),
        _ => {
            let mut parameters = Parameters::default();
            parameters.set("coefficient", layer["coefficient"].as_f64()?);
            let source = |of: LayerRef| Source { of, parameters: Parameters::default() };
            Expr::Merge(Merge {
                method: "gptailor_task_arithmetic".to_owned(),
                parameters,
                base: Some(BaseRef { model: base.model, layer: Some(base.layer) }),
                sources: sources.into_iter().map(source).collect(),
            })
        }
    };
    Some(OutputLayer { scale: layer["output_scale"].as_f64()? as f32, ..from.into() })
}

#[test]
fn recipes_give_the_logits_of_transformers_without_being_written() -> Outcome {
    let (runtime, expected) = (family()?, arrays(&golden("family/recipes.expected.safetensors"))?);
    for (name, recipe) in recipes(&runtime)? {
        let ids = tokens(&expected[&format!("{name}.ids")]);
        let found = runtime.model(recipe)?.logits(&[&ids])?;
        let worst = worst_difference(&found[0], &expected[&format!("{name}.logits")]);
        println!("{name}: {worst:.1e}");
        assert!(worst <= ALLOWED, "{name}: differs by up to {worst:e}");
    }
    let timings = runtime.timings();
    assert!(timings.layers_reused > timings.layers_built, "the recipes share layers: {timings:?}");
    Ok(())
}

/// Weights in f16 are what a checkpoint in f16 holds, and all else is as in f32.
#[test]
fn f16_is_the_checkpoint_in_f16_to_the_last_bit() -> Outcome {
    let (runtime, expected) = (family()?, arrays(&golden("family/recipes.expected.safetensors"))?);
    for (name, recipe) in recipes(&runtime)? {
        let folder = tempfile::tempdir()?;
        let source = RecipeTensors { family: runtime.family(), recipe: &recipe, registry: &Registry::standard() };
        let logits = |dtype: Dtype, options: RuntimeOptions| -> Outcome<Vec<Vec<f32>>> {
            let out = folder.path().join(format!("{dtype:?}"));
            export(source, &out, &ExportOptions { dtype: Some(dtype), ..ExportOptions::default() })?;
            Ok(plain_model(&out, options)?.logits(&[&tokens(&expected[&format!("{name}.ids")])])?)
        };
        let rounded = RuntimeOptions { dtype: Dtype::F16, ..RuntimeOptions::default() };
        let written = logits(Dtype::F16, RuntimeOptions::default())?;
        assert_eq!(logits(Dtype::F32, rounded)?, written, "{name}");
    }
    Ok(())
}

/// Output scales are folded into the weights on export, so this compares both ways to apply them.
#[test]
fn exported_recipes_give_the_same_logits_as_plain_checkpoints() -> Outcome {
    let (runtime, expected) = (family()?, arrays(&golden("family/recipes.expected.safetensors"))?);
    for (name, recipe) in recipes(&runtime)? {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("model");
        let options = ExportOptions { dtype: Some(Dtype::F32), ..ExportOptions::default() };
        let source = RecipeTensors { family: runtime.family(), recipe: &recipe, registry: &Registry::standard() };
        export(source, &out, &options)?;
        let ids = tokens(&expected[&format!("{name}.ids")]);
        let found = plain_model(&out, RuntimeOptions::default())?.logits(&[&ids])?;
        let worst = worst_difference(&found[0], &expected[&format!("{name}.logits")]);
        println!("{name}, exported: {worst:.1e}");
        assert!(worst <= ALLOWED, "{name}, exported: differs by up to {worst:e}");
    }
    Ok(())
}
