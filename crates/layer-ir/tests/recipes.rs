//! Laws of recipes, on arbitrary ones, and what validation says.

mod support;

use std::path::Path;

use indexmap::IndexMap;
use layer_ir::{
    Align, BaseAt, BaseRef, BridgeRef, Dtype, Error, Expr, Family, Filtered, LayerRef, Merge, ModelRef, OuterTensors,
    OutputLayer, Parameters, Place, Recipe, RowOf, Setting, Source, TokenRow, Value, Vocabulary,
};
use proptest::prelude::*;
use support::{LAYERS, METHODS, Outcome};

fn model() -> impl Strategy<Value = String> + Clone {
    prop_oneof![Just("base"), Just("chat"), Just("math v2"), Just("1"), Just("true")].prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-1e6..1e6).prop_map(Value::Number),
        prop_oneof![Just(0.0), Just(1.0), Just(-3.0), Just(1e-30), Just(0.1)].prop_map(Value::Number),
        prop_oneof![Just("majority"), Just("1e-3"), Just("yes"), Just("")]
            .prop_map(|text| Value::Text(text.to_owned())),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let filter = proptest::option::of(prop_oneof![Just("mlp"), Just("*"), Just("layers.3.")]);
    let entry = (filter, value()).prop_map(|(filter, value)| Filtered { filter: filter.map(str::to_owned), value });
    prop_oneof![value().prop_map(Setting::One), proptest::collection::vec(entry, 0..4).prop_map(Setting::Filtered)]
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let key = prop_oneof![Just("weight"), Just("coefficient"), Just("lambda"), Just("t")];
    proptest::collection::vec((key, setting()), 0..3).prop_map(|settings| {
        let mut parameters = Parameters::default();
        settings.into_iter().for_each(|(key, setting)| parameters.set(key, setting));
        parameters
    })
}

fn expression<S: Clone + std::fmt::Debug + 'static>(
    source: impl Strategy<Value = S> + Clone + 'static,
) -> impl Strategy<Value = Expr<S>> {
    let method = prop_oneof![Just("ties"), Just("linear"), Just("passthrough"), Just("gptailor_task_arithmetic")];
    let base = (model(), proptest::option::of(0..9_usize)).prop_map(|(model, layer)| BaseRef { model, layer });
    let sources = (source.clone(), parameters()).prop_map(|(of, parameters)| Source { of, parameters });
    let sources = proptest::collection::vec(sources, 1..4);
    let merge = (method, parameters(), proptest::option::of(base), sources);
    let merge = merge.prop_map(|(method, parameters, base, sources)| {
        Expr::Merge(Merge { method: method.to_owned(), parameters, base, sources })
    });
    prop_oneof![source.prop_map(Expr::Take), merge]
}

fn vocabulary() -> impl Strategy<Value = Vocabulary> {
    let align =
        prop_oneof![Just(Align::Base), Just(Align::Union), Just(Align::Gptailor), model().prop_map(Align::Model)];
    let from = prop_oneof![
        Just(RowOf::Zero),
        model().prop_map(RowOf::Model),
        (model(), "[a-z<|>]{0,3}").prop_map(|(model, token)| RowOf::Token { model, token }),
        (model(), 0..9_usize).prop_map(|(model, id)| RowOf::Id { model, id }),
    ];
    let row = (proptest::option::of(from), any::<bool>()).prop_map(|(from, force)| TokenRow { from, force });
    let tokens =
        proptest::collection::vec(("[a-z<|> ]{0,4}", row), 0..3).prop_map(|tokens| tokens.into_iter().collect());
    let pad = proptest::option::of(1..99_usize);
    (align, tokens, proptest::option::of(model()), pad).prop_map(|(align, tokens, prefer, pad_to_multiple_of)| {
        Vocabulary { align, tokens, prefer, pad_to_multiple_of }
    })
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let layer = (model(), 0..9_usize).prop_map(|(model, layer)| LayerRef { model, layer });
    let outer = || expression(model().prop_map(|model| ModelRef { model }));
    let bridge = ("[a-z/ ]{1,9}", "[0-9a-f]{4}").prop_map(|(file, hash)| BridgeRef { file: file.into(), hash });
    let layer = (expression(layer), proptest::option::of(bridge), prop_oneof![Just(1.0), 0.01..2.0_f32]);
    let layer = layer.prop_map(|(from, bridge, scale)| OutputLayer { from, bridge, scale });
    let layers = proptest::collection::vec(layer, 1..6);
    let outer = prop_oneof![
        Just(OuterTensors::of("base")),
        (outer(), outer(), outer()).prop_map(|(embedding, final_norm, head)| OuterTensors {
            embedding,
            final_norm,
            head
        }),
    ];
    let at = prop_oneof![Just(BaseAt::Source), Just(BaseAt::Output)];
    let dtype = || proptest::option::of(prop_oneof![Just(Dtype::BF16), Just(Dtype::F16), Just(Dtype::F32)]);
    let tokenizer = (proptest::option::of(model()), proptest::option::of(vocabulary()));
    (layers, outer, at, dtype(), dtype(), tokenizer, proptest::option::of("[a-z{} ]{0,9}")).prop_map(
        |(layers, outer, base_at, dtype, compute, (tokenizer, vocabulary), chat_template)| {
            let models =
                ["base", "chat", "math v2", "1", "true"].map(|name| (name.to_owned(), format!("models/{name}")));
            let (models, base) = (models.into(), "base".to_owned());
            Recipe { models, base, base_at, layers, outer, dtype, compute, tokenizer, vocabulary, chat_template }
        },
    )
}

proptest! {
    #[test]
    fn a_recipe_survives_its_yaml(recipe in recipe()) {
        prop_assert_eq!(Recipe::from_yaml(&recipe.to_yaml()?)?, recipe);
    }

    #[test]
    fn the_canonical_form_is_its_own_and_has_the_same_key(recipe in recipe()) {
        let canonical = recipe.clone().canonicalise(&METHODS);
        prop_assert_eq!(canonical.clone().canonicalise(&METHODS), canonical.clone());
        prop_assert_eq!(canonical.key(&METHODS), recipe.key(&METHODS));
        prop_assert_eq!(Recipe::from_yaml(&canonical.to_yaml()?)?.key(&METHODS), recipe.key(&METHODS));
    }

    #[test]
    fn a_key_does_not_depend_on_where_models_and_bridges_are(recipe in recipe(), other in "[a-z/]{1,12}") {
        let mut moved = recipe.clone();
        moved.models.values_mut().for_each(|path| *path = format!("{other}/{path}"));
        let bridges = moved.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut());
        bridges.for_each(|bridge| bridge.file = Path::new(&other).join(&bridge.file));
        prop_assert_eq!(moved.key(&METHODS), recipe.key(&METHODS));
    }

    #[test]
    fn other_layers_are_another_key(recipe in recipe()) {
        let mut longer = recipe.clone();
        longer.layers.push(recipe.layers[0].clone());
        prop_assert_ne!(longer.key(&METHODS), recipe.key(&METHODS));
        let mut louder = recipe.clone();
        louder.layers[0].scale += 1.0;
        prop_assert_ne!(louder.key(&METHODS), recipe.key(&METHODS));
        prop_assert_eq!(louder.layers[0].from.key(), recipe.layers[0].from.key());
        let mut bridged = recipe.clone();
        bridged.layers[0].bridge = Some(BridgeRef { file: "new".into(), hash: "another".to_owned() });
        prop_assert_ne!(bridged.key(&METHODS), recipe.key(&METHODS));
        let mut aligned = recipe.clone();
        aligned.vocabulary = recipe.vocabulary.is_none().then(|| Vocabulary::new(Align::Union));
        prop_assert_ne!(aligned.key(&METHODS), recipe.key(&METHODS));
    }

    /// With `f` that a common factor of its input does not change, as behind an RMSNorm.
    #[test]
    fn divided_layers_give_the_scaled_stream_up_to_its_factor(
        scales in proptest::collection::vec(0.01..2.0_f32, 1..12),
    ) {
        let mut recipe = Recipe::of_base(IndexMap::new(), "base", scales.len());
        recipe.layers.iter_mut().zip(&scales).for_each(|(layer, scale)| layer.scale = *scale);
        let divisors = recipe.scale_divisors();
        let f = |layer: usize, x: [f64; 2]| {
            let norm = x[0].hypot(x[1]);
            [(x[1] / norm + layer as f64).sin(), (x[0] / norm).exp()]
        };
        let (mut scaled, mut folded) = ([1.0, -2.0], [1.0, -2.0]);
        for (layer, scale) in scales.iter().map(|scale| f64::from(*scale)).enumerate() {
            let (f_scaled, f_folded) = (f(layer, scaled), f(layer, folded));
            for axis in 0..2 {
                scaled[axis] = scale * (scaled[axis] + f_scaled[axis]);
                folded[axis] += f_folded[axis] / divisors[layer];
            }
        }
        let factor = divisors[scales.len() - 1] * f64::from(scales[scales.len() - 1]);
        for axis in 0..2 {
            let (ours, theirs) = (folded[axis] * factor, scaled[axis]);
            prop_assert!((ours - theirs).abs() <= 1e-6 * theirs.abs().max(factor), "{} is not {}", ours, theirs);
        }
    }
}

#[test]
fn a_merge_that_is_exactly_one_tensor_is_a_take() {
    let merge = |method: &str, key: Option<(&str, f64)>| {
        let mut parameters = Parameters::default();
        key.into_iter().for_each(|(key, value)| parameters.set(key, value));
        let of = LayerRef { model: "chat".to_owned(), layer: 2 };
        let sources = vec![Source { of, parameters: Parameters::default() }];
        let mut recipe = Recipe::of_base(IndexMap::new(), "base", 1);
        recipe.layers[0].from = Expr::Merge(Merge { method: method.to_owned(), parameters, base: None, sources });
        recipe.canonicalise(&METHODS).layers.remove(0).from
    };
    let take = |model: &str| Expr::Take(LayerRef { model: model.to_owned(), layer: 2 });
    assert_eq!(merge("passthrough", None), take("chat"));
    assert_eq!(merge("gptailor_task_arithmetic", Some(("coefficient", 0.0))), take("base"));
    assert_eq!(merge("ties", Some(("lambda", 0.0))), take("base"));
    let written = |expr: Expr<LayerRef>| match expr {
        Expr::Merge(merge) => merge.base.map(|base| (base.model, base.layer)),
        Expr::Take(_) => None,
    };
    assert_eq!(written(merge("ties", None)), Some(("base".to_owned(), Some(2))));
    assert!(matches!(merge("linear", None), Expr::Merge(merge) if merge.base.is_none()));
}

#[test]
fn what_is_wrong_with_a_recipe_names_its_layer() -> Outcome {
    let folder = tempfile::tempdir()?;
    support::llama(&folder.path().join("base"))?;
    let models: IndexMap<_, _> = [("base".to_owned(), folder.path().join("base").display().to_string())].into();
    let family = Family::open(&models, "base")?;
    let plain = Recipe::of_base(models, "base", LAYERS);
    let with = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = plain.clone();
        change(&mut recipe);
        recipe.validate(&family, &METHODS).err()
    };
    assert!(with(&|_| ()).is_none());
    let take = |model: &str, layer| Expr::Take(LayerRef { model: model.to_owned(), layer });
    let error = with(&|recipe| recipe.layers[3].from = take("base", 6));
    assert!(matches!(error, Some(Error::NoSuchLayer { place: Place::Layer(3), layer: 6, last: 5, .. })), "{error:?}");
    let error = with(&|recipe| recipe.layers[1].from = take("chat", 0));
    assert!(matches!(&error, Some(Error::UnknownModel { place: Place::Layer(1), model, .. }) if model == "chat"));
    let error = with(&|recipe| recipe.outer = OuterTensors::of("chat"));
    assert!(matches!(error, Some(Error::UnknownModel { place: Place::Outer(_), .. })), "{error:?}");
    for scale in [0.0, 0.0009, -1.0, f32::NAN, f32::INFINITY] {
        let error = with(&|recipe| recipe.layers[2].scale = scale);
        assert!(matches!(error, Some(Error::BadScale { layer: 2, .. })), "{scale}: {error:?}");
    }
    let empty = Merge { method: "linear".to_owned(), parameters: Parameters::default(), base: None, sources: vec![] };
    let error = with(&|recipe| recipe.layers[4].from = Expr::Merge(empty.clone()));
    assert!(matches!(error, Some(Error::NoSources { place: Place::Layer(4) })), "{error:?}");
    assert!(matches!(with(&|recipe| recipe.layers.clear()), Some(Error::NoLayers)));
    Ok(())
}

#[test]
fn a_parameter_that_is_no_finite_number_is_refused_with_its_place() -> Outcome {
    let folder = tempfile::tempdir()?;
    support::llama(&folder.path().join("base"))?;
    let models: IndexMap<_, _> = [("base".to_owned(), folder.path().join("base").display().to_string())].into();
    let family = Family::open(&models, "base")?;
    let refused = |shared: &str, own: &str| {
        let text = format!(
            "tailor: 1\nmodels: {{base: base}}\nbase: base\nlayers:\n- merge:\n    method: linear\n    \
             parameters: {shared}\n    sources: [{{model: base, layer: 0, parameters: {own}}}]\n"
        );
        let recipe = Recipe::from_yaml(&text).map_err(|error| error.to_string());
        recipe.and_then(|recipe| recipe.validate(&family, &METHODS).map_err(|error| error.to_string())).err()
    };
    assert_eq!(refused("{normalize: true}", "{weight: 0.5}"), None);
    for wrong in [".nan", ".inf", "-.inf", "1e300", "-1.0e+39"] {
        for (shared, own) in [("{}", format!("{{weight: {wrong}}}")), ("{weight: {w}}", "{}".to_owned())] {
            let says = refused(&shared.replace("{w}", wrong), &own).unwrap_or_default();
            assert!(says.starts_with("output layer 0: parameter `weight` is"), "{wrong}: {says}");
        }
    }
    let says = refused("{weight: [{filter: mlp, value: .nan}, {value: 1}]}", "{}").unwrap_or_default();
    assert!(says.starts_with("output layer 0: parameter `weight` is NaN"), "{says}");
    Ok(())
}

#[test]
fn words_for_numbers_that_are_not_finite_are_not_numbers() {
    let mut parameters = Parameters::default();
    for word in ["nan", "inf", "-infinity", "1e300"] {
        parameters.set("weight", Setting::One(Value::Text(word.to_owned())));
        assert!(parameters.number("weight", "w").is_err(), "{word}");
    }
}

#[test]
fn output_scales_whose_product_runs_away_are_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    support::llama(&folder.path().join("base"))?;
    let models: IndexMap<_, _> = [("base".to_owned(), folder.path().join("base").display().to_string())].into();
    let family = Family::open(&models, "base")?;
    let refused = |scales: &[f32]| {
        let mut recipe = Recipe::of_base(models.clone(), "base", LAYERS);
        recipe.layers.iter_mut().zip(scales).for_each(|(layer, scale)| layer.scale = *scale);
        recipe.validate(&family, &METHODS).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(&[0.5, 1.5, 0.01, 20.0, 2.0, 0.001]), "");
    assert!(refused(&[1.0, 1.0, 1e30]).starts_with("output layer 2: the output scale is 1"));
    assert!(refused(&[0.002; LAYERS]).starts_with("output layer 4: the product of the output scales"));
    assert!(refused(&[500.0; LAYERS]).starts_with("output layer 4: the product of the output scales"));
    Ok(())
}

#[test]
fn a_recipe_file_finds_its_models_beside_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    support::llama(&folder.path().join("models/base"))?;
    let file = folder.path().join("recipe.yaml");
    std::fs::write(
        &file,
        "tailor: 1\nmodels: {base: models/base}\nbase: base\nlayers:\n- take: {model: base, layer: 2}\n",
    )?;
    let recipe = Recipe::read(&file)?;
    let valid = recipe.clone().validate(&recipe.open_family()?, &METHODS)?;
    assert_eq!(valid.layers.len(), 1);
    std::fs::write(&file, "tailor: 1\nmodels: {base: nowhere}\nbase: base\nlayers: []\n")?;
    assert!(matches!(Recipe::read(&file), Err(Error::ModelNotFound { model, .. }) if model == "nowhere"));
    Ok(())
}

#[test]
fn a_misspelt_key_of_a_recipe_is_refused() {
    let recipe = |layer: &str| {
        let text = format!("tailor: 1\nmodels: {{a: a}}\nbase: a\nlayers:\n- {layer}\n");
        Recipe::from_yaml(&text).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(recipe("take: {model: a, layer: 0}"), "");
    assert!(recipe("take: {model: a, layer: 0}\n  sclae: 1").contains("sclae"));
    assert!(recipe("take: {model: a, layr: 0}").contains("layr"));
    assert!(recipe("scale: 1").contains("`take` or `merge`"));
    let merge = |source: &str| recipe(&format!("merge: {{method: ties, sources: [{source}]}}"));
    assert_eq!(merge("{model: a, layer: 1, parameters: {weight: 1}}"), "");
    assert!(merge("{model: a, layer: 1, paramters: {weight: 1}}").contains("paramters"));
    let version = Recipe::from_yaml("tailor: 2\nmodels: {}\nbase: a\nlayers: []\n").err();
    assert!(version.is_some_and(|error| error.to_string().contains("version 2")));
}
