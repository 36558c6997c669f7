//! mergekit's files, read as recipes. `tests/golden/README.md` says who made the golden ones.

#[path = "../../layer-ir/tests/support/mod.rs"]
mod support;

use std::path::Path;

use layer_ir::mergekit::read_with_models;
use layer_ir::{Align, Dtype, Error, Expr, Merge, Parameters, Recipe, RowOf, Source, TokenRow, Vocabulary};
use merge_ops::Registry;
use serde_json::json;
use support::{LAYERS, Outcome, config, shapes};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Writes the family and hands its folder to the test.
fn with_family(test: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let folder = tempfile::tempdir()?;
    for name in ["base", "chat", "math", "code"] {
        support::model(&folder.path().join(name), &config(json!({})), &shapes(), safetensors::Dtype::BF16)?;
    }
    test(folder.path())
}

fn golden(name: &str, family: &Path) -> Result<Recipe> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/merges");
    Ok(read_with_models(folder.join(name).with_extension("yaml"), family, &Registry::standard())?)
}

fn text(yaml: &str, family: &Path) -> std::result::Result<Recipe, Error> {
    let file = family.join("merge.yaml");
    std::fs::write(&file, yaml).map_err(|source| Error::Read { file: file.clone(), source })?;
    layer_ir::mergekit::read(file, &Registry::standard())
}

fn merge<S>(expr: &Expr<S>) -> Result<&Merge<S>> {
    match expr {
        Expr::Merge(merge) => Ok(merge),
        Expr::Take(_) => Err("a take, not a merge".into()),
    }
}

fn layer(recipe: &Recipe, layer: usize) -> Result<&Merge<layer_ir::LayerRef>> {
    merge(&recipe.layers[layer].from)
}

/// A parameter of a source for the tensor of a layer.
fn own(source: &Source<layer_ir::LayerRef>, key: &str) -> Result<Option<f64>> {
    Ok(source.parameters.number(key, &format!("model.layers.{}.mlp.up_proj.weight", source.of.layer))?)
}

#[test]
fn every_golden_file_is_read_fits_its_family_and_survives_its_own_yaml() -> Outcome {
    with_family(|family| {
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/merges"))? {
            let name = file?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".yaml") {
                continue;
            }
            let recipe = golden(&name, family)?;
            assert_eq!(Recipe::from_yaml(&recipe.to_yaml()?)?, recipe, "{name}");
            recipe.clone().validate(&recipe.open_family()?, &Registry::standard())?;
        }
        Ok(())
    })
}

#[test]
fn linear_has_sources_with_weights_and_no_base() -> Outcome {
    with_family(|family| {
        let recipe = golden("linear_bf16", family)?;
        assert_eq!((recipe.dtype, recipe.compute), (Some(Dtype::BF16), Some(Dtype::BF16)));
        assert_eq!((recipe.base.as_str(), recipe.layers.len()), ("chat", LAYERS));
        let merge = layer(&recipe, 3)?;
        assert_eq!((merge.method.as_str(), &merge.base), ("linear", &None));
        let weights = merge.sources.iter().map(|source| own(source, "weight")).collect::<Result<Vec<_>>>()?;
        assert_eq!(weights, [Some(0.5), Some(0.3), Some(0.4)]);
        let recipe = golden("linear_unnormalized", family)?;
        assert_eq!((recipe.dtype, recipe.compute), (Some(Dtype::F32), None));
        assert_eq!(layer(&recipe, 0)?.parameters.flag("normalize", "")?, Some(false));
        Ok(())
    })
}

#[test]
fn deltas_are_taken_from_a_base_that_is_no_source() -> Outcome {
    with_family(|family| {
        let recipe = golden("ties", family)?;
        let merge = layer(&recipe, 2)?;
        let base = merge.base.as_ref().ok_or("no base")?;
        assert_eq!((base.model.as_str(), base.layer), ("base", Some(2)));
        let sources: Vec<_> = merge.sources.iter().map(|source| source.of.model.as_str()).collect();
        assert_eq!(sources, ["chat", "math", "code"]);
        assert_eq!(own(&merge.sources[1], "density")?, Some(0.3));
        let merge = layer(&golden("task_arithmetic", family)?, 0)?.clone();
        assert_eq!(merge.parameters.number("lambda", "")?, Some(0.8));
        Ok(())
    })
}

#[test]
fn slerp_goes_from_the_base_to_one_source_by_gradients_with_filters() -> Outcome {
    with_family(|family| {
        let recipe = golden("slerp", family)?;
        let merge = layer(&recipe, 1)?;
        assert_eq!(merge.base.as_ref().map(|base| base.model.as_str()), Some("chat"));
        assert_eq!(merge.sources.iter().map(|source| source.of.model.as_str()).collect::<Vec<_>>(), ["math"]);
        // Place 1/5 of five values: 0.8 of the way from the first to the second.
        let t = |tensor: &str| merge.parameters.number("t", tensor);
        let close = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 1e-15);
        assert!(close(t("model.layers.1.self_attn.q_proj.weight")?, 0.4));
        assert!(close(t("model.layers.1.mlp.up_proj.weight")?, 1.0 - 0.5 * 0.8));
        assert_eq!(t("model.layers.1.input_layernorm.weight")?, Some(0.5));
        let last = &layer(&recipe, 5)?.parameters;
        assert_eq!(last.number("t", "self_attn")?, Some(1.0));
        Ok(())
    })
}

#[test]
fn gradients_give_the_outer_tensors_their_first_value() -> Outcome {
    with_family(|family| {
        let recipe = golden("ties_gradient", family)?;
        let weights = |sources: &[Parameters]| -> Result<Vec<_>> {
            sources.iter().map(|parameters| Ok(parameters.number("weight", "lm_head.weight")?)).collect()
        };
        let of = |outer| -> Result<Vec<Parameters>> {
            Ok(merge(outer)?.sources.iter().map(|source| source.parameters.clone()).collect())
        };
        for outer in [&recipe.outer.embedding, &recipe.outer.final_norm, &recipe.outer.head] {
            assert_eq!(weights(&of(outer)?)?, [Some(0.2), Some(1.0)]);
        }
        let last = layer(&recipe, 5)?;
        assert_eq!((own(&last.sources[0], "weight")?, own(&last.sources[1], "weight")?), (Some(0.9), Some(0.5)));
        assert_eq!(last.parameters.keys().collect::<Vec<_>>(), ["normalize"], "int8_mask changes no number");
        Ok(())
    })
}

#[test]
fn slices_are_stacked_and_a_lone_passthrough_is_a_take() -> Outcome {
    with_family(|family| {
        let recipe = golden("passthrough_stack", family)?.canonicalise(&Registry::standard());
        let taken = recipe.layers.iter().map(|layer| match &layer.from {
            Expr::Take(taken) => Ok((taken.model.as_str(), taken.layer)),
            Expr::Merge(_) => Err("a merge".into()),
        });
        let expected = [("chat", 0), ("chat", 1), ("chat", 2), ("math", 1), ("math", 2), ("math", 3), ("base", 5)];
        assert_eq!(taken.collect::<Result<Vec<_>>>()?, expected);
        let name = |outer: &layer_ir::OuterExpr| matches!(outer, Expr::Take(taken) if taken.model == "base");
        assert!(name(&recipe.outer.head) && name(&recipe.outer.final_norm) && !name(&recipe.outer.embedding));
        let scaled = golden("passthrough_scale", family)?;
        let source = &layer(&scaled, 1)?.sources[0];
        let scale = |tensor| source.parameters.number("scale", tensor);
        assert_eq!((scale("o_proj")?, scale("down_proj")?, scale("q_proj")?), (Some(0.0), Some(0.5), Some(1.0)));
        Ok(())
    })
}

#[test]
fn slices_have_their_own_sources_layers_and_base_layers() -> Outcome {
    with_family(|family| {
        let recipe = golden("slices_mixed", family)?;
        assert_eq!(recipe.layers.len(), 4);
        let second = layer(&recipe, 2)?;
        assert_eq!(second.sources.iter().map(|s| (s.of.model.as_str(), s.of.layer)).collect::<Vec<_>>(), [("code", 3)]);
        assert_eq!(second.base.as_ref().and_then(|base| base.layer), Some(3));
        assert_eq!(merge(&recipe.outer.embedding)?.sources.len(), 2);
        assert_eq!(merge(&recipe.outer.head)?.sources.len(), 1);
        Ok(())
    })
}

#[test]
fn the_innermost_scope_holds_and_the_next_where_no_filter_fits() -> Outcome {
    with_family(|family| {
        let yaml = "
merge_method: task_arithmetic
base_model: base
dtype: float32
out_dtype: bfloat16
parameters: {weight: 0.1, lambda: 0.9}
slices:
- parameters: {weight: [{filter: mlp, value: 0.2}], lambda: 0.5}
  sources:
  - {model: base, layer_range: [1, 2]}
  - {model: chat, layer_range: [2, 3], parameters: {weight: [{filter: up_proj, value: 0.3}], lambda: 7}}
  - {model: math, layer_range: [3, 4]}
";
        let recipe = text(yaml, family)?;
        assert_eq!((recipe.dtype, recipe.compute), (Some(Dtype::BF16), None));
        let merge = layer(&recipe, 0)?;
        let weight = |source: usize, tensor| merge.sources[source].parameters.number("weight", tensor);
        assert_eq!((weight(0, "mlp.up_proj")?, weight(0, "mlp.down_proj")?), (Some(0.3), Some(0.2)));
        assert_eq!((weight(0, "norm")?, weight(1, "mlp.up_proj")?), (Some(0.1), Some(0.2)));
        assert_eq!(merge.parameters.number("lambda", "")?, Some(0.5), "a source has no lambda");
        assert_eq!(merge.base.as_ref().and_then(|base| base.layer), Some(1));
        Ok(())
    })
}

#[test]
fn without_a_dtype_the_weights_decide() -> Outcome {
    with_family(|family| {
        let yaml = "{merge_method: linear, parameters: {weight: 1}, models: [{model: chat}, {model: math}]}";
        assert_eq!(text(yaml, family)?.compute, Some(Dtype::BF16));
        support::model(&family.join("math"), &config(json!({})), &shapes(), safetensors::Dtype::F16)?;
        let recipe = text(yaml, family)?;
        assert_eq!((recipe.compute, recipe.dtype), (None, Some(Dtype::F32)));
        Ok(())
    })
}

#[test]
fn a_base_beside_the_models_is_a_last_source_of_linear() -> Outcome {
    with_family(|family| {
        let yaml = "{merge_method: linear, base_model: base, parameters: {weight: 2}, models: [{model: chat}]}";
        let recipe = text(yaml, family)?;
        let names: Vec<_> = layer(&recipe, 0)?.sources.iter().map(|source| source.of.model.as_str()).collect();
        assert_eq!((names, recipe.base.as_str()), (vec!["chat", "base"], "base"));
        let alone = text("{merge_method: task_arithmetic, base_model: base, models: [{model: base}]}", family)?;
        assert!(matches!(&alone.layers[4].from, Expr::Take(taken) if taken.model == "base" && taken.layer == 4));
        Ok(())
    })
}

#[test]
fn what_is_not_read_is_refused_by_its_key() -> Outcome {
    let linear = |rest: &str| format!("{{merge_method: linear, parameters: {{weight: 1}}, {rest}}}");
    let models = "models: [{model: chat}, {model: math}]";
    let ties = |rest: &str| format!("{{merge_method: ties, parameters: {{weight: 1}}, {rest}}}");
    let source = |model: &str, range: &str| format!("{{model: {model}, layer_range: [{range}]}}");
    let slice = |first: &str, second: &str| format!("{{sources: [{first}, {second}]}}");
    let cases = [
        (linear("modules: {text: {}}"), "`modules.text`: is not supported"),
        (linear(&format!("modules: {{default: {{{models}}}}}, {models}")), "write `models`, `slices` or `modules`"),
        (
            linear(&format!("modules: {{default: {{{models}, merge_method: ties}}}}")),
            "`modules.default.merge_method`: is",
        ),
        (linear(&format!("tokenizer: {{sauce: union}}, {models}")), "`tokenizer.sauce`: is not supported"),
        (linear(&format!("tokenizer: {{}}, tokenizer_source: base, {models}")), "`tokenizer`: stands beside"),
        (
            linear(&format!("tokenizer: {{pad_to_multiple_of: -1}}, {models}")),
            "`tokenizer.pad_to_multiple_of`: not a whole",
        ),
        (
            linear(&format!("tokenizer: {{tokens: {{a: {{kind: zero}}}}}}, {models}")),
            "`tokenizer.tokens.a.kind`: is not",
        ),
        (
            linear(&format!("tokenizer: {{tokens: {{a: {{source: {{kind: one}}}}}}}}, {models}")),
            "`tokenizer.tokens.a.source.kind`: neither",
        ),
        (
            linear(&format!("tokenizer: {{tokens: {{a: {{source: {{kind: model_token, model: chat}}}}}}}}, {models}")),
            "`tokenizer.tokens.a.source`: write either `token` or `token_id`",
        ),
        (linear(&format!("chat_template: [1], {models}")), "`chat_template`: not a text"),
        (linear("models: [{model: chat+adapter}]"), "`models[0].model`: adapters"),
        (linear("models: [{model: chat@main}]"), "`models[0].model`: the model is a folder here"),
        (
            linear("models: [{model: {model: {path: chat, revision: main}}}]"),
            "`models[0].model.model.revision`: the model",
        ),
        (linear("models: [{model: {model: {path: chat}, lora: x}}]"), "`models[0].model.lora`: is not supported"),
        (linear(&format!("dtype: int8, {models}")), "`dtype`: not float32, float16 or bfloat16"),
        (linear("models: [{model: chat, parameters: {wieght: 1}}]"), "`models[0].parameters.wieght`: no parameter"),
        (
            linear("models: [{model: chat, parameters: {weight: [1, x]}}]"),
            "`models[0].parameters.weight`: numbers beside",
        ),
        (linear("models: [{model: chat}, {model: chat}]"), "`models`: the same model stands twice"),
        (linear(&format!("slices: [], {models}")), "write either `models` or `slices`"),
        (linear("models: []"), "`models`: there is nothing in it"),
        (linear("slices: [{sources: [{model: chat, layer_range: [3, 3]}]}]"), "there are no layers in it"),
        (
            linear("slices: [{sources: [{model: chat, layer_range: [4, 9]}]}]"),
            "`slices[0].sources[0].layer_range`: the model has",
        ),
        (
            linear("slices: [{sources: [{model: chat, layer_range: [3, 2]}]}]"),
            "`slices[0].sources[0].layer_range`: not a list",
        ),
        (
            linear(&format!("slices: [{}]", slice(&source("chat", "0, 2"), &source("math", "0, 3")))),
            "equally many layers",
        ),
        (ties(models), "`base_model`: is missing"),
        (
            ties("base_model: base, slices: [{sources: [{model: chat, layer_range: [0, 1]}]}]"),
            "`slices[0]`: the base model is not",
        ),
        (ties("base_model: base, models: [{model: chat, parameters: {weight: []}}], parameters: {}"), "duplicate"),
        ("{merge_method: linear, models: [{model: chat}]}".to_owned(), "`models: source 0.weight`: is missing"),
        (format!("{{merge_method: slerp, base_model: chat, {models}}}"), "`parameters.t`: is missing"),
        (format!("{{merge_method: passthrough, {models}}}"), "`models`: has more or fewer sources"),
        (
            format!("{{merge_method: magic, {models}}}"),
            "there is no merge method `magic`; there are linear, passthrough, slerp,",
        ),
        (linear("models: [{model: chat, parameters: {weight: .nan}}]"), "`models[0].parameters.weight`: not a finite"),
        (linear("models: [{model: chat, parameters: {weight: [1, 1e300]}}]"), "weight[1]`: not a finite number"),
        (models.to_owned(), "`merge_method`: is missing"),
        ("[]".to_owned(), "`the file`: not a mapping"),
    ];
    with_family(|family| {
        for (yaml, expected) in cases {
            let message = text(&yaml, family).err().map_or_else(String::new, |error| error.to_string());
            assert!(message.contains(expected), "{yaml}\n  says `{message}`,\n  not `{expected}`");
        }
        let nowhere = text(&linear("models: [{model: nobody}]"), family).err();
        assert!(matches!(&nowhere, Some(Error::ModelNotFound { model, .. }) if model == "nobody"), "{nowhere:?}");
        Ok(())
    })
}

#[test]
fn a_module_is_one_more_scope() -> Outcome {
    with_family(|family| {
        let yaml = "
merge_method: ties
base_model: base
parameters: {weight: 0.1, density: 0.5, lambda: 0.9}
modules:
  default:
    parameters: {weight: [{filter: mlp, value: 0.2}], lambda: 0.5}
    models: [{model: chat}, {model: math, parameters: {weight: 0.3}}]
";
        let recipe = text(yaml, family)?;
        let merge = layer(&recipe, 0)?;
        let weight = |source: usize, tensor| merge.sources[source].parameters.number("weight", tensor);
        assert_eq!((weight(0, "mlp.up_proj")?, weight(0, "norm")?), (Some(0.2), Some(0.1)));
        assert_eq!((weight(1, "mlp.up_proj")?, merge.parameters.number("lambda", "")?), (Some(0.3), Some(0.5)));
        assert_eq!((recipe.layers.len(), merge.base.as_ref().and_then(|base| base.layer)), (LAYERS, Some(0)));
        Ok(())
    })
}

#[test]
fn a_tokenizer_becomes_a_vocabulary() -> Outcome {
    let vocabulary = |method: &str, rest: &str| -> Result<Option<Vocabulary>> {
        let mut found = None;
        with_family(|family| {
            let models = "models: [{model: chat}, {model: math}]";
            let yaml = format!("{{merge_method: {method}, {rest}, parameters: {{weight: 1}}, {models}}}");
            found = text(&yaml, family)?.vocabulary;
            Ok(())
        })?;
        Ok(found)
    };
    let (chat, base) = (|| "chat".to_owned(), || "base".to_owned());
    assert_eq!(vocabulary("linear", "dtype: float32")?, None);
    assert_eq!(vocabulary("linear", "tokenizer_source: base")?, Some(Vocabulary::new(Align::Base)));
    assert_eq!(vocabulary("linear", "tokenizer: {}")?, Some(Vocabulary::new(Align::Union)));
    assert_eq!(vocabulary("linear", "tokenizer_source: chat")?, Some(Vocabulary::new(Align::Model(chat()))));
    let own = "tokenizer: {source: {model: {path: base}}}, base_model: base";
    assert_eq!(vocabulary("ties", own)?, Some(Vocabulary::new(Align::Model(base()))), "a model may be called `base`");
    let preferred = vocabulary("linear", "tokenizer_source: union, base_model: base")?;
    assert_eq!(
        preferred.and_then(|preferred| preferred.prefer),
        Some(base()),
        "a source like any other, but for tokens"
    );
    let rows = "tokenizer: {source: base, pad_to_multiple_of: 8, tokens: {
        a: {source: {kind: zero}, force: true}, b: {source: chat}, c: {},
        d: {source: {kind: model_token, model: math, token: x}},
        e: {source: {kind: model_token, model: math, token_id: 3}}}}";
    let found = vocabulary("linear", rows)?.ok_or("no vocabulary")?;
    assert_eq!((found.align, found.pad_to_multiple_of), (Align::Base, Some(8)));
    let expected = [
        ("a", Some(RowOf::Zero), true),
        ("b", Some(RowOf::Model(chat())), false),
        ("c", None, false),
        ("d", Some(RowOf::Token { model: "math".to_owned(), token: "x".to_owned() }), false),
        ("e", Some(RowOf::Id { model: "math".to_owned(), id: 3 }), false),
    ];
    let found: Vec<_> = found.tokens.into_iter().collect();
    assert_eq!(found, expected.map(|(token, from, force)| (token.to_owned(), TokenRow { from, force })));
    Ok(())
}

#[test]
fn a_slice_of_no_layers_says_what_an_end_is_made_of() -> Outcome {
    with_family(|family| {
        let yaml = "
merge_method: passthrough
chat_template: chatml
slices:
- {sources: [{model: base, layer_range: [0, 0]}]}
- {sources: [{model: chat, layer_range: [1, 3]}]}
- {sources: [{model: math, layer_range: [6, 6]}]}
";
        let recipe = text(yaml, family)?;
        let outer = |outer: &layer_ir::OuterExpr| outer.models().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            (outer(&recipe.outer.embedding), outer(&recipe.outer.head)),
            (vec!["base".to_owned()], vec!["math".to_owned()])
        );
        assert_eq!((recipe.layers.len(), recipe.chat_template.as_deref()), (2, Some("chatml")));
        Ok(())
    })
}

#[test]
fn one_source_of_weight_one_is_taken_as_it_is() -> Outcome {
    with_family(|family| {
        let with = |weight| {
            text(
                &format!("{{merge_method: linear, models: [{{model: chat, parameters: {{weight: {weight}}}}}]}}"),
                family,
            )
        };
        assert!(matches!(&with("1")?.layers[2].from, Expr::Take(taken) if taken.model == "chat" && taken.layer == 2));
        assert!(matches!(&with("0.5")?.layers[2].from, Expr::Merge(_)), "it is divided by its weight, and rounded");
        Ok(())
    })
}

#[test]
fn more_sources_at_the_end_than_at_the_beginning_are_refused() -> Outcome {
    with_family(|family| {
        let yaml = "
merge_method: linear
parameters: {weight: 1}
slices:
- {sources: [{model: chat, layer_range: [0, 1]}]}
- {sources: [{model: chat, layer_range: [1, 2]}, {model: math, layer_range: [1, 2]}]}
";
        let message = text(yaml, family).err().map_or_else(String::new, |error| error.to_string());
        assert!(message.contains("`slices[1]`: it has more sources than the first slice"), "{message}");
        Ok(())
    })
}
