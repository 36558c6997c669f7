//! Leading a study whose trials are evaluated by workers.
//!
//! A study has a canonical order of its lines, whoever evaluates and whoever is quick: batches are asked in advance,
//! so many as [`Batches`] says; trials are told in the order of their numbers, and the next batch is asked right
//! behind the last outcome of a batch. So what the strategy knows at an ask depends on seed and batches alone.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Stop, StopReason, Study};
use crate::sharing::{Evaluation, TaskQueue, TaskResult};
use crate::{Error, Outcome, Trial, TrialId};

/// With more trials open than this, results are let come together.
const MANY: usize = 32;
/// For so long.
const GATHER: Duration = Duration::from_millis(5);

/// How far ahead of the workers a study asks. With the seed it decides on the trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// How many trials are asked at once, at least 1: none of them knows of another's outcome.
    pub size: usize,
    /// How many whole batches are asked before the trials of a batch are told.
    pub ahead: usize,
}

impl Batches {
    /// One trial after the other.
    pub const ONE: Self = Self { size: 1, ahead: 0 };
}

/// Leads a study: asks, posts the trials' tasks, and tells what came out of them.
///
/// ```
/// # use std::time::Duration;
/// # use zo_search::sharing::{Batches, Finished, Lead, MemoryQueue, TaskQueue, WholeTrials, WorkerInfo, evaluated};
/// # use zo_search::{Header, Outcome, RandomSearch, Space, Stop, Study};
/// let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let mut study = Study::in_memory(Header::new("example", 7), strategy)?;
/// let (queue, stop, mut trials) = (MemoryQueue::new(), Stop::new().trials(20), WholeTrials);
/// let (mut workers, worker, lease) = (queue.clone(), WorkerInfo::here("here", "cpu"), Duration::from_secs(60));
/// let mut lead = Lead::new(&mut study, Box::new(queue), Batches { size: 4, ahead: 1 }, &mut trials)?;
/// while lead.step(&stop, &mut trials)?.end.is_none() {
///     // Here in turn; elsewhere workers do this at the same time.
///     for claim in workers.exchange(&worker, &[], 3, lease)?.claims {
///         let result = evaluated(&claim.task, |trial| Outcome::score(trial.point.float("x").unwrap_or(f64::NAN)));
///         workers.exchange(&worker, &[Finished { key: claim.task.key, attempt: claim.attempt, result }], 0, lease)?;
///     }
/// }
/// assert_eq!(study.trials().len(), 20);
/// # Ok::<(), zo_search::Error>(())
/// ```
pub struct Lead<'a> {
    study: &'a mut Study,
    queue: Box<dyn TaskQueue>,
    batches: Batches,
    /// What was asked and is not told, in the order of the asks.
    open: VecDeque<OpenTrial>,
    /// Whether the strategy had nothing more to ask when it was asked last.
    exhausted: bool,
    /// Which limit was reached when the next batch was due.
    stopped: Option<StopReason>,
}

/// A trial that was asked and is not told.
struct OpenTrial {
    trial: Trial,
    ends_batch: bool,
    /// How many attempts were told to have failed.
    failed: usize,
    /// The outcomes of the attempts after those, the last one's while it has none.
    attempts: Vec<Attempt>,
}

/// An attempt at a trial.
struct Attempt {
    keys: Vec<String>,
    results: Vec<Option<TaskResult>>,
    outcome: Option<Outcome>,
}

/// What a step did.
#[derive(Debug, Default)]
pub struct Step {
    /// What was told, in that order.
    pub told: Vec<Told>,
    /// Why the study is at its end, if it is: all that was asked is told, and no more is asked.
    pub end: Option<End>,
}

/// Why no more is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// A limit was reached.
    Stopped(StopReason),
    /// The space has no point left.
    Exhausted,
}

/// An outcome that was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Of which trial.
    pub id: TrialId,
    /// What came out.
    pub outcome: Outcome,
    /// Whether the trial is tried once more.
    pub again: bool,
}

impl<'a> Lead<'a> {
    /// Goes on with a study where it stands, with these tasks' results. `evaluation` is what each [step](Self::step)
    /// is given.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for batches of no trials; what the queue says.
    pub fn new(
        study: &'a mut Study,
        queue: Box<dyn TaskQueue>,
        batches: Batches,
        evaluation: &mut dyn Evaluation,
    ) -> Result<Self, Error> {
        if batches.size == 0 {
            return Err(Error::BadSetting { strategy: "batches", problem: "a batch has at least one trial" });
        }
        let mut lead = Self { study, queue, batches, open: VecDeque::new(), exhausted: false, stopped: None };
        lead.queue.close(false)?;
        lead.study.waiting.clear();
        let mut pending: Vec<(Trial, bool, usize)> = Vec::new();
        for record in lead.study.history.pending() {
            pending.push((record.trial.clone(), record.behind == 0, record.retried.len()));
        }
        for (trial, ends_batch, failed) in pending {
            lead.begin(trial, ends_batch, failed, evaluation)?;
        }
        if lead.study.missing > 0 {
            lead.ask(lead.study.missing, evaluation)?;
        }
        Ok(lead)
    }

    /// Tells what can be told, and asks what is to be asked then. Does not wait: [`Self::wait`] does.
    ///
    /// # Errors
    /// As [`Study::ask`] and [`Study::tell`]; what the queue says.
    pub fn step(&mut self, stop: &Stop, evaluation: &mut dyn Evaluation) -> Result<Step, Error> {
        let mut step = Step::default();
        self.fill(stop, evaluation)?;
        self.look(evaluation)?;
        loop {
            let (told, full) = self.tell()?;
            step.told.extend(told);
            if !full {
                break;
            }
            self.fill(stop, evaluation)?;
            self.look(evaluation)?;
        }
        if self.open.is_empty() {
            step.end = match &self.stopped {
                Some(reason) => Some(End::Stopped(*reason)),
                None => self.exhausted.then_some(End::Exhausted),
            };
        }
        Ok(step)
    }

    /// The study that is led.
    #[must_use]
    pub fn study(&self) -> &Study {
        self.study
    }

    /// As [`TaskQueue::wait`]: until there may be more results. Where many are awaited, some are let come together, as a
    /// look for all of them costs more than one of them.
    ///
    /// # Errors
    /// As there.
    pub fn wait(&mut self, most: Duration) -> Result<(), Error> {
        self.queue.wait(most)?;
        if self.open.len() > MANY {
            std::thread::sleep(GATHER);
        }
        Ok(())
    }

    /// Asks batches until so many are open as there are to be.
    fn fill(&mut self, stop: &Stop, evaluation: &mut dyn Evaluation) -> Result<(), Error> {
        self.exhausted = false;
        while self.open.iter().filter(|open| open.ends_batch).count() <= self.batches.ahead {
            self.stopped = self.study.stopped(stop);
            let room = stop.room(self.study.trials().len()).min(self.batches.size);
            if self.stopped.is_some() || room == 0 {
                break;
            }
            if self.ask(room, evaluation)? == 0 {
                self.exhausted = true;
                break;
            }
        }
        Ok(())
    }

    /// Asks a batch, or what is missing of one, and says how many trials it has.
    fn ask(&mut self, count: usize, evaluation: &mut dyn Evaluation) -> Result<usize, Error> {
        let trials = self.study.ask_new(count)?;
        let asked = trials.len();
        for (place, trial) in trials.into_iter().enumerate() {
            self.begin(trial, place + 1 == asked, 0, evaluation)?;
        }
        Ok(asked)
    }

    fn begin(
        &mut self,
        trial: Trial,
        ends_batch: bool,
        failed: usize,
        evaluation: &mut dyn Evaluation,
    ) -> Result<(), Error> {
        let attempts = vec![self.attempt(&trial, failed, evaluation)?];
        self.open.push_back(OpenTrial { trial, ends_batch, failed, attempts });
        Ok(())
    }

    /// Posts the tasks of an attempt.
    fn attempt(&mut self, trial: &Trial, number: usize, evaluation: &mut dyn Evaluation) -> Result<Attempt, Error> {
        match evaluation.tasks(trial, number) {
            Ok(tasks) => {
                self.queue.post(&tasks)?;
                let keys: Vec<String> = tasks.into_iter().map(|task| task.key).collect();
                Ok(Attempt { results: vec![None; keys.len()], keys, outcome: None })
            }
            Err(outcome) => Ok(Attempt { keys: Vec::new(), results: Vec::new(), outcome: Some(*outcome) }),
        }
    }

    /// Looks for results; begins another attempt at what has failed and is to be tried again.
    fn look(&mut self, evaluation: &mut dyn Evaluation) -> Result<(), Error> {
        loop {
            self.collect()?;
            let mut again = Vec::new();
            for (place, open) in self.open.iter_mut().enumerate() {
                let attempts = open.failed + open.attempts.len();
                let Some(last) = open.attempts.last_mut() else { continue };
                if last.outcome.is_none() && last.results.iter().all(Option::is_some) {
                    let results: Vec<TaskResult> = last.results.drain(..).flatten().collect();
                    last.outcome = Some(evaluation.outcome(&open.trial, &results));
                }
                if last.outcome.as_ref().is_some_and(|outcome| self.study.is_tried_again(outcome, attempts - 1)) {
                    again.push((place, attempts));
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            for (place, number) in again {
                let trial = self.open[place].trial.clone();
                let attempt = self.attempt(&trial, number, evaluation)?;
                self.open[place].attempts.push(attempt);
            }
        }
    }

    /// Asks the queue for the results that are missing.
    fn collect(&mut self) -> Result<(), Error> {
        let last = self.open.iter_mut().filter_map(|open| open.attempts.last_mut());
        let waiting = last.filter(|attempt| attempt.outcome.is_none());
        let mut missing: Vec<(&str, &mut Option<TaskResult>)> = Vec::new();
        for attempt in waiting {
            let results = attempt.keys.iter().map(String::as_str).zip(&mut attempt.results);
            missing.extend(results.filter(|(_, result)| result.is_none()));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = missing.iter().map(|(key, _)| *key).collect();
        for (place, result) in self.queue.results(&keys)? {
            if let Some((_, missing)) = missing.get_mut(place) {
                **missing = Some(result);
            }
        }
        Ok(())
    }

    /// Tells outcomes in the order of the trials, up to the end of a batch; whether it came to one.
    fn tell(&mut self) -> Result<(Vec<Told>, bool), Error> {
        let (mut told, mut written, mut full) = (Vec::new(), 0, false);
        while let Some(open) = self.open.front_mut().filter(|_| !full) {
            let Some(outcome) = open.attempts.first_mut().and_then(|attempt| attempt.outcome.take()) else { break };
            open.attempts.remove(0);
            let again = self.study.is_tried_again(&outcome, open.failed);
            told.push(Told { id: open.trial.id, outcome, again });
            if again {
                open.failed += 1;
                // Of each trial one outcome at a time.
                self.write(&told[written..])?;
                written = told.len();
            } else {
                full = open.ends_batch;
                self.open.pop_front();
            }
        }
        self.write(&told[written..])?;
        Ok((told, full))
    }

    fn write(&mut self, told: &[Told]) -> Result<(), Error> {
        self.study.tell_all(told.iter().map(|told| (told.id, told.outcome.clone())).collect())?;
        self.study.waiting.clear();
        Ok(())
    }
}
