//! Processes of their own that lead, work and are killed: this test binary, started anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use zo_search::Error;
use zo_search::sharing::{Claim, DirectoryStore, Finished, SharedStore, Task, WorkerInfo};
use zo_search::storage::StorageWriter;

use crate::Tested;

/// The lease of workers and leaders.
pub const LEASE: Duration = Duration::from_millis(300);
/// Names the folder and the role of a process.
const CHILD: [&str; 2] = ["ZO_SEARCH_TEST_DIRECTORY", "ZO_SEARCH_TEST_ROLE"];
/// How many tasks are posted ahead.
const AHEAD: usize = 8;

/// A new folder where the tests are to make theirs.
pub fn folder() -> std::io::Result<TempDir> {
    tempfile::tempdir_in(std::env::var_os("TAILOR_TEST_DIR").map_or_else(std::env::temp_dir, Into::into))
}

/// A store with a short lease.
pub fn quick(folder: &Path) -> DirectoryStore {
    DirectoryStore::new(folder).with_lease(LEASE).with_sync(false)
}

pub fn task(key: &str) -> Task {
    Task::new(key, json!({ "key": key }))
}

/// What comes out of a task.
pub fn result_of(claim: &Claim) -> Finished {
    let result = Ok(json!(format!("{} is done", claim.task.key)));
    Finished { key: claim.task.key.clone(), attempt: claim.attempt, result }
}

/// Waits until something is so, for a minute at most.
pub fn until(mut so: impl FnMut() -> Result<bool, Error>) -> Tested {
    let start = Instant::now();
    while !so()? {
        if start.elapsed() > Duration::from_secs(120) {
            return Err("it takes too long".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The line of this number: a header, then one for each task, with its result.
fn line(number: usize) -> String {
    let json = match number {
        0 => r#"{"t":"header","v":1}"#.to_owned(),
        number => json!({ "t": "tell", "text": format!("t{number} is done"), "more": "x".repeat(100) }).to_string(),
    };
    let open = json.strip_suffix('}').unwrap_or_default();
    format!("{open},\"c\":\"{:08x}\"}}", crc32fast::hash(json.as_bytes()))
}

/// The first lines of the study that was never disturbed.
pub fn expected(lines: usize) -> Vec<String> {
    (0..lines).map(line).collect()
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Makes or opens the study, posts tasks, writes a line for each in their order, until `files/end` is there.
    Leader,
    /// Claims tasks until the queue is closed. Says which.
    Worker,
    /// The same, under a lease that does not run out.
    PatientWorker,
    /// Claims a task and hands it in when `files/go` is there. Says whether that was refused.
    StoppedWorker,
    /// Adds a line, and another one when `files/go` is there. Says what the error is.
    StoppedLeader,
    /// Adds lines until that fails. Says how many.
    Filler,
}

const ROLES: [Role; 6] =
    [Role::Leader, Role::Worker, Role::PatientWorker, Role::StoppedWorker, Role::StoppedLeader, Role::Filler];

/// A process of a role.
pub struct Child {
    pub role: Role,
    process: std::process::Child,
    said: TempDir,
}

impl Child {
    pub fn start(role: Role, folder: &Path) -> std::io::Result<Self> {
        Self::start_by(&["env"], role, folder)
    }

    /// The same folder where another mount of it is, for every other process, if `TAILOR_TEST_DIR_ALSO` says where.
    fn seen_elsewhere(folder: &Path) -> PathBuf {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let mounts = std::env::var_os("TAILOR_TEST_DIR").zip(std::env::var_os("TAILOR_TEST_DIR_ALSO"));
        let inside = mounts.as_ref().and_then(|(one, other)| Some((folder.strip_prefix(one).ok()?, other)));
        match inside {
            Some((inside, other)) if STARTED.fetch_add(1, SeqCst).is_multiple_of(2) => Path::new(other).join(inside),
            _ => folder.to_owned(),
        }
    }

    /// Started by a command that runs the one it is given.
    pub fn start_by(command: &[&str], role: Role, folder: &Path) -> std::io::Result<Self> {
        let said = tempfile::tempdir()?;
        let process = Command::new(command[0])
            .args(&command[1..])
            .arg(std::env::current_exe()?)
            .args(["--exact", "processes::child_process", "--nocapture"])
            .env(CHILD[0], Self::seen_elsewhere(folder))
            .env(CHILD[1], format!("{role:?}"))
            .env("ZO_SEARCH_TEST_SAID", said.path().join("said"))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { role, process, said })
    }

    pub fn signal(&self, signal: &str) -> Tested {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.process.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err("no signal".into()) }
    }

    pub fn kill(mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Waits until it ends. Returns what it said.
    pub fn end(mut self) -> Result<String, Box<dyn std::error::Error>> {
        let ended = self.process.wait()?;
        if !ended.success() {
            return Err(format!("{:?} ended with {ended}", self.role).into());
        }
        Ok(std::fs::read_to_string(self.said.path().join("said")).unwrap_or_default())
    }
}

/// What a process that a test starts does; nothing in any other.
#[test]
fn child_process() -> Tested {
    let (Some(folder), Ok(role)) = (std::env::var_os(CHILD[0]), std::env::var(CHILD[1])) else { return Ok(()) };
    let store = quick(Path::new(&folder));
    let role = ROLES.into_iter().find(|one| format!("{one:?}") == role).ok_or("no such role")?;
    let said = match role {
        Role::Leader => lead(&store)?,
        Role::Worker => work(&store, LEASE)?,
        Role::PatientWorker => work(&store, 2000 * LEASE)?,
        Role::StoppedWorker => hand_in_late(&store)?,
        Role::StoppedLeader => append_late(&store)?,
        Role::Filler => fill(&store)?,
    };
    Ok(std::fs::write(std::env::var("ZO_SEARCH_TEST_SAID")?, said)?)
}

/// A study's writer, and how many lines there are.
type Opened = (Box<dyn StorageWriter>, usize);

/// The study, once nobody else leads it; none if it has ended meanwhile.
fn opened(store: &DirectoryStore) -> Result<Option<Opened>, Error> {
    let (lines, mut queue) = (store.lines(), store.queue()?);
    loop {
        let opened = if lines.exists()? {
            lines.open().map(|(writer, lines)| (writer, lines.len()))
        } else {
            lines.create(&expected(1)).map(|writer| (writer, 1))
        };
        match opened {
            Err(Error::StudyLocked { .. } | Error::StudyExists { .. }) => {
                if queue.exchange(&WorkerInfo::here("waits", ""), &[], 0, LEASE)?.closed {
                    return Ok(None);
                }
                std::thread::sleep(LEASE / 20);
            }
            opened => return opened.map(Some),
        }
    }
}

/// Leads until the study ends, and again if a machine that was too busy let another one take over.
fn lead(store: &DirectoryStore) -> Result<String, Box<dyn std::error::Error>> {
    while let Some((writer, next)) = opened(store)? {
        match lead_from(store, writer, next) {
            Ok(()) => break,
            Err(error) if error.to_string() == "another process leads this study by now" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::new())
}

fn lead_from(store: &DirectoryStore, mut writer: Box<dyn StorageWriter>, mut next: usize) -> Tested {
    let mut queue = store.queue()?;
    let mut end = None;
    while end.is_none_or(|end| next < end) {
        if end.is_none() && store.read("end")?.is_some() {
            // What was posted by any leader is done first.
            let counts = queue.counts()?;
            end = Some(1 + counts.waiting + counts.claimed + counts.done);
            continue;
        }
        let ahead = end.unwrap_or(next + AHEAD).min(next + AHEAD);
        let keys: Vec<String> = (next..ahead).map(|number| format!("t{number}")).collect();
        queue.post(&keys.iter().map(|key| task(key)).collect::<Vec<_>>())?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        // Up to the first task that has no result yet.
        let results = queue.results(&keys)?.into_iter().enumerate();
        for (_, (_, result)) in results.take_while(|(number, (place, _))| number == place) {
            let line = line(next);
            let said = result.ok().and_then(|result| result.as_str().map(str::to_owned)).unwrap_or_default();
            assert!(line.contains(&format!("\"{said}\"")), "{said} is not of {line}");
            writer.append(&[line], true)?;
            next += 1;
        }
        queue.wait(LEASE)?;
    }
    Ok(queue.close(true)?)
}

fn work(store: &DirectoryStore, lease: Duration) -> Result<String, Box<dyn std::error::Error>> {
    let (mut queue, worker) = (store.queue()?, WorkerInfo::here("child", "cpu"));
    let (mut finished, mut said) = (Vec::new(), String::new());
    loop {
        let exchange = queue.exchange(&worker, &finished, 1, lease)?;
        said.extend(exchange.claims.iter().map(|claim| format!("{claim}\n")));
        finished = exchange.claims.iter().map(result_of).collect();
        if finished.is_empty() {
            if exchange.closed {
                queue.leave(&worker)?;
                return Ok(said);
            }
            queue.wait(LEASE)?;
        }
    }
}

fn ready(store: &DirectoryStore) -> Tested {
    store.write("ready", b"")?;
    until(|| Ok(store.read("go")?.is_some()))
}

fn hand_in_late(store: &DirectoryStore) -> Result<String, Box<dyn std::error::Error>> {
    let (mut queue, worker) = (store.queue()?, WorkerInfo::here("late", "cpu"));
    let claims = queue.exchange(&worker, &[], 1, LEASE)?.claims;
    ready(store)?;
    queue.renew(&worker, LEASE)?;
    let refused = queue.exchange(&worker, &[result_of(&claims[0])], 0, LEASE)?.refused;
    Ok(format!("refused: {refused:?}\n"))
}

fn append_late(store: &DirectoryStore) -> Result<String, Box<dyn std::error::Error>> {
    let (mut writer, lines) = store.lines().open()?;
    writer.append(&expected(2)[lines.len()..], true)?;
    ready(store)?;
    let late = writer.append(&expected(3)[2..], true);
    Ok(format!("{}\n", late.err().map_or_else(|| "appended".to_owned(), |error| error.to_string())))
}

fn fill(store: &DirectoryStore) -> Result<String, Box<dyn std::error::Error>> {
    let (mut writer, lines) = store.lines().open()?;
    let mut next = lines.len();
    while writer.append(&[line(next)], true).is_ok() {
        next += 1;
    }
    assert!(writer.append(&[line(next)], true).is_err(), "it goes on after an error");
    Ok((next - 1).to_string())
}
