//! Strategies on problems: medians over seeds, never one lucky run.

mod problems;

use problems::{Removal, Tailored, best_of, median};
use zo_search::{Error, Evolution, Halving, Optimizer, Outcome, RandomSearch, Space, Survival};

const SEEDS: u64 = 21;

#[test]
fn evolution_beats_random_search_at_removing_layers() -> Result<(), Error> {
    let run = |evolve: bool, trials| {
        median(SEEDS, |seed| {
            let problem = Removal::new(32, 9, seed);
            let cost = |point: &zo_search::Point| Ok(problem.cost(point.subset("remove")?));
            match evolve {
                true => best_of(Evolution::new(problem.space(), seed), trials, cost),
                false => best_of(RandomSearch::new(problem.space(), seed), trials, cost),
            }
        })
    };
    let (evolution, random, more_random) = (run(true, 200)?, run(false, 200)?, run(false, 2000)?);
    assert!(evolution < random, "evolution {evolution}, random {random}");
    assert!(evolution < more_random, "evolution {evolution}, random with ten times the trials {more_random}");
    Ok(())
}

#[test]
fn evolution_beats_random_search_at_tailoring() -> Result<(), Error> {
    for (layers, remove) in [(12, 3), (32, 9)] {
        let of = |strategy: &dyn Fn(Space, u64) -> Box<dyn Optimizer>| {
            median(SEEDS, |seed| {
                let problem = Tailored::new(layers, remove, 3, seed);
                best_of(strategy(problem.space(), seed), 200, |point| problem.cost(point))
            })
        };
        let random = of(&|space, seed| Box::new(RandomSearch::new(space, seed)))?;
        let best = of(&|space, seed| Box::new(Evolution::new(space, seed)))?;
        let youngest = of(&|space, seed| Box::new(Evolution::new(space, seed).with_survival(Survival::Youngest)))?;
        assert!(best < random - 1.0 && youngest < random - 0.5, "{best} and {youngest}, random {random}");
    }
    Ok(())
}

#[test]
fn evolution_comes_close_to_the_best_removal_there_is() -> Result<(), Error> {
    let regret = median(SEEDS, |seed| {
        let problem = Removal::new(14, 5, seed);
        let cost = |point: &zo_search::Point| Ok(problem.cost(point.subset("remove")?));
        // All 2002 subsets: random search asks none twice.
        let optimum = best_of(RandomSearch::new(problem.space(), 0), 2002, cost)?;
        Ok(best_of(Evolution::new(problem.space(), seed), 150, cost)? - optimum)
    })?;
    assert!(regret < 0.1, "median regret {regret}");
    Ok(())
}

#[test]
fn evolution_descends_a_sphere() -> Result<(), Error> {
    let space = || (0..5).fold(Space::new(), |space, i| space.float(format!("x{i}"), -5.0..=5.0));
    let sphere = |point: &zo_search::Point| {
        (0..5).map(|i| Ok((point.float(&format!("x{i}"))? - 1.7).powi(2))).sum::<Result<f64, Error>>()
    };
    let evolution = median(SEEDS, |seed| best_of(Evolution::new(space(), seed), 500, sphere))?;
    let random = median(SEEDS, |seed| best_of(RandomSearch::new(space(), seed), 500, sphere))?;
    assert!(evolution < 0.01 && random > 1.0, "evolution {evolution}, random {random}");
    Ok(())
}

/// A quarter of the instances measures with noise; for the same number of instances looked at, halving finds a better
/// point.
#[test]
fn halving_saves_instances() -> Result<(), Error> {
    let budget = 60.0;
    let run = |halve: bool| {
        median(SEEDS, |seed| {
            let problem = Removal::new(32, 9, seed);
            let inner = Evolution::new(problem.space(), seed);
            let mut search: Box<dyn Optimizer> =
                if halve { Box::new(Halving::new(inner, 3, [0.1, 1.0])?) } else { Box::new(inner) };
            let (mut spent, mut best) = (0.0, f64::INFINITY);
            while spent < budget {
                let trial = search.ask()?;
                spent += trial.fidelity.fraction();
                let cost = problem.cost(trial.point.subset("remove")?);
                if trial.fidelity.is_full() {
                    best = best.min(cost);
                }
                // Noise of a part of the instances: always the same for the same point, as with a fixed part.
                let noise = (trial.point.key().as_u128() % 1000) as f64 / 1000.0 - 0.5;
                let noise = if trial.fidelity.is_full() { 0.0 } else { 0.5 * noise };
                search.tell(trial.id, Outcome::score(cost + noise))?;
            }
            Ok(best)
        })
    };
    let (with, without) = (run(true)?, run(false)?);
    assert!(with < without, "with halving {with}, without {without}");
    Ok(())
}
