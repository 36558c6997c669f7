//! A study's lines: what stands in them, in a journal as in a database.
//!
//! Each line is one JSON object, whose first field `t` says what it is:
//!
//! - `header`, once, first: `v`, the version of the format; `study`, the name; `space` and `space_hash`; `strategy`,
//!   its name and settings; `seed`; `env`, what else the outcomes depend on.
//! - `inject`, before the first ask: `place`, from 0; `from` and `of`, the other study and its trial there; `point`;
//!   the fields of its [`Outcome`].
//! - `ask`, for each new trial: `id`; `point`, and `key`, its hash; `fid`, the fraction of the instances; `rung`;
//!   `why`, the [`Origin`]; `more`, how many lines of the same batch come behind it.
//! - `tell`, for each outcome: `id`; `ok`, whether there is a result; `retry`, whether the trial is tried again; the
//!   fields of the [`Outcome`].
//!
//! `w` holds the time, `c` at the end the CRC-32 of the object without it. Absent fields are their defaults; `rung`
//! came after the first release. Numbers that are not finite are the texts `NaN`, `inf` and `-inf`. A header, and an
//! ask:
//!
//! ```text
//! {"t":"header","v":1,"study":"example","space":{..},"space_hash":"..","strategy":{..},"seed":"7","env":null,"c":".."}
//! {"t":"ask","id":0,"point":{"x":{"float":0.5}},"key":"..","fid":1.0,"why":"random","w":{"unix":0.0},"c":".."}
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Header;
use super::injected::Injected;
use super::seal::{seal, unseal};
use crate::{Fidelity, Origin, Outcome, Point, Rung, Trial, TrialId};

/// A line of a study. `w` holds what may differ between two runs of the same search: the time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum Line {
    Header(Box<Header>),
    /// What another study (`from`) found out in its trial `of`.
    Inject {
        /// Its place among the injected, from 0.
        place: usize,
        from: String,
        of: TrialId,
        point: Point,
        #[serde(flatten)]
        outcome: Box<Outcome>,
        w: When,
    },
    Ask {
        id: TrialId,
        point: Point,
        key: String,
        fid: Fidelity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rung: Option<Rung>,
        why: Origin,
        /// How many lines of the same batch come behind this one.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
        w: When,
    },
    Tell {
        id: TrialId,
        ok: bool,
        /// It failed, and is to be tried once more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        retry: bool,
        #[serde(flatten)]
        outcome: Box<Outcome>,
        w: When,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
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
    pub(super) fn inject(place: usize, known: &Injected, at: SystemTime) -> Self {
        let Injected { from, id, point, outcome } = known.clone();
        Self::Inject { place, from, of: id, point, outcome: Box::new(outcome), w: at.into() }
    }

    pub(super) fn ask(trial: &Trial, more: usize, at: SystemTime) -> Self {
        let Trial { id, point, fidelity, rung, origin } = trial.clone();
        Self::Ask { id, key: point.key().to_string(), point, fid: fidelity, rung, why: origin, more, w: at.into() }
    }

    pub(super) fn tell(id: TrialId, outcome: &Outcome, retry: bool, at: SystemTime) -> Self {
        let ok = outcome.objective().is_some();
        Self::Tell { id, ok, retry, outcome: Box::new(outcome.clone()), w: at.into() }
    }

    /// The line as text that carries its checksum, without a line break.
    pub(super) fn seal(&self) -> Result<String, serde_json::Error> {
        Ok(seal(&serde_json::to_string(self)?))
    }

    /// The line that was sealed into `text`; none if it is not whole.
    pub(super) fn unseal(text: &[u8]) -> Option<Self> {
        serde_json::from_str(&unseal(text)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_opens_and_a_changed_one_does_not() -> Result<(), Box<dyn std::error::Error>> {
        let outcome = Outcome::scores([0.1, f64::NAN]).with_extra(serde_json::json!({"a": [1]}));
        let known = Injected { from: "other".into(), id: TrialId(3), point: Point::new(), outcome: outcome.clone() };
        let trial = Trial::new(TrialId(3), Point::new(), Fidelity::new(0.5)?, "\"\n");
        let lines = [
            Line::tell(TrialId(3), &outcome, true, UNIX_EPOCH),
            Line::inject(0, &known, UNIX_EPOCH),
            Line::ask(&trial, 2, UNIX_EPOCH),
        ];
        for line in lines {
            let sealed = line.seal()?;
            let text = sealed.as_bytes();
            let opened = Line::unseal(text).ok_or("does not open")?;
            assert_eq!(opened.seal()?, sealed);
            for place in 0..text.len() {
                let mut changed = text.to_vec();
                changed[place] ^= 1;
                assert!(Line::unseal(&changed).is_none(), "byte {place}");
                assert!(Line::unseal(&text[..place]).is_none(), "cut at {place}");
            }
        }
        Ok(())
    }

    #[test]
    fn an_older_line_without_the_newer_fields_opens() -> Result<(), Box<dyn std::error::Error>> {
        let line = Line::tell(TrialId(3), &Outcome::score(0.5), false, UNIX_EPOCH).seal()?;
        assert!(
            line.starts_with(r#"{"t":"tell","id":3,"ok":true,"objectives":[0.5],"w":{"unix":0.0},"c":""#),
            "{line}"
        );
        assert!(Line::unseal(line.as_bytes()).is_some());
        Ok(())
    }
}
