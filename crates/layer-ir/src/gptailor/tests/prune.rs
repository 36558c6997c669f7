//! Results of the pruning search.

use super::*;

/// Layers of the base, removed layers, and for each other layer the pattern of its candidates and its merge scale.
fn file(layers: usize, removed: &[usize], choice: impl Fn(usize) -> (Vec<u8>, f64)) -> Map<String, Value> {
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
        let recipe = recipe(&file(layers, removed, |_| (vec![1, 0, 0], 0.5)), &context(3))?;
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
    let choice = |layer: usize| (patterns[layer.saturating_sub(1)].0.to_vec(), patterns[layer.saturating_sub(1)].1);
    let recipe = recipe(&file(4, &[1], choice), &context(3))?;
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
fn any_number_of_candidates_is_read() -> Result<(), Error> {
    for candidates in [1, 2, 4] {
        let recipe = recipe(&file(5, &[2], |_| (vec![1; candidates], 0.5)), &context(candidates))?;
        let models: Vec<_> = recipe.layers[0].from.models().collect();
        assert_eq!(models, ["chat", "math", "code", "law"][..candidates]);
        assert_eq!(recipe.layers.len(), 4);
    }
    // Nothing removed.
    assert_eq!(recipe(&file(5, &[], |_| (vec![0, 1], 0.5)), &context(2))?.layers.len(), 5);
    Ok(())
}

#[test]
fn the_base_is_read_where_the_context_says() -> Result<(), Error> {
    let found = file(3, &[0], |_| (vec![1, 1, 0], 0.5));
    for (base_at, expected) in [(BaseAt::Source, 1), (BaseAt::Output, 0)] {
        let recipe = recipe(&found, &Context { base_at, ..context(3) })?.canonicalise(&METHODS);
        let Expr::Merge(merge) = &recipe.layers[0].from else { panic!("no merge") };
        assert_eq!(merge.base.as_ref().and_then(|base| base.layer), Some(expected));
    }
    let scaled = recipe(&found, &Context { output_scales: true, ..context(3) })?;
    assert_eq!(scaled.layers[0].scale, 1.25);
    Ok(())
}

#[test]
fn floats_and_texts_are_numbers_too() -> Result<(), Error> {
    let mut found = file(3, &[1], |_| (vec![1, 0, 0], 0.5));
    found.insert("remove_idx_0".to_owned(), json!("1"));
    found.insert("layer_2_candidate_1".to_owned(), json!(1.0));
    assert!(matches!(recipe(&found, &context(3))?.layers[1].from, Expr::Merge(_)));
    Ok(())
}

#[test]
fn what_contradicts_itself_or_the_context_is_refused_by_its_key() {
    let good = file(4, &[1, 2], |_| (vec![1, 1, 0], 0.5));
    assert_eq!(message(&good, &context(3)), "");
    let cases = [
        ("remove_idx_2", json!(2), "`remove_idx_2`: names layer 2, which `remove_idx_1` removes already"),
        ("remove_idx_2", json!(1.5), "`remove_idx_2`: is no layer"),
        ("remove_idx_2", json!("x"), "`remove_idx_2`: is no finite number"),
        (
            "layer_1_candidate_0",
            json!(1),
            "`layer_1_candidate_0`: stands there although the layer is removed by `remove_idx_0`",
        ),
        ("remove_idx_0", json!(7), "`layer_1_candidate_0`: is missing although"),
        (
            "layer_0_candidate_3",
            json!(1),
            "`layer_0_candidate_3`: the file is about 4 candidates beside the base, and 3",
        ),
        ("layer_0_candidate_1", json!(0.5), "`layer_0_candidate_1`: is neither 0 nor 1"),
        ("layer_0_candidate_1", Value::Null, "`layer_0_candidate_1`: is missing"),
        ("layer_3_merge_scale_factor", Value::Null, "`layer_3_merge_scale_factor`: is missing"),
        ("temperature", json!(1), "`temperature`: is no parameter of the pruning search"),
        ("scale_0", json!(1), "`scale_0`: is no parameter of the pruning search"),
    ];
    for (key, value, part) in cases {
        let message = message_with(&good, key, value, &context(3));
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    let of = |context: &Context| message(&good, context);
    assert!(
        of(&context(2)).contains("_candidate_2`: the file is about 3 candidates beside the base, and 2 were given")
    );
    assert!(
        of(&context(4)).contains("_candidate_2`: the file is about 3 candidates beside the base, and 4 were given")
    );
    let fewer = of(&Context { layers: Some(3), ..context(3) });
    assert!(fewer.contains("`layer_3_") && fewer.contains("is of layer 3, and the base has 3 layers"), "{fewer}");
    let more = of(&Context { layers: Some(6), ..context(3) });
    assert!(more.contains("`layer_4_candidate_0`: is missing although"), "{more}");
    let scaled = Context { output_scales: true, ..context(3) };
    let gone = message_with(&good, "layer_0_output_scale", json!(0.0), &scaled);
    assert!(gone.contains("`layer_0_output_scale`: leaves nothing of the residual stream"), "{gone}");
}
