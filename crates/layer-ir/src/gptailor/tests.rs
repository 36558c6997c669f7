//! Files as the published ones are, with the facts that are known of those.

use serde_json::json;

use super::*;
use crate::{BaseRule, MethodSpec, ModelRef};

const METHODS: [MethodSpec; 1] =
    [MethodSpec { base: BaseRule::Always, ..MethodSpec::new("gptailor_task_arithmetic", "A method.") }];

/// Layers of the base, removed layers, and for each other layer the pattern of its candidates and its merge scale.
fn file(layers: usize, removed: &[usize], choice: impl Fn(usize) -> ([u8; 3], f64)) -> Map<String, Value> {
    let mut found = Map::new();
    for (rank, layer) in removed.iter().enumerate() {
        found.insert(format!("remove_idx_{rank}"), json!(layer));
    }
    for layer in (0..layers).filter(|layer| !removed.contains(layer)) {
        let (pattern, scale) = choice(layer);
        for (candidate, chosen) in pattern.iter().enumerate() {
            found.insert(format!("layer_{layer}_candidate_{candidate}"), json!(chosen));
        }
        found.insert(format!("layer_{layer}_merge_scale_factor"), json!(scale));
        found.insert(format!("layer_{layer}_output_scale"), json!(1.25));
    }
    found
}

fn context() -> Context {
    let models = ["base", "chat", "math", "code"].map(|name| (name.to_owned(), name.to_owned()));
    Context::new(models.into(), "base")
}

fn read(found: &Map<String, Value>, context: &Context) -> Result<Recipe, Error> {
    prune_recipe(found, Path::new("prune.json"), context)
}

fn message(found: &Map<String, Value>) -> String {
    read(found, &context()).err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn the_published_removals_leave_the_other_layers_in_order() -> Result<(), Error> {
    let published: [(usize, &[usize]); 4] = [
        (32, &[24, 20, 19, 28, 22, 26, 30, 25, 23]),
        (32, &[19, 20, 21, 22, 23, 25, 26, 30, 31]),
        // The last layer goes.
        (40, &[25, 26, 27, 28, 29, 30, 31, 32, 33, 39]),
        (40, &[18, 23, 25, 27, 28, 29, 31, 32, 33, 36]),
    ];
    for (layers, removed) in published {
        let recipe = read(&file(layers, removed, |_| ([1, 0, 0], 0.5)), &context())?;
        let kept: Vec<_> = (0..layers).filter(|layer| !removed.contains(layer)).collect();
        let found = recipe.layers.iter().map(|layer| match &layer.from {
            Expr::Take(taken) => taken.layer,
            Expr::Merge(_) => usize::MAX,
        });
        assert_eq!(found.collect::<Vec<_>>(), kept);
        assert!(recipe.layers.iter().all(|layer| layer.scale == 1.0), "output scales were not used");
    }
    Ok(())
}

#[test]
fn patterns_become_the_base_one_model_or_a_merge() -> Result<(), Error> {
    let patterns = [([0, 0, 0], 0.3), ([0, 1, 0], 0.4), ([1, 0, 1], 0.6)];
    let recipe = read(&file(4, &[1], |layer| patterns[layer.saturating_sub(1)]), &context())?;
    let take = |model: &str, layer| Expr::Take(LayerRef { model: model.to_owned(), layer });
    assert_eq!(recipe.layers[0].from, take("base", 0));
    assert_eq!(recipe.layers[1].from, take("math", 2));
    let Expr::Merge(merge) = &recipe.layers[2].from else { panic!("no merge") };
    assert_eq!(merge.method, "gptailor_task_arithmetic");
    assert_eq!(merge.parameters.number("coefficient", "")?, Some(0.6));
    let sources: Vec<_> = merge.sources.iter().map(|source| (source.of.model.as_str(), source.of.layer)).collect();
    assert_eq!(sources, [("chat", 3), ("code", 3)]);
    assert_eq!(recipe.outer.embedding, Expr::Take(ModelRef { model: "base".to_owned() }), "as the first layer");
    assert!(matches!(&recipe.outer.head, Expr::Merge(merge) if merge.sources.len() == 2), "as the last layer");
    Ok(())
}

#[test]
fn the_base_is_read_where_the_context_says() -> Result<(), Error> {
    let found = file(3, &[0], |_| ([1, 1, 0], 0.5));
    for (base_at, expected) in [(BaseAt::Source, 1), (BaseAt::Output, 0)] {
        let recipe = read(&found, &Context { base_at, ..context() })?.canonicalise(&METHODS);
        let Expr::Merge(merge) = &recipe.layers[0].from else { panic!("no merge") };
        assert_eq!(merge.base.as_ref().and_then(|base| base.layer), Some(expected));
    }
    let scaled = read(&found, &Context { output_scales: true, ..context() })?;
    assert_eq!(scaled.layers[0].scale, 1.25);
    Ok(())
}

#[test]
fn floats_and_texts_are_numbers_too() -> Result<(), Error> {
    let mut found = file(3, &[1], |_| ([1, 0, 0], 0.5));
    found.insert("remove_idx_0".to_owned(), json!("1"));
    found.insert("layer_2_candidate_1".to_owned(), json!(1.0));
    assert!(matches!(read(&found, &context())?.layers[1].from, Expr::Merge(_)));
    Ok(())
}

#[test]
fn what_contradicts_itself_is_refused_by_its_key() {
    let good = file(4, &[1, 2], |_| ([1, 1, 0], 0.5));
    let with = |key: &str, value: Value| {
        let mut found = good.clone();
        found.insert(key.to_owned(), value);
        message(&found)
    };
    assert_eq!(message(&good), "");
    assert!(with("remove_idx_2", json!(2)).contains("`remove_idx_2`: names a layer that is removed already"));
    assert!(with("layer_1_candidate_0", json!(1)).contains("`layer_1_candidate_0`: stands there although"));
    assert!(with("remove_idx_0", json!(7)).contains("`layer_1_candidate_0`: is missing although"));
    assert!(with("layer_0_candidate_3", json!(1)).contains("`candidate_3`: the file has more candidates"));
    assert!(with("layer_0_candidate_1", json!(0.5)).contains("`layer_0_candidate_1`: is neither 0 nor 1"));
    assert!(with("temperature", json!(1)).contains("`temperature`: is no parameter"));
    let mut short = good.clone();
    short.remove("layer_3_merge_scale_factor");
    assert!(message(&short).contains("`layer_3_merge_scale_factor`: is missing"));
    let fewer = Context { layers: Some(3), ..context() };
    assert!(read(&good, &fewer).err().is_some_and(|error| error.to_string().contains("`layer_3`")));
}

#[test]
fn files_of_the_other_searches_are_refused_by_name() {
    let stacked = json!({"layer_0_block_0_selection": "0", "scale_0": 1.0});
    let fused = json!({"layer_selection_method_0": "ties"});
    for (file, name) in [(stacked, "DIS"), (fused, "LFS")] {
        let message = message(file.as_object().unwrap_or(&Map::new()));
        assert!(message.contains(name) && message.starts_with("prune.json: `layer_"), "{message}");
    }
}
