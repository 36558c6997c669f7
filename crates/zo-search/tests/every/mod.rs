//! All strategies and schedulers by name: what must hold of every one is tried on this table, made of the rows of the
//! crate's own.

use serde_json::{Map, Value, json};
use tailor_registry::Choice;
use zo_search::{Error, Optimizer, Space, StrategySetup, schedulers, strategies};

type Made = Result<Box<dyn Optimizer>, Error>;

/// A label, and how it is set up so that it is past its beginning after some ten trials.
pub type Row = (&'static str, fn(Space, u64) -> Made);

const RUNGS: [f64; 3] = [0.2, 0.5, 1.0];

pub const STRATEGIES: [Row; 16] = [
    ("random", |space, seed| built("random", json!({}), space, seed)),
    ("sobol", |space, seed| built("sobol", json!({}), space, seed)),
    ("evolution", |space, seed| built("evolution", json!({ "founders": 9 }), space, seed)),
    ("regularised evolution", |space, seed| built("regularised_evolution", json!({ "founders": 9 }), space, seed)),
    ("(mu, lambda)", |space, seed| built("mu_lambda", json!({ "mu": 2, "lambda": 6 }), space, seed)),
    ("(mu + lambda)", |space, seed| built("mu_lambda", json!({ "mu": 2, "lambda": 6, "plus": true }), space, seed)),
    ("EvoPress", |space, seed| {
        let stages = json!({ "children": 6, "survivors": [3, 2, 1], "fractions": [0.25, 0.5, 1.0] });
        built("evo_press", stages, space, seed)
    }),
    ("TPE", |space, seed| built("tpe", json!({ "startup": 3 }), space, seed)),
    ("SMAC", |space, seed| built("smac", json!({}), space, seed)),
    ("CMA-ES", |space, seed| built("cma_es", json!({}), space, seed)),
    ("NSGA-II", |space, seed| built("nsga2", json!({ "population": 6 }), space, seed)),
    ("ParEGO", |space, seed| built("par_ego", json!({}), space, seed)),
    ("AdditiveGpSearch", |space, seed| built("tailor", json!({}), space, seed)),
    ("halving", |space, seed| scheduled("halving", json!({ "eta": 2 }), [0.3, 0.6, 1.0], space, seed)),
    ("Hyperband", |space, seed| scheduled("hyperband", json!({ "eta": 2 }), RUNGS, space, seed)),
    ("racing", |space, seed| scheduled("racing", json!({ "chance": 0.3 }), RUNGS, space, seed)),
];

/// The rows of the crate's tables that stand behind [`STRATEGIES`]: a row without one would go untried.
#[allow(dead_code, reason = "each test crate uses a part of this module")]
pub fn untried() -> Vec<String> {
    let tried = [
        "random",
        "sobol",
        "evolution",
        "regularised_evolution",
        "mu_lambda",
        "evo_press",
        "tpe",
        "smac",
        "cma_es",
        "nsga2",
        "par_ego",
        "tailor",
        "halving",
        "hyperband",
        "racing",
        "none",
    ];
    let (strategies, schedulers) = (strategies(), schedulers());
    let names = strategies.names().chain(schedulers.names());
    names.filter(|name| !tried.contains(name)).map(str::to_owned).collect()
}

fn choice(name: &str, parameters: Value) -> Choice {
    let parameters = parameters.as_object().cloned().unwrap_or_else(Map::new);
    Choice { name: name.into(), parameters }
}

fn built(name: &str, parameters: Value, space: Space, seed: u64) -> Made {
    let table = strategies();
    let (kind, parameters) = table.choose(&choice(name, parameters))?;
    kind.build(StrategySetup::new(space, seed).with_trials(30), &parameters)
}

fn scheduled(name: &str, parameters: Value, rungs: [f64; 3], space: Space, seed: u64) -> Made {
    let table = schedulers();
    let (kind, parameters) = table.choose(&choice(name, parameters))?;
    kind.wrap(built("evolution", json!({ "founders": 4 }), space, seed)?, &rungs, &parameters)
}
