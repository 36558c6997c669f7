//! Journals that the first release wrote are read, and gone on with.
//!
//! `tests/golden/journals/*.jsonl` were written by commit 732a023 and this file, with `RECORD=1`. Never write them
//! anew: a journal of a new format is another file.

mod every;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use every::STRATEGIES;
use zo_search::{Header, Outcome, Point, RandomSearch, Space, Study};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Those to whose choices it matters where earlier trials came from.
const WRITTEN: [&str; 7] = ["AdditiveGpSearch", "CMA-ES", "SMAC", "EvoPress", "halving", "Hyperband", "racing"];
const TRIALS: usize = 24;

fn space() -> Space {
    let mut space = Space::new().subset("remove", 6, 2).never([0]);
    for layer in 0..6 {
        space = space.categorical(format!("{layer}"), ["base", "math", "code"]).when_outside("remove", layer);
    }
    space.float("x", 0.0..=1.0)
}

fn outcome(point: &Point, fraction: f64) -> Outcome {
    let key = point.key().as_u128();
    let instances: Vec<f64> = (0..(12.0 * fraction) as u128).map(|i| ((key >> i) % 1009) as f64 / 1009.0).collect();
    let mean = instances.iter().sum::<f64>() / instances.len() as f64;
    Outcome::score(mean).with_instances(instances)
}

fn file(strategy: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journals").join(format!("{strategy}.jsonl"))
}

fn write(strategy: &str, new: every::Row) -> Tested {
    let second = |n| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n);
    let mut before = Study::in_memory(Header::new("before", 2), RandomSearch::new(space(), 2))?;
    for _ in 0..3 {
        let trial = before.ask()?;
        before.tell(trial.id, outcome(&trial.point, 1.0))?;
    }
    let mut study = Study::create(file(strategy), Header::new("released", 5), new.1(space(), 5)?)?;
    let count = std::sync::atomic::AtomicU64::new(0);
    study = study.with_clock(move || second(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
    if strategy != "CMA-ES" {
        study.warm_start(before.history())?;
    }
    while study.trials().len() < TRIALS {
        let trial = study.ask()?;
        study.tell(trial.id, outcome(&trial.point, trial.fidelity.fraction()))?;
    }
    Ok(())
}

#[test]
fn a_journal_of_the_first_release_is_read_and_gone_on_with() -> Tested {
    let folder = tempfile::tempdir()?;
    for name in WRITTEN {
        let row = STRATEGIES.into_iter().find(|(known, _)| *known == name).ok_or(name)?;
        if std::env::var_os("RECORD").is_some() {
            write(name, row)?;
        }
        let whole = Study::read(file(name))?;
        // The first release's CMA-ES did not listen to what was injected.
        let injected = if name == "CMA-ES" { 0 } else { 3 };
        assert_eq!((whole.trials().len(), whole.injected().len()), (TRIALS, injected), "{name}");
        let lines = 1 + injected + TRIALS;
        let half: String = std::fs::read_to_string(file(name))?.split_inclusive('\n').take(lines).collect();
        let path = folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&path, half)?;
        let mut study = Study::resume(&path, row.1(space(), 5)?).map_err(|error| format!("{name}: {error}"))?;
        assert_eq!(study.trials().len(), TRIALS / 2, "{name}");
        for record in &whole.trials()[TRIALS / 2..] {
            let trial = study.ask()?;
            // The first release did not write the rung down.
            let mut as_recorded = trial.clone();
            as_recorded.rung = None;
            assert_eq!(as_recorded, record.trial, "{name}");
            study.tell(trial.id, outcome(&trial.point, trial.fidelity.fraction()))?;
        }
    }
    Ok(())
}
