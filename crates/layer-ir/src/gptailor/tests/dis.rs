//! Results of the search over stacked layers.

use super::*;
use crate::OuterTensors;

/// For each position the chosen candidates and the scale; each with permutation `permutation`, if there is one.
fn file(positions: &[(&[u8], f64)], permutation: Option<usize>) -> Map<String, Value> {
    let mut found = Map::new();
    for (position, (pattern, scale)) in positions.iter().enumerate() {
        for (candidate, chosen) in pattern.iter().enumerate() {
            found.insert(format!("layer_{position}_block_{candidate}_selection"), json!(chosen.to_string()));
        }
        found.insert(format!("scale_{position}"), json!(scale));
        if let Some(permutation) = permutation {
            found.insert(format!("layer_{position}_permutation_selection"), json!(permutation.to_string()));
        }
    }
    found
}

/// The layers as `chat3`, with their scale where they have one.
fn layers(recipe: &Recipe) -> Vec<String> {
    let name = |of: &LayerRef| format!("{}{}", of.model, of.layer);
    let layer = |layer: &OutputLayer| match &layer.from {
        Expr::Take(of) if layer.scale == 1.0 => name(of),
        Expr::Take(of) => format!("{} x{}", name(of), layer.scale),
        Expr::Merge(merge) => {
            let scale = |tensor| merge.parameters.number("scale", tensor).ok().flatten().unwrap_or(f64::NAN);
            let [down, up] = ["model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.up_proj.weight"].map(scale);
            format!("{} {} down {down} up {up}", name(&merge.sources[0].of), merge.method)
        }
    };
    recipe.layers.iter().map(layer).collect()
}

/// Three positions of three candidates: two stacked, none, one.
const POSITIONS: [(&[u8], f64); 3] = [(&[1, 0, 1], 1.5), (&[0, 0, 0], 0.5), (&[0, 1, 0], 1.0)];

#[test]
fn layers_are_stacked_in_the_order_of_the_permutation() -> Result<(), Error> {
    for (permutation, first) in [
        (0, ["chat0", "code0 x1.5"]),
        (1, ["chat0", "code0 x1.5"]),
        (2, ["chat0", "code0 x1.5"]),
        (3, ["code0", "chat0 x1.5"]),
        (4, ["code0", "chat0 x1.5"]),
        (5, ["code0", "chat0 x1.5"]),
    ] {
        let recipe = recipe(&file(&POSITIONS, Some(permutation)), &context(3))?;
        assert_eq!(layers(&recipe), [&first[..], &["base1 x0.5", "math2"]].concat(), "permutation {permutation}");
        let model = first[0].trim_end_matches('0').to_owned();
        assert_eq!(recipe.outer.embedding, Expr::Take(ModelRef { model }), "as the first layer");
        assert_eq!(recipe.outer.head, Expr::Take(ModelRef { model: "math".to_owned() }), "as the last layer");
    }
    Ok(())
}

#[test]
fn a_scale_may_be_of_the_mlp_alone() -> Result<(), Error> {
    let of_mlp = Context { scale_site: ScaleSite::Mlp, ..context(3) };
    let recipe = recipe(&file(&[(&[0, 1, 0], 1.0), (&[1, 0, 1], 0.0)], Some(0)), &of_mlp)?;
    assert_eq!(layers(&recipe), ["math0", "chat1", "code1 passthrough down 0 up 1"]);
    assert_eq!(recipe.outer.head, Expr::Take(ModelRef { model: "code".to_owned() }), "the head is not scaled");
    Ok(())
}

#[test]
fn without_permutations_the_order_is_the_references_or_the_contexts() -> Result<(), Error> {
    let two = file(&[(&[1, 1], 1.0), (&[0, 1], 1.0)], None);
    assert_eq!(layers(&recipe(&two, &context(2))?), ["math0", "chat0", "math1"]);
    // Of three models that were listed, the reference's second permutation leaves the first two in order.
    assert_eq!(layers(&recipe(&two, &context(3))?), ["chat0", "math0", "math1"]);
    let ordered = |order: &[usize], candidates| Context { order: Some(order.to_vec()), ..context(candidates) };
    assert_eq!(layers(&recipe(&two, &ordered(&[0, 1], 2))?), ["chat0", "math0", "math1"]);
    assert_eq!(layers(&recipe(&two, &ordered(&[1, 0], 3))?), ["math0", "chat0", "math1"]);
    let three = file(&[(&[1, 1, 1], 1.0)], None);
    assert_eq!(layers(&recipe(&three, &context(3))?), ["chat0", "code0", "math0"]);
    assert_eq!(layers(&recipe(&three, &ordered(&[2, 0, 1], 3))?), ["code0", "chat0", "math0"]);
    assert_eq!(layers(&recipe(&file(&[(&[1], 1.0), (&[0], 1.0)], None), &context(1))?), ["chat0", "base1"]);
    let assumed = |found: &Map<String, Value>, candidates| Ok::<_, Error>(read(found)?.assumed_order(candidates));
    assert_eq!((assumed(&two, 2)?, assumed(&two, 3)?), (Some(vec![1, 0]), Some(vec![0, 1])));
    assert_eq!(assumed(&file(&POSITIONS, Some(0)), 3)?, None);
    for order in [&[0][..], &[0, 0], &[0, 2], &[0, 1, 2]] {
        let message = message(&two, &ordered(order, 2));
        assert!(message.contains("does not have each of the 2 models once"), "{order:?}: {message}");
    }
    let message = message(&file(&POSITIONS, Some(0)), &ordered(&[0, 1, 2], 3));
    assert!(message.contains("_permutation_selection`: says the order already"), "{message}");
    Ok(())
}

#[test]
fn fixed_layers_and_positions_without_a_layer_are_the_contexts() -> Result<(), Error> {
    let found = file(&POSITIONS, Some(0));
    let fixed = Context { fixed_layers: 1, layers: Some(5), ..context(3) };
    let of_fixed = recipe(&found, &fixed)?;
    assert_eq!(layers(&of_fixed), ["chat0", "chat1", "code1 x1.5", "base2 x0.5", "math3", "chat4"]);
    assert_eq!(of_fixed.outer, OuterTensors::of("chat"));
    let dropped = Context { remain_base: false, ..context(3) };
    assert_eq!(layers(&recipe(&found, &dropped)?), ["chat0", "code0 x1.5", "math2"]);
    Ok(())
}

#[test]
fn numbers_between_no_and_yes_are_read_too() -> Result<(), Error> {
    let mut found = file(&[(&[0, 0], 1.0)], Some(0));
    found.insert("layer_0_block_1_selection".to_owned(), json!(0.7));
    assert_eq!(layers(&recipe(&found, &context(2))?), ["math0"]);
    assert!(message_with(&found, "layer_0_block_1_selection", json!(0.5), &context(2)).contains("is neither 0 nor 1"));
    Ok(())
}

#[test]
fn what_contradicts_itself_or_the_context_is_refused_by_its_key() {
    let good = file(&POSITIONS, Some(4));
    assert_eq!(message(&good, &Context { layers: Some(3), ..context(3) }), "");
    let cases = [
        ("layer_0_block_3_selection", json!("1"), "`layer_0_block_3_selection`: the file is about 4 candidates"),
        ("layer_0_block_1_selection", json!("2"), "`layer_0_block_1_selection`: is neither 0 nor 1"),
        ("layer_0_block_1_selection", Value::Null, "`layer_0_block_1_selection`: is missing"),
        ("layer_1_permutation_selection", json!("6"), "`layer_1_permutation_selection`: is no permutation of 3 models"),
        ("layer_1_permutation_selection", json!(0.5), "`layer_1_permutation_selection`: is no permutation of 3 models"),
        ("layer_1_permutation_selection", Value::Null, "`layer_1_permutation_selection`: is missing"),
        ("scale_1", Value::Null, "`scale_1`: is missing"),
        ("scale_1", json!(0.0), "`scale_1`: leaves nothing of the residual stream; at the MLP's output"),
        ("scale_1", json!("wide"), "`scale_1`: is no finite number"),
        ("scale_4", json!(1.0), "`layer_3_block_0_selection`: is missing"),
        ("remove_idx_0", json!(1), "`remove_idx_0`: is no parameter of the search over stacked layers"),
    ];
    for (key, value, part) in cases {
        let message = message_with(&good, key, value, &context(3));
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    for candidates in [2, 4] {
        let message = message(&good, &context(candidates));
        assert!(message.contains("_block_2_selection`: the file is about 3 candidates beside the base"), "{message}");
    }
    for (layers, fixed_layers) in [(4, 0), (2, 0), (3, 1)] {
        let message = message(&good, &Context { layers: Some(layers), fixed_layers, ..context(3) });
        assert!(message.contains("is of the last of 3 positions") && message.contains("_2"), "{message}");
    }
}
