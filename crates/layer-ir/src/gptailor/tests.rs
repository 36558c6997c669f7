//! Results as the published ones are, made up, with the facts that are known of those.

mod dis;
mod lfs;
mod prune;

use serde_json::{Map, Value, json};

use super::*;
use crate::{BaseRule, Expr, LayerExpr, LayerRef, MethodSpec, ModelRef, OutputLayer};

const METHODS: [MethodSpec; 1] =
    [MethodSpec { base: BaseRule::Always, ..MethodSpec::new("gptailor_task_arithmetic", "A method.") }];

/// A base and so many candidates.
fn context(candidates: usize) -> Context {
    let names = ["base", "chat", "math", "code", "law"][..=candidates].iter();
    Context::new(names.map(|name| ((*name).to_owned(), format!("models/{name}"))).collect(), "base")
}

fn read(found: &Map<String, Value>) -> Result<ResultFile, Error> {
    ResultFile::from_text(&Value::from(found.clone()).to_string(), Path::new("result.json"))
}

/// The recipe of a result of three candidates.
fn recipe(found: &Map<String, Value>, context: &Context) -> Result<Recipe, Error> {
    read(found)?.recipe(context)
}

/// What is wrong with a result, or nothing.
fn message(found: &Map<String, Value>, context: &Context) -> String {
    recipe(found, context).err().map_or_else(String::new, |error| error.to_string())
}

/// The message of a result with a key changed, added, or, with `null`, taken out.
fn message_with(good: &Map<String, Value>, key: &str, value: Value, context: &Context) -> String {
    let mut found = good.clone();
    if value.is_null() {
        assert!(found.remove(key).is_some(), "{key} was not there");
    } else {
        found.insert(key.to_owned(), value);
    }
    message(&found, context)
}

fn take(model: &str, layer: usize) -> LayerExpr {
    OutputLayer::take(model, layer).from
}

#[test]
fn the_kind_is_told_by_the_keys() -> Result<(), Error> {
    let kinds = [
        (json!({"remove_idx_0": 1}), Kind::Prune),
        (json!({"layer_0_candidate_0": 1}), Kind::Prune),
        (json!({"layer_0_block_0_selection": "1", "scale_0": 1.0}), Kind::Dis),
        (json!({"layer_selection_method_0": "ties"}), Kind::Lfs),
        // A model's name that looks like other keys.
        (json!({"model_a/layer_0_block_0_selection_layer_0_paramset_mlp_method_linear_param_weights": 1.0}), Kind::Lfs),
        // Most keys decide; the other one is wrong.
        (json!({"layer_0_candidate_0": 1, "layer_0_output_scale": 1, "scale_0": 1.0}), Kind::Prune),
    ];
    for (found, kind) in kinds {
        assert_eq!(read(found.as_object().unwrap_or(&Map::new()))?.kind(), kind, "{found}");
        assert!(Kind::is_in(&found.to_string()), "{found}");
    }
    Ok(())
}

#[test]
fn what_is_no_result_is_refused() {
    let message = |text: &str| match ResultFile::from_text(text, Path::new("result.json")) {
        Ok(result) => format!("{result:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(message("{}"), "result.json: the object is empty; a result of a search has its parameters");
    assert!(message("[1]").contains("an object of search parameters"));
    assert!(message(r#"{"remove_idx_0": 3, "layer_0_cand"#).contains("result.json: EOF"));
    assert!(message(r#"{"remove_idx_0": 3, "remove_idx_0": 4}"#).contains("`remove_idx_0` stands there twice"));
    assert!(message(r#"{"weight": 3}"#).contains("`weight`: is no parameter of a search"), "{}", message("{\"a\": 1}"));
    // One spelling of a number only: two of them would be two keys for one layer.
    assert!(message(r#"{"layer_01_candidate_0": 3}"#).contains("is no parameter of a search"));
    assert!(message(r#"{"layer_+1_candidate_0": 3}"#).contains("is no parameter of a search"));
}
