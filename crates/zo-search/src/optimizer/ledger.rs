//! What was asked and what was told.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::{Error, Fidelity, Origin, Outcome, Point, PointKey, Rung, Trial, TrialId};

/// What was asked and what was told, always in the order of the asks: strategies that read it cannot depend on the
/// order of telling.
///
/// ```
/// # use zo_search::{Error, Fidelity, Ledger, Outcome, Point};
/// let mut ledger = Ledger::new();
/// let trial = ledger.issue(Point::new().with_int("x", 3), Fidelity::FULL, "by hand");
/// assert!(ledger.knows(&trial.point) && ledger.best().is_none());
/// ledger.tell(trial.id, Outcome::score(0.5))?;
/// assert_eq!(ledger.best().map(|best| best.trial.id), Some(trial.id));
/// assert!(matches!(ledger.tell(trial.id, Outcome::score(0.4)), Err(Error::AlreadyTold { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Of the trials, that of number `i` at place `i`.
    entries: Vec<Entry>,
    /// What was known before the first ask.
    injected: Vec<Entry>,
    /// Of all points that were asked, or that a result on all instances is known of.
    keys: HashSet<PointKey>,
}

/// One trial in a [`Ledger`].
///
/// [`Entry::rank`] orders entries as single-objective strategies prefer them; [`pareto`](crate::pareto) compares
/// several objectives.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What was asked.
    pub trial: Trial,
    /// What was told; none while the trial is pending. Its fidelity is always set.
    pub outcome: Option<Outcome>,
}

impl Entry {
    /// The objective and its fidelity; none while pending, and after a failure.
    #[must_use]
    pub fn result(&self) -> Option<(f64, Fidelity)> {
        let outcome = self.outcome.as_ref()?;
        Some((outcome.objective()?, outcome.fidelity.unwrap_or(self.trial.fidelity)))
    }

    /// The score on each instance; none of them while pending.
    #[must_use]
    pub fn instances(&self) -> &[f64] {
        self.outcome.as_ref().map_or(&[], |outcome| &outcome.instances)
    }

    /// The better entry is less: results before failures before pending ones, higher fidelity before lower, then the
    /// smaller objective, then the earlier trial. Objectives of different fidelities are never compared.
    #[must_use]
    pub fn rank(&self, other: &Self) -> Ordering {
        let by_outcome = match (self.result(), other.result()) {
            (Some((a, fa)), Some((b, fb))) => fb.fraction().total_cmp(&fa.fraction()).then(a.total_cmp(&b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.outcome.is_none().cmp(&other.outcome.is_none()),
        };
        by_outcome.then(self.trial.id.cmp(&other.trial.id))
    }
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number that the next trial will have.
    #[must_use]
    pub fn next_id(&self) -> TrialId {
        TrialId(self.entries.len() as u64)
    }

    /// Enters the next trial.
    pub fn issue(&mut self, point: Point, fidelity: Fidelity, origin: impl Into<Origin>) -> Trial {
        self.record(Trial::new(self.next_id(), point, fidelity, origin))
    }

    /// Enters the next trial, of a rung.
    pub(crate) fn issue_at_rung(&mut self, point: Point, fidelity: Fidelity, rung: Rung, origin: Origin) -> Trial {
        self.record(Trial::new(self.next_id(), point, fidelity, origin).with_rung(rung))
    }

    fn record(&mut self, trial: Trial) -> Trial {
        self.enter(trial.clone());
        trial
    }

    /// Enters a trial from a journal.
    ///
    /// # Errors
    /// [`Error::Diverged`] when it has not the next number.
    pub fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        if trial.id != self.next_id() {
            return Err(Error::Diverged { id: trial.id });
        }
        self.enter(trial.clone());
        Ok(())
    }

    fn enter(&mut self, trial: Trial) {
        self.keys.insert(trial.point.key());
        self.entries.push(Entry { trial, outcome: None });
    }

    /// Enters what is known of a point that is no trial. One that is known on all instances counts as asked before;
    /// one that is known on some may still be asked.
    pub fn inject(&mut self, point: Point, outcome: Outcome) {
        let fidelity = outcome.fidelity.unwrap_or(Fidelity::FULL);
        let id = TrialId::injected(self.injected.len());
        if fidelity.is_full() {
            self.keys.insert(point.key());
        }
        let trial = Trial::new(id, point, fidelity, Origin::Injected);
        self.injected.push(Entry { trial, outcome: Some(outcome.at(fidelity)) });
    }

    /// Enters an outcome.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`], [`Error::AlreadyTold`].
    pub fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let entry = self.entry_mut(id)?;
        if entry.outcome.is_some() {
            return Err(Error::AlreadyTold { id });
        }
        let fidelity = outcome.fidelity.unwrap_or(entry.trial.fidelity);
        entry.outcome = Some(outcome.at(fidelity));
        Ok(())
    }

    /// Puts an outcome of a higher fidelity in the place of an earlier one.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`]; [`Error::NotAnAmendment`] when nothing was told before, or at that fidelity already.
    pub fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let entry = self.entry_mut(id)?;
        let known = entry.outcome.as_ref().map(|outcome| outcome.fidelity.unwrap_or(entry.trial.fidelity));
        let fidelity = outcome.fidelity.unwrap_or(entry.trial.fidelity);
        if known.is_none_or(|known| known >= fidelity) {
            return Err(Error::NotAnAmendment { id });
        }
        entry.outcome = Some(outcome.at(fidelity));
        Ok(())
    }

    fn entry_mut(&mut self, id: TrialId) -> Result<&mut Entry, Error> {
        let entry = usize::try_from(id.0).ok().and_then(|index| self.entries.get_mut(index));
        entry.ok_or(Error::UnknownTrial { id })
    }

    /// The entry of a trial.
    #[must_use]
    pub fn get(&self, id: TrialId) -> Option<&Entry> {
        self.entries.get(usize::try_from(id.0).ok()?)
    }

    /// Whether the point was asked before, or is known on all instances from elsewhere.
    #[must_use]
    pub fn knows(&self, point: &Point) -> bool {
        self.knows_key(point.key())
    }

    pub(crate) fn knows_key(&self, key: PointKey) -> bool {
        self.keys.contains(&key)
    }

    /// How many different points were asked, or are known.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.keys.len()
    }

    /// All trials, in the order of the asks; without what was injected.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many results were injected: the first ones of [`Ledger::evidence`].
    pub(crate) fn injected(&self) -> usize {
        self.injected.len()
    }

    /// What was injected, and then all trials in the order of the asks: what a strategy should learn from.
    pub fn evidence(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.injected.iter().chain(&self.entries)
    }

    /// The best result at the highest fidelity there is a result of, an injected one too.
    #[must_use]
    pub fn best(&self) -> Option<&Entry> {
        self.evidence().filter(|entry| entry.result().is_some()).min_by(|a, b| a.rank(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(count: usize) -> Ledger {
        let mut ledger = Ledger::new();
        for x in 0..count {
            ledger.issue(Point::new().with_int("x", x as i64), Fidelity::FULL, "test");
        }
        ledger
    }

    #[test]
    fn the_best_is_of_the_highest_fidelity_and_never_a_failure() -> Result<(), Error> {
        let mut ledger = issued(4);
        ledger.tell(TrialId(3), Outcome::score(f64::NEG_INFINITY))?;
        assert_eq!(ledger.best(), None);
        ledger.tell(TrialId(1), Outcome::score(0.1).at(Fidelity::new(0.5)?))?;
        ledger.tell(TrialId(0), Outcome::score(9.0))?;
        assert_eq!(ledger.best().map(|best| best.trial.id), Some(TrialId(0)));
        ledger.amend(TrialId(1), Outcome::score(5.0))?;
        assert_eq!(ledger.best().map(|best| best.trial.id), Some(TrialId(1)));
        Ok(())
    }

    #[test]
    fn what_is_injected_is_known_and_has_no_number_of_an_ask() -> Result<(), Error> {
        let mut ledger = Ledger::new();
        let point = |x| Point::new().with_int("x", x);
        ledger.inject(point(1), Outcome::score(2.0));
        ledger.inject(point(2), Outcome::score(1.0).at(Fidelity::new(0.5)?));
        let trial = ledger.issue(point(3), Fidelity::FULL, "test");
        assert_eq!((trial.id, ledger.entries().len(), ledger.evidence().count()), (TrialId(0), 1, 3));
        assert!(ledger.knows(&point(1)) && !ledger.knows(&point(2)), "half known is not known");
        let best = ledger.best().ok_or(Error::UnknownTrial { id: TrialId(0) })?;
        assert_eq!((&best.trial.point, best.trial.id.to_string().as_str()), (&point(1), "injected 0"));
        Ok(())
    }

    #[test]
    fn wrong_tells_change_nothing() -> Result<(), Error> {
        let mut ledger = issued(2);
        ledger.tell(TrialId(0), Outcome::score(1.0))?;
        let before = ledger.entries().to_vec();
        assert!(matches!(ledger.tell(TrialId(0), Outcome::score(2.0)), Err(Error::AlreadyTold { .. })));
        assert!(matches!(ledger.tell(TrialId(2), Outcome::score(2.0)), Err(Error::UnknownTrial { .. })));
        assert!(matches!(ledger.amend(TrialId(0), Outcome::score(2.0)), Err(Error::NotAnAmendment { .. })));
        assert!(matches!(ledger.amend(TrialId(1), Outcome::score(2.0)), Err(Error::NotAnAmendment { .. })));
        assert_eq!(ledger.entries(), before);
        Ok(())
    }
}
