//! What can be wrong: each gives a message that names the culprit, an exit code that is not 0, and nothing
//! half-written.

mod support;

use support::{Family, Result};

/// Runs the command, which must name every one of `culprits` and change nothing on disk.
fn refused(family: &Family, arguments: &str, culprits: &[&str]) -> Result {
    let before = family.listing()?;
    let complaint = family.fail(arguments)?;
    for culprit in culprits {
        assert!(complaint.contains(culprit), "tailor {arguments}: `{complaint}` does not name `{culprit}`");
    }
    assert_eq!(family.listing()?, before, "tailor {arguments} left something behind");
    Ok(())
}

const SEARCH: &str = "search study.toml --out found --quiet";
const EVAL: &str = "eval models/base --tasks words --include tasks --output scores.json --quiet";

#[test]
fn wrong_paths_are_named() -> Result {
    let family = Family::new()?;
    refused(&family, "inspect models/nothing", &["models/nothing"])?;
    refused(&family, "eval models/nothing --tasks words --output scores.json", &["models/nothing"])?;
    refused(&family, "search nothing.toml", &["nothing.toml"])?;
    refused(&family, "resume models", &["models", "study.toml"])?;
    refused(&family, "report nothing", &["nothing"])?;
    refused(&family, "search study.toml --out found --warm-start models", &["models", "study.toml"])?;
    refused(&family, "export nothing out", &["nothing"])?;
    refused(&family, "merge nothing.yaml out", &["nothing.yaml"])?;
    refused(&family, "inspect tasks/words_test.jsonl", &["words_test.jsonl", "neither a checkpoint"])?;
    refused(&family, "inspect tasks", &["tasks", "config.json"])?;
    family.replace("study.toml", "models/math", "models/nothing")?;
    refused(&family, SEARCH, &["models/nothing"])
}

#[test]
fn files_that_cannot_be_optunas_are_named() -> Result {
    let family = Family::new()?;
    let none = "is no database of Optuna's";
    refused(&family, &format!("{SEARCH} --optuna study.toml"), &["study.toml", none])?;
    refused(&family, &format!("{SEARCH} --optuna nothing/study.db"), &["nothing/study.db", "no folder nothing"])?;
    refused(&family, &format!("{SEARCH} --optuna found/journal.sqlite"), &["--optuna", "found/journal.sqlite"])?;
    family.run(SEARCH)?;
    refused(&family, "report found --optuna found/study.toml", &["found/study.toml", none])?;
    refused(&family, "report found --optuna found/journal.jsonl", &["--optuna", "found/journal.jsonl"])?;
    refused(&family, "resume found --optuna nothing/study.db", &["no folder nothing"])?;
    refused(&family, "report models --optuna study.db", &["models"])
}

#[test]
fn damaged_checkpoints_are_named() -> Result {
    let family = Family::new()?;
    let weights = family.path("models/math/model.safetensors");
    let bytes = std::fs::read(&weights)?;
    std::fs::write(&weights, &bytes[..bytes.len() - 100])?;
    refused(&family, SEARCH, &["models/math/model.safetensors", "not a whole"])?;
    refused(&family, "eval models/math --tasks words --include tasks", &["models/math/model.safetensors"])?;

    std::fs::remove_file(&weights)?;
    let index = "models/math/model.safetensors.index.json";
    family.write(index, r#"{"weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}"#)?;
    refused(&family, "inspect models/math", &["model-00001-of-00001.safetensors", "missing"])?;
    family.write(index, r#"{"weight_map": {"lm_head.weight": "../base/model.safetensors"}}"#)?;
    refused(&family, SEARCH, &["../base/model.safetensors", "outside"])
}

#[test]
fn models_that_do_not_fit_are_named() -> Result {
    let family = Family::new()?;
    family.replace("models/math/config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 40")?;
    refused(&family, SEARCH, &["model.layers.0.mlp.", "[48, 32]", "[40, 32]"])?;

    let family = Family::new()?;
    family.replace("models/code/config.json", "LlamaForCausalLM", "MistralForCausalLM")?;
    family.replace("models/code/config.json", "\"llama\"", "\"mistral\"")?;
    refused(&family, SEARCH, &["`code`", "istral", "lama"])
}

#[test]
fn unknown_tasks_and_bad_data_are_named() -> Result {
    let family = Family::new()?;
    refused(&family, "eval models/base --tasks word --include tasks", &["`word`", "did you mean `words`"])?;
    family.replace("study.toml", "\"words\"", "\"verbs\"")?;
    refused(&family, SEARCH, &["`verbs`"])?;

    let family = Family::new()?;
    let data = std::fs::read_to_string(family.path("tasks/words_test.jsonl"))?;
    let second = data.lines().nth(1).ok_or("no second line")?;
    family.write("tasks/words_test.jsonl", &data.replacen(second, "{\"question\": ", 1))?;
    refused(&family, EVAL, &["words_test.jsonl", "2"])?;
    refused(&family, SEARCH, &["words_test.jsonl", "2"])?;
    family.write("tasks/words_test.jsonl", "")?;
    refused(&family, EVAL, &["words"])?;
    refused(&family, SEARCH, &["words"])
}

#[test]
fn folders_that_cannot_be_written_are_named() -> Result {
    let family = Family::new()?;
    refused(&family, "search study.toml --out study.toml/found", &["study.toml/found"])?;
    refused(&family, "search study.toml --out found --export study.toml/model", &["study.toml/model"])?;
    refused(&family, "search study.toml --out models", &["models", "not empty", "tailor resume models"])?;
    refused(&family, "search study.toml --out found --export models", &["models", "not empty"])?;
    refused(&family, "search study.toml --out found --export found/model", &["found/model", "--export"])?;
    refused(
        &family,
        "eval models/base --tasks words --include tasks --output nothing/scores.json",
        &["nothing/scores.json"],
    )?;
    refused(&family, "eval models/base --tasks words --include tasks --output models", &["models"])
}

#[test]
fn devices_that_are_not_there_are_named() -> Result {
    let family = Family::new()?;
    let study = std::fs::read_to_string(family.path("study.toml"))?;
    for (device, built) in [("cuda:77", cfg!(feature = "cuda")), ("wgpu:77", cfg!(feature = "wgpu"))] {
        let culprits = [device, if built { "was not found" } else { "--features" }];
        refused(&family, &format!("{EVAL} --device {device}"), &culprits)?;
        family.write("study.toml", &format!("{study}\n[runtime]\ndevice = \"{device}\"\n"))?;
        refused(&family, SEARCH, &culprits)?;
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_named() -> Result {
    let family = Family::new()?;
    // A port that nothing listens at.
    let server = "--server http://127.0.0.1:9/v1";
    let culprits = ["`words`", "http://127.0.0.1:9/v1/completions", "is the server running"];
    refused(&family, &format!("{EVAL} {server}"), &culprits)?;
    refused(&family, "eval models/nothing --tasks words --server http://127.0.0.1:9", &["models/nothing", "no folder"])
}

#[test]
fn studies_and_recipes_without_sense_are_named() -> Result {
    let family = Family::new()?;
    refused(&family, "search study.toml --out found --trials 0", &["study.toml", "search.trials"])?;
    refused(&family, "eval models/base --tasks words --include tasks --limit 0", &["--limit"])?;
    refused(&family, "eval models/base --tasks words --include tasks --device gpu", &["`gpu`"])?;
    family.write(
        "recipe.yaml",
        "tailor: 1\nmodels: {a: models/base}\nbase: a\nlayers: [{take: {model: a, layer: 6}}]\n",
    )?;
    refused(&family, "merge recipe.yaml out", &["output layer 0", "`a`", "6"])?;
    let merge = "{merge: {method: magic, sources: [{model: a, layer: 0}, {model: a, layer: 1}]}}";
    family.write("recipe.yaml", &format!("tailor: 1\nmodels: {{a: models/base}}\nbase: a\nlayers: [{merge}]\n"))?;
    refused(&family, "merge recipe.yaml out", &["magic"])?;
    refused(&family, "eval recipe.yaml --tasks words --include tasks", &["magic"])?;
    family.replace("study.toml", "remove = 2", "remove = 6")?;
    refused(&family, SEARCH, &["study.toml", "space.remove", "6"])?;
    family.replace("study.toml", "remove = 6", "remove = 2\nlayers = 4")?;
    refused(&family, SEARCH, &["study.toml", "layers"])
}

/// The search is refused before the base is scored: nothing is left behind.
#[test]
fn metrics_and_objectives_that_cannot_count_are_named_before_anything_is_scored() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "name = \"words\"", "name = \"words\"\nmetric = \"f2\"")?;
    refused(&family, SEARCH, &["`words`", "`f2`", "acc,none"])?;
    family.replace("study.toml", "\"f2\"", "\"acc\"")?;
    family.replace("tasks/words.yaml", "\"higher_is_better\": true", "\"higher_is_better\": false")?;
    refused(&family, SEARCH, &["`words`", "`acc`", "less is better"])?;

    let family = Family::new()?;
    family.replace("study.toml", "trials = 12", "trials = 12\nobjective = \"retentoin\"")?;
    refused(&family, SEARCH, &["study.toml", "search.objective", "`retentoin`", "`retention`, `loss`"])?;
    family.replace("study.toml", "\"retentoin\"", "\"retention\"\nobjectives = [\"depth\"]")?;
    refused(&family, SEARCH, &["study.toml", "search.objectives", "`depth`", "`parameters`"])
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused_by_every_command() -> Result {
    let family = Family::new()?;
    for arguments in [SEARCH, EVAL, "devices", "inspect models/base"] {
        let output = family.tailor(arguments).env("TAILOR_CPU", "sse9").output()?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && complaint.contains("TAILOR_CPU is `sse9`"), "{arguments}: {complaint}");
        assert!(complaint.contains("this processor has `plain`"), "{arguments}: {complaint}");
    }
    let output = family.tailor("devices").env("TAILOR_CPU", "plain").output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(said.contains("limited by TAILOR_CPU=plain") || !said.contains("AVX"), "{said}");
    Ok(())
}
