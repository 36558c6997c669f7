//! What a model is to learn from: the results that can be compared, the failures, and what is still pending.

use crate::{Entry, Fidelity, Ledger, Outcome};

/// Trials by their places in the ledger's evidence, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) trials: Vec<usize>,
    /// The cost of each, those of failures made up.
    pub(crate) costs: Vec<f64>,
    pub(crate) pending: Vec<usize>,
}

impl Evidence {
    /// From the first `before` entries of the ledger's evidence, what was injected first; none without a result.
    ///
    /// Only results of one fidelity are compared: the highest of which there are `least`, or else that of which there
    /// are most. `cost` makes one number of each of the results. A failure says that its point is worse than all
    /// others.
    pub(crate) fn collect(
        ledger: &Ledger,
        before: usize,
        least: usize,
        cost: impl FnOnce(&[&Outcome]) -> Vec<f64>,
    ) -> Option<Self> {
        let entries = ledger.evidence().take(before);
        let fidelity = comparable(entries.clone(), least)?;
        let (mut trials, mut results) = (Vec::new(), Vec::new());
        let (mut failed, mut pending) = (Vec::new(), Vec::new());
        for (place, entry) in entries.enumerate() {
            match &entry.outcome {
                None => pending.push(place),
                Some(outcome) => match outcome.result() {
                    Some(_) if entry.result().is_some_and(|(_, at)| at == fidelity) => {
                        trials.push(place);
                        results.push(outcome);
                    }
                    Some(_) => {}
                    None if outcome.is_evidence() => failed.push(place),
                    None => {}
                },
            }
        }
        let mut costs = cost(&results);
        let crash = crash_cost(&costs);
        costs.extend(failed.iter().map(|_| crash));
        trials.extend(failed);
        Some(Self { trials, costs, pending })
    }
}

/// The fidelity whose results are compared.
fn comparable<'a>(entries: impl Iterator<Item = &'a Entry>, least: usize) -> Option<Fidelity> {
    let mut all: Vec<Fidelity> = entries.filter_map(|entry| Some(entry.result()?.1)).collect();
    all.sort_by(|a, b| b.fraction().total_cmp(&a.fraction()));
    let mut levels: Vec<(usize, Fidelity)> = Vec::new();
    for fidelity in all {
        match levels.last_mut() {
            Some((count, last)) if *last == fidelity => *count += 1,
            _ => levels.push((1, fidelity)),
        }
    }
    let enough = levels.iter().find(|(count, _)| *count >= least);
    // Of equally many the highest: `max_by_key` takes the last.
    let most = || levels.iter().rev().max_by_key(|(count, _)| *count);
    enough.or_else(most).map(|(_, fidelity)| *fidelity)
}

/// Worse than the worst result by a tenth of its distance from the median: `max + 0.1 (max - median)`.
fn crash_cost(costs: &[f64]) -> f64 {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(worst)) => worst + 0.1 * (worst - median),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, FailureKind, Point, TrialId};

    fn first(results: &[&Outcome]) -> Vec<f64> {
        results.iter().filter_map(|result| result.objective()).collect()
    }

    fn ledger(outcomes: Vec<Option<Outcome>>) -> Result<Ledger, Error> {
        let mut ledger = Ledger::new();
        for (x, outcome) in outcomes.into_iter().enumerate() {
            let trial = ledger.issue(Point::new().with_int("x", x as i64), Fidelity::FULL, "test");
            if let Some(outcome) = outcome {
                ledger.tell(TrialId(trial.id.0), outcome)?;
            }
        }
        Ok(ledger)
    }

    #[test]
    fn failures_cost_more_than_the_worst_and_abandoned_trials_say_nothing() -> Result<(), Error> {
        let ledger = ledger(vec![
            Some(Outcome::score(1.0)),
            Some(Outcome::failed(FailureKind::Crash, "")),
            None,
            Some(Outcome::score(3.0)),
            Some(Outcome::failed(FailureKind::Abandoned, "")),
            Some(Outcome::score(2.0)),
            Some(Outcome::score(f64::NAN)),
            Some(Outcome::score(9.0)),
        ])?;
        let evidence = Evidence::collect(&ledger, 7, 1, first);
        let costs = vec![1.0, 3.0, 2.0, 3.1, 3.1];
        assert_eq!(evidence, Some(Evidence { trials: vec![0, 3, 5, 1, 6], costs, pending: vec![2] }));
        assert_eq!(Evidence::collect(&ledger, 0, 1, first), None);
        Ok(())
    }

    #[test]
    fn only_one_fidelity_is_looked_at() -> Result<(), Error> {
        let half = |x| Some(Outcome { fidelity: Fidelity::new(0.5).ok(), ..Outcome::score(x) });
        let ledger = ledger(vec![half(1.0), half(2.0), Some(Outcome::score(3.0)), half(4.0)])?;
        let trials = |least| Evidence::collect(&ledger, 4, least, first).map(|evidence| evidence.trials);
        assert_eq!(trials(1), Some(vec![2]));
        assert_eq!(trials(2), Some(vec![0, 1, 3]));
        assert_eq!(trials(9), Some(vec![0, 1, 3]));
        Ok(())
    }
}
