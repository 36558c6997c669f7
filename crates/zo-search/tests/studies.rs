//! Studies: workers in parallel, further attempts, ends, and beginnings with what another study knows.

mod every;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use every::STRATEGIES;
use proptest::prelude::*;
use zo_search::{
    AdditiveGpSearch, Error, Evolution, FailureKind, Fidelity, Halving, Header, Optimizer, Outcome, Point,
    Propose as _, RandomSearch, Smac, Space, Stop, StopReason, Study, Trial, TrialId, storage,
};

type Tested = Result<(), Box<dyn std::error::Error>>;

fn space() -> Space {
    Space::new().subset("s", 12, 4).mask("m", 3).float("x", 0.0..=1.0).when_at_least("m", 2)
}

fn header() -> Header {
    Header::new("study", 3)
}

fn random() -> Result<Study, Error> {
    Study::in_memory(header(), RandomSearch::new(space(), 3))
}

fn crash() -> Outcome {
    Outcome::failed(FailureKind::Crash, "no such device")
}

/// Some outcomes are failures, always the same for the same point.
fn outcome(trial: &Trial) -> Outcome {
    match trial.point.key().as_u128() % 12 {
        0 => Outcome::failed(FailureKind::Timeout, "slow"),
        1 => Outcome::failed(FailureKind::Invalid, "odd"),
        2 => Outcome::score(f64::NAN),
        digit => Outcome::score(digit as f64),
    }
}

/// Runs a study in batches of 8 with so many threads, each of which takes the next trial as soon as it is done with
/// one.
fn run(study: &mut Study, workers: usize) -> Result<(), Error> {
    while study.trials().len() < 80 || study.history().pending().next().is_some() {
        let queue = Mutex::new(VecDeque::from(study.ask_batch(8)?));
        let shared = Mutex::new(&mut *study);
        let work = || -> Result<(), Error> {
            while let Some(trial) = { queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() } {
                let micros =
                    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
                std::thread::sleep(Duration::from_micros(u64::from(micros % 400)));
                shared.lock().unwrap_or_else(PoisonError::into_inner).tell(trial.id, outcome(&trial))?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
        })?;
    }
    Ok(())
}

#[test]
fn four_workers_find_what_one_finds() -> Tested {
    for (name, new) in STRATEGIES {
        let study = || Study::in_memory(header(), new(space(), 3)?);
        let (mut one, mut four) = (study()?, study()?);
        run(&mut one, 1)?;
        run(&mut four, 4)?;
        assert_eq!(one.trials().len(), 80, "{name}");
        assert!(one.trials().iter().all(|record| record.outcome.is_some()), "{name}");
        assert!(one.trials().iter().any(|record| !record.retried.is_empty()), "{name}: nothing failed");
        assert_eq!(one.history().digest(), four.history().digest(), "{name}");
    }
    Ok(())
}

#[test]
fn a_batch_ends_where_the_space_does() -> Tested {
    let mut study = Study::in_memory(header(), RandomSearch::new(Space::new().int("x", 0..=4), 3))?;
    assert_eq!(study.ask_batch(3)?.len(), 3);
    assert_eq!(study.ask_batch(3)?.len(), 2);
    assert!(matches!(study.ask_batch(3), Err(Error::Exhausted { .. })));
    assert!(study.ask_batch(0)?.is_empty());
    Ok(())
}

#[test]
fn what_the_machine_may_be_to_blame_for_is_tried_once_more() -> Tested {
    for kind in [FailureKind::Crash, FailureKind::OutOfMemory, FailureKind::Timeout] {
        let mut study = random()?;
        let first = study.ask()?;
        let second = study.ask()?;
        study.tell(first.id, Outcome::failed(kind, "once"))?;
        study.tell(first.id, Outcome::failed(kind, "once"))?;
        assert_eq!(study.trials()[0].outcome, None, "told twice is failed once");
        assert_eq!(study.ask()?, first, "the same trial again, before any new one");
        study.tell(first.id, Outcome::score(1.0))?;
        assert_eq!(study.incumbent().map(|best| best.trial.id), Some(first.id));

        study.tell(second.id, Outcome::failed(kind, "same"))?;
        assert_eq!(study.ask()?, second);
        study.tell(second.id, Outcome::failed(kind, "same"))?;
        let record = &study.trials()[1];
        assert_eq!((record.retried.len(), &record.outcome), (1, &Some(Outcome::failed(kind, "same"))));
        assert_eq!(study.ask()?.id, TrialId(2));
    }
    Ok(())
}

#[test]
fn what_the_point_is_to_blame_for_is_not_tried_again() -> Tested {
    let mut study = random()?;
    for outcome in [
        Outcome::failed(FailureKind::Invalid, "odd"),
        Outcome::failed(FailureKind::NotANumber, "nan"),
        Outcome::score(f64::NAN),
        Outcome::score(1.0).with_violation(1.0),
    ] {
        let trial = study.ask()?;
        study.tell(trial.id, outcome)?;
    }
    let given_up = study.ask()?;
    study.abandon(given_up.id)?;
    assert_eq!(study.ask()?.id, TrialId(5));
    assert!(study.trials()[..5].iter().all(|record| record.outcome.is_some()));
    Ok(())
}

#[test]
fn attempts_are_counted_over_a_resume() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.jsonl");
    let strategy = || RandomSearch::new(space(), 3);
    let mut study = Study::create(&path, header(), strategy())?.with_retries(2);
    let trial = study.ask()?;
    study.tell(trial.id, crash())?;
    drop(study);
    let mut study = Study::resume(&path, strategy())?.with_retries(2);
    for attempts in 1..=2 {
        assert_eq!(study.trials()[0].retried.len(), attempts);
        assert_eq!(study.ask()?, trial);
        study.tell(trial.id, crash())?;
    }
    assert_eq!(study.trials()[0].outcome, Some(crash()));
    drop(study);
    let history = Study::read(&path)?;
    assert_eq!((history.trials()[0].retried.len(), history.pending().count()), (2, 0));
    Ok(())
}

#[test]
fn five_crashes_in_a_row_are_the_evaluators_fault_and_attempts_count() -> Tested {
    let mut study = random()?;
    for _ in 0..5 {
        let trial = study.ask()?;
        study.tell(trial.id, crash())?;
    }
    assert_eq!(study.trials().len(), 3);
    let error = study.ask_batch(2).err().ok_or("went on")?;
    assert!(matches!(error, Error::KeepsCrashing { count: 5, .. }), "{error}");
    assert!(error.to_string().contains("no such device"), "{error}");
    study.tell(TrialId(2), Outcome::score(1.0))?;
    study.ask()?;
    Ok(())
}

#[test]
fn it_stops_at_so_many_trials_when_none_waits() -> Tested {
    let stop = Stop::new().trials(2);
    let mut study = random()?;
    assert_eq!(study.stopped(&stop), None);
    let batch = study.ask_batch(2)?;
    assert_eq!(study.stopped(&stop), Some(StopReason::Trials(2)));
    study.tell(batch[0].id, crash())?;
    assert_eq!(study.stopped(&stop), None, "one is to be asked again");
    assert_eq!(study.ask()?, batch[0]);
    study.tell(batch[0].id, crash())?;
    assert_eq!(study.stopped(&stop), Some(StopReason::Trials(2)));
    assert_eq!(study.stopped(&Stop::new()), None, "without limits, never");
    Ok(())
}

#[test]
fn it_stops_by_the_clock_counted_from_the_first_ask() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.jsonl");
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let clock = {
        let seconds = Arc::clone(&seconds);
        move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed))
    };
    let stop = Stop::new().time(Duration::from_secs(60));
    let mut study = Study::create(&path, header(), RandomSearch::new(space(), 3))?.with_clock(clock.clone());
    seconds.fetch_add(1000, Ordering::Relaxed);
    assert_eq!(study.stopped(&stop), None, "nothing was asked yet");
    study.ask()?;
    seconds.fetch_add(59, Ordering::Relaxed);
    assert_eq!(study.stopped(&stop), None);
    drop(study);
    let study = Study::resume(&path, RandomSearch::new(space(), 3))?.with_clock(clock);
    seconds.fetch_add(1, Ordering::Relaxed);
    assert_eq!(study.stopped(&stop), Some(StopReason::Time(Duration::from_secs(60))));
    seconds.store(0, Ordering::Relaxed);
    assert_eq!(study.stopped(&stop), None, "a clock that was set back");
    Ok(())
}

#[test]
fn it_stops_when_nothing_better_comes() -> Tested {
    let stop = Stop::new().patience(3);
    let mut study = random()?;
    let mut tell = |score: f64| -> Result<Option<StopReason>, Error> {
        let trial = study.ask()?;
        study.tell(trial.id, Outcome::score(score))?;
        Ok(study.stopped(&stop))
    };
    for score in [5.0, 6.0, f64::NAN, 4.0, 4.0, 4.0] {
        assert_eq!(tell(score)?, None);
    }
    let reason = tell(9.0)?;
    assert_eq!(reason, Some(StopReason::NoProgress { trials: 3, incumbent: Some(TrialId(3)) }));
    assert_eq!(tell(1.0)?, None, "it may go on all the same");
    Ok(())
}

/// Whatever is gained in fewer trials than the limit, and whatever is more than its error, goes on.
#[test]
fn it_stops_when_what_was_gained_is_within_its_error() -> Tested {
    let stop = Stop::new().patience_within_error(3);
    // What is hard for all, and noise of each trial's own, which is 0 in the mean.
    let instances = |worth: f64, trial: i32| -> Vec<f64> {
        let noise = |i: i32| if (i + trial) % 2 == 0 { 0.1 } else { -0.1 };
        (0..40).map(|i| worth + f64::from(i % 7) + noise(i)).collect()
    };
    let mut study = random()?;
    let mut tell = |worth: f64| -> Result<Option<StopReason>, Error> {
        let trial = study.ask()?;
        let instances = instances(worth, trial.id.0 as i32);
        let mean = instances.iter().sum::<f64>() / instances.len() as f64;
        study.tell(trial.id, Outcome::score(mean).with_instances(instances))?;
        Ok(study.stopped(&stop))
    };
    // Of two trials of other noise the difference has the error 0.2 / sqrt(39).
    for worth in [5.0, 4.95, 4.9, 4.88, 6.0] {
        assert_eq!(tell(worth)?, None, "{worth}");
    }
    let Some(StopReason::WithinError { trials: 3, incumbent: TrialId(3), gain, error }) = tell(6.0)? else {
        return Err("it goes on".into());
    };
    assert!((gain - 0.02).abs() < 1e-9 && (error - 0.2 / 39.0_f64.sqrt()).abs() < 1e-9, "{gain}, {error}");
    assert_eq!(tell(4.0)?, None, "it may go on all the same");
    Ok(())
}

proptest! {
    /// Without instances the rule is that of patience, but that it needs an incumbent.
    #[test]
    fn without_instances_only_the_same_incumbent_stops_a_search(scores in prop::collection::vec(0_u8..9, 1..30)) {
        let (mut study, limit) = (random().unwrap(), 4);
        for (count, score) in (1..).zip(&scores) {
            let trial = study.ask().unwrap();
            study.tell(trial.id, Outcome::score(f64::from(*score))).unwrap();
            let found = study.stopped(&Stop::new().patience_within_error(limit));
            let plain = study.stopped(&Stop::new().patience(limit));
            prop_assert_eq!(found.is_some(), plain.is_some(), "after {} trials", count);
        }
    }
}

/// A study of another name over a slightly larger space: floats up to 2.
fn larger(trials: usize) -> Result<Study, Error> {
    let space = Space::new().float("x", 0.0..=2.0);
    let mut study = Study::in_memory(Header::new("larger", 5), RandomSearch::new(space, 5))?.with_retries(0);
    for trial in study.ask_batch(trials)? {
        study.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
    }
    Ok(study)
}

#[test]
fn a_study_begins_with_what_another_one_knows() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.jsonl");
    let mut other = larger(40)?;
    for outcome in [Outcome::score(-1.0).at(Fidelity::new(0.5)?), crash()] {
        let trial = other.ask()?;
        other.tell(trial.id, outcome)?;
    }
    other.ask()?;
    let outside = other.trials()[..41].iter().filter(|record| record.trial.point.float("x").is_ok_and(|x| x > 1.0));
    let outside = outside.count();

    let strategy = || Evolution::new(Space::new().float("x", 0.0..=1.0), 7).with_founders(10);
    let mut study = Study::create(&path, header(), strategy())?;
    let report = study.warm_start(other.history())?;
    assert_eq!((report.injected, report.outside, report.unfinished), (41 - outside, outside, 2));
    assert!(outside > 5 && report.injected > 10, "{report:?}");
    assert_eq!(study.warm_start(other.history())?, report, "known already");
    assert_eq!((study.history().injected().len(), study.trials().len()), (report.injected, 0));
    assert!(study.history().injected().iter().all(|known| known.from == "larger" && known.outcome.fidelity.is_some()));

    let first = study.ask()?;
    assert_eq!(first.id, TrialId(0));
    assert!(first.origin.to_string().contains(" of injected "), "{}", first.origin);
    assert!(first.point.float("x")? < 0.5, "a child of a good one: {:?}", first.point);
    assert!(study.incumbent().is_none(), "what others found is not the incumbent");
    assert_eq!(study.warm_start(other.history())?, report, "known already, though it is too late");
    let error = study.warm_start(larger(50)?.history()).err().ok_or("took more")?;
    assert!(matches!(error, Error::AlreadyBegun { trials: 1 }), "{error}");
    study.tell(first.id, Outcome::score(1.0))?;
    let digest = study.history().digest();
    let next = study.ask()?;
    drop(study);

    assert_eq!(Study::resume(&path, strategy())?.ask()?, next, "without the other study");
    let history = Study::verify(&path, strategy())?;
    assert_ne!(history.digest(), digest);
    let mut third = Study::in_memory(Header::new("third", 1), strategy())?;
    assert_eq!(third.warm_start(&history)?.injected, report.injected + 1, "what was handed on is handed on");
    Ok(())
}

#[test]
fn a_copy_goes_on_as_the_original() -> Tested {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let strategy = || Halving::new(Evolution::new(space(), 3).with_founders(5), 2, [0.3, 1.0]);
    let mut study = Study::create(file("study.jsonl"), header(), strategy()?)?;
    let known = Point::new().with_subset("s", [0, 1, 2, 3]).with_mask("m", [false; 3]);
    let mut other = Study::in_memory(Header::new("other", 3), RandomSearch::new(space(), 9).with_initial(vec![known]))?;
    let trial = other.ask()?;
    other.tell(trial.id, Outcome::score(0.0))?;
    study.warm_start(other.history())?;
    run(&mut study, 4)?;
    let open = study.ask_batch(3)?;
    study.tell(open[1].id, crash())?;

    study.history().save(file("copy.jsonl"))?;
    assert_eq!(Study::verify(file("copy.jsonl"), strategy()?)?.digest(), study.history().digest());
    Study::read(file("copy.jsonl"))?.save(file("again.jsonl"))?;
    assert_eq!(std::fs::read(file("again.jsonl"))?, std::fs::read(file("copy.jsonl"))?);
    drop(study);
    let mut study = Study::resume(file("study.jsonl"), strategy()?)?;
    let mut copy = Study::resume(file("copy.jsonl"), strategy()?)?;
    assert_eq!(copy.trials()[81].retried, [crash()]);
    assert_eq!(study.ask_batch(3)?, open);
    assert_eq!(copy.ask_batch(3)?, open);
    assert_eq!(copy.ask()?, study.ask()?);
    Ok(())
}

#[cfg(not(feature = "sqlite"))]
#[test]
fn a_database_needs_the_feature() {
    let error = Study::create("study.sqlite", header(), RandomSearch::new(space(), 3)).err();
    assert!(matches!(error, Some(Error::WithoutFeature { .. })), "{error:?}");
}

/// The number of trials was among the settings that a resumed search must share with the recorded one.
#[test]
fn a_finished_search_goes_on_when_it_is_given_more_trials() -> Tested {
    let folder = tempfile::tempdir()?;
    let space = || Space::new().subset("remove", 8, 3).float("x", 0.0..=1.0);
    let path = |name: &str| folder.path().join(name);
    let evaluate = |point: &Point| Ok::<_, Error>(Outcome::score(point.float("x")?));
    type New = fn(Space, usize) -> Box<dyn Optimizer>;
    let strategies: [(&str, New); 2] = [
        ("gp.jsonl", |space, trials| Box::new(AdditiveGpSearch::new(space, 7).with_trials(trials))),
        ("smac.jsonl", |space, trials| Box::new(Smac::new(space, 7).with_trials(trials))),
    ];
    for (name, new) in strategies {
        Study::create(path(name), Header::new("more", 7), new(space(), 20))?.optimize(20, evaluate)?;
        let mut study = Study::open(path(name), Header::new("more", 7), new(space(), 30))?;
        study.optimize(30, evaluate)?;
        assert_eq!(study.trials().len(), 30, "{name}");
        assert_eq!(Study::read(path(name))?.trials().len(), 30, "{name}");
    }
    Ok(())
}

/// A storage that knows neither paths nor files.
#[derive(Clone, Default)]
struct Shelf(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

struct ShelfWriter(Shelf);

impl Shelf {
    fn lines(&self) -> Vec<String> {
        self.0.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

impl storage::StorageWriter for ShelfWriter {
    fn append(&mut self, lines: &[String], _: bool) -> std::io::Result<()> {
        self.0.0.lock().map_err(|_| std::io::Error::other("poisoned"))?.extend_from_slice(lines);
        Ok(())
    }
}

impl storage::Storage for Shelf {
    fn location(&self) -> String {
        "the shelf".into()
    }
    fn exists(&self) -> Result<bool, Error> {
        Ok(!self.lines().is_empty())
    }
    fn create(&self, lines: &[String]) -> Result<Box<dyn storage::StorageWriter>, Error> {
        let mut writer: Box<dyn storage::StorageWriter> = Box::new(ShelfWriter(self.clone()));
        let location = self.location();
        writer.append(lines, true).map_err(|source| Error::Io { action: "write", location, source })?;
        Ok(writer)
    }
    fn open(&self) -> Result<(Box<dyn storage::StorageWriter>, Vec<String>), Error> {
        Ok((Box::new(ShelfWriter(self.clone())), self.lines()))
    }
    fn read(&self) -> Result<Vec<String>, Error> {
        Ok(self.lines())
    }
}

#[test]
fn a_study_goes_on_in_a_storage_of_the_users() -> Tested {
    let shelf = Shelf::default();
    let new = || RandomSearch::new(space(), 3);
    let mut study = Study::open(shelf.clone(), Header::new("own", 3), new())?;
    let first = study.ask()?;
    study.tell(first.id, Outcome::score(1.0))?;
    let second = study.ask()?;
    drop(study);
    let mut study = Study::open(shelf.clone(), Header::new("own", 3), new())?;
    assert_eq!(study.ask()?, second);
    let other = Study::resume(shelf.clone(), RandomSearch::new(space(), 4)).err().ok_or("another seed")?;
    assert!(other.to_string().starts_with("the shelf belongs to another search"), "{other}");
    shelf.0.lock().map_err(|_| "poisoned")?[1].push('!');
    let damaged = Study::read(shelf).err().ok_or("a changed line")?;
    assert!(damaged.to_string().starts_with("the shelf:2: "), "{damaged}");
    Ok(())
}
