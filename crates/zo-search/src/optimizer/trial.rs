//! What is asked: a point to evaluate, and how thoroughly.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Origin, Point};

/// The number of a trial: asks are counted from 0. What was injected into a strategy has numbers far behind all asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u64);

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(INJECTED) {
            Some(number) => write!(f, "injected {number}"),
            None => self.0.fmt(f),
        }
    }
}

/// The number of the first injected trial.
const INJECTED: u64 = 1 << 63;

impl TrialId {
    /// The number of an injected trial, which no ask has.
    pub(crate) fn injected(number: usize) -> Self {
        Self(INJECTED + number as u64)
    }
}

/// Which fraction of the instances (examples, folds, seeds) a trial is evaluated on: above 0, up to 1.
///
/// Let the instances of a smaller fraction be among those of a larger one; then nothing is evaluated twice.
///
/// ```
/// # use zo_search::Fidelity;
/// assert_eq!(Fidelity::new(0.25)?.fraction(), 0.25);
/// assert!(Fidelity::new(1.0)?.is_full() && Fidelity::new(0.0).is_err());
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fidelity(f64);

impl Fidelity {
    /// All instances.
    pub const FULL: Self = Self(1.0);

    /// A fraction of the instances.
    ///
    /// # Errors
    /// [`Error::BadFidelity`] unless `0 < fraction <= 1`.
    pub fn new(fraction: f64) -> Result<Self, Error> {
        if fraction > 0.0 && fraction <= 1.0 { Ok(Self(fraction)) } else { Err(Error::BadFidelity { found: fraction }) }
    }

    /// The fraction.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// Whether it is all of them.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.0 >= 1.0
    }
}

impl TryFrom<f64> for Fidelity {
    type Error = Error;
    fn try_from(fraction: f64) -> Result<Self, Error> {
        Self::new(fraction)
    }
}

impl From<Fidelity> for f64 {
    fn from(fidelity: Fidelity) -> Self {
        fidelity.0
    }
}

/// A step of a scheduler: 0 is the one on the fewest instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rung(pub usize);

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point to evaluate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// Its number, under which the outcome is told.
    pub id: TrialId,
    /// Where to evaluate.
    pub point: Point,
    /// On which fraction of the instances.
    pub fidelity: Fidelity,
    /// Which of the scheduler's rungs this fidelity is, or of those of a strategy with rungs of its own (`EvoPress`).
    /// None where nothing has rungs, and in journals of the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// Where the point comes from.
    pub origin: Origin,
}

impl Trial {
    /// A trial that no scheduler asked.
    #[must_use]
    pub fn new(id: TrialId, point: Point, fidelity: Fidelity, origin: impl Into<Origin>) -> Self {
        Self { id, point, fidelity, rung: None, origin: origin.into() }
    }

    /// With the rung that the fidelity is.
    #[must_use]
    pub fn with_rung(mut self, rung: Rung) -> Self {
        self.rung = Some(rung);
        self
    }

    /// Whether a recorded trial is this one. A record of the first release does not say its rung.
    pub(crate) fn is_recorded_as(&self, record: &Self) -> bool {
        let rung = record.rung.or(self.rung);
        *self == Self { rung, ..record.clone() }
    }
}
