//! One strategy on one problem from one seed, and the file that keeps what came of it.
//!
//! The file has a line of JSON per trial, `{"step": {..}}`, and behind those of a run one line `{"run": {..}}`. A run
//! is appended when it is whole.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use zo_search::{Optimizer, Outcome as Told, Point, Trial};

use super::Problem;
use crate::Outcome;

/// After how many full evaluations the incumbents are compared: a strategy that is best after 500 need not be so after
/// 50.
pub const CHECKPOINTS: [usize; 4] = [50, 100, 200, 500];

/// One trial of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Of the run.
    pub problem: String,
    /// Of the run.
    pub strategy: String,
    /// Of the run.
    pub seed: u64,
    /// Its number.
    pub trial: u64,
    /// What it cost, on its fraction of the instances.
    pub cost: f64,
    /// The smallest cost at full fidelity so far.
    pub incumbent: Option<f64>,
    /// The fraction of the instances it was evaluated on.
    pub fidelity: f64,
    /// Full evaluations spent so far, this one counted in.
    pub spent: f64,
    /// Seconds that the strategy took to choose it, without what it learnt when it was told.
    pub ask: f64,
    /// The hash of its point.
    pub point: String,
}

/// The incumbent after some evaluations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    /// After so many full evaluations.
    pub evaluations: usize,
    /// Which trial it was.
    pub trial: u64,
    /// Its cost.
    pub cost: f64,
    /// Its cost on data that no search sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
}

/// One strategy on one problem from one seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The problem's name.
    pub problem: String,
    /// The strategy's, as it was asked for.
    pub strategy: String,
    /// The seed.
    pub seed: u64,
    /// Full evaluations that it was given.
    pub evaluations: usize,
    /// The strategy's library.
    pub version: String,
    /// The smallest cost there is, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimum: Option<f64>,
    /// The incumbents at those of [`CHECKPOINTS`] that the run came to.
    pub checkpoints: Vec<Checkpoint>,
    /// Seconds of the strategy, all asks and tells together.
    pub strategy_seconds: f64,
    /// Seconds of the run.
    pub seconds: f64,
    /// The best point.
    pub best: Option<Point>,
}

/// Lets `optimizer` search until the evaluations are spent; a trial on a fraction of the instances costs that fraction,
/// and one that was evaluated on fewer of them before only what is new. The run's names, seed and budget are those of
/// `run`.
///
/// # Errors
/// What optimiser and problem say.
pub fn run(mut run: Run, optimizer: &mut dyn Optimizer, problem: &mut dyn Problem) -> Outcome<(Run, Vec<Step>)> {
    let begun = Instant::now();
    let (mut steps, mut bests): (Vec<Step>, Vec<(f64, Trial, f64)>) = (Vec::new(), Vec::new());
    let (mut spent, mut paid) = (0.0, HashMap::new());
    while spent + 1e-9 < run.evaluations as f64 {
        let asked = Instant::now();
        let trial = match optimizer.ask() {
            Err(zo_search::Error::Exhausted { .. }) => break,
            trial => trial?,
        };
        let ask = asked.elapsed().as_secs_f64();
        let (fidelity, key) = (trial.fidelity.fraction(), trial.point.key());
        let before = paid.insert(key, fidelity).filter(|before| *before < fidelity).unwrap_or(0.0);
        spent += fidelity - before;
        let found = problem.evaluate(&trial)?;
        if trial.fidelity.is_full() && bests.last().is_none_or(|(best, ..)| found.cost < *best) {
            bests.push((found.cost, trial.clone(), spent));
        }
        steps.push(Step {
            problem: run.problem.clone(),
            strategy: run.strategy.clone(),
            seed: run.seed,
            trial: trial.id.0,
            cost: found.cost,
            incumbent: bests.last().map(|(best, ..)| *best),
            fidelity,
            spent,
            ask,
            point: key.to_string(),
        });
        let told = Instant::now();
        let outcome = Told::score(found.cost).at(trial.fidelity).with_cost(fidelity - before);
        optimizer.tell(trial.id, outcome.with_instances(found.instances))?;
        run.strategy_seconds += ask + told.elapsed().as_secs_f64();
    }
    for evaluations in CHECKPOINTS.into_iter().filter(|at| *at <= run.evaluations) {
        let within = bests.iter().rev().find(|(.., at)| *at <= evaluations as f64 + 1e-9);
        if let Some((cost, trial, _)) = within {
            let test = problem.test(&trial.point)?;
            run.checkpoints.push(Checkpoint { evaluations, trial: trial.id.0, cost: *cost, test });
        }
    }
    run.optimum = problem.optimum();
    run.best = bests.pop().map(|(_, trial, _)| trial.point);
    run.seconds = begun.elapsed().as_secs_f64();
    Ok((run, steps))
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Step(Step),
    Run(Run),
}

/// A file of runs.
pub struct Results {
    file: File,
    /// In the order of the file.
    runs: Vec<Run>,
}

impl Results {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut runs = Vec::new();
        for line in BufReader::new(&file).lines() {
            if let Line::Run(run) = serde_json::from_str(&line?)? {
                runs.push(run);
            }
        }
        Ok(Self { file, runs })
    }

    /// The runs that it holds.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Whether it holds such a run, of so many evaluations or more: a longer run has the checkpoints of a shorter one.
    #[must_use]
    pub fn has(&self, problem: &str, strategy: &str, seed: u64, evaluations: usize) -> bool {
        let same = |run: &Run| (run.problem.as_str(), run.strategy.as_str(), run.seed) == (problem, strategy, seed);
        self.runs.iter().any(|run| same(run) && run.evaluations >= evaluations)
    }

    /// Appends a run with its trials.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, run: Run, steps: Vec<Step>) -> Outcome {
        let mut text = String::new();
        for line in steps.into_iter().map(Line::Step).chain([Line::Run(run.clone())]) {
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        self.file.write_all(text.as_bytes())?;
        self.runs.push(run);
        Ok(())
    }
}
