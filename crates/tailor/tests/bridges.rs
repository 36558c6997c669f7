//! Recipes with bridges on the command line: shown, tried out, written, refused.

mod support;

use layer_ir::BridgeRef;
use support::{Family, Result};

/// `math` without its last two layers, the layer before them bridged.
fn family() -> Result<Family> {
    let family = Family::new()?;
    let delta: Vec<f32> = (0..32 * 48).map(|i| 0.01 * (i as f32).cos()).collect();
    let written = BridgeRef::write(&family.path(""), &[("mlp.down_proj.weight", (&[32, 48][..], &delta[..]))].into())?;
    std::fs::rename(&written.file, family.path("bridge.safetensors"))?;
    let layers: String = (0..4).map(|layer| format!("- take: {{model: math, layer: {layer}}}\n")).collect();
    let bridge = format!("  bridge: {{file: bridge.safetensors, hash: {}}}\n", written.hash);
    let models = "tailor: 1\nmodels: {base: models/base, math: models/math}\nbase: base\n";
    family.write("recipe.yaml", &format!("{models}layers:\n{layers}{bridge}"))?;
    Ok(family)
}

#[test]
fn inspect_shows_which_layer_is_bridged_by_which_file() -> Result {
    let family = family()?;
    let said = family.run("inspect recipe.yaml")?;
    for part in ["bridges\n  layer 3\n    file", "bridge.safetensors\n", "tensors               mlp.down_proj.weight\n"]
    {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    let map: Vec<&str> = said.lines().rev().take(2).map(str::trim_end).collect();
    assert_eq!(map, ["gone                 ×  ×", "bridge            +"], "{said}");
    let facts: serde_json::Value = serde_json::from_str(&family.run("inspect recipe.yaml --json")?)?;
    assert_eq!(facts["bridges"]["layer_3"]["tensors"], serde_json::json!(["mlp.down_proj.weight"]));
    family.replace("recipe.yaml", "  bridge:", "#  bridge:")?;
    assert!(!family.run("inspect recipe.yaml")?.contains("bridge"));
    Ok(())
}

#[test]
fn a_dry_run_counts_what_is_read_of_a_bridge_and_what_it_changes() -> Result {
    let family = family()?;
    let said = family.run("merge recipe.yaml out --dry-run")?;
    for part in
        ["bridge of output layer 3: 1 tensors, 0.000 GB, of ", "taken, a bridge added: 1 tensors, 1536 parameters"]
    {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    Ok(())
}

#[test]
fn the_written_model_scores_as_the_recipe() -> Result {
    let family = family()?;
    family.run("merge recipe.yaml out --dtype f32 --quiet")?;
    for (model, output) in [("recipe.yaml", "one.json"), ("out", "two.json"), ("out/tailor_recipe.yaml", "three.json")]
    {
        family.run(&format!("eval {model} --tasks words --include tasks --output {output}"))?;
    }
    let scores = |file| Ok::<_, Box<dyn std::error::Error>>(family.json(file)?["results"].clone());
    assert!(scores("one.json")?.is_object());
    assert_eq!((scores("one.json")?, scores("one.json")?), (scores("two.json")?, scores("three.json")?));
    Ok(())
}

#[test]
fn what_is_wrong_with_a_bridge_is_one_message_that_names_layer_and_file() -> Result {
    let family = family()?;
    let complaint = family.fail("inspect recipe.yaml --mergekit")?;
    assert!(complaint.contains("output layer 3: cannot be written for mergekit: a bridge"), "{complaint}");
    let (file, before) = (family.path("bridge.safetensors"), family.listing()?);
    let whole = std::fs::read(&file)?;
    let mut other = whole.clone();
    *other.last_mut().ok_or("an empty bridge")? ^= 1;
    for (content, says) in [(&whole[..whole.len() - 9], "not a whole safetensors file"), (&other, "its BLAKE3 hash is")]
    {
        std::fs::write(&file, content)?;
        for command in
            ["inspect recipe.yaml", "merge recipe.yaml out", "eval recipe.yaml --tasks words --include tasks"]
        {
            let complaint = family.fail(command)?;
            let named = complaint.contains("output layer 3: bridge ") && complaint.contains("bridge.safetensors: ");
            assert!(named && complaint.contains(says), "{command}: {complaint}");
        }
    }
    assert_eq!(family.listing()?, before);
    std::fs::remove_file(&file)?;
    let complaint = family.fail("merge recipe.yaml out")?;
    assert!(complaint.contains("output layer 3: bridge ") && complaint.contains("cannot be read"), "{complaint}");
    Ok(())
}

#[test]
fn a_cut_recipe_is_bridged_on_training_documents() -> Result {
    let family = Family::new()?;
    let models = "tailor: 1\nmodels: {base: models/base, math: models/math}\nbase: base\nlayers:\n";
    let layers: String = [0, 1, 4, 5].map(|layer| format!("- take: {{model: math, layer: {layer}}}\n")).concat();
    family.write("cut.yaml", &format!("{models}{layers}"))?;
    let said = family.run("bridge cut.yaml mended/recipe.yaml --tasks words --include tasks --split validation")?;
    assert!(said.contains("layer 1: math 1, 2 left out behind it"), "{said}");
    assert!(family.run("inspect mended/recipe.yaml")?.contains("bridges\n  layer 1"));
    family.run("eval mended/recipe.yaml --tasks words --include tasks")?;
    family.run("merge mended/recipe.yaml out --dtype f32 --quiet")?;

    let command = "bridge cut.yaml mended/all.yaml --tasks words --include tasks --split validation --sequential";
    let said = family.run(&format!("{command} --teacher math"))?;
    assert!(said.contains("layer 3: towards the teacher before its layer 6"), "{said}");
    family.run("merge mended/all.yaml mended/model --dtype f32 --quiet")?;

    let whole: String = (0..6).map(|layer| format!("- take: {{model: math, layer: {layer}}}\n")).collect();
    family.write("whole.yaml", &format!("{models}{whole}"))?;
    for (recipe, options, culprits) in [
        ("whole.yaml", "--split validation", &["whole.yaml", "no gap"][..]),
        ("cut.yaml", "--split validation --tokens 20", &["24 calibration tokens", "48"]),
        ("cut.yaml", "--split holiday", &["holiday"]),
        ("cut.yaml", "--split validation --sequential --teacher nobody", &["teacher", "nobody"]),
    ] {
        let command = format!("bridge {recipe} refused/recipe.yaml --tasks words --include tasks {options}");
        let output = family.tailor(&command).output()?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && complaint.lines().count() <= 3, "{command}: {complaint}");
        assert!(culprits.iter().all(|culprit| complaint.contains(culprit)), "{command}: {complaint}");
        assert!(!family.path("refused/recipe.yaml").exists());
    }
    Ok(())
}
