//! What holds of every point and every search, tried on random ones.

mod every;

use every::STRATEGIES;
use proptest::prelude::*;
use zo_search::{
    Error, Evolution, FailureKind, Header, Optimizer, Outcome, Point, Space, Study, Trial, TrialId, Value, generator,
};

/// How many trials are asked before the first of them is told.
const ROUND: usize = 4;
const IN_ORDER: [usize; ROUND] = [0, 1, 2, 3];

/// A space with all types of dimensions and all kinds of conditions.
fn spaces() -> impl Strategy<Value = Space> {
    (2_usize..10, 0_usize..10, 2_usize..5, any::<[bool; 2]>()).prop_map(|(layers, remove, models, [frozen, free])| {
        let remove = remove.min(layers - 1);
        let mut space = match free {
            true => Space::new().subset_of_sizes("remove", layers, remove / 2..=remove),
            false => Space::new().subset("remove", layers, remove),
        };
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

/// Two objectives that know nothing but the point.
fn scores(point: &Point) -> Outcome {
    let key = point.key().as_u128();
    Outcome::scores([(key % 1_000_003) as f64, (key % 10_007) as f64])
}

/// For four points of five one of the ways not to have a result.
fn mostly_bad(point: &Point) -> Outcome {
    match point.key().as_u128() % 10 {
        0 => Outcome::scores([f64::NAN, 0.0]),
        1 => Outcome::scores([f64::NEG_INFINITY, 0.0]),
        2 => Outcome::scores([0.0, f64::INFINITY]),
        3 => Outcome::failed(FailureKind::Crash, "tried by a test"),
        4 => Outcome::failed(FailureKind::Invalid, "tried by a test"),
        5 => Outcome::failed(FailureKind::Abandoned, "tried by a test"),
        6 => Outcome::scores([-1.0, -1.0]).with_violation(0.5),
        7 => Outcome::scores([]),
        _ => scores(point),
    }
}

/// Asks and tells in rounds; `order` says in which order a round is told.
fn run(
    search: &mut dyn Optimizer,
    rounds: usize,
    order: [usize; ROUND],
    outcome: impl Fn(&Point) -> Outcome,
) -> Result<Vec<Trial>, Error> {
    let mut trials = Vec::new();
    for _ in 0..rounds {
        let round = order.iter().map(|_| search.ask()).collect::<Result<Vec<_>, _>>()?;
        for place in order {
            search.tell(round[place].id, outcome(&round[place].point))?;
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
        let trials = run(&mut search, 12, IN_ORDER, scores)?;
        let mut keys = std::collections::HashSet::new();
        for trial in &trials {
            prop_assert!(space.contains(&trial.point), "{}: {:?}", trial.origin, trial.point);
            prop_assert!(keys.insert(trial.point.key()), "{} repeats a point", trial.origin);
        }
        prop_assert!(trials.iter().any(|trial| trial.origin.to_string().contains(" of ")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_point_lies_in_the_space_and_the_order_of_telling_does_not_matter(
        space in spaces(),
        seed: u64,
        order in Just(IN_ORDER).prop_shuffle(),
    ) {
        for (name, new) in STRATEGIES {
            let trials = run(&mut new(space.clone(), seed)?, 8, IN_ORDER, scores)?;
            for trial in &trials {
                prop_assert!(space.contains(&trial.point), "{}, {}: {:?}", name, trial.origin, trial.point);
            }
            let others = run(&mut new(space.clone(), seed)?, 8, order, scores)?;
            prop_assert!(trials == others, "{} depends on the order of telling", name);
        }
    }

    #[test]
    fn what_is_no_result_corrupts_nothing_and_a_good_result_behind_it_is_the_best(space in spaces(), seed: u64) {
        for (name, new) in STRATEGIES {
            let mut study = Study::in_memory(Header::new("laws", seed), new(space.clone(), seed)?)?.with_retries(0);
            let mut found = None;
            for number in 0..40 {
                let trial = match study.ask() {
                    Err(Error::KeepsCrashing { .. }) => break,
                    asked => asked?,
                };
                prop_assert!(space.contains(&trial.point), "{}, {}: {:?}", name, trial.origin, trial.point);
                let good = number >= 20 && trial.fidelity.is_full() && found.is_none();
                found = found.or(good.then_some(trial.id));
                study.tell(trial.id, if good { Outcome::scores([-1e9, -1e9]) } else { mostly_bad(&trial.point) })?;
            }
            let incumbent = study.incumbent().map(|best| best.trial.id);
            prop_assert!(found.is_none() || incumbent == found, "{}: {:?}", name, incumbent);
        }
    }

    #[test]
    fn a_replayed_journal_goes_on_with_the_same_points(space in spaces(), seed: u64, cut in 10_usize..30) {
        let folder = tempfile::tempdir()?;
        for (name, new) in STRATEGIES {
            let header = Header::new("laws", seed);
            let path = folder.path().join("study.jsonl");
            let mut study = Study::in_memory(header, new(space.clone(), seed)?)?;
            while study.trials().len() < cut {
                let trial = study.ask()?;
                study.tell(trial.id, scores(&trial.point))?;
            }
            study.history().save(&path)?;
            let mut replayed = Study::resume(&path, new(space.clone(), seed)?)?;
            for _ in 0..3 {
                let (trial, again) = (study.ask()?, replayed.ask()?);
                prop_assert!(trial == again, "{}: {:?} after the replay, {:?} before", name, again, trial);
                let outcome = scores(&trial.point);
                study.tell(trial.id, outcome.clone())?;
                replayed.tell(again.id, outcome)?;
            }
            drop(replayed);
            std::fs::remove_file(&path)?;
        }
    }
}

#[test]
fn every_row_of_the_tables_is_tried() {
    assert_eq!(every::untried(), [""; 0]);
}

/// The widest range there is, and ones of more than `i64::MAX` steps whose difference wraps around to a small number.
#[test]
fn every_strategy_searches_integers_whose_range_is_wider_than_an_i64() -> Result<(), Error> {
    for range in [i64::MIN..=i64::MAX, i64::MIN..=i64::MAX - 3, i64::MIN / 2 - 10..=i64::MAX / 2 + 10] {
        let space = Space::new().int("i", range.clone()).categorical("c", ["a", "b"]);
        for (name, new) in STRATEGIES {
            let mut search = new(space.clone(), 3)?;
            for trial in run(&mut search, 5, IN_ORDER, scores)? {
                let value = trial.point.get("i");
                assert!(matches!(value, Some(Value::Int(i)) if range.contains(i)), "{name}: {value:?} in {range:?}");
            }
        }
    }
    Ok(())
}
