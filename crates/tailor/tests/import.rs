//! `tailor import`: results of auto-merge-llm become recipes that merge, and what cannot be is named.

mod support;

use serde_json::{Map, Value, json};
use support::{Family, LAYERS, Result};

/// What is asked of the two fine-tunes, in the order of the search.
const MODELS: &str =
    "[models]\nbase = \"models/base\"\nvariants = { math = \"models/math\", code = \"models/code\" }\n";

/// The family with a result of each search and the file of its models.
fn family() -> Result<Family> {
    let family = Family::new()?;
    family.write("models.toml", MODELS)?;
    for (name, result) in [("prune", prune()), ("lfs", lfs()), ("dis", dis(true))] {
        family.write(&format!("{name}.json"), &Value::from(result).to_string())?;
    }
    Ok(family)
}

/// Layers 1 and 4 go; layer 2 is a merge, layer 3 the base's, the others are `code`'s.
fn prune() -> Map<String, Value> {
    let removed = [("remove_idx_0", 4), ("remove_idx_1", 1)];
    let mut result: Map<_, _> = removed.map(|(key, layer)| (key.to_owned(), json!(layer))).into_iter().collect();
    for (layer, pattern) in [(0, [0, 1]), (2, [1, 1]), (3, [0, 0]), (5, [0, 1])] {
        for (candidate, chosen) in pattern.into_iter().enumerate() {
            result.insert(format!("layer_{layer}_candidate_{candidate}"), json!(chosen));
        }
        result.insert(format!("layer_{layer}_merge_scale_factor"), json!(0.6));
        result.insert(format!("layer_{layer}_output_scale"), json!(1.2));
    }
    result
}

/// Two groups, one by TIES and one by an interpolation. Models are called by their folders.
fn lfs() -> Map<String, Value> {
    let mut result = Map::new();
    for (group, method) in ["ties", "slerp"].into_iter().enumerate() {
        result.insert(format!("layer_selection_method_{group}"), json!(method));
        for set in ["self_attn", "mlp", "base"] {
            let key = format!("layer_{group}_paramset_{set}_method_");
            for (parameter, number) in [
                ("task_arithmetic_param_scaling_coefficient", 0.4),
                ("ties_param_param_value_mask_rate", 0.3),
                ("ties_param_scaling_coefficient", 0.7),
            ] {
                result.insert(format!("{key}{parameter}"), json!(number));
            }
            for model in ["org/code", "org/math"] {
                result.insert(format!("model_{model}_{key}linear_param_weights"), json!(0.5));
                result.insert(format!("model_{model}_{key}slerp_param_slerp_t"), json!(0.2));
            }
        }
    }
    result
}

/// Layers of both at position 1, the base's at position 2, `math`'s elsewhere.
fn dis(permutations: bool) -> Map<String, Value> {
    let mut result = Map::new();
    for position in 0..LAYERS {
        let pattern = [u8::from(position != 2), u8::from(position == 1)];
        for (block, chosen) in pattern.into_iter().enumerate() {
            result.insert(format!("layer_{position}_block_{block}_selection"), json!(chosen.to_string()));
        }
        if permutations {
            result.insert(format!("layer_{position}_permutation_selection"), json!("1"));
        }
        result.insert(format!("scale_{position}"), json!(if position == 1 { 1.1 } else { 1.0 }));
    }
    result
}

fn import(result: &str) -> String {
    format!("import {result} --models models.toml -o recipe.yaml")
}

#[test]
fn a_result_of_each_search_becomes_a_recipe_that_merges() -> Result {
    let family = family()?;
    for (result, said, layers) in [
        ("prune", "4 layers (1 of the base, 2 of one variant, 1 merged), of the pruning search (prune)", 4),
        ("lfs", "6 layers (6 merged), of the layer-wise fusion search (lfs)", 6),
        ("dis", "7 layers (1 of the base, 6 of one variant, 1 scaled), of the search over stacked layers (dis)", 7),
    ] {
        let summary = family.run(&import(&format!("{result}.json")))?;
        assert_eq!(summary.trim_end(), format!("recipe.yaml: {said}"));
        let inspected: Value = serde_json::from_str(&family.run("inspect recipe.yaml --json")?)?;
        assert_eq!(inspected["layers"], layers);
        let merged = family.run(&format!("merge recipe.yaml {result} --quiet"))?;
        assert!(merged.contains(&format!("{layers} layers")), "{merged}");
    }
    Ok(())
}

#[test]
fn what_a_result_does_not_say_is_an_option() -> Result {
    let family = family()?;
    let recipe = |arguments: &str| -> Result<String> {
        family.run(&format!("{} --quiet", import(arguments)))?;
        Ok(std::fs::read_to_string(family.path("recipe.yaml"))?)
    };
    let prune = recipe("prune.json --layers 6")?;
    assert!(prune.contains("base_at: output") && !prune.contains("scale: 1.2"), "{prune}");
    let scaled = recipe("prune.json --base-at source --apply-output-scales")?;
    assert!(!scaled.contains("base_at") && scaled.contains("scale: 1.2"), "{scaled}");
    let stream = recipe("dis.json")?;
    assert!(stream.contains("scale: 1.1") && !stream.contains("passthrough"), "{stream}");
    let mlp = recipe("dis.json --scale-site mlp")?;
    assert!(mlp.contains("method: passthrough") && mlp.contains("filter: mlp.down_proj"), "{mlp}");
    family.run("merge recipe.yaml mlp --quiet")?;
    assert_ne!(recipe("lfs.json --filters mlp,self_attn")?, recipe("lfs.json")?);

    family.write("unordered.json", &Value::from(dis(false)).to_string())?;
    let models = |recipe: &str| recipe.split("layer: 1\n").map(|part| part.contains("model: code")).collect::<Vec<_>>();
    let output = family.tailor(&import("unordered.json")).output()?;
    let note = String::from_utf8(output.stderr)?;
    assert!(note.contains("unordered.json does not say") && note.contains("code, math (--order"), "{note}");
    let code_first = std::fs::read_to_string(family.path("recipe.yaml"))?;
    let math_first = recipe("unordered.json --order math,code")?;
    assert_eq!(math_first, recipe("unordered.json --order 0,1")?);
    assert_ne!(models(&code_first), models(&math_first));

    // Another table of the same models: a whole study, or the keys alone; the recipe may lie elsewhere.
    std::fs::create_dir(family.path("elsewhere"))?;
    family.write("keys.toml", MODELS.trim_start_matches("[models]\n"))?;
    for models in ["study.toml", "keys.toml"] {
        family.run(&format!("import prune.json --models {models} -o elsewhere/recipe.yaml --quiet"))?;
        assert_eq!(std::fs::read_to_string(family.path("elsewhere/recipe.yaml"))?, prune);
        family.run("inspect elsewhere/recipe.yaml")?;
    }
    Ok(())
}

#[test]
fn models_with_different_tokens_have_the_references_vocabulary() -> Result {
    let family = Family::with_added_tokens()?;
    family.write("models.toml", MODELS)?;
    family.write("lfs.json", &Value::from(lfs()).to_string())?;
    let output = family.tailor(&import("lfs.json")).output()?;
    let note = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && note.contains("vocabulary: gptailor"), "{note}");
    family.run("merge recipe.yaml merged --quiet")?;
    family.write("models.toml", &format!("{MODELS}vocabulary = \"union\"\n"))?;
    family.run(&import("lfs.json"))?;
    assert!(std::fs::read_to_string(family.path("recipe.yaml"))?.contains("vocabulary: union"));
    Ok(())
}

#[test]
fn what_cannot_be_imported_is_named_and_nothing_is_written() -> Result {
    let family = family()?;
    let changed = |name: &str, mut result: Map<String, Value>, key: &str, value: Value| {
        result.insert(key.to_owned(), value);
        family.write(name, &Value::from(result).to_string())
    };
    let whole = Value::from(prune()).to_string();
    family.write("short.json", &whole[..whole.len() / 2])?;
    changed("unknown.json", prune(), "temperature", json!(1))?;
    changed("twice.json", prune(), "remove_idx_2", json!(4))?;
    changed("more.json", prune(), "layer_0_candidate_2", json!(0))?;
    changed("zero.json", dis(true), "scale_3", json!(0))?;
    family.write("one.toml", &MODELS.replace("math = \"models/math\", ", ""))?;
    family.write("none.toml", &MODELS.replace("{ math = \"models/math\", code = \"models/code\" }", "{}"))?;
    family.write("missing.toml", &MODELS.replace("models/math", "models/nothing"))?;
    family.write("named.toml", &MODELS.replace("models/math", "models/./base"))?;
    let with = |result: &str, models: &str| format!("import {result} --models {models} -o recipe.yaml");
    let cases = [
        (import("nothing.json"), "nothing.json: cannot be read"),
        (import("short.json"), "short.json: EOF while parsing"),
        (import("short.json"), "the file ends too early"),
        (import("study.toml"), "study.toml: expected value"),
        (import("models/base/config.json"), "config.json: `architectures`: is no parameter of a search"),
        (import("unknown.json"), "`temperature`: is no parameter of the pruning search"),
        (import("twice.json"), "`remove_idx_2`: names layer 4, which `remove_idx_0` removes already"),
        (
            import("more.json"),
            "`layer_0_candidate_2`: the file is about 3 candidates beside the base, and 2 were given",
        ),
        (import("zero.json"), "`scale_3`: leaves nothing of the residual stream"),
        (import("zero.json"), "--scale-site mlp"),
        (with("prune.json", "one.toml"), "the file is about 2 candidates beside the base, and 1 were given"),
        (with("prune.json", "one.toml"), "`--models` names the base"),
        (with("lfs.json", "one.toml"), "the file is about 2 candidates beside the base, and 1 were given"),
        (with("dis.json", "one.toml"), "the file is about 2 candidates beside the base, and 1 were given"),
        (with("prune.json", "none.toml"), "none.toml: `models.variants` is empty"),
        (with("prune.json", "missing.toml"), "models/nothing"),
        (with("prune.json", "nothing.toml"), "nothing.toml"),
        (with("lfs.json", "named.toml"), "its model `org/math` is none of those that were given"),
        (import("prune.json --layers 8"), "--layers is 8, and the base has 6 layers"),
        (import("prune.json --order 0,1"), "--order means nothing to prune.json, a result of the pruning search"),
        (import("lfs.json --scale-site mlp"), "--scale-site means nothing to lfs.json"),
        (import("dis.json --apply-output-scales"), "--apply-output-scales means nothing to dis.json"),
        (import("dis.json --order 0,1"), "_permutation_selection`: says the order already"),
        (import("dis.json --fix-layers 1"), "is of the last of 6 positions, which with 1 fixed layers"),
        (import("dis.json --order math,law"), "--order is law"),
        ("import prune.json --models models.toml -o models".to_owned(), "models"),
        ("import prune.json --models models.toml -o nothing/recipe.yaml".to_owned(), "nothing/recipe.yaml"),
    ];
    let before = family.listing()?;
    for (command, part) in cases {
        let complaint = family.fail(&command)?;
        assert!(complaint.contains(part), "tailor {command}: `{complaint}` does not say `{part}`");
        assert_eq!(family.listing()?, before, "tailor {command} left something behind");
    }
    Ok(())
}

#[test]
fn other_commands_say_which_one_reads_a_result() -> Result {
    let family = family()?;
    let whole = Value::from(prune()).to_string();
    family.write("short.json", &whole[..whole.len() / 2])?;
    for result in ["prune", "lfs", "dis", "short"] {
        for command in ["inspect RESULT", "merge RESULT out", "merge RESULT out --dry-run", "eval RESULT --tasks words"]
        {
            let complaint = family.fail(&command.replace("RESULT", &format!("{result}.json")))?;
            let command = format!("`tailor import {result}.json --models MODELS.toml -o RECIPE.yaml`");
            assert!(complaint.contains(&command), "{complaint}");
        }
    }
    Ok(())
}

/// Stacked layers whose stream is scaled: in memory the stream is, in the checkpoint what the layers add to it.
#[test]
fn a_stacked_result_is_the_same_model_in_memory_and_written() -> Result {
    let family = family()?.with_task()?;
    for site in ["stream", "mlp"] {
        family.run(&format!("import dis.json --models models.toml -o {site}.yaml --scale-site {site}"))?;
        family.run(&format!("merge {site}.yaml {site} --dtype f32"))?;
        let (own, written) = (family.log_likelihoods(&format!("{site}.yaml"))?, family.log_likelihoods(site)?);
        assert!(own.len() == written.len() && own.len() > 100);
        let worst = own.iter().zip(&written).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{site}: {worst:.1e}");
        assert!(worst <= 1e-5, "{site}: log-likelihoods differ by up to {worst:e}");
    }
    Ok(())
}
