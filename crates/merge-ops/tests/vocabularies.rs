//! `tests/golden/vocabulary`: what mergekit 0.1.5 makes of models with different tokens.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use layer_ir::{Recipe, Tokens, mergekit};
use merge_ops::{ExportOptions, Registry};
use serde_json::Value;
use support::{Outcome, Tensors, golden, tensors, write};

/// Largest difference allowed, of the largest number of the tensor.
const ALLOWED: f32 = 2e-6;

/// Mergekit's tokens of a case, in the order of their ids.
fn golden_tokens(case: &str) -> Outcome<Vec<String>> {
    Ok(serde_json::from_slice(&std::fs::read(golden(&format!("vocabulary/{case}.tokens.json")))?)?)
}

/// A row of a matrix, or a vector.
fn row(tensors: &Tensors, name: &str, row: Option<usize>) -> Vec<f32> {
    let (dtype, shape, bytes) = &tensors[name];
    let numbers = dtype.to_f32(bytes);
    row.map_or(numbers.clone(), |row| numbers[row * shape[1]..(row + 1) * shape[1]].to_vec())
}

fn check_close(what: &str, ours: &[f32], theirs: &[f32]) {
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let close = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs() <= ALLOWED * largest;
    assert!(ours.len() == theirs.len() && ours.iter().zip(theirs).all(close), "{what}: {ours:?} for {theirs:?}");
}

fn read(case: &str) -> Outcome<Recipe> {
    let file = golden(&format!("vocabulary/{case}.yaml"));
    Ok(mergekit::read_with_models(file, golden("vocabulary"), &Registry::standard())?)
}

/// Exports a case, and compares every token's rows; ids may differ, since mergekit leaves those of added tokens to
/// chance.
fn check(case: &str, padded: usize) -> Outcome {
    let recipe = read(case)?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join(case);
    write(recipe, &out, &ExportOptions::default())?;
    let ours = tensors(&out.join("model.safetensors"))?;
    let theirs = tensors(&golden(&format!("vocabulary/{case}.safetensors")))?;
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{case}");

    let wanted = golden_tokens(case)?;
    let written = Tokens::read(&out)?.ok_or("no tokenizer")?;
    let found: BTreeSet<&str> = written.iter().map(|(token, _)| token).collect();
    assert_eq!(found, wanted.iter().map(String::as_str).collect(), "{case}");
    assert_eq!(config(&out)?["vocab_size"], padded, "{case}");
    for name in theirs.keys() {
        if !["model.embed_tokens.weight", "lm_head.weight"].contains(&name.as_str()) {
            check_close(&format!("{case}: {name}"), &row(&ours, name, None), &row(&theirs, name, None));
            continue;
        }
        assert_eq!((ours[name].1[0], theirs[name].1[0]), (padded, padded), "{case}");
        for (id, token) in wanted.iter().enumerate() {
            let own = written.id(token);
            check_close(&format!("{case}: {token} of {name}"), &row(&ours, name, own), &row(&theirs, name, Some(id)));
        }
        for id in wanted.len()..padded {
            check_close(&format!("{case}: row {id}"), &row(&ours, name, Some(id)), &row(&theirs, name, Some(id)));
        }
    }
    Ok(())
}

fn config(folder: &Path) -> Outcome<Value> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join("config.json"))?)?)
}

#[test]
fn a_union_has_mergekits_rows() -> Outcome {
    check("union_task_arithmetic", 35)?;
    check("union_linear", 40)
}

#[test]
fn a_base_vocabulary_has_mergekits_rows() -> Outcome {
    check("base_slerp", 32)
}

#[test]
fn rows_of_single_tokens_are_mergekits() -> Outcome {
    check("chat_tokens", 35)
}

#[test]
fn a_whole_number_of_runs_is_not_needed_for_the_same_rows() -> Outcome {
    let recipe = read("union_linear")?;
    let folder = tempfile::tempdir()?;
    for (name, shard) in [("one", u64::MAX), ("many", 1)] {
        let options = ExportOptions { max_shard_bytes: shard, ..ExportOptions::default() };
        write(recipe.clone(), &folder.path().join(name), &options)?;
    }
    let one = tensors(&folder.path().join("one/model.safetensors"))?;
    let index: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("many/model.safetensors.index.json"))?)?;
    for (name, file) in index["weight_map"].as_object().into_iter().flatten() {
        let shard = tensors(&folder.path().join("many").join(file.as_str().unwrap_or_default()))?;
        assert_eq!(shard[name], one[name], "{name}");
    }
    Ok(())
}
