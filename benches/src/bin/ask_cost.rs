//! What choosing costs: milliseconds per ask on a space of 200 mixed dimensions, over a thousand asks and tells, on one
//! core.
//!
//! A strategy that thinks for longer than an evaluation takes is no help. `ask_cost [--trials 1000] [--only NAME]`
//! prints a table in Markdown. Bars: below 10 ms for the evolutionary strategies, below 200 ms for those with a forest,
//! in the mean.

use std::time::Instant;

use tailor_benches::Outcome;
use zo_search::{
    AdditiveGpSearch, CmaEs, Error, EvoPress, Evolution, Halving, Hyperband, MuLambda, Nsga2, Optimizer, ParEgo, Point,
    Racing, RandomSearch, Smac, SobolSearch, Space, Tpe,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of every strategy.
const SEED: u64 = 7;
/// Of every scheduler.
const RUNGS: [f64; 3] = [1.0 / 9.0, 1.0 / 3.0, 1.0];

/// A strategy, set up.
type Made = Result<Box<dyn Optimizer>, Error>;
/// Name, bar in milliseconds if there is one, and how it is set up for so many trials.
type Row = (&'static str, Option<f64>, fn(Space, usize) -> Made);

/// Every strategy of zo-search, and the schedulers around some of them.
const STRATEGIES: [Row; 16] = [
    ("RandomSearch", None, |space, _| boxed(RandomSearch::new(space, SEED))),
    ("SobolSearch", None, |space, _| boxed(SobolSearch::new(space, SEED))),
    ("Evolution", Some(10.0), |space, _| boxed(Evolution::new(space, SEED))),
    ("Evolution::regularised", Some(10.0), |space, _| boxed(Evolution::regularised(space, SEED))),
    ("MuLambda", Some(10.0), |space, _| boxed(MuLambda::new(space, SEED))),
    ("EvoPress", Some(10.0), |space, _| boxed(EvoPress::new(space, SEED)?)),
    ("Nsga2", Some(10.0), |space, _| boxed(Nsga2::new(space, SEED))),
    ("CmaEs", Some(10.0), |space, _| boxed(CmaEs::new(space, SEED))),
    ("Tpe", None, |space, _| boxed(Tpe::new(space, SEED))),
    ("Smac", Some(200.0), |space, trials| boxed(Smac::new(space, SEED).with_trials(trials))),
    ("ParEgo", Some(200.0), |space, trials| boxed(ParEgo::new(space, SEED).with_trials(trials))),
    ("AdditiveGpSearch", None, |space, trials| boxed(AdditiveGpSearch::new(space, SEED).with_trials(trials))),
    ("Racing<AdditiveGpSearch>", None, |space, trials| {
        boxed(Racing::new(AdditiveGpSearch::new(space, SEED).with_trials(trials), 0.3, RUNGS)?)
    }),
    ("Racing<Evolution>", Some(10.0), |space, _| boxed(Racing::new(Evolution::new(space, SEED), 0.3, RUNGS)?)),
    ("Halving<Evolution>", Some(10.0), |space, _| boxed(Halving::new(Evolution::new(space, SEED), 3, RUNGS)?)),
    ("Hyperband<Evolution>", Some(10.0), |space, _| boxed(Hyperband::new(Evolution::new(space, SEED), 3, RUNGS)?)),
];

/// Hides the type.
fn boxed(strategy: impl Optimizer + 'static) -> Made {
    Ok(Box::new(strategy))
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1))
    };
    let trials: usize = option("--trials").map_or(Ok(1000), |text| text.parse())?;
    let only = option("--only");
    println!("{} dimensions, {trials} asks and tells, one core\n", space().dimensions().len());
    println!("| strategy | ms per ask, mean | 95 % below | most | bar for the mean |\n|---|---:|---:|---:|---:|");
    for (name, bar, new) in STRATEGIES.into_iter().filter(|(name, ..)| only.is_none_or(|only| only == name)) {
        let mut asks = asks(new(space(), trials)?, trials)?;
        let mean = asks.iter().sum::<f64>() / asks.len() as f64;
        asks.sort_by(f64::total_cmp);
        let below = asks[(asks.len() * 95).div_ceil(100) - 1];
        let most = asks[asks.len() - 1];
        let bar = bar.map_or_else(String::new, |bar| format!("{bar}, {}", if mean < bar { "kept" } else { "missed" }));
        println!("| {name} | {mean:.3} | {below:.3} | {most:.1} | {bar} |");
    }
    Ok(())
}

/// Layers that go or are merged, each with a mask and a coefficient, and dimensions of all other types: 200.
fn space() -> Space {
    let layers = 60;
    let mut space = Space::new().subset("remove", layers, 15);
    for layer in 0..layers {
        let (mask, bundle) = (format!("layer_{layer}.sources"), format!("layer_{layer}"));
        space = space.mask(&mask, 3).when_outside("remove", layer).in_bundle(&bundle);
        space = space.float(format!("layer_{layer}.c"), 0.0..=1.0).when_at_least(&mask, 2).in_bundle(&bundle);
    }
    for number in 0..26 {
        space = space.float(format!("float_{number}"), -1.0..=1.0).int(format!("int_{number}"), 0..=100);
        space = space.categorical(format!("kind_{number}"), ["a", "b", "c"]);
    }
    space.permutation("order", 6)
}

/// Milliseconds of each ask, what its tell cost counted in: some strategies learn when they are told, others when they
/// are asked.
fn asks(mut search: Box<dyn Optimizer>, trials: usize) -> Outcome<Vec<f64>> {
    let mut asks = Vec::with_capacity(trials);
    for _ in 0..trials {
        let start = Instant::now();
        let trial = search.ask()?;
        let chosen = start.elapsed();
        let outcome = zo_search::Outcome::scores(objectives(&trial.point)?);
        let start = Instant::now();
        search.tell(trial.id, outcome)?;
        asks.push((chosen + start.elapsed()).as_secs_f64() * 1e3);
    }
    Ok(asks)
}

/// Two objectives that a strategy can learn: late layers should go, numbers be small; and its opposite for the numbers.
fn objectives(point: &Point) -> Result<[f64; 2], Error> {
    let removed: usize = point.subset("remove")?.iter().map(|layer| 60 - layer).sum();
    let mut numbers = 0.0;
    for number in 0..26 {
        let (float, int) = (point.float(&format!("float_{number}"))?, point.int(&format!("int_{number}"))?);
        numbers += (float - 0.3).powi(2) + (int as f64 / 100.0 - 0.5).powi(2);
    }
    Ok([removed as f64 / 100.0 + numbers, -numbers])
}
