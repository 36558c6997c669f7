//! Successive halving: most points are judged on few instances, and only the best on all.

use serde_json::json;

use crate::{Error, Fidelity, Ledger, Optimizer, Outcome, Space, Trial, TrialId};

/// Asynchronous successive halving around any strategy (ASHA: Li et al. 2020, arXiv 1810.05934).
///
/// Every new point of the inner strategy is first asked at the lowest rung, a small fraction of the instances. As soon as one of the
/// best `1/eta` of a rung has not been promoted, it is asked again at the next rung, the highest such rung first; otherwise a new
/// point is asked. There is no barrier to wait at.
///
/// The inner strategy is told the outcome of the lowest rung, and then amended by those of higher rungs, each marked with its
/// fidelity: a strategy that does not listen to [`Optimizer::amend`] compares outcomes of the lowest rung alone, and one that does
/// knows which outcomes are comparable.
///
/// Fits whenever an evaluation is a mean over instances and a part of them says something about the whole. With rungs
/// `[0.25, 1.0]` and `eta` 3, a point costs about half of a full evaluation. An ask costs a sort of the trials per rung.
#[derive(Debug, Clone)]
pub struct Halving<O> {
    inner: O,
    eta: usize,
    rungs: Vec<Fidelity>,
    ledger: Ledger,
    candidates: Vec<Candidate>,
    /// Candidate and rung of each trial.
    places: Vec<(usize, usize)>,
}

/// A point on its way up.
#[derive(Debug, Clone)]
struct Candidate {
    /// Its number in the inner strategy.
    inner: TrialId,
    /// Its trial at each rung reached so far.
    trials: Vec<TrialId>,
}

impl<O: Optimizer> Halving<O> {
    /// Halving with rungs at these fractions of the instances; one in `eta` of a rung is promoted.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless `eta` is at least 2 and the rungs rise and end in 1; [`Error::BadFidelity`].
    pub fn new(inner: O, eta: usize, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let bad = |problem| Err(Error::BadSetting { strategy: "halving", problem });
        let rungs: Vec<Fidelity> = rungs.into().into_iter().map(Fidelity::new).collect::<Result<_, _>>()?;
        if eta < 2 {
            return bad("eta must be at least 2: one in eta is promoted");
        }
        if !rungs.last().is_some_and(|last| last.is_full()) || rungs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return bad("the rungs must rise and end in 1");
        }
        Ok(Self { inner, eta, rungs, ledger: Ledger::new(), candidates: Vec::new(), places: Vec::new() })
    }

    /// The strategy inside.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The candidate to promote, and the rung that it comes from.
    fn promotable(&self) -> Option<(usize, usize)> {
        (0..self.rungs.len() - 1).rev().find_map(|rung| Some((self.promotable_from(rung)?, rung)))
    }

    fn promotable_from(&self, rung: usize) -> Option<usize> {
        let at_rung = self.candidates.iter().enumerate().filter_map(|(index, candidate)| {
            let entry = self.ledger.get(*candidate.trials.get(rung)?)?;
            entry.outcome.as_ref()?;
            Some((index, entry))
        });
        let mut finished: Vec<_> = at_rung.collect();
        let best = finished.len() / self.eta;
        finished.retain(|(_, entry)| entry.result().is_some());
        finished.sort_by(|a, b| a.1.rank(b.1));
        let promoted = |index: &usize| self.candidates[*index].trials.len() > rung + 1;
        finished.into_iter().take(best).map(|(index, _)| index).find(|index| !promoted(index))
    }

    fn enter(&mut self, candidate: usize, rung: usize, trial: &Trial) {
        self.candidates[candidate].trials.push(trial.id);
        self.places.push((candidate, rung));
    }

    fn enter_candidate(&mut self, inner: TrialId) -> usize {
        self.candidates.push(Candidate { inner, trials: Vec::new() });
        self.candidates.len() - 1
    }
}

impl<O: Optimizer> Optimizer for Halving<O> {
    fn ask(&mut self) -> Result<Trial, Error> {
        let (candidate, rung, point, origin) = match self.promotable() {
            Some((candidate, rung)) => {
                let from = self.candidates[candidate].trials[rung];
                let point = self.ledger.get(from).ok_or(Error::UnknownTrial { id: from })?.trial.point.clone();
                (candidate, rung + 1, point, format!("promotion of {from}"))
            }
            None => {
                let new = self.inner.ask()?;
                (self.enter_candidate(new.id), 0, new.point, new.origin)
            }
        };
        let trial = self.ledger.issue(point, self.rungs[rung], origin);
        self.enter(candidate, rung, &trial);
        Ok(trial)
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.ledger.tell(id, outcome.clone())?;
        let place = usize::try_from(id.0).ok().and_then(|index| self.places.get(index));
        let (candidate, rung) = *place.ok_or(Error::UnknownTrial { id })?;
        let inner = self.candidates[candidate].inner;
        // The rung, not what the evaluator may have made of it: so rungs stay comparable, and an amendment is always higher.
        let outcome = outcome.at(self.rungs[rung]);
        if rung == 0 { self.inner.tell(inner, outcome) } else { self.inner.amend(inner, outcome) }
    }

    fn space(&self) -> &Space {
        self.inner.space()
    }

    fn name(&self) -> &str {
        "halving"
    }

    fn settings(&self) -> serde_json::Value {
        let inner = json!({ "name": self.inner.name(), "settings": self.inner.settings() });
        json!({ "eta": self.eta, "rungs": self.rungs, "inner": inner })
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        let diverged = || Error::Diverged { id: trial.id };
        let rung = self.rungs.iter().position(|rung| *rung == trial.fidelity).ok_or_else(diverged)?;
        let candidate = if rung == 0 {
            let id = TrialId(self.candidates.len() as u64);
            self.inner.restore(&Trial { id, fidelity: Fidelity::FULL, ..trial.clone() })?;
            self.enter_candidate(id)
        } else {
            let same_point = |id: &TrialId| self.ledger.get(*id).is_some_and(|entry| entry.trial.point == trial.point);
            let waiting = |candidate: &Candidate| candidate.trials.len() == rung && candidate.trials.iter().all(same_point);
            self.candidates.iter().position(waiting).ok_or_else(diverged)?
        };
        self.ledger.restore(trial)?;
        self.enter(candidate, rung, trial);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evolution, FailureKind, RandomSearch};

    fn space() -> Space {
        Space::new().float("x", 0.0..=1.0)
    }

    #[test]
    fn only_the_best_of_a_rung_climb() -> Result<(), Error> {
        let mut search = Halving::new(RandomSearch::new(space(), 1), 3, [0.1, 0.3, 1.0])?;
        let mut trials = Vec::new();
        for _ in 0..120 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
            trials.push(trial);
        }
        let at = |fraction: f64| -> Vec<f64> {
            trials.iter().filter(|t| t.fidelity.fraction() == fraction).filter_map(|t| t.point.float("x").ok()).collect()
        };
        let (low, middle, full) = (at(0.1), at(0.3), at(1.0));
        assert!(middle.len() >= low.len() / 3 && full.len() >= middle.len() / 3, "{} {} {}", low.len(), middle.len(), full.len());
        assert!(full.len() < 25);
        let best = low.iter().copied().fold(1.0, f64::min);
        assert!(full.contains(&best), "the best point of the lowest rung reached the top");
        Ok(())
    }

    #[test]
    fn a_failure_does_not_climb_and_failing_on_top_unseats() -> Result<(), Error> {
        let mut search = Halving::new(Evolution::new(space(), 1), 2, [0.5, 1.0])?;
        let (a, b) = (search.ask()?, search.ask()?);
        search.tell(a.id, Outcome::failed(FailureKind::Crash, "no"))?;
        search.tell(b.id, Outcome::score(f64::NAN))?;
        assert_eq!(search.ask()?.fidelity.fraction(), 0.5);
        let c = search.ask()?;
        search.tell(c.id, Outcome::score(1.0))?;
        let d = search.ask()?;
        search.tell(d.id, Outcome::score(2.0))?;
        let top = search.ask()?;
        assert_eq!((top.point.clone(), top.fidelity), (c.point, Fidelity::FULL));
        search.tell(top.id, Outcome::failed(FailureKind::Timeout, "slow"))?;
        Ok(())
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for (eta, rungs) in [(1, vec![1.0]), (3, vec![]), (3, vec![0.5]), (3, vec![0.5, 0.5, 1.0]), (3, vec![0.0, 1.0])] {
            assert!(Halving::new(RandomSearch::new(space(), 1), eta, rungs).is_err());
        }
    }
}
