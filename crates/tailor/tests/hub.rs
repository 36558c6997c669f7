//! Models by their ids on the hub, from a server that answers as the hub does.

#[path = "../../hub/tests/support/fake_hub.rs"]
mod fake_hub;
mod support;

use std::process::Command;

use fake_hub::FakeHub;
use support::{Family, Result};

/// A family whose models are on a hub and nowhere else, and the hub.
fn published() -> Result<(Family, FakeHub)> {
    let (family, hub) = (Family::new()?, FakeHub::empty()?);
    publish(&family, &hub)?;
    std::fs::remove_dir_all(family.path("models"))?;
    for model in ["base", "math", "code"] {
        family.replace("study.toml", &format!("\"models/{model}\""), &format!("\"org/{model}\""))?;
    }
    Ok((family, hub))
}

fn publish(family: &Family, hub: &FakeHub) -> Result {
    for model in ["base", "math", "code"] {
        let mut files = Vec::new();
        for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            files.push((name, std::fs::read(family.path("models").join(model).join(name))?));
        }
        hub.add(&format!("models/org/{model}"), &files);
    }
    Ok(())
}

/// What the command says on stdout and stderr, and whether it succeeds.
fn said(family: &Family, hub: &FakeHub, arguments: &str) -> Result<(bool, String)> {
    let mut command: Command = family.tailor(arguments);
    for name in ["HF_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"] {
        command.env_remove(name);
    }
    let command = command.env("HF_ENDPOINT", &hub.endpoint).env("HF_HUB_CACHE", family.path("cache"));
    let output = command.env("HF_HOME", family.path("home")).output()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.success(), text))
}

/// Requests for the content of weights, and how many of these were for a beginning alone.
fn weights(hub: &FakeHub) -> (usize, usize) {
    let asked = hub.asked();
    let of_weights: Vec<_> = asked.iter().filter(|asked| asked.elsewhere).collect();
    (of_weights.len(), of_weights.iter().filter(|asked| asked.range.as_deref() == Some("bytes=0-131071")).count())
}

#[test]
fn a_model_is_downloaded_where_that_is_asked_for() -> Result {
    let (family, hub) = published()?;
    let task = "--tasks words --include tasks --quiet";
    let (done, text) = said(&family, &hub, &format!("eval org/base {task}"))?;
    assert!(!done && text.contains("`--download`, or `download = true` in a study"), "{text}");
    assert!(hub.asked().is_empty());
    let (done, table) = said(&family, &hub, &format!("eval org/base {task} --download"))?;
    assert!(done && table.contains("words"), "{table}");
    assert_eq!(weights(&hub), (2, 1));
    for again in ["", "--download"] {
        let (done, text) = said(&family, &hub, &format!("eval org/base {task} {again}"))?;
        assert!(done && text == table, "{text}");
        assert!(hub.asked().is_empty(), "`{again}`");
    }
    Ok(())
}

#[test]
fn a_dry_run_needs_no_weights() -> Result {
    let (family, hub) = published()?;
    let models = "[{model: org/math, parameters: {weight: 0.5}}]";
    let ours = "{tailor: 1, models: {base: org/base}, base: base, layers: [{take: {model: base, layer: 5}}]}";
    family.write("ours.yaml", ours)?;
    family
        .write("theirs.yaml", &format!("{{merge_method: task_arithmetic, base_model: org/base, models: {models}}}"))?;
    for (recipe, requests) in [("ours", 1), ("theirs", 1)] {
        let (done, text) = said(&family, &hub, &format!("merge {recipe}.yaml out --dry-run --download"))?;
        assert!(done && text.contains("nothing was written"), "{text}");
        assert_eq!(weights(&hub), (requests, requests), "{recipe}");
    }
    let (done, text) = said(&family, &hub, "inspect org/code --download --json")?;
    assert!(done && text.contains("\"layers\": 6"), "{text}");
    assert_eq!(weights(&hub), (1, 1));
    let (done, text) = said(&family, &hub, "merge theirs.yaml out --download --quiet")?;
    assert!(done, "{text}");
    assert_eq!(weights(&hub), (2, 0), "the headers are here already");
    Ok(())
}

#[test]
fn models_that_do_not_fit_are_known_before_their_weights_come() -> Result {
    let (family, hub) = published()?;
    let other = Family::with_added_tokens()?;
    publish(&other, &hub)?;
    let (done, text) = said(&family, &hub, "search study.toml --out found --download")?;
    assert!(!done && text.contains("model `math`") && text.contains("49"), "{text}");
    assert_eq!(weights(&hub), (3, 3));
    Ok(())
}

#[test]
fn a_study_says_itself_that_it_downloads() -> Result {
    let (family, hub) = published()?;
    let (done, text) = said(&family, &hub, "search study.toml --out found --trials 4 --quiet")?;
    assert!(!done && text.contains("`org/base`"), "{text}");
    let study = std::fs::read_to_string(family.path("study.toml"))?;
    family.write("study.toml", &format!("download = true\n{study}"))?;
    let (done, text) = said(&family, &hub, "inspect study.toml")?;
    assert!(!done && hub.asked().is_empty(), "a look downloads nothing: {text}");
    let (done, text) = said(&family, &hub, "search study.toml --out found --trials 4")?;
    assert!(done && text.contains("downloading 1 files of org/math"), "{text}");
    assert_eq!(weights(&hub), (6, 3));
    let (done, text) = said(&family, &hub, "resume found --trials 5 --quiet")?;
    assert!(done && hub.asked().is_empty(), "{text}");
    Ok(())
}

#[test]
fn a_gated_model_asks_for_a_token() -> Result {
    let (family, hub) = published()?;
    hub.state().token = Some("hf_right".to_owned());
    let evaluate = "eval org/base --tasks words --include tasks --download --quiet";
    let (done, text) = said(&family, &hub, evaluate)?;
    assert!(!done && text.contains("answers 401") && text.contains("set `HF_TOKEN`"), "{text}");
    hub.asked();
    std::fs::create_dir_all(family.path("home"))?;
    family.write("home/token", "hf_right\n")?;
    let (done, text) = said(&family, &hub, evaluate)?;
    assert!(done, "{text}");
    assert!(hub.asked().iter().all(|asked| asked.token.is_some() != asked.elsewhere));
    Ok(())
}
