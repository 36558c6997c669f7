//! Strategies that keep a population, on problems: medians over seeds, never one lucky run.

mod problems;

use problems::{Removal, Tailored, best_of, median};
use zo_search::{
    Error, EvoPress, Evolution, Hyperband, MuLambda, Nsga2, Optimizer, Outcome, Point, RandomSearch, Space, pareto,
};

const SEEDS: u64 = 21;

#[test]
fn populations_beat_random_search_at_removing_layers() -> Result<(), Error> {
    let of = |strategy: &dyn Fn(Space, u64) -> Box<dyn Optimizer>| {
        median(SEEDS, |seed| {
            let problem = Removal::new(32, 9, seed);
            best_of(strategy(problem.space(), seed), 400, |point| Ok(problem.cost(point.subset("remove")?)))
        })
    };
    let random = of(&|space, seed| Box::new(RandomSearch::new(space, seed)))?;
    let comma = of(&|space, seed| Box::new(MuLambda::new(space, seed)))?;
    let plus = of(&|space, seed| Box::new(MuLambda::new(space, seed).plus()))?;
    let regularised = of(&|space, seed| Box::new(Evolution::regularised(space, seed)))?;
    println!(
        "removal, 400 trials: random {random:.3}, (5, 20) {comma:.3}, (5 + 20) {plus:.3}, regularised {regularised:.3}"
    );
    for ours in [comma, plus, regularised] {
        assert!(ours < random - 1.0, "(5, 20) {comma}, (5 + 20) {plus}, regularised {regularised}, random {random}");
    }
    Ok(())
}

#[test]
fn populations_beat_random_search_at_tailoring() -> Result<(), Error> {
    let of = |strategy: &dyn Fn(Space, u64) -> Box<dyn Optimizer>| {
        median(SEEDS, |seed| {
            let problem = Tailored::new(32, 9, 3, seed);
            best_of(strategy(problem.space(), seed), 400, |point| problem.cost(point))
        })
    };
    let random = of(&|space, seed| Box::new(RandomSearch::new(space, seed)))?;
    let comma = of(&|space, seed| Box::new(MuLambda::new(space, seed)))?;
    let plus = of(&|space, seed| Box::new(MuLambda::new(space, seed).plus()))?;
    println!("tailored, 400 trials: random {random:.3}, (5, 20) {comma:.3}, (5 + 20) {plus:.3}");
    assert!(comma < random - 1.0 && plus < random - 1.0, "{comma} and {plus}, random {random}");
    Ok(())
}

/// The cost of the best point that was looked at on all instances, for so many full evaluations. A part of the
/// instances measures with noise, the smaller the more, which is always the same for the same point: as with a fixed
/// part.
fn best_for(
    mut search: impl Optimizer,
    budget: f64,
    cost: impl Fn(&Point) -> Result<f64, Error>,
) -> Result<f64, Error> {
    let (mut spent, mut best) = (0.0, f64::INFINITY);
    while spent < budget {
        let trial = search.ask()?;
        let fraction = trial.fidelity.fraction();
        spent += fraction;
        let cost = cost(&trial.point)?;
        if trial.fidelity.is_full() {
            best = best.min(cost);
        }
        let noise = (trial.point.key().as_u128() % 1000) as f64 / 1000.0 - 0.5;
        search.tell(trial.id, Outcome::score(cost + 0.2 * noise * (1.0 / fraction - 1.0).sqrt()))?;
    }
    Ok(best)
}

#[test]
fn fewer_instances_for_most_points_find_better_ones_for_the_same_price() -> Result<(), Error> {
    let of = |strategy: &dyn Fn(Space, u64) -> Result<Box<dyn Optimizer>, Error>| {
        median(SEEDS, |seed| {
            let problem = Removal::new(32, 9, seed);
            let cost = |point: &Point| Ok(problem.cost(point.subset("remove")?));
            best_for(strategy(problem.space(), seed)?, 60.0, cost)
        })
    };
    let random = of(&|space, seed| Ok(Box::new(RandomSearch::new(space, seed))))?;
    let evolution = of(&|space, seed| Ok(Box::new(Evolution::new(space, seed))))?;
    let evo_press = of(&|space, seed| Ok(Box::new(EvoPress::new(space, seed)?)))?;
    let banded_random = of(&|space, seed| Ok(Box::new(Hyperband::down_to(RandomSearch::new(space, seed), 3, 0.1)?)))?;
    let banded = of(&|space, seed| Ok(Box::new(Hyperband::down_to(Evolution::new(space, seed), 3, 0.1)?)))?;
    let all = format!(
        "price of 60 full evaluations: random {random:.3}, evolution {evolution:.3}, EvoPress {evo_press:.3}, \
         Hyperband around random {banded_random:.3}, around evolution {banded:.3}"
    );
    println!("{all}");
    assert!(evo_press < evolution && banded < evolution && banded_random < random, "{all}");
    Ok(())
}

/// How much the front covers of two objectives, minus the number of layers removed and the cost of it.
fn covered(mut search: impl Optimizer, problem: &Removal, trials: usize) -> Result<f64, Error> {
    let mut outcomes = Vec::new();
    for _ in 0..trials {
        let trial = search.ask()?;
        let removed = trial.point.subset("remove")?;
        let outcome = Outcome::scores([-(removed.len() as f64), problem.cost(removed)]);
        outcomes.push(outcome.objectives.clone());
        search.tell(trial.id, outcome)?;
    }
    let points: Vec<&[f64]> = outcomes.iter().map(Vec::as_slice).collect();
    Ok(pareto::hypervolume(&points, &[0.0, 30.0]))
}

#[test]
fn one_run_of_nsga2_gives_the_curve_over_the_number_of_layers_removed() -> Result<(), Error> {
    let space = || Space::new().subset_of_sizes("remove", 32, 1..=12);
    let of = |strategy: &dyn Fn(u64) -> Box<dyn Optimizer>, trials| {
        median(SEEDS, |seed| covered(strategy(seed), &Removal::new(32, 9, seed), trials))
    };
    let random = of(&|seed| Box::new(RandomSearch::new(space(), seed)), 500)?;
    let more_random = of(&|seed| Box::new(RandomSearch::new(space(), seed)), 5000)?;
    let nsga2 = of(&|seed| Box::new(Nsga2::new(space(), seed)), 500)?;
    let small = of(&|seed| Box::new(Nsga2::new(space(), seed).with_population(20)), 500)?;
    println!(
        "hypervolume, 500 trials: random {random:.1} (5000 trials: {more_random:.1}), NSGA-II {nsga2:.1}, of 20 \
         {small:.1}"
    );
    assert!(nsga2 > more_random, "NSGA-II {nsga2}, random {random}, with ten times the trials {more_random}");
    Ok(())
}

/// How long asks take with 1000 trials told, in a space of 200 dimensions of all kinds:
/// `cargo test --release -p zo-search --test populations -- --ignored --nocapture`.
#[test]
#[ignore = "measures time"]
fn an_ask_takes_less_than_ten_milliseconds() -> Result<(), Error> {
    let mut space = Space::new().subset_of_sizes("remove", 40, 6..=12).permutation("order", 8);
    for layer in 0..40 {
        let (mask, bundle) = (format!("{layer}.mask"), layer.to_string());
        space = space.mask(&mask, 4).when_outside("remove", layer).in_bundle(&bundle);
        space = space.float(format!("{layer}.s"), 0.0..=1.0).when_at_least(&mask, 2).in_bundle(&bundle);
        space = space.int(format!("{layer}.int"), 0..=9).when_outside("remove", layer).in_bundle(&bundle);
        space = space.categorical(format!("{layer}.kind"), ["a", "b", "c"]).when_outside("remove", layer);
        space = space.log_float(format!("{layer}.rate"), 1e-4..=1.0).when_outside("remove", layer);
    }
    let space = space.build()?;
    let strategies: Vec<(&str, Box<dyn Optimizer>)> = vec![
        ("evolution", Box::new(Evolution::new(space.clone(), 1))),
        ("regularised", Box::new(Evolution::regularised(space.clone(), 1))),
        ("(5, 20)", Box::new(MuLambda::new(space.clone(), 1))),
        ("(5 + 20)", Box::new(MuLambda::new(space.clone(), 1).plus())),
        ("NSGA-II", Box::new(Nsga2::new(space.clone(), 1))),
        ("EvoPress", Box::new(EvoPress::new(space.clone(), 1)?)),
        ("Hyperband", Box::new(Hyperband::down_to(Evolution::new(space.clone(), 1), 3, 0.1)?)),
    ];
    for (name, mut search) in strategies {
        let mut slowest = std::time::Duration::ZERO;
        let mut total = slowest;
        for number in 0..1100 {
            let begin = std::time::Instant::now();
            let trial = search.ask()?;
            let took = begin.elapsed();
            if number >= 1000 {
                (slowest, total) = (slowest.max(took), total + took);
            }
            let score = (trial.point.key().as_u128() % 10_007) as f64;
            search.tell(trial.id, Outcome::scores([score, -score + (number % 17) as f64]))?;
        }
        println!("{name}: {:?} a mean ask, {slowest:?} the slowest", total / 100);
        assert!(total.as_secs_f64() / 100.0 < 0.01, "{name}: {:?}", total / 100);
    }
    Ok(())
}
