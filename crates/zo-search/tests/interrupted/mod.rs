//! A study that is cut off and goes on: with failures, further attempts, and something known before.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use zo_search::sharing::{DirectoryStore, SharedStore as _};
use zo_search::storage::{Storage, storage_at};
use zo_search::{
    Error, Evolution, FailureKind, Fidelity, Halving, Header, History, Outcome, Point, Propose as _, Space, Study,
};

pub type Tested = Result<(), Box<dyn std::error::Error>>;

/// Names the file of the child process in which a study is killed.
const CHILD: &str = "ZO_SEARCH_TEST_STUDY";

pub fn space() -> Space {
    Space::new().subset("s", 12, 4).mask("m", 3).float("x", 0.0..=1.0).when_at_least("m", 2)
}

pub fn strategy() -> Result<Halving<Evolution>, Error> {
    let initial = Point::new().with_subset("s", [1, 2, 3, 4]).with_mask("m", [false; 3]);
    Halving::new(Evolution::new(space(), 3).with_founders(6).with_initial(vec![initial]), 3, [0.3, 1.0])
}

pub fn header() -> Header {
    Header::new("cut off", 3).with_environment(serde_json::json!({ "data": "abc" }))
}

fn outcome(point: &Point, fidelity: Fidelity) -> Outcome {
    match point.key().as_u128() % 10 {
        0 => Outcome::score(f64::NAN),
        1 => Outcome::failed(FailureKind::Invalid, "an \"odd\" point\n"),
        2 | 9 => Outcome::failed(FailureKind::Timeout, "slow"),
        digit => Outcome::scores([digit as f64 / 3.0, 1e300])
            .at(fidelity)
            .with_cost(0.1)
            .with_instances([0.1, f64::INFINITY]),
    }
}

/// Another study's findings.
fn elsewhere() -> Result<History, Error> {
    let mut study = Study::in_memory(Header::new("before", 5), Evolution::new(space(), 5))?;
    for trial in study.ask_batch(3)? {
        study.tell(trial.id, outcome(&trial.point, Fidelity::FULL))?;
    }
    Ok(study.history().clone())
}

/// Goes on to so many trials, in batches of this size.
pub fn finish(study: &mut Study, trials: usize, batch: usize) -> Result<(), Error> {
    study.warm_start(&elsewhere()?)?;
    while study.history().pending().next().is_some() || study.trials().len() < trials {
        for trial in study.ask_batch(batch)? {
            study.tell(trial.id, outcome(&trial.point, trial.fidelity))?;
        }
    }
    Ok(())
}

/// The storage at a path: a store in a folder if its name ends so, else as for everybody.
fn at(path: &Path) -> Box<dyn Storage> {
    let store = path.extension().is_some_and(|extension| extension == "store");
    if store { DirectoryStore::new(path).lines() } else { storage_at(path) }
}

/// The digest of a study that was never cut off.
pub fn uninterrupted(path: &Path, trials: usize, batch: usize) -> Result<String, Error> {
    let mut study = Study::create(at(path), header(), strategy()?)?;
    study.set_sync(false);
    finish(&mut study, trials, batch)?;
    Ok(study.history().digest())
}

/// What a process does that [`killed_it_ends_as_one_that_was_not`] kills; nothing in any other.
#[test]
fn child_process() -> Tested {
    let Some(path) = std::env::var_os(CHILD) else { return Ok(()) };
    let mut study = Study::open(at(Path::new(&path)), header(), strategy()?)?;
    study.warm_start(&elsewhere()?)?;
    loop {
        let trial = study.ask()?;
        std::thread::sleep(Duration::from_millis(2));
        study.tell(trial.id, outcome(&trial.point, trial.fidelity))?;
    }
}

/// Kills processes that run the test `child_process` of this binary on a file, and compares.
pub fn killed_it_ends_as_one_that_was_not(path: &Path, whole: &Path) -> Tested {
    const TRIALS: usize = 400;
    for kill in 1..4 {
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", "interrupted::child_process"])
            .env(CHILD, path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child?;
        // Until it has done some more trials; a machine that is too busy for that still kills it somewhere.
        for _ in 0..1000 {
            if Study::read(at(path)).is_ok_and(|history| history.trials().len() > 15 * kill) {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        child.kill()?;
        child.wait()?;
    }
    let mut study = Study::resume(at(path), strategy()?)?;
    study.set_sync(false);
    assert!((16..TRIALS).contains(&study.trials().len()), "{} trials before the end", study.trials().len());
    finish(&mut study, TRIALS, 1)?;
    assert_eq!(study.history().digest(), uninterrupted(whole, TRIALS, 1)?);
    Ok(())
}
