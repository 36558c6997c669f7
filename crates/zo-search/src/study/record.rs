//! The journal's lines: what stands in them, and how they are sealed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Header;
use crate::{Error, Fidelity, Outcome, Point, Trial, TrialId};

/// A line of the journal. `w` holds what may differ between two runs of the same search: the time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum Line {
    Header(Box<Header>),
    Ask {
        id: TrialId,
        point: Point,
        key: String,
        fid: Fidelity,
        why: String,
        w: When,
    },
    Tell {
        id: TrialId,
        ok: bool,
        #[serde(flatten)]
        outcome: Box<Outcome>,
        w: When,
    },
}

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct When {
    unix: f64,
}

impl From<SystemTime> for When {
    fn from(time: SystemTime) -> Self {
        Self { unix: time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()) }
    }
}

impl From<When> for SystemTime {
    fn from(when: When) -> Self {
        UNIX_EPOCH + Duration::try_from_secs_f64(when.unix).unwrap_or_default()
    }
}

impl Line {
    pub(super) fn ask(trial: &Trial, at: SystemTime) -> Self {
        let Trial { id, point, fidelity, origin } = trial.clone();
        Self::Ask { id, key: point.key().to_string(), point, fid: fidelity, why: origin, w: at.into() }
    }

    pub(super) fn tell(id: TrialId, outcome: &Outcome, at: SystemTime) -> Self {
        Self::Tell { id, ok: outcome.objective().is_some(), outcome: Box::new(outcome.clone()), w: at.into() }
    }

    /// The line as text: JSON whose last field `c` is the CRC-32 of the JSON without it, and a line break.
    pub(super) fn seal(&self) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let sum = crc32fast::hash(text.as_bytes());
        let open = text.strip_suffix('}').unwrap_or(&text);
        Ok(format!("{open},\"c\":\"{sum:08x}\"}}\n"))
    }

    /// The line that was sealed into `text` (without its line break); none if it is not whole.
    pub(super) fn unseal(text: &[u8]) -> Option<Self> {
        let open = text.len().checked_sub(SEAL)?;
        let (content, seal) = std::str::from_utf8(text).ok()?.split_at_checked(open)?;
        let sum = seal.strip_prefix(",\"c\":\"")?.strip_suffix("\"}")?;
        let content = format!("{content}}}");
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(content.as_bytes()) {
            return None;
        }
        serde_json::from_str(&content).ok()
    }
}

/// Length of `,"c":"01234567"}`.
const SEAL: usize = 16;

/// A trial of a study, with what came out of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// What was asked.
    pub trial: Trial,
    /// What was told; none while the trial is pending.
    pub outcome: Option<Outcome>,
    /// When it was asked first. No part of [`History::digest`].
    pub asked: SystemTime,
    /// When its outcome was told.
    pub told: Option<SystemTime>,
}

/// All that a journal says: a header, and trials with their outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    header: Header,
    records: Vec<Record>,
}

impl History {
    pub(super) fn new(header: Header) -> Self {
        Self { header, records: Vec::new() }
    }

    /// What the study is.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
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

    /// The trial with the smallest objective of those on all instances ([`Fidelity::FULL`]), the earlier of equals.
    #[must_use]
    pub fn incumbent(&self) -> Option<&Record> {
        let full = self.records.iter().filter_map(|record| {
            let outcome = record.outcome.as_ref()?;
            let fidelity = outcome.fidelity.unwrap_or(record.trial.fidelity);
            Some((outcome.objective().filter(|_| fidelity.is_full())?, record))
        });
        full.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.trial.id.cmp(&b.1.trial.id))).map(|(_, record)| record)
    }

    /// A hash of the header, the trials and their outcomes without the times: equal for two runs that did the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // Plain data under string keys, non-finite floats written as text: there is nothing in it that JSON cannot write.
        hasher.update(&serde_json::to_vec(&self.header).unwrap_or_default());
        for record in &self.records {
            hasher.update(&serde_json::to_vec(&(&record.trial, &record.outcome)).unwrap_or_default());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }

    pub(super) fn get(&self, id: TrialId) -> Result<&Record, Error> {
        let record = usize::try_from(id.0).ok().and_then(|index| self.records.get(index));
        record.ok_or(Error::UnknownTrial { id })
    }

    /// Whether `outcome` may be told of trial `id`: `false` if it stands there already.
    pub(super) fn accepts(&self, id: TrialId, outcome: &Outcome) -> Result<bool, Error> {
        match &self.get(id)?.outcome {
            None => Ok(true),
            // Compared as written, where NaN equals NaN.
            Some(told) if serde_json::to_string(told).ok() == serde_json::to_string(outcome).ok() => Ok(false),
            Some(_) => Err(Error::AlreadyTold { id }),
        }
    }

    pub(super) fn asked(&mut self, trial: Trial, at: SystemTime) -> Result<(), Error> {
        if trial.id.0 != self.records.len() as u64 {
            return Err(Error::Diverged { id: trial.id });
        }
        self.records.push(Record { trial, outcome: None, asked: at, told: None });
        Ok(())
    }

    pub(super) fn told(&mut self, id: TrialId, outcome: Outcome, at: SystemTime) -> Result<(), Error> {
        self.get(id)?;
        if let Some(record) = usize::try_from(id.0).ok().and_then(|index| self.records.get_mut(index)) {
            record.outcome = Some(outcome);
            record.told = Some(at);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_opens_and_a_changed_one_does_not() -> Result<(), Box<dyn std::error::Error>> {
        let line = Line::tell(
            TrialId(3),
            &Outcome::scores([0.1, f64::NAN]).with_extra(serde_json::json!({"a": [1]})),
            UNIX_EPOCH,
        );
        let sealed = line.seal()?;
        let text = sealed.trim_end().as_bytes();
        let opened = Line::unseal(text).ok_or("does not open")?;
        assert_eq!(opened.seal()?, sealed);
        for place in 0..text.len() {
            let mut changed = text.to_vec();
            changed[place] ^= 1;
            assert!(Line::unseal(&changed).is_none(), "byte {place}");
            assert!(Line::unseal(&text[..place]).is_none(), "cut at {place}");
        }
        Ok(())
    }
}
