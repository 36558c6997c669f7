//! Servers that end, connections that drop, disks that are full: nothing of a study in PostgreSQL is lost or counted
//! twice.
//!
//! Run by `cargo test -p zo-search --features postgres --test postgres_crashes`; needs Debian's package `postgresql`.
#![cfg(unix)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use zo_search::sharing::{Finished, PostgresStore, SharedStore, Task, TaskQueue, WorkerInfo};
use zo_search::testing::PostgresServer;
use zo_search::{Error, Evolution, Header, Outcome, Space, Study};

type Tested = Result<(), Box<dyn std::error::Error>>;

const LEASE: Duration = Duration::from_secs(60);

fn strategy() -> Evolution {
    Evolution::new(Space::new().float("x", 0.0..=1.0).subset("s", 12, 4), 3).with_founders(6)
}

fn header() -> Header {
    Header::new("crashes", 3)
}

fn score(x: f64) -> f64 {
    (x - 0.3).powi(2)
}

/// Leads a study to so many trials, in batches of four: as far as it comes before something breaks.
fn lead(store: &PostgresStore, trials: usize) -> Result<String, Error> {
    let mut study = Study::open(store.lines(), header(), strategy())?;
    let mut queue = store.queue()?;
    while study.history().pending().next().is_some() || study.trials().len() < trials {
        let batch = study.ask_batch(4)?;
        let tasks = batch.iter().map(|trial| Ok(Task::new(trial.id.to_string(), json!(trial.point.float("x")?))));
        let tasks: Vec<Task> = tasks.collect::<Result<_, Error>>()?;
        queue.post(&tasks)?;
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let results = loop {
            let results = queue.results(&keys)?;
            if results.len() == batch.len() {
                break results;
            }
            queue.wait(Duration::from_millis(200))?;
        };
        for (trial, (_, result)) in batch.iter().zip(results) {
            let value = result.ok().and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
            study.tell(trial.id, Outcome::score(value))?;
        }
    }
    queue.close(true)?;
    Ok(study.history().digest())
}

/// Evaluates until the queue is closed; comes back when something breaks.
fn work(store: &PostgresStore, worker: &WorkerInfo, finished: &mut Vec<Finished>) -> Result<(), Error> {
    let mut queue = store.queue()?;
    loop {
        let exchange = queue.exchange(worker, finished, 1, Duration::from_secs(2))?;
        finished.clear();
        if exchange.closed {
            return Ok(());
        }
        if exchange.claims.is_empty() {
            queue.wait(Duration::from_millis(100))?;
        }
        for claim in exchange.claims {
            std::thread::sleep(Duration::from_millis(2));
            let result = Ok(json!(score(claim.task.payload.as_f64().unwrap_or(f64::NAN))));
            finished.push(Finished { key: claim.task.key, attempt: claim.attempt, result });
        }
    }
}

/// Does something again until it works, for ten minutes at most: a busy machine takes long to start a server.
fn stubbornly<T>(mut act: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        match act() {
            Err(Error::Io { .. } | Error::StudyBroken { .. } | Error::StudyLocked { .. })
                if start.elapsed() < Duration::from_secs(600) =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn undisturbed(trials: usize) -> Result<String, Error> {
    let mut study = Study::in_memory(header(), strategy())?;
    while study.trials().len() < trials {
        for trial in study.ask_batch(4)? {
            study.tell(trial.id, Outcome::score(score(trial.point.float("x")?)))?;
        }
    }
    Ok(study.history().digest())
}

/// The server is ended in two ways, the sessions in a third, while four workers and a leader go on.
#[test]
fn a_server_that_ends_again_and_again_costs_nothing_but_time() -> Tested {
    const TRIALS: usize = 400;
    const CRASHES: usize = 15;
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "crashes");
    let ended = AtomicBool::new(false);
    let crashes = AtomicUsize::new(0);
    let digest = std::thread::scope(|scope| -> Result<_, Box<dyn std::error::Error>> {
        let store = &store;
        let lead = scope.spawn(|| {
            let digest = stubbornly(|| lead(store, TRIALS));
            ended.store(true, Ordering::SeqCst);
            digest
        });
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let (worker, mut finished) = (WorkerInfo::here("test", "cpu"), Vec::new());
                    stubbornly(|| work(store, &worker, &mut finished))
                })
            })
            .collect();
        while !ended.load(Ordering::SeqCst) && crashes.load(Ordering::SeqCst) < CRASHES {
            std::thread::sleep(Duration::from_millis(u64::from(rand::random::<u16>() % 300)));
            match crashes.fetch_add(1, Ordering::SeqCst) % 3 {
                0 => server.kill()?,
                1 => server.stop("immediate")?,
                _ => {
                    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                               WHERE application_name = 'zo-search'";
                    server.execute(all)?;
                    continue;
                }
            }
            server.restart()?;
        }
        workers.into_iter().try_for_each(|worker| worker.join().unwrap())?;
        Ok(lead.join().unwrap()?)
    })?;
    assert!(crashes.into_inner() >= 6, "it ended too soon to say anything");
    assert_eq!(digest, undisturbed(TRIALS)?);
    let doubled =
        "SELECT count(*), count(DISTINCT line::json ->> 'id') FROM zo_search.lines WHERE line LIKE '{\"t\":\"tell\"%'";
    let told = server.connect()?.query_one(doubled, &[])?;
    assert_eq!((told.get(0), told.get(1)), (TRIALS as i64, TRIALS as i64), "each is told once");
    Ok(())
}

/// Which way the bytes go that are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    ToServer,
    ToClient,
}

/// Stands between clients and a server, and cuts one connection when so many bytes in all have gone one way. Some that
/// come after it are turned away.
struct Cutter {
    folder: tempfile::TempDir,
    line: Arc<Line>,
}

struct Line {
    way: Way,
    /// How many bytes are left to pass before the cut.
    left: AtomicUsize,
    cut: AtomicBool,
    turned_away: AtomicUsize,
}

impl Cutter {
    fn new(server: &PostgresServer, way: Way, after: usize, turned_away: usize) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432"))?;
        let (left, turned_away) = (AtomicUsize::new(after), AtomicUsize::new(turned_away));
        let line = Arc::new(Line { way, left, cut: AtomicBool::new(false), turned_away });
        let (target, own) = (server.folder().join(".s.PGSQL.5432"), line.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let less = |left: usize| left.checked_sub(1);
                let is_cut = own.cut.load(Ordering::SeqCst);
                if is_cut && own.turned_away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                    continue;
                }
                let Ok(server) = UnixStream::connect(&target) else { return };
                for way in [Way::ToServer, Way::ToClient] {
                    let (Ok(client), Ok(server)) = (client.try_clone(), server.try_clone()) else { return };
                    let (from, to) = if way == Way::ToServer { (client, server) } else { (server, client) };
                    let line = own.clone();
                    std::thread::spawn(move || line.pass(way, from, to));
                }
            }
        });
        Ok(Self { folder, line })
    }

    fn store(&self, study: &str) -> PostgresStore {
        PostgresStore::new(&format!("postgresql://test@/test?host={}", self.folder.path().display()), study)
    }
}

impl Line {
    fn pass(&self, way: Way, mut from: UnixStream, mut to: UnixStream) {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let counts = way == self.way && !self.cut.load(Ordering::SeqCst);
            let left = if counts { self.left.load(Ordering::SeqCst) } else { usize::MAX };
            if to.write_all(&buffer[..read.min(left)]).is_err() {
                break;
            }
            if left < read {
                self.cut.store(true, Ordering::SeqCst);
                break;
            }
            if counts {
                self.left.fetch_sub(read, Ordering::SeqCst);
            }
        }
        for stream in [&from, &to] {
            // It may be closed already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Tries what `act` does with connections that are cut after ever more bytes, until one is not cut any more.
fn cut_anywhere(
    server: &PostgresServer,
    step: usize,
    turned_away: usize,
    act: impl Fn(&PostgresStore, &str) -> Tested,
) -> Tested {
    for way in [Way::ToServer, Way::ToClient] {
        for number in 0.. {
            let cutter = Cutter::new(server, way, 50 + number * step, turned_away)?;
            let study = format!("{way:?}-{turned_away}-{number}");
            act(&cutter.store(&study), &study).map_err(|error| format!("{study}: {error}"))?;
            if !cutter.line.cut.load(Ordering::SeqCst) {
                assert!(number > 20, "{number} cuts are not all over the conversation");
                break;
            }
        }
    }
    Ok(())
}

/// A connection that is opened anew where it does not come back by itself.
struct Stubborn<'a>(&'a PostgresStore, Box<dyn TaskQueue>);

impl Stubborn<'_> {
    fn call<T>(&mut self, mut call: impl FnMut(&mut dyn TaskQueue) -> Result<T, Error>) -> Result<T, Error> {
        stubbornly(|| {
            let result = call(&mut *self.1);
            if result.is_err() {
                self.1 = self.0.queue()?;
            }
            result
        })
    }
}

/// With one connection turned away, the queue does not come back by itself, and its user opens a new one.
#[test]
fn a_connection_that_drops_anywhere_loses_no_task_and_no_result() -> Tested {
    let server = PostgresServer::start()?;
    drop(PostgresStore::new(&server.url(), "first").queue()?);
    for turned_away in [0, 1] {
        cut_anywhere(&server, 67, turned_away, |store, _| {
            let mut queue = Stubborn(store, stubbornly(|| store.queue())?);
            let worker = WorkerInfo::here("test", "cpu");
            let tasks = [0, 1, 2].map(|number| Task::new(format!("t{number}"), json!(number)));
            queue.call(|queue| queue.post(&tasks))?;
            let (mut finished, mut seen) = (Vec::new(), Vec::new());
            for want in [2, 1, 0] {
                let exchange = queue.call(|queue| queue.exchange(&worker, &finished, want, LEASE))?;
                assert_eq!((exchange.claims.len(), exchange.refused.len()), (want, 0), "{exchange:?}");
                seen.extend(exchange.claims.iter().map(|claim| (claim.task.key.clone(), claim.attempt)));
                let result = |key| Finished { key, attempt: 1, result: Ok(json!("done")) };
                finished = exchange.claims.into_iter().map(|claim| result(claim.task.key)).collect();
            }
            assert_eq!(seen, ["t0", "t1", "t2"].map(|key| (key.to_owned(), 1)), "each is claimed once");
            queue.call(|queue| queue.renew(&worker, LEASE))?;
            assert_eq!(queue.call(|queue| queue.results(&["t0", "t1", "t2"]))?.len(), 3);
            queue.call(|queue| queue.leave(&worker))?;
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn an_append_that_is_cut_off_is_there_as_a_whole_or_not_at_all() -> Tested {
    let server = PostgresServer::start()?;
    drop(PostgresStore::new(&server.url(), "first").queue()?);
    cut_anywhere(&server, 67, 0, |store, name| {
        let mut told = 0;
        let mut study = stubbornly(|| Study::open(store.lines(), header(), strategy()))?;
        let mut go_on = || -> Result<(), Error> {
            for _ in 0..3 {
                for trial in study.ask_batch(2)? {
                    study.tell(trial.id, Outcome::score(0.5))?;
                    told += 1;
                }
            }
            Ok(())
        };
        let broken = go_on();
        if let Err(error) = &broken {
            assert!(matches!(error, Error::Io { .. }), "{error:?}");
            assert!(matches!(study.ask(), Err(Error::StudyBroken { .. })));
        }
        drop(study);
        // The lock is free at once, and nothing that was told is gone.
        let study = Study::open(PostgresStore::new(&server.url(), name).lines(), header(), strategy())?;
        let found = study.trials().iter().filter(|record| record.outcome.is_some()).count();
        assert!(found == told || broken.is_err() && found == told + 1, "{found} outcomes of {told}");
        Ok(())
    })
}

/// Without the right to write: a leader whose session the server ended, while another one took over.
#[test]
fn a_leader_that_lost_its_session_writes_nothing_more() -> Tested {
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "a");
    let mut old = Study::open(store.lines(), header(), strategy())?;
    let trial = old.ask()?;
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")?;
    let mut new = stubbornly(|| Study::open(store.lines(), header(), strategy()))?;
    assert_eq!(new.ask()?, trial);
    assert!(matches!(old.tell(trial.id, Outcome::score(1.0)), Err(Error::Io { .. })));
    new.tell(trial.id, Outcome::score(2.0))?;
    assert!(matches!(old.ask(), Err(Error::StudyBroken { .. })));
    assert_eq!(Study::read(store.lines())?.trials()[0].outcome, Some(Outcome::score(2.0)));
    Ok(())
}

/// A limit of the size of files stands in for a full disk: what the server writes is refused in the same way.
#[test]
fn a_study_goes_on_when_there_is_room_again() -> Tested {
    let server = PostgresServer::start()?;
    server.stop("fast")?;
    server.start_after("ulimit -f 50000")?;
    let store = PostgresStore::new(&server.url(), "full");
    let mut study = Study::create(store.lines(), header(), strategy())?;
    let filler = || -> String { (0..1 << 20).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect() };
    let outcome = |extra: String| Outcome::score(0.5).with_extra(json!(extra));
    let mut told = Vec::new();
    let refused = loop {
        let trial = study.ask()?;
        match study.tell(trial.id, outcome(filler())) {
            Ok(()) => told.push(trial.id),
            Err(error) => break error,
        }
        assert!(told.len() < 200, "nothing is ever full");
    };
    assert!(matches!(refused, Error::Io { action: "write", .. }), "{refused:?}");
    assert!(matches!(study.ask(), Err(Error::StudyBroken { .. })));
    drop(study);
    let mut study = Study::resume(store.lines(), strategy())?;
    assert_eq!(study.history().pending().count(), 1, "what was refused is not there");
    drop(study);
    server.stop("fast")?;
    server.restart()?;
    study = Study::resume(store.lines(), strategy())?;
    let trial = study.ask()?;
    study.tell(trial.id, outcome(filler()))?;
    told.push(trial.id);
    let done: Vec<_> = study.trials().iter().filter(|record| record.outcome.is_some()).map(|r| r.trial.id).collect();
    assert_eq!(done, told);
    assert!(Path::new(&server.data()).exists());
    Ok(())
}
