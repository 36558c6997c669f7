//! What a study knows: its header, what it knew before, and its trials with their outcomes.

use std::time::SystemTime;

use super::Header;
use super::injected::Injected;
use crate::{Error, Outcome, Trial, TrialId};

/// A trial of a study, with what came out of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// What was asked.
    pub trial: Trial,
    /// What was told; none while the trial is pending.
    pub outcome: Option<Outcome>,
    /// What was told of earlier attempts that failed and were to be tried again. No part of [`History::digest`]: no
    /// strategy sees it.
    pub retried: Vec<Outcome>,
    /// When it was asked first. No part of [`History::digest`].
    pub asked: SystemTime,
    /// When its outcome was told.
    pub told: Option<SystemTime>,
    /// How many trials had been asked when its outcome was told.
    pub(super) known_from: usize,
    /// How many trials of its batch were asked behind it.
    pub(super) behind: usize,
}

/// All that a study's file says: a header, what was known before, and trials with their outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    header: Header,
    injected: Vec<Injected>,
    records: Vec<Record>,
}

impl History {
    /// What the study is.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was known before the first ask. See [`Study::warm_start`](crate::Study::warm_start).
    #[must_use]
    pub fn injected(&self) -> &[Injected] {
        &self.injected
    }

    /// All trials, in the order of the asks.
    #[must_use]
    pub fn trials(&self) -> &[Record] {
        &self.records
    }

    /// The trials without an outcome.
    pub fn pending(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.outcome.is_none())
    }

    /// The trial with the smallest objective of those on all instances ([`Fidelity::FULL`](crate::Fidelity::FULL)),
    /// the earlier of equals. What was injected is no trial.
    #[must_use]
    pub fn incumbent(&self) -> Option<&Record> {
        best_of(&self.records)
    }

    /// A hash of the header, what was known before, the trials and their outcomes, without the times and the order of
    /// telling: equal for two runs that did the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // Plain data under string keys, non-finite floats written as text: there is nothing in it that JSON cannot
        // write.
        hasher.update(&serde_json::to_vec(&self.header).unwrap_or_default());
        for known in &self.injected {
            hasher.update(known.text().as_bytes());
        }
        for record in &self.records {
            hasher.update(&serde_json::to_vec(&(&record.trial, &record.outcome)).unwrap_or_default());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }
}

/// The record with the smallest objective of those on all instances, the earlier of equals.
pub(super) fn best_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<&'a Record> {
    let full = records.into_iter().filter_map(|record| Some((record.full_objective()?, record)));
    full.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.trial.id.cmp(&b.1.trial.id))).map(|(_, record)| record)
}

impl Record {
    /// Its objective, if it is a result on all instances ([`Fidelity::FULL`](crate::Fidelity::FULL)).
    #[must_use]
    pub fn full_objective(&self) -> Option<f64> {
        let outcome = self.outcome.as_ref()?;
        let fidelity = outcome.fidelity.unwrap_or(self.trial.fidelity);
        outcome.objective().filter(|_| fidelity.is_full())
    }
}

/// How it comes about.
impl History {
    pub(super) fn new(header: Header) -> Self {
        Self { header, injected: Vec::new(), records: Vec::new() }
    }

    /// The record of a trial, or [`Error::UnknownTrial`].
    pub(super) fn get(&self, id: TrialId) -> Result<&Record, Error> {
        let record = usize::try_from(id.0).ok().and_then(|index| self.records.get(index));
        record.ok_or(Error::UnknownTrial { id })
    }

    fn get_mut(&mut self, id: TrialId) -> Result<&mut Record, Error> {
        let record = usize::try_from(id.0).ok().and_then(|index| self.records.get_mut(index));
        record.ok_or(Error::UnknownTrial { id })
    }

    /// Whether `outcome` may be told of trial `id`: `false` if it stands there already.
    pub(super) fn accepts(&self, id: TrialId, outcome: &Outcome) -> Result<bool, Error> {
        match &self.get(id)?.outcome {
            None => Ok(true),
            Some(told) if same(told, outcome) => Ok(false),
            Some(_) => Err(Error::AlreadyTold { id }),
        }
    }

    /// Enters what was known before; comes before the first ask.
    pub(super) fn inject(&mut self, known: Injected) {
        self.injected.push(known);
    }

    /// Enters a new trial, with so many of its batch behind it; [`Error::Diverged`] when it has not the next number.
    pub(super) fn asked(&mut self, trial: Trial, behind: usize, asked: SystemTime) -> Result<(), Error> {
        if trial.id.0 != self.records.len() as u64 {
            return Err(Error::Diverged { id: trial.id });
        }
        let (retried, known_from) = (Vec::new(), 0);
        self.records.push(Record { trial, outcome: None, retried, asked, told: None, known_from, behind });
        Ok(())
    }

    /// Enters a failure after which the trial is asked again.
    pub(super) fn retried(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.get_mut(id)?.retried.push(outcome);
        Ok(())
    }

    /// Enters a trial's last outcome.
    pub(super) fn told(&mut self, id: TrialId, outcome: Outcome, at: SystemTime) -> Result<(), Error> {
        let asked = self.records.len();
        let record = self.get_mut(id)?;
        (record.outcome, record.told, record.known_from) = (Some(outcome), Some(at), asked);
        Ok(())
    }
}

/// Whether two outcomes are the same as written, where NaN equals NaN.
pub(super) fn same(a: &Outcome, b: &Outcome) -> bool {
    serde_json::to_string(a).ok() == serde_json::to_string(b).ok()
}
