//! When a search is to end.

use std::fmt;
use std::time::Duration;

use super::Study;
use super::history::{Record, best_of};
use crate::TrialId;

/// When a search is to end: at the first of its limits that is reached. Without limits, never.
///
/// ```
/// # use std::time::Duration;
/// # use zo_search::{Header, Outcome, RandomSearch, Space, Stop, StopReason, Study};
/// # let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let mut study = Study::in_memory(Header::new("example", 7), strategy)?;
/// let stop = Stop::new().trials(20).time(Duration::from_secs(3600)).patience(50);
/// let reason = loop {
///     if let Some(reason) = study.stopped(&stop) {
///         break reason;
///     }
///     let trial = study.ask()?;
///     study.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
/// };
/// assert_eq!(reason, StopReason::Trials(20));
/// assert_eq!(reason.to_string(), "20 trials were asked");
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stop {
    trials: Option<usize>,
    time: Option<Duration>,
    patience: Option<usize>,
    patience_within_error: Option<usize>,
}

impl Stop {
    /// No limits yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At so many trials: when they were asked, those of earlier processes too, and none waits to be asked again.
    #[must_use]
    pub fn trials(mut self, trials: usize) -> Self {
        self.trials = Some(trials);
        self
    }

    /// After so much time since the study's first ask, also if nothing ran in between.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// After so many finished trials behind the [incumbent](super::History::incumbent), of any fidelity; while there
    /// is no incumbent, after so many in all.
    #[must_use]
    pub fn patience(mut self, trials: usize) -> Self {
        self.patience = Some(trials);
        self
    }

    /// When the last so many results on all instances have made the [incumbent](super::History::incumbent) better by no
    /// more than the standard error of the difference: by the instances that the incumbent of then and that of now have
    /// both ([`Outcome::paired_difference`](crate::Outcome::paired_difference)). Where these are too few, only when it
    /// is the same one.
    ///
    /// The incumbent is the best of many, which makes the difference look larger than it is. So a search that ends by
    /// this rule could not have told what it gained from chance.
    #[must_use]
    pub fn patience_within_error(mut self, trials: usize) -> Self {
        self.patience_within_error = Some(trials);
        self
    }
}

impl Stop {
    /// How many more trials may be asked when so many were.
    pub(super) fn room(&self, asked: usize) -> usize {
        self.trials.map_or(usize::MAX, |limit| limit.saturating_sub(asked))
    }
}

/// Which limit of a [`Stop`] is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// So many trials were asked.
    Trials(usize),
    /// So much time has passed since the first ask.
    Time(Duration),
    /// The last trials were no better than the incumbent.
    NoProgress {
        /// How many.
        trials: usize,
        /// The incumbent; none if there is no result yet.
        incumbent: Option<TrialId>,
    },
    /// What the last trials on all instances gained is within its error.
    WithinError {
        /// How many trials on all instances.
        trials: usize,
        /// The incumbent.
        incumbent: TrialId,
        /// By how much it is better than the incumbent before those trials.
        gain: f64,
        /// The standard error of that.
        error: f64,
    },
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trials(trials) => write!(f, "{trials} trials were asked"),
            Self::Time(time) => write!(f, "{} s have passed since the first trial", time.as_secs()),
            Self::NoProgress { trials, incumbent: Some(id) } => {
                write!(f, "{trials} trials brought nothing better than trial {id}")
            }
            Self::NoProgress { trials, incumbent: None } => write!(f, "{trials} trials brought no result"),
            Self::WithinError { trials, incumbent, gain, error } => write!(
                f,
                "{trials} trials on all instances made the best one, trial {incumbent}, better by {gain:.4} \u{b1} \
                 {error:.4}, which is no more than chance"
            ),
        }
    }
}

impl Study {
    /// Whether the search is to end, and why. Trials that are still being evaluated may be told all the same.
    #[must_use]
    pub fn stopped(&self, stop: &Stop) -> Option<StopReason> {
        let asked = self.trials().len();
        if stop.trials.is_some_and(|limit| asked >= limit && self.waiting.is_empty()) {
            return Some(StopReason::Trials(asked));
        }
        if let (Some(limit), Some(first)) = (stop.time, self.trials().first()) {
            // A clock that was set back counts as no time.
            let passed = (self.clock)().duration_since(first.asked).unwrap_or_default();
            if passed >= limit {
                return Some(StopReason::Time(passed));
            }
        }
        let incumbent = self.incumbent().map(|best| best.trial.id);
        let finished = self.trials().iter().filter(|record| record.outcome.is_some());
        let trials = finished.filter(|record| incumbent.is_none_or(|best| record.trial.id > best)).count();
        if stop.patience.is_some_and(|limit| trials >= limit) {
            return Some(StopReason::NoProgress { trials, incumbent });
        }
        stop.patience_within_error.and_then(|trials| self.within_error(trials))
    }

    /// What the last so many results on all instances gained, if that is within its error.
    fn within_error(&self, trials: usize) -> Option<StopReason> {
        let full: Vec<&Record> = self.trials().iter().filter(|record| record.full_objective().is_some()).collect();
        let before = best_of(full[..full.len().checked_sub(trials)?].iter().copied())?;
        let now = self.incumbent()?;
        let (gain, error) = match before.outcome.as_ref()?.paired_difference(now.outcome.as_ref()?) {
            Some(difference) => difference,
            None if before.trial.id == now.trial.id => (0.0, 0.0),
            None => return None,
        };
        let incumbent = now.trial.id;
        (gain <= error).then_some(StopReason::WithinError { trials, incumbent, gain, error })
    }
}
