//! Points on their way up the rungs: what halving, Hyperband and `EvoPress` keep.

use crate::{Entry, Error, Fidelity, Ledger, Optimizer, Outcome, Point, Trial, TrialId};

/// How the origin of a promotion begins; behind it stands the trial that is promoted.
const PROMOTION: &str = "promotion of ";

/// Candidates, each of which was asked at one rung after the other, from the one that it began at.
#[derive(Debug, Clone)]
pub(crate) struct Ladder {
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

impl Ladder {
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
    pub(crate) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// The rung above all others.
    pub(crate) fn top(&self) -> usize {
        self.rungs.len() - 1
    }

    /// Asks a new point at a rung.
    pub(crate) fn begin(&mut self, point: Point, rung: usize, origin: String) -> Trial {
        let trial = self.ledger.issue(point, self.rungs[rung], origin);
        self.enter_new(rung, trial.id);
        trial
    }

    /// Asks a candidate again, at the next rung.
    pub(crate) fn promote(&mut self, candidate: usize) -> Result<Trial, Error> {
        let from = self.candidates[candidate].trials.last().copied().unwrap_or(self.ledger.next_id());
        let point = self.ledger.get(from).ok_or(Error::UnknownTrial { id: from })?.trial.point.clone();
        let rung = self.rung(candidate) + 1;
        let trial = self.ledger.issue(point, self.rungs[rung], format!("{PROMOTION}{from}"));
        self.enter(candidate, rung, trial.id);
        Ok(trial)
    }

    fn enter_new(&mut self, rung: usize, trial: TrialId) {
        self.candidates.push(Candidate { first: rung, trials: Vec::new() });
        self.enter(self.candidates.len() - 1, rung, trial);
    }

    fn enter(&mut self, candidate: usize, rung: usize, trial: TrialId) {
        self.candidates[candidate].trials.push(trial);
        self.places.push((candidate, rung));
    }

    /// The highest rung that a candidate was asked at.
    pub(crate) fn rung(&self, candidate: usize) -> usize {
        let Candidate { first, trials } = &self.candidates[candidate];
        first + trials.len() - 1
    }

    /// The trial of a candidate at a rung; none where it was not asked.
    pub(crate) fn entry(&self, candidate: usize, rung: usize) -> Option<&Entry> {
        let Candidate { first, trials } = self.candidates.get(candidate)?;
        self.ledger.get(*trials.get(rung.checked_sub(*first)?)?)
    }

    /// Enters an outcome, and says whose and of which rung it is.
    pub(crate) fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(usize, usize), Error> {
        self.ledger.tell(id, outcome)?;
        let place = usize::try_from(id.0).ok().and_then(|index| self.places.get(index));
        place.copied().ok_or(Error::UnknownTrial { id })
    }

    /// Hands an outcome to the strategy that chose the point, where it has the number `inner`: told at the candidate's first rung,
    /// amended at higher ones.
    pub(crate) fn pass_on(
        &self,
        (candidate, rung): (usize, usize),
        outcome: Outcome,
        to: &mut impl Optimizer,
        inner: TrialId,
    ) -> Result<(), Error> {
        let first = rung == self.candidates[candidate].first;
        if !first && !outcome.is_evidence() {
            return Ok(());
        }
        // The rung, not what the evaluator may have made of it: so rungs stay comparable, and an amendment is always higher.
        let outcome = outcome.at(self.rungs[rung]);
        if first { to.tell(inner, outcome) } else { to.amend(inner, outcome) }
    }

    /// Takes a promotion from a journal. `Ok(None)`: done; otherwise the trial is that of a new point, at this rung.
    pub(crate) fn restore_promotion(&mut self, trial: &Trial) -> Result<Option<usize>, Error> {
        let diverged = || Error::Diverged { id: trial.id };
        let rung = self.rungs.iter().position(|rung| *rung == trial.fidelity).ok_or_else(diverged)?;
        // Nothing is promoted to the lowest rung, whatever the inner strategy says of its points.
        let promoted = trial.origin.strip_prefix(PROMOTION).filter(|_| rung > 0);
        let Some(from) = promoted else { return Ok(Some(rung)) };
        let from = from.parse().map(TrialId).map_err(|_| diverged())?;
        let place = usize::try_from(from.0).ok().and_then(|index| self.places.get(index));
        let (candidate, before) = *place.ok_or_else(diverged)?;
        let last = self.entry(candidate, self.rung(candidate)).ok_or_else(diverged)?;
        let fits = last.trial.id == from && last.trial.point == trial.point && last.result().is_some();
        if !fits || before + 1 != rung {
            return Err(diverged());
        }
        self.ledger.restore(trial)?;
        self.enter(candidate, rung, trial.id);
        Ok(None)
    }

    /// Takes the trial of a new point at a rung from a journal.
    pub(crate) fn restore_new(&mut self, trial: &Trial, rung: usize) -> Result<(), Error> {
        self.ledger.restore(trial)?;
        self.enter_new(rung, trial.id);
        Ok(())
    }
}
