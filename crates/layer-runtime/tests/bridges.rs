//! A bridged layer in memory is the exported one, to the last bit, and another layer than the plain one.

mod support;

use std::path::Path;

use layer_ir::{BridgeRef, Dtype, Recipe, ValidRecipe};
use layer_runtime::{Runtime, RuntimeOptions};
use merge_ops::{ExportOptions, RecipeTensors, Registry, export};
use support::{FAMILY, Outcome, golden, plain_model, runtime};

const IDS: [u32; 7] = [1, 17, 4, 90, 41, 3, 250];

fn family(options: RuntimeOptions) -> Outcome<Runtime> {
    runtime(&FAMILY.map(|name| (name, golden(&format!("family/{name}")))), options)
}

/// A bridge of both tensors that write into the residual stream, all different by `seed`.
fn bridge(folder: &Path, seed: u8) -> Outcome<BridgeRef> {
    let values = |n: usize| (0..n).map(|i| 0.03 * (i as f32 + f32::from(seed)).sin()).collect::<Vec<_>>();
    let (down, output) = (values(32 * 80), values(32 * 32));
    let deltas =
        [("mlp.down_proj.weight", (&[32, 80][..], &down[..])), ("self_attn.o_proj.weight", (&[32, 32], &output))];
    Ok(BridgeRef::write(folder, &deltas.into())?)
}

/// `math` without its fourth layer, the layer before it bridged.
fn bridged(runtime: &Runtime, bridge: Option<BridgeRef>) -> Outcome<ValidRecipe> {
    let mut recipe = Recipe::of_model(runtime.family(), "math");
    recipe.layers.remove(3);
    recipe.layers[2].bridge = bridge;
    Ok(recipe.validate(runtime.family(), &Registry::standard())?)
}

#[test]
fn the_exported_model_gives_the_logits_of_the_recipe_to_the_bit() -> Outcome {
    for (engine, dtype) in [("cpu", Dtype::F32), ("cpu", Dtype::BF16), ("burn", Dtype::F32)] {
        let options = RuntimeOptions { engine: Some(engine), dtype, ..RuntimeOptions::default() };
        let (folder, runtime) = (tempfile::tempdir()?, family(options)?);
        let recipe = bridged(&runtime, Some(bridge(folder.path(), 1)?))?;
        let out = folder.path().join("model");
        let source = RecipeTensors { family: runtime.family(), recipe: &recipe, registry: &Registry::standard() };
        export(source, &out, &ExportOptions { dtype: Some(dtype), ..ExportOptions::default() })?;
        let found = runtime.model(recipe)?.logits(&[&IDS])?;
        assert!(found == plain_model(&out, options)?.logits(&[&IDS])?, "{engine}, {dtype:?}: the export differs");
        assert!(found != runtime.model(bridged(&runtime, None)?)?.logits(&[&IDS])?, "the bridge does nothing");
    }
    Ok(())
}

#[test]
fn the_bank_builds_a_bridged_layer_once_beside_the_plain_one() -> Outcome {
    let (folder, elsewhere, runtime) = (tempfile::tempdir()?, tempfile::tempdir()?, family(RuntimeOptions::default())?);
    let built = |bridge| {
        let before = runtime.timings().layers_built;
        runtime.model(bridged(&runtime, bridge)?)?.logits(&[&IDS])?;
        Ok::<_, Box<dyn std::error::Error>>(runtime.timings().layers_built - before)
    };
    // Five layers, the embedding and the head.
    assert_eq!(built(None)?, 7);
    assert_eq!(built(Some(bridge(folder.path(), 1)?))?, 1);
    assert_eq!(built(Some(bridge(elsewhere.path(), 1)?))?, 0, "equal contents elsewhere");
    assert_eq!(built(Some(bridge(folder.path(), 2)?))?, 1);
    assert_eq!(built(None)?, 0);
    Ok(())
}
