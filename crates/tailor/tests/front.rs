//! Several objectives, as a person goes it: one search gives the best model for each number of removed layers.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::{Family, LAYERS, Result};
use zo_search::Study;

/// Objectives of the members of the front in `result.json`.
fn objectives(member: &Value) -> Vec<f64> {
    member["objectives"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// Makes the base's own answers the right ones, so that it has much to lose.
fn let_the_base_decide(family: &Family) -> Result {
    let task = std::fs::read_to_string(family.path("tasks/words.yaml"))?;
    for split in ["validation", "test"] {
        let data = format!("words_{split}.jsonl");
        family.write("tasks/words.yaml", &task.replace("words_test.jsonl", &data))?;
        family.run("eval models/base --tasks words --include tasks --log-samples samples.jsonl")?;
        let mut decided = String::new();
        for line in std::fs::read_to_string(family.path("samples.jsonl"))?.lines() {
            let mut sample: Value = serde_json::from_str(line)?;
            let answers = sample["filtered_resps"].as_array().ok_or("no answers")?;
            // A likelihood may stand as a number or as its text.
            let likelihood = |answer: &Value| {
                answer[0].as_f64().or_else(|| answer[0].as_str()?.parse().ok()).unwrap_or(f64::NEG_INFINITY)
            };
            // Of equal answers the first, as the task takes it.
            let places = (0..answers.len()).rev();
            let best = places.max_by(|a, b| likelihood(&answers[*a]).total_cmp(&likelihood(&answers[*b])));
            sample["doc"]["label"] = best.into();
            decided += &format!("{}\n", sample["doc"]);
        }
        family.write(&format!("tasks/{data}"), &decided)?;
    }
    family.write("tasks/words.yaml", &task)
}

fn pareto_study(strategy: &str, trials: usize) -> Result<Family> {
    let family = Family::new()?;
    family.replace("study.toml", "remove = 2", "remove = [1, 4]")?;
    let search = format!("trials = {trials}\nstrategy = \"{strategy}\"\nobjectives = [\"parameters\"]\ndesigns = 6");
    family.replace("study.toml", "trials = 12", &search)?;
    Ok(family)
}

#[test]
fn one_search_gives_a_front_over_the_number_of_removed_layers() -> Result {
    let family = pareto_study("tailor", 60)?;
    let_the_base_decide(&family)?;
    let said = family.run("search study.toml --out found --quiet")?;
    assert!(said.contains("| layers removed |") && said.contains(" ± "), "{said}");
    // The base is right by definition.
    assert_eq!(family.json("found/parents.json")?["reference"]["best"], serde_json::json!([1.0]));
    let result = family.json("found/result.json")?;
    let front = result["front"].as_array().ok_or("no front")?;
    let removed: BTreeSet<u64> = front.iter().filter_map(|member| member["removed"].as_u64()).collect();
    assert!(removed.len() >= 2 && removed.iter().all(|count| (1..=4).contains(count)), "{removed:?}");
    assert_eq!(removed.len(), front.len(), "one model for each number of layers");
    for member in front {
        let own = objectives(member);
        let beats = |other: &Vec<f64>| other.iter().zip(&own).all(|(other, own)| other <= own) && *other != own;
        assert!(!front.iter().map(objectives).any(|other| beats(&other)), "{own:?} is beaten");
        let file = member["file"].as_str().ok_or("no file")?;
        assert_eq!(file, format!("front/{}.yaml", member["removed"]));
        let recipe: Value = serde_json::from_str(&family.run(&format!("inspect found/{file} --json"))?)?;
        assert_eq!(recipe["parameters"], member["parameters"]);
        assert_eq!(recipe["layers"].as_u64(), Some(LAYERS as u64 - member["removed"].as_u64().unwrap_or(0)));
    }
    assert_eq!(family.json("found/test.json")?["front"].as_array().map(Vec::len), Some(front.len()));
    assert!(std::fs::read_to_string(family.path("found/report.html"))?.contains("Retention over removed layers"));

    // Every asked point keeps to the range, every size is asked for, and no full result lies beyond the front.
    let history = Study::read(family.path("found/journal.jsonl"))?;
    let mut asked = BTreeSet::new();
    for record in history.trials() {
        asked.insert(record.trial.point.subset("remove")?.len());
        let result = record.outcome.as_ref().and_then(zo_search::Outcome::result);
        if let Some(result) = result.filter(|_| record.trial.fidelity.is_full()) {
            let covers = |member: &Value| objectives(member).iter().zip(result).all(|(own, other)| own <= other);
            assert!(front.iter().any(covers), "trial {} lies beyond the front", record.trial.id);
        }
    }
    assert_eq!(asked, (1..=4).collect());

    let last = front.last().and_then(|member| member["trial"].as_u64()).ok_or("no trial")?;
    family.run(&format!("export found smallest --trial {last}"))?;
    assert!(family.run("report found")?.contains("| layers removed |"));
    Ok(())
}

#[test]
fn other_strategies_find_a_front_too_and_tasks_are_objectives() -> Result {
    for strategy in ["nsga2", "par_ego"] {
        let family = pareto_study(strategy, 30)?;
        family.replace("study.toml", "[\"parameters\"]", "[\"parameters\", \"tasks\"]")?;
        family.run("search study.toml --out found --quiet")?;
        let result = family.json("found/result.json")?;
        let front = result["front"].as_array().ok_or("no front")?;
        // The parameters and the one task, which the objective is made of.
        assert!(!front.is_empty() && front.iter().all(|member| objectives(member).len() == 2), "{strategy}");
    }
    Ok(())
}

#[test]
fn a_budget_says_how_many_layers_go_at_least() -> Result {
    let family = Family::new()?;
    let sizes = |kept: u64| -> Result<(u64, u64)> {
        let whole: Value = serde_json::from_str(&family.run("inspect models/base --json")?)?;
        let (all, bytes) = (whole["parameters"].as_u64().ok_or("none")?, whole["bytes"].as_u64().ok_or("none")?);
        // 2 norms, 4 attention matrices and 3 of the MLP.
        let layer = 2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48;
        let gone = layer * (LAYERS as u64 - kept);
        Ok((all - gone, bytes - gone * bytes / all))
    };
    let ((parameters, _), (_, bytes)) = (sizes(3)?, sizes(3)?);
    let inspected = |budget: &str| -> Result<Value> {
        let study = std::fs::read_to_string(family.path("study.toml"))?;
        family.write("budget.toml", &study.replace("remove = 2", &format!("remove = [0, 5]\n{budget}")))?;
        let inspected: Value = serde_json::from_str(&family.run("inspect budget.toml --json")?)?;
        Ok(inspected["layers_removed"].clone())
    };
    assert_eq!(inspected("")?, serde_json::json!([0, 5]));
    assert_eq!(inspected(&format!("max_parameters = {parameters}"))?, serde_json::json!([3, 5]));
    assert_eq!(inspected(&format!("max_bytes = {bytes}"))?, serde_json::json!([3, 5]));
    assert_eq!(inspected(&format!("max_bytes = {}", bytes - 1))?, serde_json::json!([4, 5]));
    family.replace("study.toml", "remove = 2", &format!("remove = 2\nmax_parameters = {parameters}"))?;
    let complaint = family.fail("search study.toml --out found")?;
    for part in ["space.max_parameters", "at least", "when 2 layers go"] {
        assert!(complaint.contains(part), "`{part}` is not in: {complaint}");
    }
    assert!(!family.path("found").exists());
    Ok(())
}
