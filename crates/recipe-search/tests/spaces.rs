//! Every kind of space, in every parameterisation, over the bundled family: its points are models, and every strategy
//! finds its way in it.

use std::path::Path;

use indexmap::IndexMap;
use layer_ir::{Expr, Family, Recipe};
use merge_ops::Registry;
use recipe_search::registry::Settings;
use recipe_search::testing::{BrokenSpace, check_space};
use recipe_search::{RecipeSpace, SpaceSettings, standard_spaces};
use zo_search::{Optimizer, Outcome, StrategySetup, TrialId, generator, strategies};

type Any = Box<dyn std::error::Error>;

/// The tables `[space]`, the dimensions that each one has over three variants and twelve layers, and whether it can be
/// had without variants.
const SPACES: [(&str, usize, bool); 14] = [
    ("remove = 3", 1 + 12 * 2 + 2, true),
    ("remove = [0, 4]\nselect = false", 2, true),
    ("remove = 3\nmerge = false\nends = \"follow\"", 1 + 12, true),
    ("remove = 3\nparameterisation = \"reference\"", 3 + 12 * 5, false),
    ("kind = \"fold\"\nremove = 3", 1 + 12 * 2 + 2, true),
    ("kind = \"fold\"\nremove = [1, 4]\nselect = false", 2 + 12, true),
    ("kind = \"lfs\"", 4 * (1 + 9 + 3 + 6 + 1 + 3), false),
    ("kind = \"lfs\"\ngroups = 12\nfilters = []", 12 * (1 + 3 + 1 + 2 + 1 + 1), false),
    ("kind = \"lfs\"\nparameterisation = \"reference\"", 112, false),
    ("kind = \"dis\"", 24, false),
    ("kind = \"dis\"\nlayers = 13\nscales = [1.0, 1.0]\nfix_layers = 2", 8, false),
    ("kind = \"dis\"\nscale_site = \"mlp\"", 24, false),
    ("kind = \"dis\"\nparameterisation = \"reference\"", 60, false),
    ("kind = \"dis\"\nlayers = 36\nparameterisation = \"reference\"\nscale_site = \"mlp\"", 60, false),
];

fn family(variants: &[&str]) -> Result<Family, Any> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/family");
    let models = std::iter::once(&"base").chain(variants).map(|name| ((*name).to_owned(), folder.join(name)));
    Ok(Family::open(&models.collect::<IndexMap<_, _>>(), "base")?)
}

fn open(family: &Family, table: &str) -> Result<Box<dyn RecipeSpace>, Any> {
    let space: SpaceSettings = toml::from_str(table)?;
    let spaces = standard_spaces();
    let kind = spaces.get(&space.kind)?;
    let settings = Settings::check(format!("space `{}`", space.kind), kind.parameters(), &space.parameters)?;
    kind.check(&settings)?;
    Ok(kind.open(family, &settings)?)
}

const VARIANTS: [&str; 3] = ["math", "lists", "counting"];

#[test]
fn every_space_has_its_dimensions_and_keeps_the_laws() -> Result<(), Any> {
    let family = family(&VARIANTS)?;
    for (table, dimensions, _) in SPACES {
        let space = open(&family, table)?;
        assert_eq!(space.space().dimensions().len(), dimensions, "{table}");
        check_space(&*space).map_err(|broken: BrokenSpace| format!("{table}: {broken}"))?;
    }
    Ok(())
}

#[test]
fn every_point_and_every_design_is_a_model() -> Result<(), Any> {
    let (family, methods) = (family(&VARIANTS)?, Registry::standard());
    for (table, ..) in SPACES {
        let space = open(&family, table)?;
        for seed in 0..30 {
            let point = space.space().sample(&mut generator(seed, "test", TrialId(0)))?;
            let valid = space.decode(&point)?.validate(&family, &methods);
            valid.map_err(|error| format!("{table}, seed {seed}: {error}"))?;
        }
        for design in space.designs(&[], &[].into()) {
            design.validate(&family, &methods).map_err(|error| format!("{table}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_single_model_is_searched_where_that_makes_sense() -> Result<(), Any> {
    let (alone, methods) = (family(&[])?, Registry::standard());
    for (table, _, possible) in SPACES {
        match open(&alone, table) {
            Ok(space) => {
                assert!(possible, "{table}");
                check_space(&*space)?;
                let point = space.space().sample(&mut generator(1, "test", TrialId(0)))?;
                space.decode(&point)?.validate(&alone, &methods)?;
            }
            Err(error) => {
                assert!(!possible && error.to_string().contains("`models.variants` is empty"), "{table}: {error}");
            }
        }
    }
    Ok(())
}

/// What is not of `math`, for each layer, a little for each layer, and what scales are off.
fn cost(recipe: &Recipe) -> f64 {
    let layer = |layer: &layer_ir::OutputLayer| {
        let of_math = |model: &str| f64::from(u8::from(model != "math"));
        let others = match &layer.from {
            Expr::Take(of) => of_math(&of.model),
            Expr::Merge(merge) => {
                let weight = |parameters: &layer_ir::Parameters| parameters.number("weight", "").ok().flatten();
                let weights = merge.sources.iter().map(|source| (weight(&source.parameters).unwrap_or(1.0), source));
                let (sum, off) = weights.fold((1e-9, 0.0), |(sum, off), (weight, source)| {
                    (sum + weight, off + weight * of_math(&source.of.model))
                });
                off / sum
            }
        };
        others + 0.05 + f64::from((layer.scale - 1.0).abs())
    };
    recipe.layers.iter().map(layer).sum()
}

/// Also none asks a point that is no recipe, and the default strategy comes nearer than its starting designs.
#[test]
fn every_strategy_searches_every_space() -> Result<(), Any> {
    const TRIALS: usize = 50;
    let (family, table_of_strategies) = (family(&VARIANTS)?, strategies());
    for (table, ..) in SPACES {
        let space = open(&family, table)?;
        let designs = space.designs(&[], &[].into());
        for strategy in table_of_strategies.iter() {
            let initial = designs.iter().take(4).map(|design| space.encode(design)).collect::<Result<Vec<_>, _>>()?;
            let begun: f64 = designs.iter().take(4).map(cost).fold(f64::INFINITY, f64::min);
            let setup = StrategySetup::new(space.space().clone(), 1).with_trials(TRIALS);
            let setup = setup.with_initial(initial).with_structure(space.structure());
            let mut search = strategy.build(setup, &Settings::defaults(strategy))?;
            let mut best = f64::INFINITY;
            for _ in 0..TRIALS {
                let trial = search.ask().map_err(|error| format!("{}, {table}: {error}", strategy.name()))?;
                assert!(space.space().contains(&trial.point), "{}, {table}", strategy.name());
                let cost = cost(&space.decode(&trial.point)?);
                best = best.min(cost);
                search.tell(trial.id, Outcome::score(cost).at(trial.fidelity))?;
            }
            assert!(best <= begun + 1e-9, "{}, {table}: {best} after {begun}", strategy.name());
        }
    }
    Ok(())
}
