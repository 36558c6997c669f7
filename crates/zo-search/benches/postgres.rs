//! What the queue in PostgreSQL costs: milliseconds of an exchange (a result handed in and a task claimed), how busy 64
//! workers are with tasks of 20 ms, and what a million done tasks change, on a local server with its defaults.
//!
//! `benches/postgres.sh` runs it and keeps its output. Bars: an exchange below 5 ms at the median with 8 workers, 64
//! workers busy for 80% of their time, a claim no slower with a million done tasks.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use zo_search::sharing::{Finished, PostgresStore, SharedStore, Task, WorkerInfo};
use zo_search::testing::PostgresServer;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const LEASE: Duration = Duration::from_secs(60);
/// How long each row of a table is measured for.
const SPAN: Duration = Duration::from_secs(8);
/// How long the leader lets results come together before it looks: a look at 256 tasks costs more than an exchange.
const GATHER: Duration = Duration::from_millis(10);
/// Of tasks that wait, ahead of the workers.
const AHEAD: usize = 256;

fn main() -> Outcome {
    let server = PostgresServer::start()?;
    println!("| workers | task | done before | exchanges/s | median ms | 95% below | busy |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let nothing = Duration::ZERO;
    for workers in [1, 8, 64] {
        row(&server, workers, nothing, &Before::default())?;
    }
    for workers in [8, 64] {
        row(&server, workers, Duration::from_millis(20), &Before::default())?;
    }
    for since_vacuum in [0, 100_000] {
        for workers in [1, 8] {
            row(&server, workers, nothing, &Before { done: 1_000_000, since_vacuum })?;
        }
    }
    Ok(())
}

/// What is in the table before workers come.
#[derive(Debug, Default)]
struct Before {
    done: usize,
    /// How many of them were done since the server has last tidied up; it does so at least once a minute.
    since_vacuum: usize,
}

/// Measures and prints a row.
fn row(server: &PostgresServer, workers: usize, task: Duration, before: &Before) -> Outcome {
    let name = format!("{workers}-{}-{}-{}", task.as_millis(), before.done, before.since_vacuum);
    let store = PostgresStore::new(&server.url(), &name);
    drop(store.queue()?);
    prepare(server, &store, &name, before)?;
    let ended = AtomicBool::new(false);
    let start = Instant::now();
    let (mut exchanges, busy) = std::thread::scope(|scope| -> Outcome<_> {
        let lead = scope.spawn(|| lead(&store, &ended));
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&store, task, &ended))).collect();
        let (mut exchanges, mut busy) = (Vec::new(), Duration::ZERO);
        for worker in all {
            let (own, own_busy) = worker.join().map_err(|_| "a worker panicked")??;
            exchanges.extend(own);
            busy += own_busy;
        }
        ended.store(true, Ordering::SeqCst);
        lead.join().map_err(|_| "the leader panicked")??;
        Ok((exchanges, busy))
    })?;
    let (count, span) = (exchanges.len(), start.elapsed().as_secs_f64());
    exchanges.sort_by(f64::total_cmp);
    let at = |share: f64| exchanges.get((count as f64 * share) as usize).copied().unwrap_or_default();
    let busy = if task.is_zero() {
        String::new()
    } else {
        format!("{:.1}%", 100.0 * busy.as_secs_f64() / (SPAN.as_secs_f64() * workers as f64))
    };
    let since = if before.since_vacuum == 0 {
        String::new()
    } else {
        format!(", {} since the last vacuum", before.since_vacuum)
    };
    println!(
        "| {workers} | {} ms | {}{since} | {:.0} | {:.2} | {:.2} | {busy} |",
        task.as_millis(),
        before.done,
        count as f64 / span,
        at(0.5),
        at(0.95)
    );
    Ok(())
}

/// Puts done tasks there, with the dead rows and index entries that claiming them one by one leaves.
fn prepare(server: &PostgresServer, store: &PostgresStore, name: &str, before: &Before) -> Outcome {
    if before.done == 0 {
        return Ok(());
    }
    let mut client = server.connect()?;
    client.batch_execute("ALTER TABLE zo_search.tasks SET (autovacuum_enabled = false)")?;
    for (number, count) in [before.done - before.since_vacuum, before.since_vacuum].into_iter().enumerate() {
        let sql = format!(
            "INSERT INTO zo_search.tasks (study, key, payload) SELECT id, '{number}-' || n, '{{\"x\": 0.5}}'
                 FROM zo_search.studies, generate_series(1, {count}) AS n WHERE name = '{name}';
             UPDATE zo_search.tasks SET state = 'claimed', lease_until = now(), attempt = 1, worker = 'w'
                 WHERE state = 'waiting' AND key LIKE '{number}-%';
             UPDATE zo_search.tasks SET state = 'done', lease_until = NULL, result = '{{\"Ok\":1}}'
                 WHERE state = 'claimed' AND key LIKE '{number}-%';"
        );
        client.batch_execute(&sql)?;
        if number == 0 {
            client.batch_execute("VACUUM ANALYZE zo_search.tasks")?;
        }
    }
    // The first look marks what is dead; where tasks are done one by one, each does so for a few.
    let worker = WorkerInfo::here("bench", "cpu");
    store.queue()?.exchange(&worker, &[], 1, LEASE)?;
    Ok(())
}

/// Keeps tasks ahead of the workers, and takes their results.
fn lead(store: &PostgresStore, ended: &AtomicBool) -> Outcome {
    let mut queue = store.queue()?;
    let (mut posted, mut open) = (0, Vec::<String>::new());
    while !ended.load(Ordering::SeqCst) {
        let tasks: Vec<Task> = (open.len()..AHEAD)
            .map(|_| {
                posted += 1;
                Task::new(format!("t{posted}"), json!({"x": 0.5}))
            })
            .collect();
        queue.post(&tasks)?;
        open.extend(tasks.into_iter().map(|task| task.key));
        let keys: Vec<&str> = open.iter().map(String::as_str).collect();
        let results = queue.results(&keys)?;
        if results.is_empty() {
            queue.wait(Duration::from_millis(100))?;
            std::thread::sleep(GATHER);
        }
        for (place, _) in results.into_iter().rev() {
            open.swap_remove(place);
        }
    }
    Ok(())
}

/// The milliseconds of each exchange that gave a task, and the time spent evaluating.
fn work(store: &PostgresStore, task: Duration, ended: &AtomicBool) -> Outcome<(Vec<f64>, Duration)> {
    let (mut queue, worker) = (store.queue()?, WorkerInfo::here("bench", "cpu"));
    let (mut finished, mut exchanges, mut busy) = (Vec::new(), Vec::new(), Duration::ZERO);
    let begin = Instant::now();
    while begin.elapsed() < SPAN && !ended.load(Ordering::SeqCst) {
        let start = Instant::now();
        let exchange = queue.exchange(&worker, &finished, 1, LEASE)?;
        finished.clear();
        let Some(claim) = exchange.claims.into_iter().next() else {
            queue.wait(Duration::from_millis(100))?;
            continue;
        };
        exchanges.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        std::thread::sleep(task);
        busy += start.elapsed();
        finished.push(Finished { key: claim.task.key, attempt: claim.attempt, result: Ok(json!(0.25)) });
    }
    Ok((exchanges, busy))
}
