//! Stops a store at every file operation, in every way, and looks whether the next one goes on.

use std::io::{Error as IoError, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::thread::ThreadId;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::DirectoryStore;
use super::operations::{Disk, Operations};
use crate::sharing::{Claim, Finished, SharedStore as _, Task, TaskCounts, TaskQueue, WorkerInfo};
use crate::storage::StorageWriter;
use crate::study::seal;

type Tested = std::result::Result<(), Box<dyn std::error::Error>>;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing is done.
    Before,
    /// Half of what is written is.
    Torn,
    /// All is done, and an error reported, as when a reply gets lost.
    After,
}

const FAULTS: [Fault; 3] = [Fault::Before, Fault::Torn, Fault::After];
/// Leases of the tests here.
const LEASE: Duration = Duration::from_millis(10);

/// The disk, until an operation of the thread that made this fails.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    /// How many operations are left before it.
    left: AtomicI64,
    /// Whether all operations fail behind it, as if the process were killed.
    kills: bool,
    killed: AtomicBool,
    thread: ThreadId,
}

impl Faulty {
    fn new(fault: Fault, left: i64, kills: bool) -> Arc<Self> {
        let (left, killed) = (AtomicI64::new(left), AtomicBool::new(false));
        Arc::new(Self { fault, left, kills, killed, thread: std::thread::current().id() })
    }

    /// Whether the fault has happened.
    fn happened(&self) -> bool {
        self.left.load(SeqCst) < 0
    }

    fn step<T>(&self, whole: impl FnOnce() -> Result<T>, torn: impl FnOnce()) -> Result<T> {
        let failed = || IoError::other("injected");
        if self.killed.load(SeqCst) {
            return Err(failed());
        }
        if std::thread::current().id() != self.thread || self.left.fetch_sub(1, SeqCst) != 0 {
            return whole();
        }
        match self.fault {
            Fault::Before => {}
            Fault::Torn => torn(),
            Fault::After => drop(whole()),
        }
        self.killed.store(self.kills, SeqCst);
        Err(failed())
    }
}

impl Operations for Faulty {
    fn make_folder(&self, path: &Path) -> Result<()> {
        self.step(|| Disk.make_folder(path), || ())
    }
    fn list(&self, folder: &Path) -> Result<Vec<String>> {
        self.step(|| Disk.list(folder), || ())
    }
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.step(|| Disk.read(path), || ())
    }
    fn create(&self, path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
        let half = || drop(Disk.create(path, &bytes[..bytes.len() / 2], sync));
        self.step(|| Disk.create(path, bytes, sync), half)
    }
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], sync: bool) -> Result<()> {
        let half = || drop(Disk.write_at(path, offset, &bytes[..bytes.len() / 2], sync));
        self.step(|| Disk.write_at(path, offset, bytes, sync), half)
    }
    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(|| Disk.link(from, to), || ())
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(|| Disk.rename(from, to), || ())
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.step(|| Disk.remove(path), || ())
    }
    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.step(|| Disk.sync_folder(folder), || ())
    }
    fn changed(&self, path: &Path) -> Result<Option<SystemTime>> {
        self.step(|| Disk.changed(path), || ())
    }
}

/// Does something with a store in an empty folder that fails at its first operation, at its second, and so on in each
/// way, until nothing fails any more.
fn at_every_operation(kills: bool, test: impl Fn(&Path, &DirectoryStore) -> Tested) -> Tested {
    for fault in FAULTS {
        let mut fails = true;
        for number in 0.. {
            if !fails {
                assert!(number > 50, "only {number} operations were tried");
                break;
            }
            let (folder, faulty) = (tempfile::tempdir()?, Faulty::new(fault, number, kills));
            let operations = Arc::<Faulty>::clone(&faulty);
            let store = DirectoryStore::build(folder.path().to_owned(), operations, false, LEASE);
            test(folder.path(), &store).map_err(|error| format!("{fault:?} at operation {number}: {error:?}"))?;
            fails = faulty.happened();
        }
    }
    Ok(())
}

/// A store of another process in the same folder.
fn another(folder: &Path) -> DirectoryStore {
    DirectoryStore::new(folder).with_sync(false).with_lease(LEASE)
}

fn lines() -> Vec<String> {
    let json = |number| match number {
        0 => r#"{"t":"header","v":1}"#.to_owned(),
        number => format!(r#"{{"t":"ask","id":{number},"text":"as long as a line may be"}}"#),
    };
    (0..8).map(|number| seal(&json(number))).collect()
}

/// Opens the lines, waiting for leases of the dead.
fn open(store: &DirectoryStore) -> std::result::Result<(Box<dyn StorageWriter>, Vec<String>), crate::Error> {
    for _ in 0..500 {
        match store.lines().open() {
            Err(crate::Error::StudyLocked { .. }) => std::thread::sleep(LEASE / 10),
            opened => return opened,
        }
    }
    store.lines().open()
}

/// Writes lines in two terms. Returns how many were acknowledged, and how many may be there.
fn write_lines(store: &DirectoryStore, lines: &[String]) -> (usize, usize) {
    let (mut sure, mut writer) = match store.lines().create(&lines[..2]) {
        Ok(writer) => (2, writer),
        Err(_) => return (0, 2),
    };
    for (from, to, reopen) in [(2, 3, false), (3, 5, false), (5, 6, true), (6, 8, true)] {
        if reopen {
            drop(writer);
            writer = match store.lines().open() {
                Ok((writer, _)) => writer,
                Err(_) => return (sure, sure),
            };
        }
        if writer.append(&lines[from..to], to % 2 == 0).is_err() {
            return (sure, to);
        }
        sure = to;
    }
    (sure, sure)
}

#[test]
fn lines_that_were_acknowledged_are_there_wherever_it_is_killed() -> Tested {
    let lines = lines();
    at_every_operation(true, |folder, store| {
        let (sure, most) = write_lines(store, &lines);
        let store = another(folder);
        let found = if store.lines().exists()? { store.lines().read()? } else { Vec::new() };
        assert!((sure..=most).contains(&found.len()), "{} lines of {sure} to {most}", found.len());
        assert!(found.len() != 1, "half of the first lines");
        assert_eq!(found, lines[..found.len()]);
        let mut writer = if found.is_empty() {
            // Somebody may have been about to make it.
            std::thread::sleep(2 * LEASE);
            drop(store.lines().create(&lines[..2]));
            std::thread::sleep(2 * LEASE);
            drop(store.lines().create(&lines[..2]));
            open(&store)?.0
        } else {
            open(&store)?.0
        };
        writer.append(&lines[found.len().max(2)..], true)?;
        assert_eq!(store.lines().read()?, lines);
        Ok(())
    })
}

#[test]
fn an_operation_that_fails_once_loses_no_line() -> Tested {
    let lines = lines();
    at_every_operation(false, |folder, store| {
        let (sure, most) = write_lines(store, &lines);
        let next = another(folder);
        let found = if next.lines().exists()? { next.lines().read()? } else { Vec::new() };
        assert!((sure..=most).contains(&found.len()), "{} lines of {sure} to {most}", found.len());
        assert_eq!(found, lines[..found.len()]);
        if !found.is_empty() {
            let mut writer = open(&next)?.0;
            writer.append(&lines[found.len()..], true)?;
            assert_eq!(next.lines().read()?, lines);
        }
        Ok(())
    })
}

const KEYS: [&str; 3] = ["a#1", "b", "c.d"];

fn task(key: &str, by: &str) -> Task {
    Task::new(key, json!({ "by": by }))
}

fn finished(claim: &Claim, by: &str) -> Finished {
    Finished { key: claim.task.key.clone(), attempt: claim.attempt, result: Ok(json!(by)) }
}

/// What is known to have happened.
#[derive(Default)]
struct Known {
    posted: bool,
    finished: Vec<String>,
}

/// A leader and a worker until the first error, or calling again what failed.
fn work(
    store: &DirectoryStore,
    worker: &WorkerInfo,
    again: bool,
    known: &mut Known,
) -> std::result::Result<(), crate::Error> {
    let retry = |call: &mut dyn FnMut() -> std::result::Result<(), crate::Error>| match call() {
        Err(_) if again => call(),
        called => called,
    };
    let mut queue: Option<Box<dyn TaskQueue>> = None;
    retry(&mut || store.queue().map(|opened| queue = Some(opened)))?;
    let Some(mut queue) = queue else { return Ok(()) };
    retry(&mut || queue.post(&KEYS.map(|key| task(key, "first"))))?;
    known.posted = true;
    let mut claims: Vec<Claim> = Vec::new();
    let mut hand_in: Vec<Finished> = Vec::new();
    for want in [2, 1, 1, 0, 0] {
        retry(&mut || {
            let exchange = queue.exchange(worker, &hand_in, want, 2 * LEASE)?;
            assert!(exchange.refused.is_empty(), "{:?}", exchange.refused);
            claims.extend(exchange.claims);
            Ok(())
        })?;
        known.finished.extend(hand_in.drain(..).map(|one| one.key));
        retry(&mut || queue.renew(worker, 2 * LEASE))?;
        hand_in = claims.drain(..).map(|claim| finished(&claim, "first")).collect();
    }
    retry(&mut || queue.leave(worker))?;
    retry(&mut || queue.results(&KEYS).map(drop))?;
    retry(&mut || queue.close(true))
}

/// Ends all tasks with another leader and worker, and looks at what became of them.
fn ends_well(folder: &Path, known: &Known) -> Tested {
    let (store, worker) = (another(folder), WorkerInfo::here("second", "cpu"));
    let mut queue = store.queue()?;
    let before = queue.results(&KEYS)?;
    queue.post(&KEYS.map(|key| task(key, "second")))?;
    for _ in 0..2000 {
        let claims = queue.exchange(&worker, &[], 2, Duration::from_secs(60))?.claims;
        let payloads = claims.iter().all(|claim| !known.posted || claim.task == task(&claim.task.key, "first"));
        assert!(payloads, "the task that was posted first is another one: {claims:?}");
        let results: Vec<Finished> = claims.iter().map(|claim| finished(claim, "second")).collect();
        assert!(queue.exchange(&worker, &results, 0, LEASE)?.refused.is_empty());
        if queue.results(&KEYS)?.len() == KEYS.len() {
            break;
        }
        std::thread::sleep(LEASE / 20);
    }
    let results = queue.results(&KEYS)?;
    assert_eq!(results.len(), KEYS.len(), "not all tasks end: {:?}", queue.workers()?);
    assert!(before.iter().all(|one| results.contains(one)), "{before:?} are not those of {results:?}");
    for key in &known.finished {
        let place = KEYS.iter().position(|one| one == key).ok_or("no key")?;
        assert_eq!(results[place].1, Ok(json!("first")), "a result that was taken is another one");
    }
    assert_eq!(queue.counts()?, TaskCounts { waiting: 0, claimed: 0, done: KEYS.len() });
    for rest in ["claimed", "finished"] {
        assert_eq!(std::fs::read_dir(folder.join(rest))?.count(), 0, "in {rest}");
    }
    Ok(())
}

#[test]
fn every_task_ends_once_wherever_a_worker_is_killed() -> Tested {
    at_every_operation(true, |folder, store| {
        let mut known = Known::default();
        let worked = work(store, &WorkerInfo::here("first", "cpu"), false, &mut known);
        assert!(worked.is_err() || known.finished.len() == KEYS.len());
        ends_well(folder, &known)
    })
}

#[test]
fn an_operation_that_fails_once_loses_no_claim_and_no_result() -> Tested {
    at_every_operation(false, |folder, store| {
        let mut known = Known::default();
        work(store, &WorkerInfo::here("first", "cpu"), true, &mut known)?;
        assert_eq!(known.finished.len(), KEYS.len(), "all of it was done by one worker");
        ends_well(folder, &known)
    })
}
