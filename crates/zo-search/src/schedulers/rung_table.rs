//! Points on their way up the rungs: what every scheduler keeps.

use crate::{Entry, Error, Fidelity, Ledger, Origin, Outcome, Point, Rung, Trial, TrialId};

/// Candidates, each of which was asked at one rung after the other, from the one that it began at. What a
/// [`PromotionRule`](crate::PromotionRule) decides from.
///
/// Candidates are numbered from 0 in the order in which their points were asked first, rungs from 0 on, the one with
/// the fewest instances.
#[derive(Debug, Clone)]
pub struct RungTable {
    pub(crate) rungs: Vec<Fidelity>,
    pub(crate) ledger: Ledger,
    candidates: Vec<Candidate>,
    /// Candidate and rung of each trial.
    places: Vec<(usize, usize)>,
}

/// A point on its way up.
#[derive(Debug, Clone)]
struct Candidate {
    /// The rung that it began at.
    first: usize,
    /// Its trial at each rung reached so far.
    trials: Vec<TrialId>,
}

impl RungTable {
    /// Rungs at these fractions of the instances, which must rise and end in 1.
    pub(crate) fn new(strategy: &'static str, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let rungs: Vec<Fidelity> = rungs.into().into_iter().map(Fidelity::new).collect::<Result<_, _>>()?;
        if !rungs.last().is_some_and(|last| last.is_full()) || rungs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::BadSetting {
                strategy,
                problem: "the fractions of the instances must rise and end in 1",
            });
        }
        Ok(Self { rungs, ledger: Ledger::new(), candidates: Vec::new(), places: Vec::new() })
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether no point was asked yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The fraction of the instances of each rung, rising, the last one 1.
    #[must_use]
    pub fn rungs(&self) -> &[Fidelity] {
        &self.rungs
    }

    /// All trials, in the order of the asks.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The rung above all others.
    #[must_use]
    pub fn top(&self) -> usize {
        self.rungs.len() - 1
    }

    /// Asks a new point at a rung.
    pub(crate) fn begin(&mut self, point: Point, rung: usize, origin: Origin) -> Trial {
        let trial = self.ledger.issue_at_rung(point, self.rungs[rung], Rung(rung), origin);
        self.enter_new(rung, trial.id);
        trial
    }

    /// Asks a candidate again, at the next rung.
    pub(crate) fn promote(&mut self, candidate: usize) -> Result<Trial, Error> {
        let rung = self.rung(candidate) + 1;
        let last = self.entry(candidate, rung - 1).filter(|_| rung < self.rungs.len());
        let last = &last.ok_or(Error::NoSuchCandidate { candidate })?.trial;
        let (from, point) = (last.id, last.point.clone());
        let trial = self.ledger.issue_at_rung(point, self.rungs[rung], Rung(rung), Origin::Promotion(from));
        self.enter(candidate, rung, trial.id);
        Ok(trial)
    }

    /// A new candidate, whose first trial this is.
    fn enter_new(&mut self, rung: usize, trial: TrialId) {
        self.candidates.push(Candidate { first: rung, trials: Vec::new() });
        self.enter(self.candidates.len() - 1, rung, trial);
    }

    /// Enters the newest trial as one of a candidate's, at its next rung.
    fn enter(&mut self, candidate: usize, rung: usize, trial: TrialId) {
        self.candidates[candidate].trials.push(trial);
        self.places.push((candidate, rung));
    }

    /// The highest rung that a candidate was asked at; 0 where there is no such candidate.
    #[must_use]
    pub fn rung(&self, candidate: usize) -> usize {
        self.candidates.get(candidate).map_or(0, |Candidate { first, trials }| first + trials.len() - 1)
    }

    /// The trial of a candidate at a rung; none where it was not asked.
    #[must_use]
    pub fn entry(&self, candidate: usize, rung: usize) -> Option<&Entry> {
        let Candidate { first, trials } = self.candidates.get(candidate)?;
        self.ledger.get(*trials.get(rung.checked_sub(*first)?)?)
    }

    /// Enters an outcome, and says whose and of which rung it is.
    pub(crate) fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(usize, usize), Error> {
        self.ledger.tell(id, outcome)?;
        let place = usize::try_from(id.0).ok().and_then(|index| self.places.get(index));
        place.copied().ok_or(Error::UnknownTrial { id })
    }

    /// The rung that a candidate began at.
    pub(crate) fn first_rung_of(&self, candidate: usize) -> usize {
        self.candidates[candidate].first
    }

    /// Takes a promotion from a journal. `Ok(None)`: done; otherwise the trial is that of a new point, at this rung.
    pub(crate) fn restore_promotion(&mut self, trial: &Trial) -> Result<Option<usize>, Error> {
        let diverged = || Error::Diverged { id: trial.id };
        let rung = self.rung_of(trial).ok_or_else(diverged)?;
        let from = match trial.origin {
            // Nothing is promoted to the lowest rung: there it is the inner strategy's word, if that is a scheduler
            // too.
            Origin::Promotion(from) if rung > 0 => from,
            _ => return Ok(Some(rung)),
        };
        let place = usize::try_from(from.0).ok().and_then(|index| self.places.get(index));
        let (candidate, before) = *place.ok_or_else(diverged)?;
        let last = self.entry(candidate, self.rung(candidate)).ok_or_else(diverged)?;
        let fits = last.trial.id == from && last.trial.point == trial.point && last.result().is_some();
        if !fits || before + 1 != rung {
            return Err(diverged());
        }
        self.restore(trial, rung)?;
        self.enter(candidate, rung, trial.id);
        Ok(None)
    }

    /// The rung of a recorded trial; a record of the first release does not say it, but its fidelity.
    fn rung_of(&self, trial: &Trial) -> Option<usize> {
        let of_fidelity = || self.rungs.iter().position(|rung| *rung == trial.fidelity);
        let rung = trial.rung.map(|rung| rung.0).or_else(of_fidelity)?;
        (self.rungs.get(rung) == Some(&trial.fidelity)).then_some(rung)
    }

    /// Enters a recorded trial, with its rung.
    fn restore(&mut self, trial: &Trial, rung: usize) -> Result<(), Error> {
        self.ledger.restore(&trial.clone().with_rung(Rung(rung)))
    }

    /// Takes the trial of a new point at a rung from a journal.
    pub(crate) fn restore_new(&mut self, trial: &Trial, rung: usize) -> Result<(), Error> {
        self.restore(trial, rung)?;
        self.enter_new(rung, trial.id);
        Ok(())
    }
}
