//! Bridged layers, in memory and exported: `tests/golden/bridge`, computed by numpy (`make.py` there).

mod support;

use std::fs;

use burn::tensor::Device;
use layer_ir::{Checkpoint, Dtype, Recipe};
use merge_ops::{ExportOptions, PlannedMerge, RecipeTensors, Registry, preview_export};
use support::{Outcome, golden, message, tensors, write};

const DOWN: &str = "mlp.down_proj.weight";

fn recipe() -> Outcome<Recipe> {
    Ok(Recipe::read(golden("bridge/recipe.yaml"))?)
}

#[test]
fn in_memory_a_delta_is_added_once_in_f32() -> Outcome {
    let (recipe, registry, device) = (recipe()?, Registry::standard(), Device::flex());
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &registry)?;
    let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    let mut compared = 0;
    for (name, (_, _, expected)) in tensors(&golden("bridge/expected.safetensors"))? {
        let Some((layer, suffix)) = name.strip_prefix("memory.").and_then(|name| name.split_once('.')) else {
            continue;
        };
        // Stored in bf16, which a bridged tensor no longer is.
        let built = source.layer(layer.parse()?, suffix, &device, Dtype::BF16)?.try_into_vec_as::<f32>()?;
        assert!(built == Dtype::F32.to_f32(&expected), "{name} differs");
        compared += 1;
    }
    assert_eq!(compared, 3);
    Ok(())
}

#[test]
fn an_export_rounds_after_the_delta_and_the_scales() -> Outcome {
    for (word, dtype) in [("f32.", Dtype::F32), ("f16.", Dtype::F16), ("bf16.", Dtype::BF16)] {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("model");
        write(recipe()?, &out, &ExportOptions { dtype: Some(dtype), ..ExportOptions::default() })?;
        let written = tensors(&out.join("model.safetensors"))?;
        let mut compared = 0;
        for (name, expected) in tensors(&golden("bridge/expected.safetensors"))? {
            let Some(tensor) = name.strip_prefix(word) else { continue };
            assert!(written[&format!("model.layers.{tensor}")] == expected, "{name} differs");
            compared += 1;
        }
        assert_eq!(compared, 3);
    }
    Ok(())
}

#[test]
fn the_other_tensors_of_a_bridged_layer_are_copied() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("model");
    let (family, _) = write(recipe()?, &out, &ExportOptions::default())?;
    let (written, chat) = (Checkpoint::open(&out)?, family.get("chat")?);
    let differ = chat.layer_tensors().iter().filter(|tensor| {
        let data = |model: &Checkpoint, layer| {
            model.tensor(&model.layer_tensor_name(layer, &tensor.suffix)).map(|view| view.data).unwrap_or_default()
        };
        data(&written, 1) != data(chat, 1)
    });
    let differ: Vec<&str> = differ.map(|tensor| tensor.suffix.as_str()).collect();
    assert_eq!(differ, ["self_attn.o_proj.weight", DOWN]);
    Ok(())
}

#[test]
fn a_bridged_recipe_beside_the_weights_makes_them_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    write(recipe()?, &first, &ExportOptions::default())?;
    write(Recipe::read(first.join("tailor_recipe.yaml"))?, &second, &ExportOptions::default())?;
    assert!(fs::read(first.join("model.safetensors"))? == fs::read(second.join("model.safetensors"))?);
    let card = fs::read_to_string(first.join("README.md"))?;
    for part in [
        "2 of the layers are bridged, nothing else was trained",
        "| 1 | `chat` 1, bridged | 0.5 |",
        "(BLAKE3 `f3aa5d8659c0916bdbb68714defd00a01c91936f5b1bfc31363813a8cf2f7279`) is added to \
         `mlp.down_proj.weight`, `self_attn.o_proj.weight`.",
    ] {
        assert!(card.contains(part), "{part} is not in\n{card}");
    }
    Ok(())
}

#[test]
fn a_preview_names_bridges_and_what_is_computed() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut recipe, registry) = (recipe()?, Registry::standard());
    // The same file for two layers is read once.
    recipe.layers[0].bridge = recipe.layers[2].bridge.clone();
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &registry)?;
    let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    let preview = preview_export(source, folder.path().join("out"), &ExportOptions::default())?;
    let [one, two] = preview.bridges.as_slice() else { panic!("{:?}", preview.bridges) };
    assert_eq!((one.layers.as_slice(), one.tensors, one.bytes), ([0, 2].as_slice(), 1, 4 * 32 * 80));
    assert_eq!((two.layers.as_slice(), two.tensors, two.bytes), ([1].as_slice(), 2, 4 * 32 * (80 + 32)));
    assert_eq!(two.file, golden("bridge/first.safetensors"));
    let counts = |merge: &PlannedMerge| (merge.method.clone(), merge.bridged, merge.tensors);
    let mut merges: Vec<_> = preview.merges.iter().map(counts).collect();
    merges.sort();
    let linear = || Some("linear".to_owned());
    // Three outer tensors, and nine of each layer.
    assert_eq!(merges, [(None, false, 3 + 8 + 7), (None, true, 3), (linear(), false, 8), (linear(), true, 1)]);
    Ok(())
}

#[test]
fn an_output_that_holds_a_bridge_is_not_replaced() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    fs::create_dir(&out)?;
    let mut bridged = recipe()?;
    let bridge = bridged.layers[1].bridge.as_mut().ok_or("no bridge")?;
    let inside = out.join("first.safetensors");
    fs::copy(&bridge.file, &inside)?;
    bridge.file = inside.clone();
    let options = ExportOptions { overwrite: true, ..ExportOptions::default() };
    let says = message(write(bridged, &out, &options));
    assert!(says.contains("first.safetensors, a bridge of the recipe; name another folder"), "{says}");
    assert!(inside.exists());
    Ok(())
}
