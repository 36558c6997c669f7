//! Asking and telling: one trial or several, in any order, with another attempt for those that failed for reasons of
//! the machine.

use super::Study;
use super::history::same;
use super::line::Line;
use crate::{Error, FailureKind, Outcome, Trial, TrialId};

/// After so many crashes in a row the evaluator is held to be broken.
const CRASHES: usize = 5;

/// Asking and telling.
impl Study {
    /// The next trial: one that waits to be asked again, because its evaluation failed or the study was cut off,
    /// otherwise a new one.
    ///
    /// # Errors
    /// [`Error::KeepsCrashing`] after five crashes (or lacks of memory) in a row; [`Error::StudyBroken`],
    /// [`Error::Io`]; and what the optimiser says, [`Error::Exhausted`] above all.
    pub fn ask(&mut self) -> Result<Trial, Error> {
        self.may_ask()?;
        let trial = self.next()?;
        self.enter(std::slice::from_ref(&trial))?;
        Ok(trial)
    }

    /// The next trials, for parallel workers, who may tell them in any order.
    ///
    /// These are `count` new ones, fewer if the strategy has no more; or, if trials wait to be asked again, up to
    /// `count` of those, and new ones only to replace those that were lost of a batch when the study was cut off.
    ///
    /// All trials of a batch are chosen from the same knowledge. If each batch is told whole before the next one is
    /// asked, the trials depend on seed and batch size alone, not on the number of workers or on who finishes first,
    /// and the study may be cut off and resumed anywhere in between.
    ///
    /// # Errors
    /// As [`Study::ask`]. Trials that were chosen before the error wait to be asked again.
    pub fn ask_batch(&mut self, count: usize) -> Result<Vec<Trial>, Error> {
        self.may_ask()?;
        let wanted = if self.waiting.is_empty() { count } else { count.min(self.waiting.len() + self.missing) };
        let mut batch = Vec::with_capacity(wanted);
        let mut end = None;
        while batch.len() < wanted && end.is_none() {
            match self.next() {
                Ok(trial) => batch.push(trial),
                Err(error) => end = Some(error),
            }
        }
        self.enter(&batch)?;
        match end {
            Some(Error::Exhausted { .. }) if !batch.is_empty() => Ok(batch),
            Some(error) => {
                self.waiting.extend(batch.iter().map(|trial| trial.id));
                Err(error)
            }
            None => Ok(batch),
        }
    }

    /// So many new trials, fewer if the strategy has no more, whatever waits to be asked again.
    pub(super) fn ask_new(&mut self, count: usize) -> Result<Vec<Trial>, Error> {
        self.may_ask()?;
        let mut batch = Vec::with_capacity(count);
        let mut end = Ok(());
        while batch.len() < count && end.is_ok() {
            match self.optimizer.ask() {
                Ok(trial) => batch.push(trial),
                Err(Error::Exhausted { .. }) => break,
                Err(error) => end = Err(error),
            }
        }
        self.missing = 0;
        self.enter(&batch)?;
        end.map(|()| batch)
    }

    /// The outcome of a trial. The same outcome may be told again, to no effect.
    ///
    /// A crash, a lack of memory or a timeout is written down, and the trial waits to be asked [once
    /// more](Study::with_retries); only when its last attempt fails too is that its outcome.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`]; [`Error::AlreadyTold`] if another outcome was told before; [`Error::StudyBroken`],
    /// [`Error::Io`].
    pub fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.tell_all(vec![(id, outcome)])
    }

    /// The outcomes of several trials, in this order, as if they were [told](Study::tell) one after the other, but
    /// written down at once. Of each trial one.
    ///
    /// # Errors
    /// As [`Study::tell`], at the first that cannot be told; those before it are.
    pub fn tell_all(&mut self, outcomes: Vec<(TrialId, Outcome)>) -> Result<(), Error> {
        let now = (self.clock)();
        let (mut told, mut end) = (Vec::new(), Ok(()));
        for (id, outcome) in outcomes {
            match self.take(id, &outcome) {
                Ok(None) => {}
                Ok(Some(retry)) => told.push((id, outcome, retry)),
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        if told.is_empty() {
            return end;
        }
        let lines: Vec<Line> = told.iter().map(|(id, outcome, retry)| Line::tell(*id, outcome, *retry, now)).collect();
        self.log.append(&lines, true)?;
        for (id, outcome, retry) in told {
            self.count_crash(&outcome);
            if retry {
                self.waiting.insert(id);
                self.history.retried(id, outcome)?;
            } else {
                self.waiting.remove(&id);
                self.history.told(id, outcome, now)?;
            }
        }
        end
    }

    /// Tells the strategy an outcome, unless the trial is to be tried again: whether it is; none of an outcome that
    /// was told before.
    fn take(&mut self, id: TrialId, outcome: &Outcome) -> Result<Option<bool>, Error> {
        if !self.history.accepts(id, outcome)? || self.repeats_an_attempt(id, outcome)? {
            return Ok(None);
        }
        self.log.unless_broken()?;
        let retry = self.is_tried_again(outcome, self.history.get(id)?.retried.len());
        if !retry {
            self.optimizer.tell(id, outcome.clone())?;
        }
        Ok(Some(retry))
    }

    /// Whether a trial is tried again after this outcome, if so many attempts failed before it.
    pub(super) fn is_tried_again(&self, outcome: &Outcome, failed: usize) -> bool {
        is_transient(outcome) && failed < self.retries
    }

    /// Gives up a trial, which says nothing of its point: it will not be asked again.
    ///
    /// # Errors
    /// As [`Study::tell`].
    pub fn abandon(&mut self, id: TrialId) -> Result<(), Error> {
        self.tell(id, Outcome::failed(FailureKind::Abandoned, "given up"))
    }

    /// Refuses to ask when the evaluator crashes again and again, or a write failed.
    fn may_ask(&self) -> Result<(), Error> {
        if self.crashes.len() >= CRASHES {
            let last = self.crashes.last().cloned().unwrap_or_default();
            return Err(Error::KeepsCrashing { count: self.crashes.len(), last });
        }
        self.log.unless_broken()
    }

    /// The next trial; a new one is not written down yet.
    fn next(&mut self) -> Result<Trial, Error> {
        if let Some(again) = self.waiting.pop_first() {
            return Ok(self.history.get(again)?.trial.clone());
        }
        self.missing = self.missing.saturating_sub(1);
        self.optimizer.ask()
    }

    /// Writes down those of the trials that are new.
    fn enter(&mut self, trials: &[Trial]) -> Result<(), Error> {
        let new: Vec<&Trial> = trials.iter().filter(|trial| self.history.get(trial.id).is_err()).collect();
        let now = (self.clock)();
        let behind = |place: usize| new.len() - 1 - place;
        let lines: Vec<Line> =
            new.iter().enumerate().map(|(place, trial)| Line::ask(trial, behind(place), now)).collect();
        self.log.append(&lines, false)?;
        let places = new.iter().enumerate();
        places.into_iter().try_for_each(|(place, trial)| self.history.asked((*trial).clone(), behind(place), now))
    }

    /// Whether this is the failure for which the trial waits to be asked again.
    fn repeats_an_attempt(&self, id: TrialId, outcome: &Outcome) -> Result<bool, Error> {
        let last = self.history.get(id)?.retried.last();
        Ok(self.waiting.contains(&id) && last.is_some_and(|last| same(last, outcome)))
    }

    /// Counts crashes and lacks of memory in a row.
    fn count_crash(&mut self, outcome: &Outcome) {
        match &outcome.failure {
            Some(failure) if matches!(failure.kind, FailureKind::Crash | FailureKind::OutOfMemory) => {
                self.crashes.push(failure.message.clone());
            }
            _ => self.crashes.clear(),
        }
    }
}

/// Whether the failure may have been the machine's, not the point's.
fn is_transient(outcome: &Outcome) -> bool {
    let transient = |kind| matches!(kind, FailureKind::Crash | FailureKind::OutOfMemory | FailureKind::Timeout);
    outcome.failure.as_ref().is_some_and(|failure| transient(failure.kind))
}
