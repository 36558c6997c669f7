use indexmap::IndexMap;
use layer_ir::gptailor::{Kind, ResultFile};
use zo_search::{TrialId, generator};

use super::*;
use crate::space::parameterisation::{published, same_model, values};
use crate::testing::{BrokenSpace, check_space};

const NAMES: [&str; 5] = ["base", "math", "code", "chat", "law"];

fn models(candidates: usize) -> IndexMap<String, String> {
    NAMES[..=candidates].iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
}

fn space(candidates: usize, layers: usize, settings: &DisSettings) -> Result<DisSpace, Error> {
    DisSpace::over(Context::new(models(candidates), "base"), layers, settings)
}

fn reference() -> DisSettings {
    DisSettings { parameterisation: Parameterisation::Reference, ..DisSettings::default() }
}

#[test]
fn the_published_searches_have_200_dimensions_and_50_layers() -> Result<(), Error> {
    let space = space(3, 40, &reference())?;
    assert_eq!((space.space().dimensions().len(), space.layers()), (200, Some(40..=50)));
    Ok(())
}

#[test]
fn a_position_is_an_ordered_set_of_the_models_the_base_first() -> Result<(), Error> {
    let counts = [2, 5, 16, 65];
    for candidates in 1..=4 {
        let space = space(candidates, 8, &DisSettings::default())?;
        assert_eq!(space.choices.len(), counts[candidates - 1]);
        assert_eq!((space.choices[0].0.as_str(), space.choices[1].0.as_str()), ("base", "math"));
    }
    let space = space(3, 8, &DisSettings::default())?;
    assert!(space.choices.contains(&("chat > math".to_owned(), vec![2, 0])));
    Ok(())
}

#[test]
fn stacking_keeps_the_laws_of_a_space() -> Result<(), BrokenSpace> {
    for candidates in 1..=4 {
        for parameterisation in [Parameterisation::Own, Parameterisation::Reference] {
            for scale_site in [ScaleSite::Stream, ScaleSite::Mlp] {
                for (layers, fix_layers, scales) in [
                    (None, 0, None),
                    (Some(8), 1, Some([0.5, 1.5])),
                    (Some(11), 3, Some([1.0, 1.0])),
                    (Some(99), 0, None),
                ] {
                    let settings = DisSettings { layers, fix_layers, scales, scale_site, parameterisation };
                    check_space(&space(candidates, 8, &settings)?)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_point_stands_for_what_a_file_of_its_values_says() -> Result<(), Error> {
    for scale_site in [ScaleSite::Stream, ScaleSite::Mlp] {
        // As many layers as there can be: nothing is cut.
        let space = space(3, 8, &DisSettings { layers: Some(24), scale_site, ..reference() })?;
        let context = Context { layers: Some(8), scale_site: scale_site.into(), ..Context::new(models(3), "base") };
        for seed in 0..40 {
            let point = space.space().sample(&mut generator(seed, "test", TrialId(0)))?;
            let text = serde_json::to_string(&values(&point)).unwrap_or_default();
            let read = ResultFile::from_text(&text, "point.json".as_ref())?;
            assert_eq!(read.kind(), Kind::Dis);
            assert!(same_model(&space.decode(&point)?, &read.recipe(&context)?), "seed {seed}");
        }
    }
    Ok(())
}

#[test]
fn no_point_is_deeper_than_it_may_be() -> Result<(), Error> {
    for settings in [DisSettings::default(), reference()] {
        let space = space(3, 40, &settings)?;
        let mut deepest = 0;
        for seed in 0..60 {
            let point = space.space().sample(&mut generator(seed, "test", TrialId(0)))?;
            let recipe = space.decode(&point)?;
            assert!((40..=50).contains(&recipe.layers.len()), "{}", recipe.layers.len());
            assert_eq!(recipe.layers.len(), space.decode(&space.encode(&recipe)?)?.layers.len());
            deepest = deepest.max(recipe.layers.len());
        }
        assert_eq!(deepest, 50);
    }
    Ok(())
}

#[test]
fn the_designs_begin_with_each_model_by_itself() -> Result<(), Error> {
    for settings in [DisSettings::default(), reference()] {
        let space = space(3, 8, &settings)?;
        let designs = space.designs(&[], &BTreeSet::new());
        for (model, design) in designs.iter().take(3).enumerate() {
            let stack = Stack { candidates: vec![model], scale: 1.0 };
            assert_eq!(Stacking::of(design, &space.context), Some(Stacking { positions: vec![stack; 8] }));
        }
        let depths: BTreeSet<usize> = designs.iter().map(|design| design.layers.len()).collect();
        match settings.parameterisation {
            Parameterisation::Own => assert_eq!(depths, [8, 10].into()),
            Parameterisation::Reference => assert_eq!(designs.len(), 3),
        }
    }
    Ok(())
}

#[test]
fn the_ends_are_those_of_the_first_and_the_last_layer() -> Result<(), Error> {
    let space = space(2, 3, &DisSettings { layers: Some(5), scale_site: ScaleSite::Mlp, ..DisSettings::default() })?;
    let stacks = ["code > math", "base", "math > code"];
    let point = stacks.iter().enumerate().fold(Point::new(), |point, (layer, stack)| {
        point.with_categorical(stack_name(layer), *stack).with_float(scale_name(layer), 1.25)
    });
    let recipe = space.decode(&point)?;
    let first = layer_ir::OutputLayer::take("code", 0).from;
    assert_eq!(recipe.outer, layer_ir::OuterTensors::like(&first, &first));
    assert_eq!(recipe.layers.len(), 5);
    // The scale stands at the last layer of a stack, in its MLP.
    assert!(matches!(recipe.layers[0].from, layer_ir::Expr::Take(_)));
    assert!(matches!(&recipe.layers[1].from, layer_ir::Expr::Merge(merge) if merge.method == "passthrough"));
    assert_eq!(space.encode(&recipe)?, point);
    Ok(())
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |candidates, settings: DisSettings| {
        space(candidates, 8, &settings).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    };
    let own = DisSettings::default;
    assert!(refusal(3, DisSettings { layers: Some(7), ..own() }).contains("at least the base's 8 layers"));
    assert!(refusal(3, DisSettings { fix_layers: 4, ..own() }).contains("below half of the base's 8 layers"));
    let read = |toml: &str| {
        let parameters = toml::from_str::<crate::SpaceSettings>(toml).map(|space| space.parameters);
        let given = Settings::check("space `dis`".to_owned(), PARAMETERS, &parameters.unwrap_or_default());
        let read = given.map_err(Error::from).and_then(|given| DisSettings::of(&given));
        read.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    };
    for (toml, part) in [
        ("scales = [0.0, 2.0]", "from at least 0.001 on"),
        ("scales = [0.0, 2.0]\nscale_site = \"mlp\"", "accepted"),
        ("scales = [1.0, 1.0]", "accepted"),
        ("scales = [1.5, 1.0]", "`space.scales` is [1.5, 1]"),
        ("scale_site = \"attention\"", "`scale_site`"),
    ] {
        assert!(read(toml).contains(part), "`{}` does not say `{part}`", read(toml));
    }
}

#[test]
fn stacks_with_models_in_common_are_near() -> Result<(), Error> {
    let space = space(3, 8, &DisSettings::default())?;
    let at = |name: &str| embedding(&space.choices, 3, &[Some(name.into()), Some(Value::Float(1.0))]);
    let distance = |a: &str, b: &str| at(a).iter().zip(at(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    assert!(distance("math > code", "code") < distance("math > code", "chat"));
    assert!(distance("math > code", "code > math") < distance("math > code", "chat > code"));
    assert_eq!(at("base").len(), at("math > code > chat").len());
    Ok(())
}

#[test]
fn a_published_result_is_a_point() -> Result<(), Error> {
    let space = space(3, 40, &DisSettings { scale_site: ScaleSite::Mlp, ..reference() })?;
    if let Some((point, file)) = published::point(space.space(), "dis_single-obj_lm-dis0.json")? {
        let recipe = space.decode(&point)?;
        assert_eq!((point.iter().count(), recipe.layers.len()), (200, 47));
        assert!(same_model(&recipe, &file.recipe(&space.context)?));
        assert!(same_model(&space.decode(&space.encode(&recipe)?)?, &recipe));
    }
    Ok(())
}
