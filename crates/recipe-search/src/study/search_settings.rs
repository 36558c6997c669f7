//! A study's `[search]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tailor_registry::Choice;
use zo_search::Stop;
use zo_search::sharing::Batches;

/// How the space is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Which points are looked at, by default `tailor`: a row of [`zo_search::strategies`], or a strategy of the
    /// program's own.
    pub strategy: Choice,
    /// How many trials, those of the starting designs and of lower fidelity counted in; by default 200.
    pub trials: usize,
    /// The search also ends after so many trials that brought nothing better; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// The search also ends when the last so many trials on all search documents have made the best one better by no
    /// more than the standard error of the difference; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience_within_error: Option<usize>,
    /// The search also ends so many hours after its first trial was asked; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<f64>,
    /// What is to be made small, by default `retention`: a row of [`crate::standard_objectives`], or an objective of
    /// the program's own.
    pub objective: Choice,
    /// What is to be made small beside it, by default nothing: rows of [`crate::standard_further_objectives`]: with
    /// any, the result has a Pareto front.
    pub objectives: Vec<Choice>,
    /// Which trials are scored on more documents, by default `racing`: a row of [`zo_search::schedulers`], or a
    /// scheduler of the program's own.
    pub scheduler: Choice,
    /// Rising fractions of the search documents, above 0, on which a trial is scored one after the other, of which the
    /// last is 1; or rising numbers of documents of each task, also of each in a group, of which the last is above 1. By
    /// default a quarter and all.
    pub rungs: Vec<f64>,
    /// The scheduler's parameter `chance`, if it has one and does not have it from [`Self::scheduler`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The scheduler's parameter `eta`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<usize>,
    /// Share of the validation documents, from 0 to 0.9, that the search never sees: they are kept for the
    /// confirmation, which 0 leaves out. By default 0.3.
    pub confirm_share: f64,
    /// How many of the best candidates are scored on them, the best baseline not counted; by default 8.
    pub confirm_candidates: usize,
    /// Whether the candidates are also refitted layer by layer on what they themselves compute, which stays where it
    /// helps on the documents kept for the confirmation; absent: where the space has bridges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential: Option<bool>,
    /// How many trials are asked at once, at least 1, none of which knows of another's outcome; absent: 1, and 8 where
    /// several workers evaluate them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// How many whole batches are asked before the trials of a batch are told; absent: 0, and 1 where several workers
    /// evaluate them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<usize>,
    /// Into how many parts the documents of a rung are cut, at least 1, so that workers can share a trial; by default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub parts: usize,
    /// How many of the starting designs come before the strategy's own points; absent: a twelfth of the trials for
    /// `tailor`, a third for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub designs: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(parts: &usize) -> bool {
    *parts == 1
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            strategy: Choice::new("tailor"),
            trials: 200,
            patience: None,
            patience_within_error: None,
            hours: None,
            objective: Choice::new("retention"),
            objectives: Vec::new(),
            scheduler: Choice::new("racing"),
            rungs: vec![0.25, 1.0],
            chance: None,
            eta: None,
            confirm_share: 0.3,
            confirm_candidates: 8,
            sequential: None,
            batch: None,
            ahead: None,
            parts: 1,
            designs: None,
        }
    }
}

impl SearchSettings {
    /// The number of starting designs, also where the file leaves it to the strategy.
    #[must_use]
    pub fn designs(&self) -> usize {
        // The model needs few to begin with; a population stands on them.
        self.designs.unwrap_or(if self.strategy.name == "tailor" { self.trials / 12 } else { self.trials / 3 })
    }

    /// How far ahead of the workers trials are asked, `shared`: of several of them.
    #[must_use]
    pub fn batches(&self, shared: bool) -> Batches {
        let (size, ahead) = if shared { (8, 1) } else { (1, 0) };
        Batches { size: self.batch.unwrap_or(size), ahead: self.ahead.unwrap_or(ahead) }
    }

    /// The rungs as fractions of the last one.
    #[must_use]
    pub fn rung_fractions(&self) -> Vec<f64> {
        let last = self.rungs.last().copied().unwrap_or(1.0);
        self.rungs.iter().map(|rung| rung / last).collect()
    }

    /// When the search ends: whichever of its limits comes first.
    #[must_use]
    pub fn stop(&self) -> Stop {
        let stop = Stop::new().trials(self.trials);
        let stop = self.patience.map_or(stop, |trials| stop.patience(trials));
        let stop = self.patience_within_error.map_or(stop, |trials| stop.patience_within_error(trials));
        let time = self.hours.and_then(|hours| Duration::try_from_secs_f64(3600.0 * hours).ok());
        time.map_or(stop, |time| stop.time(time))
    }
}
