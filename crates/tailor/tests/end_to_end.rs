//! The main path, as a person goes it: search, write, load back, score; and a search that is killed.

mod support;

use std::time::{Duration, Instant};

use support::{Family, LAYERS, Result};
use zo_search::{History, Study};

#[test]
fn a_search_ends_in_a_smaller_model_that_loads_back_with_its_scores() -> Result {
    let family = Family::new()?;
    let said = family.run("search study.toml --out found --export tailored --quiet")?;
    for part in ["| base ", "| math ", "random removal 1, base", "greedy by perplexity (SLEB), code", "4 of 6 layers"] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    assert!(said.contains("12 trials in ") && said.contains(" in forward passes"), "{said}");
    for file in ["study.toml", "journal.jsonl", "parents.json", "result.json", "best.yaml", "test.json", "report.html"]
    {
        assert!(family.path("found").join(file).is_file(), "{file} is missing");
    }
    let page = std::fs::read_to_string(family.path("found/report.html"))?;
    assert!(
        page.contains("<svg") && page.contains("tailored, written and loaded back") && !page.contains("src=\"http")
    );

    // The search's own scores, the recipe's in memory and the written model's are one and the same.
    family.run("eval tailored --tasks words --include tasks --output written.json --log-samples samples.jsonl")?;
    family.run("eval found/best.yaml --tasks words --include tasks --output recipe.json")?;
    let accuracy = |name: &str| -> Result<f64> {
        family.json(name)?["results"]["words"]["acc,none"].as_f64().ok_or("none".into())
    };
    let test = family.json("found/test.json")?;
    assert_eq!(accuracy("written.json")?, accuracy("recipe.json")?);
    assert_eq!(Some(accuracy("written.json")?), test["tailored"][0]["score"].as_f64());
    assert_eq!(test["written"]["scores"][0]["score"], test["tailored"][0]["score"]);
    assert_eq!(std::fs::read_to_string(family.path("samples.jsonl"))?.lines().count(), 48);

    let inspected: serde_json::Value = serde_json::from_str(&family.run("inspect tailored --json")?)?;
    assert_eq!(inspected["layers"], LAYERS - 2);
    Ok(())
}

#[test]
fn every_trial_can_be_written_and_reports_are_made_anew() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out found --trials 6 --seed 11 --quiet")?;
    assert!(family.run("export found best")?.contains("4 layers"));
    family.run("export found third --trial 3")?;
    assert!(family.path("third/model.safetensors").is_file());
    std::fs::remove_file(family.path("found/report.html"))?;
    assert!(family.run("report found")?.contains("report.html"));
    assert!(family.path("found/report.html").is_file());
    assert!(family.fail("export found fourth --trial 600")?.contains("no finished trial 600"));
    assert!(!family.path("fourth").exists());
    let study: serde_json::Value = serde_json::from_str(&family.run("inspect found --json")?)?;
    assert_eq!((study["finished_trials"].as_u64(), study["seed"].as_u64()), (Some(6), Some(11)));
    Ok(())
}

#[test]
fn a_recipe_is_merged_in_the_format_asked_for() -> Result {
    let family = Family::new()?;
    family.write("recipe.yaml", RECIPE)?;
    assert!(family.run("inspect recipe.yaml")?.contains("gone"));
    assert!(family.run("merge recipe.yaml half --dtype f16")?.contains("2 layers"));
    let inspected: serde_json::Value = serde_json::from_str(&family.run("inspect half --json")?)?;
    assert_eq!((inspected["layers"].as_u64(), inspected["dtype"].as_str()), (Some(2), Some("f16")));
    assert!(family.fail("merge recipe.yaml half")?.contains("half: the folder is not empty"));
    Ok(())
}

#[test]
fn the_devices_are_listed_by_the_names_that_commands_take() -> Result {
    let family = Family::new()?;
    let table = family.run("devices")?;
    for name in ["cpu", "cuda", "wgpu"] {
        assert!(table.lines().any(|line| line.starts_with(name)), "no {name} in:\n{table}");
    }
    family.run("eval models/base --tasks words --include tasks --limit 2 --device cpu")?;
    Ok(())
}

const RECIPE: &str = "
tailor: 1
models: {base: models/base, math: models/math, code: models/code}
base: base
layers:
- take: {model: math, layer: 0}
- merge:
    method: gptailor_task_arithmetic
    parameters: {coefficient: 0.5}
    sources: [{model: math, layer: 4}, {model: code, layer: 4}]
";

/// What a finished study did, and how many trials it has.
fn history(family: &Family, folder: &str) -> Result<History> {
    Ok(Study::read(family.path(folder).join("journal.jsonl"))?)
}

#[test]
fn a_killed_search_resumes_to_the_same_trials() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "trials = 12", "trials = 120")?;
    family.run("search study.toml --out whole --quiet")?;

    let mut child = family.tailor("search study.toml --out killed --quiet").spawn()?;
    let (journal, start) = (family.path("killed/journal.jsonl"), Instant::now());
    let tells = || std::fs::read_to_string(&journal).map_or(0, |text| text.matches("\"t\":\"tell\"").count());
    while tells() < 20 {
        assert!(start.elapsed() < Duration::from_secs(60), "the search does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    let finished = tells();
    assert!(finished < 120, "the search ended before it was killed");
    assert!(!family.path("killed/result.json").exists());

    family.run("resume killed --quiet")?;
    let (whole, killed) = (history(&family, "whole")?, history(&family, "killed")?);
    assert_eq!(killed.trials().len(), whole.trials().len());
    for (a, b) in whole.trials().iter().zip(killed.trials()) {
        assert_eq!((&a.trial, &a.outcome), (&b.trial, &b.outcome));
    }
    assert_eq!(killed.digest(), whole.digest());
    let recipe = |folder: &str| std::fs::read_to_string(family.path(folder).join("best.yaml"));
    assert_eq!(recipe("killed")?, recipe("whole")?);

    // A finished study resumes to itself.
    family.run("resume killed --quiet")?;
    assert_eq!(history(&family, "killed")?.digest(), whole.digest());
    Ok(())
}
