//! How busy the workers of a study are: measured with threads that sleep, and simulated up to a thousand workers.
//!
//! `workers asking [--trials 240] [--workers 8] [--seconds 2]` runs studies by model-based strategies whose trials take
//! that long, and prints what share of their time workers waited for trials. Bar: 1% at 8 workers with 2 s.
//!
//! `workers simulated` lets time pass as it would: workers evaluate for a random time (log-normal, standard deviation
//! 0.3 of the mean), the store answers one exchange after the other in so many milliseconds, and the leader, who really
//! asks and tells, is away for as long as that takes. It prints the share of the time in which workers evaluate.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal};
use tailor_benches::Outcome;
use zo_search::sharing::{
    Batches, Claim, Finished, Lead, LocalStore, MemoryQueue, SharedStore, TaskQueue as _, WholeTrials, Work, Worker,
    WorkerInfo, evaluated,
};
use zo_search::{AdditiveGpSearch, Evolution, Header, Optimizer, Outcome as Told, Smac, Space, Stop, Study, Trial};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 7;
/// Longer than any run.
const LEASE: Duration = Duration::from_secs(1 << 20);
/// Milliseconds of an exchange in the store: of a PostgreSQL server on two cores, `benches/postgres.sh`.
const EXCHANGE: f64 = 0.13;

/// A name, and the strategy for so many trials.
type Row = (&'static str, fn(usize) -> Box<dyn Optimizer>);
const STRATEGIES: [Row; 3] = [
    ("Evolution", |_| Box::new(Evolution::new(space(), SEED))),
    ("AdditiveGpSearch", |trials| Box::new(AdditiveGpSearch::new(space(), SEED).with_trials(trials))),
    ("Smac", |trials| Box::new(Smac::new(space(), SEED).with_trials(trials))),
];

/// As of a study that removes 10 of 40 layers and merges others.
fn space() -> Space {
    let remove = Space::new().subset("remove", 40, 10);
    let layer = |space: Space, layer: usize| {
        let sources = format!("layer_{layer}.sources");
        space.mask(&sources, 3).float(format!("layer_{layer}.coefficient"), 0.0..=1.0).when_at_least(&sources, 2)
    };
    (0..40).fold(remove, layer)
}

/// Some function of the point that strategies can learn.
fn score(trial: &Trial) -> Told {
    let removed = trial.point.subset("remove").unwrap_or_default();
    let sum: usize = removed.iter().map(|layer| layer * layer).sum();
    let merged = (0..40).filter_map(|layer| trial.point.float(&format!("layer_{layer}.coefficient")).ok());
    Told::score(sum as f64 / 1e4 + merged.map(|x| (x - 0.6).powi(2)).sum::<f64>() / 40.0)
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: f64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    match arguments.first().map(String::as_str) {
        Some("asking") => {
            let (trials, workers) = (option("--trials", 240.0) as usize, option("--workers", 8.0) as usize);
            asking(trials, workers, Duration::from_secs_f64(option("--seconds", 2.0)))
        }
        Some("simulated") => simulated(),
        _ => Err("say `asking` or `simulated`".into()),
    }
}

/// Measures and prints what share of their time workers wait.
fn asking(trials: usize, workers: usize, takes: Duration) -> Outcome {
    println!("| strategy | workers | trial | batches | waited, mean | waited, worst |\n|---|--:|--:|--:|--:|--:|");
    for (name, new) in STRATEGIES {
        let folder = tempfile::tempdir()?;
        let store = LocalStore::new(folder.path().join("journal.jsonl"));
        let (batches, stop, ended) =
            (Batches { size: 8, ahead: 1 }, Stop::new().trials(trials), AtomicBool::new(false));
        let work = |number: usize| {
            let worker = Worker::new(WorkerInfo::here(&format!("w{number}"), "sleep"));
            worker.run(&store, &ended, |task| {
                evaluated(task, |trial| {
                    std::thread::sleep(takes);
                    score(trial)
                })
            })
        };
        let work = std::thread::scope(|scope| -> Outcome<Vec<Work>> {
            let work = &work;
            let threads: Vec<_> = (0..workers).map(|number| scope.spawn(move || work(number))).collect();
            let mut study = Study::create(store.lines(), Header::new(name, SEED), new(trials))?;
            let mut lead = Lead::new(&mut study, store.queue()?, batches, &mut WholeTrials)?;
            while lead.step(&stop, &mut WholeTrials)?.end.is_none() {
                lead.wait(Duration::from_secs(1))?;
            }
            ended.store(true, Ordering::Relaxed);
            store.queue()?.close(true)?;
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Work, zo_search::Error>>| {
                thread.join().map_err(|_| "a worker panicked")?.map_err(Into::into)
            };
            threads.into_iter().map(join).collect()
        })?;
        let waited: Vec<f64> =
            work.iter().map(|one| one.idle.as_secs_f64() / (one.idle + one.busy).as_secs_f64()).collect();
        let (mean, worst) = (waited.iter().sum::<f64>() / workers as f64, waited.iter().copied().fold(0.0, f64::max));
        println!(
            "| {name} | {workers} | {:.1} s | {}, {} ahead | {:.2}% | {:.2}% |",
            takes.as_secs_f64(),
            batches.size,
            batches.ahead,
            100.0 * mean,
            100.0 * worst
        );
    }
    Ok(())
}

/// Simulates and prints how busy workers are.
fn simulated() -> Outcome {
    println!("| strategy | trial | workers | batches | busy | asking | store |\n|---|--:|--:|--:|--:|--:|--:|");
    for (name, new) in STRATEGIES {
        // What asking costs does not depend on what an evaluation takes: models, which are slow, are asked once.
        let all: &[f64] = if name == "Evolution" { &[2.0, 20.0, 60.0] } else { &[60.0] };
        for &seconds in all {
            for workers in [8, 64, 256, 1000] {
                // Twice as many trials in flight as workers, in five batches.
                let batches = Batches { size: (2 * workers / 5).max(1), ahead: 4 };
                let trials = 4 * workers;
                let Simulated { busy, leader, store } = simulate(new(trials), workers, seconds, batches, trials)?;
                println!(
                    "| {name} | {seconds} s | {workers} | {}, {} ahead | {:.1}% | {:.1}% | {:.1}% |",
                    batches.size,
                    batches.ahead,
                    100.0 * busy,
                    100.0 * leader,
                    100.0 * store
                );
            }
        }
    }
    Ok(())
}

/// Shares of the time.
struct Simulated {
    /// In which a worker evaluates.
    busy: f64,
    /// In which the leader asks and tells.
    leader: f64,
    /// In which the store answers exchanges.
    store: f64,
}

/// An hour of microseconds is enough to order events by.
type Moment = u64;

fn moment(seconds: f64) -> Moment {
    (1e6 * seconds) as Moment
}

/// Runs a study in simulated time, in which only the leader's work really takes place. What happens until the first
/// trial is there and after the last one was claimed is left out.
fn simulate(
    strategy: Box<dyn Optimizer>,
    workers: usize,
    seconds: f64,
    batches: Batches,
    trials: usize,
) -> Outcome<Simulated> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let spread = (1.0f64 + 0.3 * 0.3).ln();
    let takes = LogNormal::new(seconds.ln() - spread / 2.0, spread.sqrt())?;
    let mut study = Study::in_memory(Header::new("simulated", SEED), strategy)?;
    let (queue, stop) = (MemoryQueue::new(), Stop::new().trials(trials));
    let mut lead = Lead::new(&mut study, Box::new(queue.clone()), batches, &mut WholeTrials)?;
    let (mut shop, me) = (queue, WorkerInfo::here("all", "none"));
    // Who ends when, with what; who waits; until when leader and store are taken.
    let mut evaluating: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
    let mut claims: Vec<Option<Claim>> = vec![None; workers];
    let mut idle: VecDeque<(usize, Moment)> = (0..workers).map(|worker| (worker, 0)).collect();
    let (mut now, mut free, mut served) = (0, 0, 0);
    let (mut begun, mut last, mut asking, mut waited, mut exchanges) = (None, 0, 0.0, 0.0, 0);
    loop {
        let start = Instant::now();
        let ended = lead.step(&stop, &mut WholeTrials)?.end.is_some();
        let took = start.elapsed().as_secs_f64();
        free = now.max(free) + moment(took);
        let from = *begun.get_or_insert(free);
        asking += took;
        // Those who wait claim what there is by then.
        while let Some((worker, since)) = idle.pop_front() {
            let Some(claim) = shop.exchange(&me, &[], 1, LEASE)?.claims.pop() else {
                idle.push_front((worker, since));
                break;
            };
            served = served.max(free.max(since)) + moment(EXCHANGE / 1e3);
            waited += (served - since.max(from)) as f64 / 1e6;
            last = served;
            evaluating.push(Reverse((served + moment(takes.sample(&mut random)), worker)));
            claims[worker] = Some(claim);
            exchanges += 1;
        }
        if ended {
            break;
        }
        // All that ends while the leader is away is handed in when it is back.
        let Some(Reverse((next, _))) = evaluating.peek() else { continue };
        now = free.max(*next);
        while let Some(Reverse((end, worker))) = evaluating.peek().copied().filter(|Reverse((end, _))| *end <= now) {
            evaluating.pop();
            if let Some(Claim { task, attempt }) = claims[worker].take() {
                let result = evaluated(&task, score);
                shop.exchange(&me, &[Finished { key: task.key, attempt, result }], 0, LEASE)?;
                // It takes another task at once if there is one.
                if let Some(claim) = shop.exchange(&me, &[], 1, LEASE)?.claims.pop() {
                    served = served.max(end) + moment(EXCHANGE / 1e3);
                    waited += (served - end) as f64 / 1e6;
                    last = last.max(served);
                    evaluating.push(Reverse((served + moment(takes.sample(&mut random)), worker)));
                    claims[worker] = Some(claim);
                    exchanges += 1;
                } else {
                    idle.push_back((worker, end));
                }
            }
        }
    }
    let span = (last.saturating_sub(begun.unwrap_or_default())) as f64 / 1e6;
    let share = |seconds: f64| seconds / span;
    let store = share(f64::from(exchanges) * EXCHANGE / 1e3);
    Ok(Simulated { busy: 1.0 - share(waited) / workers as f64, leader: share(asking), store })
}
