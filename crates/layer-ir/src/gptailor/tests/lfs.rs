//! Results of the layer-wise fusion search.

use super::*;
use crate::Merge;

const SETS: [&str; 3] = ["self_attn", "mlp", "base"];

/// The methods of the groups, the models, the sets of tensors, and a number for each parameter: of its name, group, set
/// and model.
fn file(
    methods: &[&str],
    models: &[&str],
    sets: &[&str],
    number: impl Fn(&str, usize, usize, usize) -> f64,
) -> Map<String, Value> {
    let mut found = Map::new();
    for (group, method) in methods.iter().enumerate() {
        found.insert(format!("layer_selection_method_{group}"), json!(method));
        for (at, set) in sets.iter().enumerate() {
            let key = |parameter| format!("layer_{group}_paramset_{set}_method_{parameter}");
            for parameter in [
                "task_arithmetic_param_scaling_coefficient",
                "ties_param_param_value_mask_rate",
                "ties_param_scaling_coefficient",
            ] {
                found.insert(key(parameter), json!(number(parameter, group, at, 0)));
            }
            for (model, name) in models.iter().enumerate() {
                for parameter in ["linear_param_weights", "slerp_param_slerp_t"] {
                    let number = number(parameter, group, at, model);
                    found.insert(format!("model_{name}_{}", key(parameter)), json!(number));
                }
            }
        }
    }
    found
}

/// A number that tells group, set and model.
fn numbered(_: &str, group: usize, set: usize, model: usize) -> f64 {
    0.5 + 0.1 * group as f64 + 0.01 * set as f64 + 0.001 * model as f64
}

fn merge(recipe: &Recipe, layer: usize) -> &Merge<LayerRef> {
    match &recipe.layers[layer].from {
        Expr::Merge(merge) => merge,
        Expr::Take(_) => panic!("layer {layer} is no merge"),
    }
}

/// A parameter for the tensors of the three sets.
fn by_set(parameters: &crate::Parameters, key: &str) -> Result<[f64; 3], Error> {
    let of = |tensor: &str| Ok::<_, Error>(parameters.number(key, tensor)?.unwrap_or(f64::NAN));
    let layer = |name: &str| of(&format!("model.layers.3.{name}.weight"));
    Ok([layer("self_attn.q_proj")?, layer("mlp.up_proj")?, layer("post_attention_layernorm")?])
}

fn near(found: [f64; 3], expected: [f64; 3]) {
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
}

#[test]
fn each_group_is_merged_by_its_method_with_parameters_for_each_set_of_tensors() -> Result<(), Error> {
    let methods = ["linear", "task_arithmetic", "ties", "slerp"];
    let found = file(&methods, &["chat", "math", "code"], &SETS, numbered);
    let recipe = recipe(&found, &Context { layers: Some(8), ..context(3) })?;
    assert_eq!(recipe.layers.len(), 8);
    for (layer, method) in
        ["linear", "linear", "task_arithmetic", "task_arithmetic", "ties", "ties", "slerp", "slerp"].iter().enumerate()
    {
        let merge = merge(&recipe, layer);
        assert_eq!(merge.method, format!("gptailor_{method}"));
        assert!(merge.sources.iter().all(|source| source.of.layer == layer), "nothing moves");
        assert_eq!(recipe.layers[layer].scale, 1.0);
    }
    let sources = |layer| merge(&recipe, layer).sources.iter().map(|source| source.of.model.as_str());
    for layer in [0, 2, 4] {
        assert_eq!(sources(layer).collect::<Vec<_>>(), ["chat", "math", "code"]);
    }
    near(by_set(&merge(&recipe, 1).sources[2].parameters, "weight")?, [0.502, 0.512, 0.522]);
    near(by_set(&merge(&recipe, 3).parameters, "coefficient")?, [0.6, 0.61, 0.62]);
    near(by_set(&merge(&recipe, 5).parameters, "coefficient")?, [0.7, 0.71, 0.72]);
    near(by_set(&merge(&recipe, 5).parameters, "mask_rate")?, [0.7, 0.71, 0.72]);
    // The models with the highest sums, the highest first; then the softmax of their numbers.
    assert_eq!(sources(7).collect::<Vec<_>>(), ["code", "math"]);
    let t = (0.811_f64).exp() / ((0.811_f64).exp() + (0.812_f64).exp());
    near(by_set(&merge(&recipe, 7).parameters, "t")?, [t; 3]);
    let Expr::Merge(embedding) = &recipe.outer.embedding else { panic!("no merge") };
    assert_eq!(embedding.method, "gptailor_linear");
    assert_eq!(embedding.sources[1].parameters.number("weight", "model.embed_tokens.weight")?, Some(0.521));
    let Expr::Merge(head) = &recipe.outer.head else { panic!("no merge") };
    assert_eq!((head.method.as_str(), head.sources.len()), ("gptailor_slerp", 2));
    assert_eq!(recipe.outer.final_norm, recipe.outer.head);
    Ok(())
}

#[test]
fn of_equal_scores_the_earlier_models_are_interpolated() -> Result<(), Error> {
    let context = Context { layers: Some(2), ..context(3) };
    // The order is that of the context, not that of the file.
    let found = file(&["slerp"], &["code", "math", "chat"], &SETS, |_, _, set, _| 0.3 * set as f64);
    let equal = recipe(&found, &context)?;
    let models: Vec<_> = merge(&equal, 0).sources.iter().map(|source| source.of.model.as_str()).collect();
    assert_eq!(models, ["chat", "math"]);
    assert_eq!(by_set(&merge(&equal, 0).parameters, "t")?, [0.5; 3]);
    Ok(())
}

#[test]
fn any_numbers_of_groups_models_and_filters_are_read() -> Result<(), Error> {
    for (groups, models) in [(1, 1), (3, 2), (6, 4)] {
        let names = &["chat", "math", "code", "law"][..models];
        let found = file(&vec!["linear"; groups], names, &["base"], numbered);
        let recipe = recipe(&found, &Context { layers: Some(12), ..context(models) })?;
        assert_eq!(recipe.layers.len(), 12);
        let weight = merge(&recipe, 11).sources[models - 1].parameters.number("weight", "lm_head.weight")?;
        assert_eq!(weight, Some(numbered("", groups - 1, 0, models - 1)));
    }
    let sets = ["q_proj", "k_proj", "down_proj", "base"];
    let found = file(&["ties"], &["chat", "math"], &sets, numbered);
    let recipe = recipe(&found, &Context { layers: Some(2), ..context(2) })?;
    let rate = |tensor: &str| merge(&recipe, 0).parameters.number("mask_rate", tensor);
    assert_eq!(rate("model.layers.0.self_attn.k_proj.weight")?, Some(0.51));
    assert_eq!(rate("model.layers.0.self_attn.o_proj.weight")?, Some(0.53));
    Ok(())
}

#[test]
fn the_order_of_filters_that_both_fit_a_tensor_must_be_said() -> Result<(), Error> {
    let found = file(&["ties"], &["chat"], &["self_attn", "q_proj", "base"], numbered);
    let unsaid = Context { layers: Some(2), ..context(1) };
    let complaint = message(&found, &unsaid);
    assert!(complaint.contains("both fit tensor `model.layers.0.self_attn.q_proj.weight`"), "{complaint}");
    let said = |filters: &[&str]| Context {
        filters: Some(filters.iter().map(|filter| (*filter).to_owned()).collect()),
        ..unsaid.clone()
    };
    for (filters, expected) in [(["self_attn", "q_proj"], 0.5), (["q_proj", "self_attn"], 0.51)] {
        let recipe = recipe(&found, &said(&filters))?;
        let rate = merge(&recipe, 0).parameters.number("mask_rate", "model.layers.0.self_attn.q_proj.weight")?;
        assert_eq!(rate, Some(expected), "{filters:?}");
    }
    for filters in [&["self_attn"][..], &["self_attn", "mlp"], &["self_attn", "q_proj", "mlp"]] {
        let complaint = message(&found, &said(filters));
        assert!(complaint.contains("are not those of the file"), "{filters:?}: {complaint}");
    }
    Ok(())
}

#[test]
fn models_are_found_by_name_by_path_and_by_folder() -> Result<(), Error> {
    let with = |paths: [&str; 3]| {
        let names = ["base", "one", "two"].map(str::to_owned).into_iter();
        let models = names.zip(paths.map(str::to_owned)).collect();
        Context { layers: Some(2), ..Context::new(models, "base") }
    };
    let file = |models: [&str; 2]| file(&["linear"], &models, &["base"], numbered);
    for (in_file, paths) in [
        (["two", "one"], ["b", "x", "y"]),
        (["org/Two_layer_2-7B", "org/One"], ["b", "org/One@main", "org/Two_layer_2-7B"]),
        (["org/Two", "other/One"], ["b", "/models/One/", "/models/Two"]),
        (["/data/Two", "/data/One"], ["b", "org/One", "org/Two@abc"]),
        (["org/Two", "org/One"], ["b", "/hub/models--org--One/snapshots/1", "/hub/models--org--Two/snapshots/2"]),
    ] {
        let recipe = recipe(&file(in_file), &with(paths))?;
        let found = merge(&recipe, 0).sources.iter().map(|source| {
            let weight = source.parameters.number("weight", "lm_head.weight").ok().flatten();
            (source.of.model.as_str(), weight)
        });
        let expected = [("one", Some(numbered("", 0, 0, 1))), ("two", Some(numbered("", 0, 0, 0)))];
        assert_eq!(found.collect::<Vec<_>>(), expected, "{in_file:?}");
    }
    for (in_file, paths, part) in [
        (["org/Two", "org/One"], ["b", "org/One", "org/Three"], "its model `org/Two` is none of those"),
        (["org/Two", "org/One"], ["b", "a/Two", "b/Two"], "its model `org/Two` may be several"),
        (["org/Two", "other/Two"], ["b", "c/One", "c/Two"], "`org/Two` would be one of those"),
    ] {
        let message = message(&file(in_file), &with(paths));
        assert!(message.contains(part) && message.contains("`model_"), "`{message}` does not say `{part}`");
    }
    Ok(())
}

#[test]
fn what_contradicts_itself_or_the_context_is_refused_by_its_key() {
    let methods = ["linear", "ties", "slerp"];
    let good = file(&methods, &["chat", "math", "code"], &SETS, numbered);
    let nine = Context { layers: Some(9), ..context(3) };
    assert_eq!(message(&good, &nine), "");
    let linear = "model_math_layer_0_paramset_mlp_method_linear_param_weights";
    let cases = [
        ("layer_selection_method_1", json!("dare"), "`layer_selection_method_1`: is none of `linear`, "),
        ("layer_selection_method_1", json!(1), "`layer_selection_method_1`: is none of `linear`, "),
        ("layer_selection_method_1", Value::Null, "`layer_selection_method_1`: is missing"),
        (linear, Value::Null, "_mlp_method_linear_param_weights`: is missing"),
        (linear, json!("much"), "_mlp_method_linear_param_weights`: is no finite number"),
        (
            "layer_1_paramset_base_method_ties_param_param_value_mask_rate",
            Value::Null,
            "`layer_1_paramset_base_method_ties_param_param_value_mask_rate`: is missing",
        ),
        (
            "layer_selection_method_3",
            json!("ties"),
            "`layer_selection_method_3`: is of the last of 4 groups, into which 9",
        ),
        ("remove_idx_0", json!(1), "`remove_idx_0`: is no parameter of the layer-wise fusion search"),
    ];
    for (key, value, part) in cases {
        let message = message_with(&good, key, value, &nine);
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    assert!(message(&good, &context(3)).contains("how many layers the base has was not said"));
    for candidates in [2, 4] {
        let message = message(&good, &Context { layers: Some(9), ..context(candidates) });
        assert!(message.contains("`: the file is about 3 candidates beside the base"), "{message}");
    }
    let zero = file(&["linear"], &["chat"], &SETS, |_, _, set, _| set as f64);
    let message_of_zero = message(&zero, &Context { layers: Some(1), ..context(1) });
    assert!(message_of_zero.contains("_paramset_self_attn_method_linear_param_weights`: this weight and"));
    let alone = file(&["slerp"], &["chat"], &SETS, numbered);
    let message_of_one = message(&alone, &Context { layers: Some(1), ..context(1) });
    assert!(message_of_one.contains("`layer_selection_method_0`: is `slerp`, which needs two"), "{message_of_one}");
}
