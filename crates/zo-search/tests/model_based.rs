//! Strategies that learn a model, on problems: medians over seeds, never one lucky run.
//!
//! What an ask costs: `cargo test --release -p zo-search --test model_based -- --ignored --nocapture`.

mod problems;

use std::time::Instant;

use problems::{Removal, Tailored, best_of, median};
use zo_search::{Error, Evolution, Optimizer, Outcome, Point, RandomSearch, Smac, Space, TrialId, generator};

const SEEDS: u64 = 21;

/// Medians of [`Smac`], [`Evolution`] and [`RandomSearch`].
fn compare(
    trials: usize,
    space: impl Fn(u64) -> Space,
    cost: impl Fn(u64, &Point) -> Result<f64, Error>,
) -> Result<[f64; 3], Error> {
    let run = |new: &dyn Fn(Space, u64) -> Box<dyn Optimizer>| {
        median(SEEDS, |seed| best_of(new(space(seed), seed), trials, |point| cost(seed, point)))
    };
    let medians = [
        run(&|space, seed| Box::new(Smac::new(space, seed).with_trials(trials)))?,
        run(&|space, seed| Box::new(Evolution::new(space, seed)))?,
        run(&|space, seed| Box::new(RandomSearch::new(space, seed)))?,
    ];
    println!("{trials} trials: smac {:.4}, evolution {:.4}, random {:.4}", medians[0], medians[1], medians[2]);
    Ok(medians)
}

#[test]
fn smac_beats_random_search_at_removing_layers() -> Result<(), Error> {
    let cost = |seed, point: &Point| Ok(Removal::new(32, 9, seed).cost(point.subset("remove")?));
    let [smac, evolution, random] = compare(100, |seed| Removal::new(32, 9, seed).space(), cost)?;
    assert!(smac < random - 1.0 && smac < evolution + 0.3, "{smac}, evolution {evolution}, random {random}");
    Ok(())
}

#[test]
fn smac_beats_random_search_at_tailoring() -> Result<(), Error> {
    let cost = |seed, point: &Point| Tailored::new(12, 3, 3, seed).cost(point);
    let [smac, _, random] = compare(100, |seed| Tailored::new(12, 3, 3, seed).space(), cost)?;
    assert!(smac < random - 0.4, "{smac}, random {random}");
    Ok(())
}

#[test]
fn smac_descends_a_sphere() -> Result<(), Error> {
    let space = |_| (0..5).fold(Space::new(), |space, i| space.float(format!("x{i}"), -5.0..=5.0));
    let sphere = |_, point: &Point| {
        (0..5).map(|i| Ok((point.float(&format!("x{i}"))? - 1.7).powi(2))).sum::<Result<f64, Error>>()
    };
    let [smac, _, random] = compare(100, space, sphere)?;
    assert!(smac < 0.6 * random, "{smac}, random {random}");
    Ok(())
}

/// Numbers, integers, choices, masks, conditions: 200 dimensions.
fn mixed() -> Space {
    let mut space = Space::new().subset("remove", 40, 10);
    for layer in 0..40 {
        let sources = format!("layer_{layer}.sources");
        space = space.mask(&sources, 3).when_outside("remove", layer);
        space = space.float(format!("layer_{layer}.coefficient"), 0.0..=1.0).when_at_least(&sources, 2);
        space = space.float(format!("layer_{layer}.scale"), 0.0..=2.0);
        space = space.int(format!("layer_{layer}.rank"), 0..=64);
        space = space.categorical(format!("layer_{layer}.kind"), ["a", "b", "c"]);
    }
    space
}

#[test]
#[ignore = "prints what an ask costs"]
fn the_cost_of_an_ask_among_a_thousand_trials_in_200_dimensions() -> Result<(), Error> {
    let mut search = Smac::new(mixed(), 1).with_trials(1000);
    let (mut slowest, mut total, mut last) = (0.0_f64, 0.0, 0.0);
    for number in 1..=1100 {
        let start = Instant::now();
        let trial = search.ask()?;
        let seconds = start.elapsed().as_secs_f64();
        total += seconds;
        slowest = slowest.max(seconds);
        last += if number > 1000 { seconds } else { 0.0 };
        // Some structure in a few layers, and noise.
        let noise = 0.1 * rand::RngExt::random::<f64>(&mut generator(1, "noise", TrialId(number)));
        let removed = trial.point.subset("remove")?.iter().map(|layer| *layer as f64 / 40.0).sum::<f64>();
        let scales = (0..10).map(|layer| Ok((trial.point.float(&format!("layer_{layer}.scale"))? - 1.0).powi(2)));
        let cost = removed + scales.sum::<Result<f64, Error>>()? + noise;
        search.tell(trial.id, Outcome::score(cost))?;
        if number % 100 == 0 {
            println!(
                "{number} asks: {:.1} ms each so far, slowest {:.0} ms",
                total * 1e3 / number as f64,
                slowest * 1e3
            );
        }
    }
    println!("asks 1000 to 1100: {:.1} ms each", last * 10.0);
    Ok(())
}
