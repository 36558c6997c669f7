//! All strategies and wrappers by name: what must hold of every one is tried on this table.

use zo_search::{
    AdditiveGpSearch, CmaEs, Error, EvoPress, Evolution, Halving, Hyperband, MuLambda, Nsga2, Optimizer, ParEgo,
    Racing, RandomSearch, Smac, SobolSearch, Space, Tpe,
};

type Made = Result<Box<dyn Optimizer>, Error>;

/// A name, and how it is set up so that it is past its beginning after some ten trials.
pub type Row = (&'static str, fn(Space, u64) -> Made);

const RUNGS: [f64; 3] = [0.2, 0.5, 1.0];
const STAGES: [(usize, f64); 3] = [(3, 0.25), (2, 0.5), (1, 1.0)];

pub const STRATEGIES: [Row; 16] = [
    ("random", |space, seed| boxed(RandomSearch::new(space, seed))),
    ("sobol", |space, seed| boxed(SobolSearch::new(space, seed))),
    ("evolution", |space, seed| boxed(Evolution::new(space, seed).with_founders(9))),
    ("regularised evolution", |space, seed| boxed(Evolution::regularised(space, seed).with_founders(9))),
    ("(mu, lambda)", |space, seed| boxed(MuLambda::new(space, seed).with_sizes(2, 6))),
    ("(mu + lambda)", |space, seed| boxed(MuLambda::new(space, seed).with_sizes(2, 6).plus())),
    ("EvoPress", |space, seed| boxed(EvoPress::with_stages(space, seed, 6, STAGES)?)),
    ("TPE", |space, seed| boxed(Tpe::new(space, seed).with_startup(3))),
    ("SMAC", |space, seed| boxed(Smac::new(space, seed).with_trials(30))),
    ("CMA-ES", |space, seed| boxed(CmaEs::new(space, seed))),
    ("NSGA-II", |space, seed| boxed(Nsga2::new(space, seed).with_population(6))),
    ("ParEGO", |space, seed| boxed(ParEgo::new(space, seed).with_trials(30))),
    ("AdditiveGpSearch", |space, seed| boxed(AdditiveGpSearch::new(space, seed).with_trials(30))),
    ("halving", |space, seed| boxed(Halving::new(evolution(space, seed), 2, [0.3, 0.6, 1.0])?)),
    ("Hyperband", |space, seed| boxed(Hyperband::new(evolution(space, seed), 2, RUNGS)?)),
    ("racing", |space, seed| boxed(Racing::new(evolution(space, seed), 0.3, RUNGS)?)),
];

fn evolution(space: Space, seed: u64) -> Evolution {
    Evolution::new(space, seed).with_founders(4)
}

fn boxed(strategy: impl Optimizer + 'static) -> Made {
    Ok(Box::new(strategy))
}
