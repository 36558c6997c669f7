//! Golden trial sequences: each strategy asks the same points, at the same fidelity and of the same origin, as it did
//! when they were recorded.
//!
//! `tests/golden/points.txt` holds a hash for each strategy and problem. It was first recorded at commit 732a023. To
//! record it anew, after a change that is meant to move points:
//! `RECORD=1 cargo test --release -p zo-search --test same_points`.

mod every;

use std::fmt::Write as _;
use std::path::Path;

use every::STRATEGIES;
use zo_search::{Error, FailureKind, Optimizer, Outcome, Point, Space, Trial};

const TRIALS: usize = 48;

/// All types of dimensions and conditions; sizes of the subset free.
fn mixed() -> Space {
    let mut space = Space::new().subset_of_sizes("remove", 9, 1..=4).always([3]).never([0]);
    for layer in 0..9 {
        let (mask, bundle) = (format!("{layer}.mask"), format!("{layer}"));
        space = space.mask(&mask, 3).when_outside("remove", layer).in_bundle(&bundle);
        space = space.float(format!("{layer}.c"), -1.0..=2.0).when_at_least(&mask, 2).in_bundle(&bundle);
    }
    space
        .int("int", -4..=900)
        .categorical("kind", ["a", "b", "c"])
        .log_float("rate", 1e-4..=1.0)
        .when("kind", "b")
        .permutation("order", 5)
        .when("kind", "c")
        .int("late", 0..=1)
        .when_inside("remove", 8)
}

/// Removing layers, with a choice for each that stays: what `tailor` searches.
fn layers() -> Space {
    let mut space = Space::new().subset("remove", 12, 3).never([0, 11]);
    for layer in 0..12 {
        let sources = format!("layer_{layer}.sources");
        space = space.mask(&sources, 2).when_outside("remove", layer);
        space = space.float(format!("layer_{layer}.c"), 0.0..=1.0).when_at_least(&sources, 2);
    }
    space.categorical("head", ["base", "math"])
}

fn numbers() -> Space {
    (0..4).fold(Space::new().int("i", -5..=5).log_float("r", 1e-3..=1.0), |space, i| {
        space.float(format!("x{i}"), -5.0..=5.0)
    })
}

/// A number that hangs on every value of the point, with some structure in it.
fn cost(point: &Point) -> f64 {
    let of = |(name, value): (&str, &zo_search::Value)| {
        let own = name.bytes().map(u64::from).sum::<u64>() as f64 % 7.0;
        match value {
            zo_search::Value::Float(x) => (x - own / 7.0) * (x - own / 7.0),
            zo_search::Value::Int(i) => (*i as f64 - own).abs() / 10.0,
            zo_search::Value::Categorical(choice) => choice.len() as f64 / 3.0 + f64::from(choice.as_str() > "a"),
            zo_search::Value::Mask(bits) => {
                bits.iter().enumerate().map(|(i, bit)| f64::from(*bit) * (i as f64 - own / 3.0)).sum()
            }
            zo_search::Value::Subset(items) => items.iter().map(|item| ((item * 7 + 3) % 11) as f64 / 2.0).sum(),
            zo_search::Value::Permutation(items) => {
                items.iter().enumerate().map(|(i, item)| i as f64 * *item as f64 / 9.0).sum()
            }
            _ => 0.0,
        }
    };
    point.iter().map(of).sum()
}

/// A result on each instance that the trial looks at, some failures.
fn outcome(trial: &Trial, objectives: usize) -> Outcome {
    let (cost, noise) = (cost(&trial.point), trial.point.key().as_u128() % 1000);
    if noise < 40 {
        return Outcome::failed(FailureKind::Invalid, "tried by a test");
    }
    let count = (40.0 * trial.fidelity.fraction()).ceil() as u128;
    let instances: Vec<f64> =
        (0..count).map(|i| cost + ((noise * (i + 3)) % 11) as f64 / 10.0 + (i % 5) as f64).collect();
    let mean = instances.iter().sum::<f64>() / instances.len() as f64;
    let second = trial.point.iter().count() as f64;
    let scores = if objectives == 1 { vec![mean] } else { vec![mean, second] };
    Outcome::scores(scores).with_instances(instances)
}

/// Two hashes: of points and fidelities, and of origins.
fn run(mut search: Box<dyn Optimizer>, objectives: usize) -> Result<(String, String), Error> {
    let (mut points, mut origins) = (blake3::Hasher::new(), blake3::Hasher::new());
    let mut waiting: Vec<Trial> = Vec::new();
    for number in 0..TRIALS {
        let trial = search.ask()?;
        points.update(format!("{} {:?} {}\n", trial.id, trial.point, trial.fidelity.fraction()).as_bytes());
        origins.update(format!("{} {}\n", trial.id, trial.origin).as_bytes());
        waiting.push(trial);
        // Now and then several trials are pending.
        if number % 7 != 3 && number % 7 != 4 {
            for trial in waiting.drain(..).rev() {
                search.tell(trial.id, outcome(&trial, objectives))?;
            }
        }
    }
    let short = |hasher: blake3::Hasher| hasher.finalize().to_hex()[..16].to_string();
    Ok((short(points), short(origins)))
}

#[test]
fn each_strategy_asks_the_points_that_it_always_asked() -> Result<(), Box<dyn std::error::Error>> {
    let mut found = String::new();
    for (space_name, space) in [("mixed", mixed()), ("layers", layers()), ("numbers", numbers())] {
        for objectives in [1, 2] {
            for (name, new) in STRATEGIES {
                let (points, origins) = run(new(space.clone(), 11)?, objectives)?;
                writeln!(found, "{space_name}, {objectives} objectives, {name}: {points} {origins}")?;
            }
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/points.txt");
    if std::env::var_os("RECORD").is_some() {
        std::fs::write(&golden, &found)?;
    }
    let expected = std::fs::read_to_string(&golden)?;
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    Ok(())
}
