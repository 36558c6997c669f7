//! A study that several workers evaluate: its lines are the same for any number of them, however long they take.

mod every;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use every::STRATEGIES;
use serde_json::{Value, json};
use zo_search::sharing::{
    Batches, End, Evaluation, Finished, Lead, LocalStore, MemoryQueue, SharedStore, SharedStudy, Task, TaskQueue,
    TaskResult, WholeTrials, Worker, WorkerInfo, evaluated, lost_workers,
};
use zo_search::{
    Error, Evolution, Failure, FailureKind, Header, History, Optimizer, Outcome, RandomSearch, Space, Stop, StopReason,
    Study, Trial,
};

type Tested = Result<(), Box<dyn std::error::Error>>;

fn space() -> Space {
    Space::new().subset("s", 12, 4).mask("m", 3).float("x", 0.0..=1.0).when_at_least("m", 2)
}

/// Some fail for ever, some once.
fn outcome(trial: &Trial, attempt: usize) -> Outcome {
    match trial.point.key().as_u128() % 16 {
        0 => Outcome::score(f64::NAN),
        1 => Outcome::failed(FailureKind::Invalid, "an \"odd\" point\n"),
        2 if attempt == 0 => Outcome::failed(FailureKind::Timeout, "slow"),
        3 => Outcome::failed(FailureKind::OutOfMemory, "large"),
        digit => Outcome::scores([digit as f64 / 3.0, 1e300]).at(trial.fidelity).with_instances([0.1]),
    }
}

/// Each trial in two parts, which are only together what the trial is.
struct Halves;

impl Evaluation for Halves {
    fn tasks(&mut self, trial: &Trial, attempt: usize) -> Result<Vec<Task>, Box<Outcome>> {
        let payload = json!({ "trial": trial, "attempt": attempt });
        Ok((0..2).map(|half| Task::new(format!("{}.{attempt}.{half}", trial.id), payload.clone())).collect())
    }

    fn outcome(&mut self, _: &Trial, results: &[TaskResult]) -> Outcome {
        match results {
            [Ok(Value::Null), Ok(outcome)] => serde_json::from_value(outcome.clone()).expect("an outcome"),
            other => panic!("the halves are {other:?}"),
        }
    }
}

fn half(task: &Task) -> TaskResult {
    if task.key.ends_with('0') {
        return Ok(Value::Null);
    }
    let trial: Trial = serde_json::from_value(task.payload["trial"].clone()).expect("a trial");
    let attempt = task.payload["attempt"].as_u64().expect("a number");
    Ok(json!(outcome(&trial, attempt as usize)))
}

/// The lines of a study without times and checksums.
fn lines(store: &dyn SharedStore) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let plain = |line: String| -> Result<String, serde_json::Error> {
        let mut line: Value = serde_json::from_str(&line)?;
        if let Some(line) = line.as_object_mut() {
            line.remove("w");
            line.remove("c");
        }
        Ok(line.to_string())
    };
    Ok(store.lines().read()?.into_iter().map(plain).collect::<Result<_, _>>()?)
}

/// Leads a study to so many trials while so many threads evaluate, each task for some moments that no clock decides
/// on. `cut` is after how many steps the leader is lost and another one goes on.
fn shared(
    optimizer: impl Fn() -> Result<Box<dyn Optimizer>, Error>,
    workers: usize,
    cut: Option<usize>,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = LocalStore::new(folder.path().join("journal.jsonl"));
    let (stop, ended, moments) = (Stop::new().trials(40), AtomicBool::new(false), AtomicUsize::new(1));
    let batches = Batches { size: 5, ahead: 1 };
    thread::scope(|scope| {
        for number in 0..workers {
            let (store, ended, moments) = (&store, &ended, &moments);
            scope.spawn(move || {
                let worker = Worker::new(WorkerInfo::here(&format!("w{number}"), "cpu"));
                worker.run(store, ended, |task| {
                    let moment = moments.fetch_add(1, Ordering::Relaxed) * 2_654_435_761 % 5;
                    thread::sleep(Duration::from_millis(moment as u64));
                    half(task)
                })
            });
        }
        let led = (|| -> Tested {
            let mut left = cut;
            loop {
                let mut study = Study::open(store.lines(), Header::new("shared", 3), optimizer()?)?;
                let mut lead = Lead::new(&mut study, store.queue()?, batches, &mut Halves)?;
                loop {
                    if lead.step(&stop, &mut Halves)?.end.is_some() {
                        return Ok(());
                    }
                    lead.wait(Duration::from_millis(20))?;
                    left = left.map(|left| left.saturating_sub(1));
                    if left == Some(0) {
                        left = None;
                        break;
                    }
                }
            }
        })();
        ended.store(true, Ordering::Relaxed);
        // Wakes who waits.
        store.queue()?.close(true)?;
        led
    })?;
    lines(&store)
}

#[test]
fn the_lines_are_the_same_for_any_number_of_workers_and_leaders() -> Tested {
    for (label, new) in STRATEGIES {
        let optimizer = || new(space(), 3);
        let alone = shared(optimizer, 1, None).map_err(|error| format!("{label}: {error}"))?;
        assert!(alone.len() > 80, "{label}: {} lines", alone.len());
        for (workers, cut) in [(4, None), (3, Some(1)), (2, Some(9))] {
            let lines = shared(optimizer, workers, cut).map_err(|error| format!("{label}: {error}"))?;
            assert_eq!(lines, alone, "{label}, {workers} workers, the leader cut off after {cut:?} steps");
        }
    }
    Ok(())
}

#[test]
fn one_trial_at_a_time_is_what_a_study_alone_does() -> Tested {
    let optimizer = || Evolution::new(space(), 3).with_founders(6);
    let mut alone = Study::in_memory(Header::new("alone", 3), optimizer())?;
    let stop = Stop::new().trials(30);
    while alone.stopped(&stop).is_none() {
        let trial = alone.ask()?;
        let failed = alone.trials()[trial.id.0 as usize].retried.len();
        alone.tell(trial.id, outcome(&trial, failed))?;
    }
    let mut led = Study::in_memory(Header::new("alone", 3), optimizer())?;
    let queue = MemoryQueue::new();
    let mut lead = Lead::new(&mut led, Box::new(queue.clone()), Batches::ONE, &mut Halves)?;
    while lead.step(&stop, &mut Halves)?.end.is_none() {
        work_once(queue.clone(), 1, half)?;
    }
    assert_eq!(led.history().digest(), alone.history().digest());
    Ok(())
}

/// Claims up to `want` tasks and hands in their results.
fn work_once(mut queue: MemoryQueue, want: usize, evaluate: impl Fn(&Task) -> TaskResult) -> Result<(), Error> {
    let (worker, lease) = (WorkerInfo::here("here", "cpu"), Duration::from_secs(60));
    for claim in queue.exchange(&worker, &[], want, lease)?.claims {
        let result = evaluate(&claim.task);
        queue.exchange(&worker, &[Finished { key: claim.task.key, attempt: claim.attempt, result }], 0, lease)?;
    }
    Ok(())
}

#[test]
fn a_batch_is_asked_when_the_one_before_the_last_is_told() -> Tested {
    let mut study = Study::in_memory(Header::new("ahead", 3), RandomSearch::new(space(), 3))?;
    let queue = MemoryQueue::new();
    let mut lead = Lead::new(&mut study, Box::new(queue.clone()), Batches { size: 3, ahead: 1 }, &mut WholeTrials)?;
    let (stop, good) = (Stop::new().trials(12), |task: &Task| evaluated(task, |_| Outcome::score(1.0)));
    let mut seen = Vec::new();
    loop {
        let step = lead.step(&stop, &mut WholeTrials)?;
        seen.push((lead.study().trials().len(), step.told.len()));
        if step.end.is_some() {
            break;
        }
        work_once(queue.clone(), 2, good)?;
    }
    assert_eq!(seen, [(6, 0), (6, 2), (9, 2), (12, 2), (12, 2), (12, 2), (12, 2)]);
    Ok(())
}

#[test]
fn a_task_that_ends_its_workers_fails() -> Tested {
    let folder = tempfile::tempdir()?;
    let store = LocalStore::new(folder.path().join("journal.jsonl"));
    let (mut queue, lease) = (store.queue()?, Duration::from_millis(1));
    queue.post(&[Task::new("deadly", json!(0)), Task::new("harmless", json!(1))])?;
    for _ in 0..3 {
        let claims = queue.exchange(&WorkerInfo::here("mortal", "cpu"), &[], 1, lease)?.claims;
        assert_eq!(claims.first().map(|claim| claim.task.key.as_str()), Some("deadly"));
        thread::sleep(Duration::from_millis(5));
    }
    queue.close(true)?;
    let worker = Worker::new(WorkerInfo::here("careful", "cpu"));
    let work = worker.run(&store, &AtomicBool::new(false), |task| {
        assert_eq!(task.key, "harmless");
        Ok(json!("fine"))
    })?;
    assert_eq!((work.finished, work.refused), (2, 0));
    let results = queue.results(&["deadly", "harmless"])?;
    assert_eq!(results, [(0, Err(lost_workers(3))), (1, Ok(json!("fine")))]);
    Ok(())
}

#[test]
fn a_worker_renews_its_lease_and_ends_with_the_study() -> Tested {
    let folder = tempfile::tempdir()?;
    let store = LocalStore::new(folder.path().join("journal.jsonl"));
    let mut queue = store.queue()?;
    queue.post(&[Task::new("long", json!(0))])?;
    let lease = Duration::from_millis(80);
    let worker = Worker::new(WorkerInfo::here("slow", "cpu")).with_lease(lease);
    let work = thread::scope(|scope| {
        let working = scope.spawn(|| {
            worker.run(&store, &AtomicBool::new(false), |_| {
                thread::sleep(8 * lease);
                Err(Failure { kind: FailureKind::Crash, message: "tired".into() })
            })
        });
        for _ in 0..6 {
            thread::sleep(lease);
            let others = queue.exchange(&WorkerInfo::here("other", "cpu"), &[], 1, lease)?;
            assert!(others.claims.is_empty(), "a lease ran out");
        }
        queue.close(true)?;
        working.join().expect("no panic")
    })?;
    assert_eq!((work.finished, work.refused), (1, 0));
    assert!(work.busy >= 8 * lease);
    Ok(())
}

#[test]
fn processes_that_do_the_same_finish_a_study_together_and_go_on_with_it() -> Tested {
    let folder = tempfile::tempdir()?;
    let store = LocalStore::new(folder.path().join("journal.jsonl"));
    let strategy = || Box::new(Evolution::new(space(), 3)) as Box<dyn Optimizer>;
    let mut digests = Vec::new();
    for trials in [20, 50] {
        let stop = Stop::new().trials(trials);
        let work = |number: usize| {
            let study = SharedStudy::new(&store, Header::new("together", 3), &strategy, stop);
            let worker = Worker::new(WorkerInfo::here(&format!("w{number}"), "cpu"));
            study.work(&worker, |trial| outcome(trial, 1))
        };
        let histories = thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|number| scope.spawn(move || work(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<Vec<_>, _>>()
        })?;
        assert!(histories.iter().all(|history| history.trials().len() == trials && history.pending().count() == 0));
        digests.extend(histories.iter().map(History::digest));
    }
    assert!(digests[0] != digests[3] && digests[1] == digests[0] && digests[4] == digests[3]);
    Ok(())
}

#[test]
fn it_ends_where_the_space_does_and_refuses_empty_batches() -> Tested {
    let new = || RandomSearch::new(Space::new().int("n", 0..=6), 1);
    let mut study = Study::in_memory(Header::new("small", 1), new())?;
    let queue = MemoryQueue::new();
    let mut lead = Lead::new(&mut study, Box::new(queue.clone()), Batches { size: 4, ahead: 2 }, &mut WholeTrials)?;
    let end = loop {
        if let Some(end) = lead.step(&Stop::new(), &mut WholeTrials)?.end {
            break end;
        }
        work_once(queue.clone(), 3, |task| evaluated(task, |_| Outcome::score(1.0)))?;
    };
    assert_eq!((end, lead.study().trials().len()), (End::Exhausted, 7));
    let mut study = Study::in_memory(Header::new("small", 1), new())?;
    let none = Batches { size: 0, ahead: 0 };
    assert!(Lead::new(&mut study, Box::new(queue.clone()), none, &mut WholeTrials).is_err());
    let mut lead = Lead::new(&mut study, Box::new(MemoryQueue::new()), Batches::ONE, &mut WholeTrials)?;
    let end = lead.step(&Stop::new().trials(0), &mut WholeTrials)?.end;
    assert_eq!(end, Some(End::Stopped(StopReason::Trials(0))));
    Ok(())
}
