//! Strategies against each other on the same problems; see `benches/peers/search.sh`.
//!
//! `compare_search [--problems A,B] [--strategies A,B] [--seeds FIRST..LAST or COUNT] [--evaluations N] [--results
//! FILE] [--table FILE] [--study FILE] [--python FILE] [--bridge FILE] [--threads N] [--summary]`
//!
//! Runs each strategy on each problem from each seed, unless the file of results has that run, and prints tables of
//! medians and quartiles. `--summary` only prints. Recipes are looked up in the table of recorded evaluations, and
//! scored and recorded when they are not there. A strategy is a name of `contender.rs`, with `+none`, `+designs` or
//! `+reference` behind it for another start on the recipe problem.

use std::path::{Path, PathBuf};

use tailor_benches::Outcome;
use tailor_benches::search::{Bridge, Contender, Results, Run, contenders, problem, problem_names, run, summary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line says.
struct Options {
    /// By default all.
    problems: Vec<String>,
    /// By default all.
    strategies: Vec<String>,
    /// Of the strategies; also the numbers of the synthetic problems' instances. By default 0 to 9.
    seeds: std::ops::Range<u64>,
    /// Full evaluations for each run; by default 500.
    evaluations: usize,
    /// The file of runs, which are not done again.
    results: PathBuf,
    /// The file of recorded evaluations of recipes.
    table: PathBuf,
    /// What the recipe problems are of; by default the bundled family's quickstart.
    study: PathBuf,
    /// The peers.
    bridge: Bridge,
    /// For the models of recipes; 0 for as many as there are cores.
    threads: usize,
    /// Whether nothing is run.
    only_summary: bool,
}

fn main() -> Outcome {
    let options = Options::read(std::env::args().skip(1))?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let mut results = Results::open(&options.results)?;
    if !options.only_summary {
        run_all(&options, &mut results)?;
    }
    let shown = |run: &&Run| options.problems.contains(&run.problem) && options.strategies.contains(&run.strategy);
    let runs: Vec<Run> = results.runs().iter().filter(shown).cloned().collect();
    println!("{}", summary(&runs));
    Ok(())
}

/// Every strategy that takes part in a problem, from every seed.
fn run_all(options: &Options, results: &mut Results) -> Outcome {
    for name in &options.problems {
        for label in &options.strategies {
            if !Contender::find(label)?.0.takes_part(name) {
                continue;
            }
            for seed in options.seeds.clone() {
                if !results.has(name, label, seed, options.evaluations) {
                    run_one(options, results, name, label, seed)?;
                }
            }
        }
    }
    Ok(())
}

/// One run, which is appended to the results.
fn run_one(options: &Options, results: &mut Results, name: &str, label: &str, seed: u64) -> Outcome {
    let (contender, start) = Contender::find(label)?;
    let mut problem = problem(name, seed, &options.study, &options.table)?;
    let start = problem.start(start.as_deref().unwrap_or(contender.start_on(name)))?;
    let (mut optimizer, version) =
        contender.optimizer(&options.bridge, problem.as_ref(), seed, options.evaluations, &start)?;
    let blank = Run {
        problem: name.to_string(),
        strategy: label.to_string(),
        seed,
        evaluations: options.evaluations,
        version,
        optimum: None,
        checkpoints: Vec::new(),
        strategy_seconds: 0.0,
        seconds: 0.0,
        best: None,
    };
    let (done, steps) = run(blank, optimizer.as_mut(), problem.as_mut())?;
    let last = done.checkpoints.last().map_or(f64::NAN, |at| at.cost);
    eprintln!("{name} {label} seed {seed}: {last:.4} after {} in {:.1} s", steps.len(), done.seconds);
    results.append(done, steps)
}

impl Options {
    /// Reads the command line.
    fn read(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?.to_path_buf();
        let mut options = Self {
            problems: problem_names().into_iter().map(str::to_string).collect(),
            strategies: contenders().iter().map(|contender| contender.name.to_string()).collect(),
            seeds: 0..10,
            evaluations: 500,
            results: "search-results.jsonl".into(),
            table: "recipe-table.jsonl".into(),
            study: root.join("examples/quickstart.toml"),
            bridge: Bridge::of_repository(&root),
            threads: 0,
            only_summary: false,
        };
        let list = |value: &str| value.split(',').map(str::to_string).collect();
        while let Some(name) = arguments.next() {
            if name == "--summary" {
                options.only_summary = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name}: needs a value"))?;
            match name.as_str() {
                "--problems" => options.problems = list(&value),
                "--strategies" => options.strategies = list(&value),
                "--seeds" => options.seeds = range(&value)?,
                "--evaluations" => options.evaluations = value.parse()?,
                "--results" => options.results = value.into(),
                "--table" => options.table = value.into(),
                "--study" => options.study = value.into(),
                "--python" => options.bridge.python = value.into(),
                "--bridge" => options.bridge.script = value.into(),
                "--threads" => options.threads = value.parse()?,
                _ => return Err(format!("{name}: no such option").into()),
            }
        }
        Ok(options)
    }
}

/// `10` (the seeds 0 to 9) or `3..10` (3 to 9): a long comparison can be shared out, each part into a file of its own.
fn range(text: &str) -> Outcome<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((first, end)) => Ok(first.parse()?..end.parse()?),
        None => Ok(0..text.parse()?),
    }
}
