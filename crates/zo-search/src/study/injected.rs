//! What a study knew before its first ask.

use crate::{Outcome, Point, TrialId};

/// What a study knew before its first ask: an outcome of another study's.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Injected {
    /// The name of the other study.
    pub from: String,
    /// The trial's number there.
    pub id: TrialId,
    /// The point.
    pub point: Point,
    /// What came out of it there. Its fidelity is always set.
    pub outcome: Outcome,
}

impl Injected {
    /// All that it says; equal for equal ones.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&(&self.from, self.id, &self.point, &self.outcome)).unwrap_or_default()
    }
}
