//! What holds of every point and every search, tried on random ones.

use proptest::prelude::*;
use zo_search::{Error, Evolution, Halving, Optimizer, Outcome, Point, RandomSearch, Space, Trial, TrialId, generator};

/// A space with all types of dimensions and all kinds of conditions.
fn spaces() -> impl Strategy<Value = Space> {
    (2_usize..10, 0_usize..10, 2_usize..5, any::<bool>()).prop_map(|(layers, remove, models, frozen)| {
        let remove = remove.min(layers - 1);
        let mut space = Space::new().subset("remove", layers, remove);
        if frozen {
            space = space.never([0]);
        }
        for layer in 0..layers {
            let (mask, bundle) = (format!("{layer}.mask"), format!("{layer}"));
            space = space.mask(&mask, models).when_outside("remove", layer).in_bundle(&bundle);
            space = space.float(format!("{layer}.s"), -1.0..=2.0).when_at_least(&mask, 2).in_bundle(&bundle);
        }
        space
            .int("int", -4..=9)
            .categorical("kind", ["a", "b", "c"])
            .log_float("rate", 1e-4..=1.0)
            .when("kind", "b")
            .permutation("order", 4)
            .when("kind", "c")
            .int("late", 0..=1)
            .when_inside("remove", layers - 1)
    })
}

fn score(point: &Point) -> Outcome {
    Outcome::score((point.key().as_u128() % 1_000_003) as f64)
}

/// Asks and tells in rounds; `order` says in which order a round is told.
fn run(search: &mut impl Optimizer, rounds: usize, order: &[usize]) -> Result<Vec<Trial>, Error> {
    let mut trials = Vec::new();
    for _ in 0..rounds {
        let round = order.iter().map(|_| search.ask()).collect::<Result<Vec<_>, _>>()?;
        for place in order {
            search.tell(round[*place].id, score(&round[*place].point))?;
        }
        trials.extend(round);
    }
    Ok(trials)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn drawn_points_are_valid_and_canonical(space in spaces(), seed: u64) {
        for id in 0..20 {
            let point = space.sample(&mut generator(seed, "test", TrialId(id)))?;
            prop_assert!(space.contains(&point), "{:?}", point);
            prop_assert_eq!(&serde_json::from_str::<Point>(&serde_json::to_string(&point)?)?, &point);
        }
    }

    #[test]
    fn children_are_valid_canonical_and_new(space in spaces(), seed: u64, crossover in 0.0..1.0) {
        let mut search = Evolution::new(space.clone(), seed).with_founders(4).with_crossover(crossover);
        let trials = run(&mut search, 15, &[0, 1, 2])?;
        let mut keys = std::collections::HashSet::new();
        for trial in &trials {
            prop_assert!(space.contains(&trial.point), "{}: {:?}", trial.origin, trial.point);
            prop_assert!(keys.insert(trial.point.key()), "{} repeats a point", trial.origin);
        }
        prop_assert!(trials.iter().any(|trial| trial.origin.contains(" of ")));
    }

    #[test]
    fn the_order_of_telling_does_not_matter(
        space in spaces(),
        seed: u64,
        order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let evolution = || Evolution::new(space.clone(), seed).with_founders(3);
        let halving = || Halving::new(evolution(), 2, [0.3, 0.6, 1.0]);
        let in_order = [0, 1, 2, 3, 4];
        prop_assert_eq!(run(&mut evolution(), 8, &in_order)?, run(&mut evolution(), 8, &order)?);
        prop_assert_eq!(run(&mut halving()?, 8, &in_order)?, run(&mut halving()?, 8, &order)?);
        let random = || RandomSearch::new(space.clone(), seed);
        prop_assert_eq!(run(&mut random(), 4, &in_order)?, run(&mut random(), 4, &order)?);
    }
}
