//! `tailor inspect --screen`: what each layer of a model does with a text.

mod support;

use serde_json::Value;
use support::{Family, Result};

/// The family that the repository bundles: 12 layers, none of which makes an attention sink.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

#[test]
fn a_checkpoint_and_a_study_of_the_bundled_family_are_screened_alike() -> Result {
    let family = Family::new()?;
    let model =
        format!("inspect {BUNDLED}/family/math --screen --tasks family_arithmetic,family_lists --split validation");
    let model = format!("{model} --include {BUNDLED}/family/tasks --tokens 400");
    let table = family.run(&model)?;
    assert!(table.lines().next().ok_or("no table")?.contains("family/math: loss "), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with('|')).count(), 2 + 12, "{table}");
    let alone: Value = serde_json::from_str(&family.run(&format!("{model} --json"))?)?;
    let of_model = alone["models"].as_object().and_then(|models| models.values().next()).ok_or("no model")?;
    check(of_model)?;

    let study = format!("inspect {BUNDLED}/quickstart.toml --screen --tasks family_arithmetic,family_lists");
    let whole: Value = serde_json::from_str(&family.run(&format!("{study} --split validation --tokens 400 --json"))?)?;
    let names: Vec<&String> = whole["models"].as_object().ok_or("no models")?.keys().collect();
    assert_eq!(names, ["base", "math", "lists", "counting"]);
    assert_eq!(whole["models"]["math"], *of_model, "a study's model is the model");

    let searched: Value =
        serde_json::from_str(&family.run(&format!("inspect {BUNDLED}/quickstart.toml --screen --tokens 200 --json"))?)?;
    for name in names {
        check(&searched["models"][name])?;
    }
    Ok(())
}

/// Twelve layers with finite numbers, none of which makes a sink, each of which the model misses.
fn check(screening: &Value) -> Result {
    let layers = screening["layers"].as_array().ok_or("no layers")?;
    assert_eq!(layers.len(), 12);
    let loss = screening["loss"].as_f64().ok_or("no loss")?;
    let mut worse = 0;
    for layer in layers {
        for number in ["block_influence", "angular_distance", "first_length", "other_length", "loss_without"] {
            let value = layer[number].as_f64().ok_or(number)?;
            assert!(value.is_finite() && value > 0.0, "{number}: {layer}");
        }
        assert!(layer["sink"].is_null(), "{layer}");
        worse += usize::from(layer["loss_without"].as_f64() > Some(loss));
    }
    assert!(worse >= 10, "{screening}");
    Ok(())
}

#[test]
fn the_layer_that_makes_a_sink_is_marked_and_text_must_be_named() -> Result {
    let family = Family::with_sink(3)?;
    family.write("text.txt", &"w3 w7 w9 w30 w12 w5\n\nw3 w41 w17 w8\n\n".repeat(9))?;
    let table = family.run("inspect models/code --screen --text text.txt --tokens 100")?;
    // Each text begins with `<s>`.
    let marked: Vec<&str> = table.lines().filter(|line| line.contains("makes it, position 1")).collect();
    assert!(marked.len() == 1 && marked[0].starts_with("| 3     |"), "{table}");
    family.write(
        "cut.yaml",
        "tailor: 1\nmodels: {base: models/base}\nbase: base\nlayers:\n- take: {model: base, layer: 3}\n",
    )?;
    let cut: Value =
        serde_json::from_str(&family.run("inspect cut.yaml --screen --text text.txt --tokens 100 --json")?)?;
    let only = &cut["models"]["cut.yaml"]["layers"][0];
    assert!(only["sink"].is_object() && only["loss_without"].is_null(), "{cut}");
    let complaint = family.fail("inspect models/code --screen")?;
    assert!(complaint.contains("--tasks") && complaint.contains("--text"), "{complaint}");
    Ok(())
}
