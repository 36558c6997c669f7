//! Recipes written as mergekit's files and read again.

#[path = "../../layer-ir/tests/support/mod.rs"]
mod support;

use std::path::Path;

use layer_ir::mergekit::{read, read_with_models, to_yaml};
use layer_ir::{
    Align, BaseRef, BridgeRef, Dtype, Error, Expr, Family, Filtered, LayerRef, Merge, ModelRef, OuterTensors,
    OutputLayer, Parameters, Place, Recipe, RowOf, Setting, Source, TokenRow, Value, Vocabulary,
};
use merge_ops::Registry;
use proptest::prelude::*;
use serde_json::json;
use support::{LAYERS, Outcome, config, shapes};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DEEP: usize = LAYERS + 3;
const MODELS: [&str; 4] = ["base", "chat", "math", "code"];

fn tokenizer(folder: &Path) -> Outcome {
    let vocab = json!({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4});
    Ok(std::fs::write(folder.join("tokenizer.json"), json!({"model": {"vocab": vocab}}).to_string())?)
}

/// The family, in a folder that goes away with it.
fn family() -> Result<(tempfile::TempDir, Family)> {
    let folder = tempfile::tempdir()?;
    for name in MODELS {
        support::model(&folder.path().join(name), &config(json!({})), &shapes(), safetensors::Dtype::F32)?;
        tokenizer(&folder.path().join(name))?;
    }
    let models = MODELS.map(|name| (name.to_owned(), folder.path().join(name))).into();
    Ok((folder, Family::open(&models, "base")?))
}

/// The recipe after a way through mergekit's YAML, and the YAML.
fn there_and_back(recipe: &Recipe, family: &Family, folder: &Path) -> std::result::Result<(Recipe, String), Error> {
    let yaml = to_yaml(&recipe.clone().validate(family, &Registry::standard())?, family, &Registry::standard())?;
    let file = folder.join("merge.yaml");
    std::fs::write(&file, &yaml).map_err(|source| Error::Read { file: file.clone(), source })?;
    let mut back = read(file, &Registry::standard())?.canonicalise(&Registry::standard());
    // Models that nothing is made of are not in the file.
    back.models.clone_from(&recipe.models);
    Ok((back, yaml))
}

/// A family of models with more layers than the recipes below name.
fn deep_family() -> Result<(tempfile::TempDir, Family)> {
    let folder = tempfile::tempdir()?;
    let mut tensors = shapes();
    for layer in LAYERS..DEEP {
        let of_first = |(name, shape): &(String, Vec<usize>)| {
            let suffix = name.strip_prefix("model.layers.0.")?;
            Some((format!("model.layers.{layer}.{suffix}"), shape.clone()))
        };
        let more: Vec<_> = tensors.iter().filter_map(of_first).collect();
        tensors.extend(more);
    }
    for name in MODELS {
        let config = config(json!({"num_hidden_layers": DEEP}));
        support::model(&folder.path().join(name), &config, &tensors, safetensors::Dtype::F32)?;
        tokenizer(&folder.path().join(name))?;
    }
    let models = MODELS.map(|name| (name.to_owned(), folder.path().join(name))).into();
    Ok((folder, Family::open(&models, "base")?))
}

fn plain(family: &Family) -> Recipe {
    Recipe { dtype: Some(Dtype::F32), ..Recipe::of_base(family.paths(), "base", LAYERS) }
}

#[test]
fn every_golden_file_comes_back() -> Outcome {
    let (folder, family) = family()?;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/merges");
    for file in std::fs::read_dir(golden)? {
        let file = file?.path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let recipe = read_with_models(&file, folder.path(), &Registry::standard())?;
        let (back, yaml) = there_and_back(&recipe, &family, folder.path())?;
        assert_eq!(back, recipe.canonicalise(&Registry::standard()), "{}: {yaml}", file.display());
        let short = std::fs::read_to_string(&file)?.contains("models:");
        assert_eq!(yaml.contains("models:"), short, "{}: {yaml}", file.display());
    }
    Ok(())
}

/// A method of mergekit with parameters that it knows.
#[derive(Debug, Clone)]
struct Made {
    method: &'static str,
    base: bool,
    sources: std::ops::Range<usize>,
    shared: &'static [&'static str],
    own: &'static [&'static str],
}

fn method() -> impl Strategy<Value = Made> {
    let made = |method, base, sources, shared, own| Just(Made { method, base, sources, shared, own });
    prop_oneof![
        made("linear", false, 1..5, &["normalize"], &["weight"]),
        made("passthrough", false, 1..2, &[], &["scale"]),
        made("slerp", true, 1..2, &["t"], &[]),
        made("task_arithmetic", true, 1..4, &["lambda"], &["weight"]),
        made("ties", true, 1..4, &["lambda", "normalize"], &["weight", "density"]),
        made("breadcrumbs", true, 1..4, &[], &["weight", "density", "gamma"]),
        made("model_stock", true, 2..4, &["filter_wise"], &[]),
        made("karcher", false, 1..5, &["tol"], &[]),
    ]
}

fn value(key: &str) -> BoxedStrategy<Value> {
    match key {
        "normalize" | "filter_wise" => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => prop_oneof![
            3 => prop_oneof![Just(0.25), Just(0.5), Just(0.75)].prop_map(Value::Number),
            1 => (0.1..2.0).prop_map(Value::Number),
            1 => Just(Value::Text("1e-3".to_owned())),
        ]
        .boxed(),
    }
}

fn setting(key: &'static str) -> impl Strategy<Value = Setting> {
    let filtered =
        (prop_oneof![Just("mlp"), Just("layers.1.")], value(key), value(key)).prop_map(|(filter, some, rest)| {
            let some = Filtered { filter: Some(filter.to_owned()), value: some };
            Setting::Filtered(vec![some, Filtered { filter: None, value: rest }])
        });
    prop_oneof![4 => value(key).prop_map(Setting::One), 1 => filtered]
}

fn parameters(keys: &'static [&'static str]) -> impl Strategy<Value = Parameters> {
    keys.iter().map(|key| setting(key)).collect::<Vec<_>>().prop_map(|settings| {
        let mut parameters = Parameters::default();
        keys.iter().zip(settings).for_each(|(key, setting)| parameters.set(key, setting));
        parameters
    })
}

/// A merge by the method, or one layer as it is where the method can do that.
fn expression(made: Made) -> impl Strategy<Value = Expr<LayerRef>> {
    let Made { method, base, sources, shared, own } = made;
    let sources = proptest::collection::vec((parameters(own), 0..LAYERS), sources);
    let parts = (Just(MODELS.to_vec()).prop_shuffle(), sources, parameters(shared), 0..LAYERS);
    let merge = parts.prop_map(move |(models, sources, parameters, at)| {
        let part = |model: &str, layer| LayerRef { model: model.to_owned(), layer };
        let others = &models[usize::from(base)..];
        let base = base.then(|| BaseRef { model: models[0].to_owned(), layer: Some(at) });
        let source = |(index, (parameters, layer))| Source { of: part(others[index], layer), parameters };
        let sources = sources.into_iter().enumerate().map(source).collect();
        Expr::Merge(Merge { method: method.to_owned(), parameters, base, sources })
    });
    let take = (0..4_usize, 0..LAYERS).prop_map(|(model, layer)| LayerRef { model: MODELS[model].to_owned(), layer });
    let taken = u32::from(!["slerp", "model_stock", "karcher"].contains(&method));
    prop_oneof![2 => merge, taken => take.prop_map(Expr::Take)]
}

/// The same, so many layers further on, with numbers that grow by so much a layer.
fn further(expr: &Expr<LayerRef>, by: usize, slope: f64) -> Expr<LayerRef> {
    let part = |of: &LayerRef| LayerRef { model: of.model.clone(), layer: of.layer + by };
    let grown = |parameters: &Parameters| {
        let mut grown = Parameters::default();
        for key in parameters.keys() {
            grown.set(
                key,
                match parameters.get(key, "self_attn") {
                    Some(Value::Number(number)) => Setting::One(Value::Number(number + slope * by as f64)),
                    other => Setting::One(other.cloned().unwrap_or(Value::Bool(true))),
                },
            );
        }
        if by == 0 { parameters.clone() } else { grown }
    };
    match expr {
        Expr::Take(of) => Expr::Take(part(of)),
        Expr::Merge(merge) => Expr::Merge(Merge {
            method: merge.method.clone(),
            parameters: grown(&merge.parameters),
            base: merge.base.clone().map(|base| BaseRef { layer: base.layer.map(|layer| layer + by), ..base }),
            sources: (merge.sources.iter())
                .map(|source| Source { of: part(&source.of), parameters: grown(&source.parameters) })
                .collect(),
        }),
    }
}

fn without_layers(expr: &Expr<LayerRef>) -> Expr<ModelRef> {
    let part = |of: &LayerRef| ModelRef { model: of.model.clone() };
    match expr {
        Expr::Take(of) => Expr::Take(part(of)),
        Expr::Merge(merge) => Expr::Merge(Merge {
            method: merge.method.clone(),
            parameters: merge.parameters.clone(),
            base: merge.base.clone().map(|base| BaseRef { layer: None, ..base }),
            sources: (merge.sources.iter())
                .map(|source| Source { of: part(&source.of), parameters: source.parameters.clone() })
                .collect(),
        }),
    }
}

fn vocabulary() -> impl Strategy<Value = Vocabulary> {
    let model = || (0..4_usize).prop_map(|model| MODELS[model].to_owned());
    let align = prop_oneof![Just(Align::Base), Just(Align::Union), model().prop_map(Align::Model)];
    let from = prop_oneof![
        Just(RowOf::Zero),
        model().prop_map(RowOf::Model),
        model().prop_map(|model| RowOf::Token { model, token: "<s>".to_owned() }),
        (model(), 0..9_usize).prop_map(|(model, id)| RowOf::Id { model, id }),
    ];
    // Tokens that all models have, and new ones, so that every row is found.
    let old = ("[a-e]", proptest::option::of(from)).prop_map(|(token, from)| (token, TokenRow { from, force: false }));
    let new = ("[f-z|> ]{1,4}", any::<bool>())
        .prop_map(|(token, force)| (token, TokenRow { from: Some(RowOf::Zero), force }));
    let tokens = proptest::collection::vec(prop_oneof![old, new], 0..3).prop_map(|tokens| tokens.into_iter().collect());
    (align, tokens, proptest::option::of(1..99_usize)).prop_map(|(align, tokens, pad_to_multiple_of)| Vocabulary {
        align,
        tokens,
        prefer: None,
        pad_to_multiple_of,
    })
}

/// What one method can say, with outer tensors as the layers beside them or otherwise, and models of layers enough.
fn recipe() -> impl Strategy<Value = Recipe> {
    let run = |made: Made| (expression(made), 1..4_usize, prop_oneof![Just(0.0), Just(0.25), 0.01..0.2]);
    let layers = method().prop_flat_map(move |made| {
        let other = || proptest::option::of(expression(made.clone()));
        (proptest::collection::vec(run(made.clone()), 1..4), other(), other())
    });
    let dtype = || prop_oneof![Just(Dtype::BF16), Just(Dtype::F16), Just(Dtype::F32)];
    let more = (proptest::option::of(vocabulary()), proptest::option::of(Just("{{ messages[0].content }}".to_owned())));
    (layers, dtype(), dtype(), more).prop_map(|((runs, first, last), dtype, compute, (vocabulary, chat_template))| {
        let of_run = |(expr, length, slope): &(Expr<LayerRef>, usize, f64)| {
            (0..*length).map(|by| further(expr, by, *slope)).collect::<Vec<_>>()
        };
        let layers: Vec<_> = runs.iter().flat_map(of_run).map(OutputLayer::from).collect();
        let (first, last) =
            (first.as_ref().unwrap_or(&layers[0].from), last.as_ref().unwrap_or(&layers[layers.len() - 1].from));
        let (embedding, last) = (without_layers(first), without_layers(last));
        let outer = OuterTensors { embedding, final_norm: last.clone(), head: last };
        let (dtype, compute) = (Some(dtype), Some(compute));
        Recipe { layers, outer, dtype, compute, vocabulary, chat_template, ..Recipe::of_base([].into(), "base", 0) }
    })
}

/// mergekit rounds what a recipe takes as it is; here it is said.
fn round_takes(recipe: &mut Recipe) {
    fn round<S: Clone>(expr: &mut Expr<S>) {
        if let Expr::Take(of) = expr {
            let sources = vec![Source { of: of.clone(), parameters: Parameters::default() }];
            let (method, parameters) = ("passthrough".to_owned(), Parameters::default());
            *expr = Expr::Merge(Merge { method, parameters, base: None, sources });
        }
    }
    recipe.layers.iter_mut().for_each(|layer| round(&mut layer.from));
    [&mut recipe.outer.embedding, &mut recipe.outer.final_norm, &mut recipe.outer.head].into_iter().for_each(round);
}

#[test]
fn what_mergekit_can_say_comes_back_the_same() -> Outcome {
    let (folder, family) = deep_family()?;
    let written = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner.run(&recipe(), |mut recipe| {
        recipe.models = family.paths();
        if recipe.compute != Some(Dtype::F32) && recipe.compute != recipe.dtype {
            round_takes(&mut recipe);
        }
        match there_and_back(&recipe, &family, folder.path()) {
            Ok((back, yaml)) => {
                written.set(written.get() + 1);
                prop_assert_eq!(back, recipe.canonicalise(&Registry::standard()), "{}", yaml);
            }
            Err(Error::NotMergekit { place: Place::Outer(_), problem }) => {
                prop_assert!(problem.contains("no more sources"));
            }
            Err(Error::NotMergekit { place: Place::Base, problem }) => {
                prop_assert!(problem.contains("first model") && recipe.vocabulary.is_some());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
        Ok(())
    })?;
    assert!(written.get() > 150, "only {} of 256 could be said", written.get());
    Ok(())
}

#[test]
fn one_slice_is_written_short_and_runs_of_layers_as_slices() -> Outcome {
    let (folder, family) = family()?;
    let whole = there_and_back(&plain(&family), &family, folder.path())?.1;
    assert!(whole.contains("models:\n- model:") && !whole.contains("layer_range"), "{whole}");
    let mut recipe = plain(&family);
    let take = |model: &str, layer| Expr::Take(LayerRef { model: model.to_owned(), layer });
    recipe.layers[2].from = take("chat", 3);
    recipe.layers[3].from = take("chat", 4);
    let (back, yaml) = there_and_back(&recipe, &family, folder.path())?;
    assert_eq!((&back, yaml.matches("layer_range").count()), (&recipe, 3), "{yaml}");
    recipe.layers[0].from = take("math", 0);
    let (back, yaml) = there_and_back(&recipe, &family, folder.path())?;
    assert_eq!((&back, yaml.matches("layer_range").count()), (&recipe, 5), "an embedding of its own: {yaml}");
    Ok(())
}

#[test]
fn the_task_arithmetic_of_gptailor_becomes_that_of_mergekit() -> Outcome {
    let (folder, family) = family()?;
    let mut recipe = plain(&family);
    let merge = |method: &str, key: &str, weight: Option<f64>| {
        let mut parameters = Parameters::default();
        parameters.set(key, 0.6);
        let source = |model: &str| {
            let mut parameters = Parameters::default();
            weight.into_iter().for_each(|weight| parameters.set("weight", weight));
            Source { of: LayerRef { model: model.to_owned(), layer: 2 }, parameters }
        };
        let sources = vec![source("chat"), source("math")];
        let base = Some(BaseRef { model: "base".to_owned(), layer: Some(1) });
        Expr::Merge(Merge { method: method.to_owned(), parameters, base, sources })
    };
    recipe.layers[1].from = merge("gptailor_task_arithmetic", "coefficient", None);
    let (back, yaml) = there_and_back(&recipe, &family, folder.path())?;
    recipe.layers[1].from = merge("task_arithmetic", "lambda", Some(1.0));
    assert_eq!(back, recipe, "{yaml}");
    Ok(())
}

#[test]
fn models_are_named_so_that_mergekit_finds_them() -> Outcome {
    let folder = tempfile::tempdir()?;
    let names = ["a+b", "a@b", "union"];
    for name in names {
        support::llama(&folder.path().join(name))?;
        tokenizer(&folder.path().join(name))?;
    }
    let models = names.map(|name| (name.to_owned(), folder.path().join(name))).into();
    let family = Family::open(&models, "a+b")?;
    let mut recipe = Recipe { base: "a+b".to_owned(), ..plain(&family) };
    for (layer, name) in names.iter().enumerate() {
        recipe.layers[layer].from = Expr::Take(LayerRef { model: (*name).to_owned(), layer });
    }
    recipe.layers.truncate(3);
    recipe.outer = OuterTensors::of("union");
    recipe.models["union"] = "union".to_owned();
    recipe.vocabulary = Some(Vocabulary::new(Align::Model("union".to_owned())));
    let (mut back, yaml) = there_and_back(&recipe, &family, folder.path())?;
    back.models.clone_from(&recipe.models);
    assert_eq!(back, recipe, "{yaml}");
    Ok(())
}

#[test]
fn what_mergekit_cannot_say_is_named_with_its_place() -> Outcome {
    let (bridges, family) = family()?;
    let says = |change: &dyn Fn(&mut Recipe)| -> Result<String> {
        let mut recipe = plain(&family);
        change(&mut recipe);
        let written = to_yaml(&recipe.validate(&family, &Registry::standard())?, &family, &Registry::standard());
        Ok(written.err().ok_or("it was written")?.to_string())
    };
    let merge = |method: &str, models: &[&str], settings: &[(&str, f64)]| {
        let merge = settings.iter().fold(Merge::new(method), |merge, (key, value)| merge.with(key, *value));
        Expr::Merge(models.iter().fold(merge, |merge, model| merge.source(model, 2)))
    };
    let with = |layer: usize, expr: Expr<LayerRef>| says(&move |recipe| recipe.layers[layer].from = expr.clone());
    assert!(
        says(&|recipe| recipe.layers[3].scale = 0.5)?
            .contains("output layer 3: cannot be written for mergekit: an output scale")
    );
    let bridge = BridgeRef::write(bridges.path(), &[("mlp.down_proj.weight", (&[8, 12][..], &[0.5; 96][..]))].into())?;
    assert!(
        says(&|recipe| recipe.layers[4].bridge = Some(bridge.clone()))?
            .contains("output layer 4: cannot be written for mergekit: a bridge is nothing that mergekit knows")
    );
    assert!(
        with(1, merge("gptailor_ties", &["chat"], &[("coefficient", 0.5)]))?
            .contains("output layer 1: cannot be written for mergekit: it has no method")
    );
    assert!(
        with(1, merge("slerp", &["chat"], &[("t", 0.5)]))?
            .contains("output layer 0: cannot be written for mergekit: it is taken as it is")
    );
    assert!(
        with(1, merge("ties", &["base", "chat"], &[("weight", 0.5)]))?
            .contains("output layer 1: cannot be written for mergekit: the same model")
    );
    let mut lacking = plain(&family);
    lacking.layers[1].from = merge("linear", &["base", "chat"], &[]);
    let lacking = lacking.validate(&family, &Registry::standard()).err().map(|error| error.to_string());
    assert!(
        lacking.is_some_and(|says| says.contains("output layer 1: merge method `linear` needs the parameter `weight`"))
    );
    let two = says(&|recipe| {
        recipe.layers[1].from = merge("ties", &["chat"], &[("weight", 0.5)]);
        recipe.layers[4].from = merge("karcher", &["chat"], &[]);
    });
    assert!(
        two?.contains("output layer 4: cannot be written for mergekit: it is merged by `karcher`, others by `ties`")
    );
    let rounded = says(&|recipe| recipe.compute = Some(Dtype::BF16))?;
    assert!(rounded.contains("output layer 0: cannot be written for mergekit: mergekit would round it"), "{rounded}");
    let head = says(&|recipe| recipe.outer.head = Expr::Take(ModelRef { model: "chat".to_owned() }))?;
    assert!(head.contains("head: cannot be written for mergekit: mergekit makes the head as the final norm"), "{head}");
    let files = says(&|recipe| recipe.tokenizer = Some("chat".to_owned()))?;
    assert!(files.contains("tokenizer: cannot be written"), "{files}");
    let gptailor = says(&|recipe| recipe.vocabulary = Some(Vocabulary::new(Align::Gptailor)))?;
    assert!(gptailor.contains("vocabulary: cannot be written for mergekit: mergekit has no `gptailor`"), "{gptailor}");
    Ok(())
}
