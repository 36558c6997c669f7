use indexmap::IndexMap;
use layer_ir::gptailor::{Kind, ResultFile, softmax_place};
use zo_search::{TrialId, generator};

use super::*;
use crate::space::parameterisation::{published, same_model, values};
use crate::testing::{BrokenSpace, check_space};

const NAMES: [&str; 5] = ["base", "math", "org/code", "chat", "law"];

fn models(candidates: usize) -> IndexMap<String, String> {
    NAMES[..=candidates].iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
}

fn space(candidates: usize, layers: usize, settings: &LfsSettings) -> Result<LfsSpace, Error> {
    LfsSpace::over(Context::new(models(candidates), "base"), layers, settings)
}

fn reference() -> LfsSettings {
    LfsSettings { parameterisation: Parameterisation::Reference, ..LfsSettings::default() }
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

#[test]
fn the_published_searches_have_112_dimensions() -> Result<(), Error> {
    assert_eq!(space(3, 40, &reference())?.space().dimensions().len(), 112);
    Ok(())
}

#[test]
fn fusion_keeps_the_laws_of_a_space() -> Result<(), BrokenSpace> {
    for candidates in 1..=4 {
        for filters in [texts(["self_attn", "mlp"]), texts([]), texts(["mlp.down_proj", "mlp"])] {
            for parameterisation in [Parameterisation::Own, Parameterisation::Reference] {
                for (groups, coefficient) in [(4, [0.0, 1.0]), (1, [0.2, 1.5]), (8, [0.5, 0.5])] {
                    let filters = filters.clone();
                    let own = LfsSettings { groups, filters, coefficient, parameterisation, ..LfsSettings::default() };
                    check_space(&space(candidates, 8, &own)?)?;
                }
            }
        }
    }
    for methods in [texts(["slerp"]), texts(["ties", "linear"])] {
        check_space(&space(2, 8, &LfsSettings { methods, ..LfsSettings::default() })?)?;
    }
    Ok(())
}

/// What a file of the point's values is read as, and what it is merged of.
#[test]
fn a_point_stands_for_what_a_file_of_its_values_says() -> Result<(), Error> {
    let space = space(3, 8, &reference())?;
    let context = Context { layers: Some(8), ..Context::new(models(3), "base") };
    for seed in 0..40 {
        let point = space.space().sample(&mut generator(seed, "test", TrialId(0)))?;
        let text = serde_json::to_string(&values(&point)).unwrap_or_default();
        let read = ResultFile::from_text(&text, "point.json".as_ref())?;
        assert_eq!(read.kind(), Kind::Lfs);
        assert!(same_model(&space.decode(&point)?, &read.recipe(&context)?), "seed {seed}");
    }
    Ok(())
}

#[test]
fn only_the_parameters_of_the_chosen_methods_are_there() -> Result<(), Error> {
    let space = space(3, 8, &LfsSettings::default())?;
    for seed in 0..40 {
        let point = space.space().sample(&mut generator(seed, "test", TrialId(0)))?;
        for group in 0..4 {
            // The method and its numbers: of a slerp, the pair too.
            let expected = match point.categorical(&format!("group_{group}.method"))? {
                "linear" => 1 + 9,
                "task_arithmetic" => 1 + 3,
                "ties" => 1 + 6,
                _ => 1 + 1 + 3,
            };
            let own = point.iter().filter(|(name, _)| name.starts_with(&format!("group_{group}."))).count();
            assert_eq!(own, expected);
        }
    }
    Ok(())
}

#[test]
fn the_designs_begin_with_each_model_by_itself() -> Result<(), Error> {
    for settings in [LfsSettings::default(), reference()] {
        let space = space(3, 8, &settings)?;
        let designs = space.designs(&[], &BTreeSet::new());
        for (model, design) in designs.iter().take(3).enumerate() {
            let fusion = Fusion::of(design, &space.context, &space.settings.filters, 4);
            let merge = fusion.and_then(|fusion| fusion.groups.into_iter().next());
            let weights = (0..3).map(|other| vec![f64::from(u8::from(other == model)); 3]).collect();
            assert_eq!(merge, Some(GroupMerge::Linear { weights }));
        }
        match settings.parameterisation {
            Parameterisation::Reference => {
                assert_eq!(designs.len(), 3);
                // As the reference has them: other methods' numbers are 0, but for what TIES leaves out.
                let point = space.encode(&designs[0])?;
                assert_eq!(point.float("layer_0_paramset_mlp_method_ties_param_param_value_mask_rate")?, 0.1);
                assert_eq!(point.float("layer_0_paramset_mlp_method_ties_param_scaling_coefficient")?, 0.0);
                assert_eq!(point.float("model_org/code_layer_0_paramset_mlp_method_slerp_param_slerp_t")?, 0.0);
            }
            Parameterisation::Own => assert!(designs.len() > 10),
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |candidates, layers, settings: LfsSettings| {
        space(candidates, layers, &settings).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    };
    assert!(refusal(3, 9, LfsSettings::default()).contains("`space.groups` is 4; it must be a divisor of"));
    assert_eq!(refusal(3, 9, LfsSettings { groups: 3, ..LfsSettings::default() }), "accepted");
    let read = |toml: &str| {
        let parameters = toml::from_str::<crate::SpaceSettings>(toml).map(|space| space.parameters);
        let given = Settings::check("space `lfs`".to_owned(), PARAMETERS, &parameters.unwrap_or_default());
        let read = given.map_err(Error::from).and_then(|given| LfsSettings::of(&given));
        read.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    };
    let cases = [
        ("groups = 2\nfilters = [\"mlp\"]", "accepted"),
        ("filters = [\"mlp\", \"mlp.up_proj\"]", "`mlp.up_proj`; it must be behind no filter"),
        ("filters = [\"base\"]", "`base`; it must be a piece"),
        ("methods = [\"slrp\"]", "`slrp` among others"),
        ("methods = []", "one method or several"),
        ("parameterisation = \"reference\"\nmethods = [\"ties\"]", "has all four"),
        ("groups = 0", "`groups`"),
    ];
    for (toml, part) in cases {
        assert!(read(toml).contains(part), "`{}` does not say `{part}`", read(toml));
    }
}

#[test]
fn the_embedding_is_what_is_added_of_each_model() -> Result<(), Error> {
    let space = space(2, 8, &LfsSettings { filters: Vec::new(), ..LfsSettings::default() })?;
    let embedded = |merge: &GroupMerge| {
        let values = space.dimensions.values(merge);
        let names = space.space.dimensions().iter().filter_map(|it| it.name.strip_prefix("group_0."));
        let value = |name| values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        mixture(&space.dimensions, &names.map(value).collect::<Vec<_>>())
    };
    let linear = |a, b| GroupMerge::Linear { weights: vec![vec![a], vec![b]] };
    assert_eq!(embedded(&linear(0.5, 0.5)), embedded(&linear(0.9, 0.9)));
    assert_eq!(embedded(&linear(1.0, 0.0))[..2], [1.0, 0.0]);
    let slerp = GroupMerge::Slerp { candidates: [0, 1], places: vec![0.25] };
    assert_eq!(embedded(&slerp)[..2], [0.75, 0.25]);
    Ok(())
}

#[test]
fn equal_numbers_are_the_middle() {
    assert_eq!(softmax_place(0.25, 0.25), 0.5);
}

#[test]
fn the_published_results_are_points() -> Result<(), Error> {
    let names = ["base", "WizardLMTeam/WizardLM-13B-V1.2", "vanillaOVO/WizardMath-13B-V1.0", LAST];
    const LAST: &str = "layoric/llama-2-13b-code-alpaca";
    let models = names.map(|name| (name.to_owned(), name.to_owned()));
    let space = LfsSpace::over(Context::new(models.into(), "base"), 40, &reference())?;
    let files = ["single-obj_lm-lfs", "single-obj_math-lfs", "multi-obj_1", "multi-obj_2", "multi-obj_3"];
    for file in files {
        if let Some((point, read)) = published::point(space.space(), &format!("lfs_{file}.json"))? {
            let recipe = space.decode(&point)?;
            assert_eq!(point.iter().count(), 112);
            assert!(same_model(&recipe, &read.recipe(&space.context)?), "{file}");
            assert!(same_model(&space.decode(&space.encode(&recipe)?)?, &recipe), "{file}");
        }
    }
    Ok(())
}
