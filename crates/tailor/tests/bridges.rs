//! Recipes with bridges on the command line: shown, tried out, written, refused.

mod support;

use layer_ir::BridgeRef;
use recipe_search::bridges::{DownProjDelta, OProjDelta, write_deltas};
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
        ("cut.yaml", "--split validation --tokens 0", &["calibration text has no tokens"]),
        ("cut.yaml", "--split validation --memory-mib 0", &["bytes", "may take 0", "memory"]),
        ("cut.yaml", "--split validation --memory-mib 0 --sequential", &["bytes", "may take 0", "memory"]),
        ("cut.yaml", "--split validation --ridges 0", &["ridges are [0.0]"]),
    ] {
        let command = format!("bridge {recipe} refused/recipe.yaml --tasks words --include tasks {options}");
        let output = family.tailor(&command).output()?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && complaint.lines().count() <= 3, "{command}: {complaint}");
        assert!(culprits.iter().all(|culprit| complaint.contains(culprit)), "{command}: {complaint}");
        assert_eq!(std::fs::read_dir(family.path("refused"))?.count(), 0, "{command}");
    }
    Ok(())
}

/// Layers 2 and 3 of six gone.
fn cut() -> Result<Family> {
    let family = Family::new()?;
    let models = "tailor: 1\nmodels: {base: models/base, math: models/math}\nbase: base\nlayers:\n";
    let layers: String = [0, 1, 4, 5].map(|layer| format!("- take: {{model: math, layer: {layer}}}\n")).concat();
    family.write("cut.yaml", &format!("{models}{layers}"))?;
    Ok(family)
}

/// Two deltas of a layer lie in one file; all that shows a bridge shows both, and recipe and export are the same model.
#[test]
fn a_bridge_may_change_attention_and_mlp() -> Result {
    let family = cut()?;
    let [down, output]: [Vec<f32>; 2] =
        [48, 32].map(|width| (0..32 * width).map(|i| 0.02 * (i as f32).sin()).collect());
    let down = DownProjDelta { hidden: 32, intermediate: 48, values: down };
    let output = OProjDelta { hidden: 32, attended: 32, values: output };
    let written = write_deltas(&family.path(""), Some(&down), Some(&output))?;
    let name = written.file.file_name().and_then(|name| name.to_str()).ok_or("no name")?.to_owned();
    let layer = "- take: {model: math, layer: 4}\n";
    family.replace("cut.yaml", layer, &format!("{layer}  bridge: {{file: {name}, hash: {}}}\n", written.hash))?;
    let facts: serde_json::Value = serde_json::from_str(&family.run("inspect cut.yaml --json")?)?;
    let both = serde_json::json!(["mlp.down_proj.weight", "self_attn.o_proj.weight"]);
    assert_eq!(facts["bridges"]["layer_2"]["tensors"], both, "{facts:#}");
    let planned = family.run("merge cut.yaml out --dry-run")?;
    assert!(planned.contains("bridge of output layer 2: 2 tensors"), "{planned}");
    family.run("merge cut.yaml out --dtype f32 --quiet")?;
    let card = std::fs::read_to_string(family.path("out/README.md"))?;
    assert!(card.contains("`mlp.down_proj.weight`, `self_attn.o_proj.weight`"), "{card}");
    for (model, output) in [("cut.yaml", "one.json"), ("out", "two.json")] {
        family.run(&format!("eval {model} --tasks words --include tasks --output {output}"))?;
    }
    assert_eq!(family.json("one.json")?["results"], family.json("two.json")?["results"]);
    Ok(())
}

#[test]
fn o_proj_is_refitted_behind_the_gap() -> Result {
    let family = cut()?;
    let command = "bridge cut.yaml mended.yaml --tasks words --include tasks --split validation --sequential --o-proj";
    let said = family.run(command)?;
    for part in ["layer 2: o_proj, towards the teacher after attention: ridge ", "layer 3: o_proj, towards"] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    assert!(!said.contains("layer 1: o_proj"), "before the gap it is as in the teacher:\n{said}");
    family.run("inspect mended.yaml")?;
    let refused = family.tailor("bridge cut.yaml other.yaml --tasks words --include tasks --o-proj").output()?;
    assert!(!refused.status.success() && String::from_utf8(refused.stderr)?.contains("--sequential"));
    Ok(())
}

/// A disk without room, here a file size limit: one message that names the file, and nothing stays.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() -> Result {
    let family = cut()?;
    let before = family.listing()?;
    for options in ["", "--sequential", "--sequential --o-proj"] {
        let command = format!("bridge cut.yaml mended.yaml --tasks words --include tasks --split validation {options}");
        let tailor = family.tailor(&command);
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""]).arg(tailor.get_program());
        limited.args(tailor.get_args());
        limited.current_dir(tailor.get_current_dir().ok_or("no folder")?);
        let output = limited.output()?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && complaint.lines().count() <= 3, "{command}: {complaint}");
        assert!(complaint.contains("bridge-") && complaint.contains("large"), "{command}: {complaint}");
        assert_eq!(family.listing()?, before, "{command}");
    }
    Ok(())
}
