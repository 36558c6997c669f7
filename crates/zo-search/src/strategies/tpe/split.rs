//! Which observations are good, and which are not.

use crate::{Entry, FailureKind, Outcome, pareto};

/// The good ones at most, with one objective.
const MOST_BELOW: usize = 25;

/// Places among the evidence, rising: the best tenth of the results; and all others that say something of their
/// point, pending ones too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    /// The good ones.
    pub(super) below: Vec<usize>,
    /// All others that say something.
    pub(super) above: Vec<usize>,
    /// Whether the results have several objectives.
    pub(super) several: bool,
}

/// By rank; with several objectives by non-domination, then crowding.
pub(super) fn split(entries: &[&Entry]) -> Split {
    let mut results: Vec<usize> = (0..entries.len()).filter(|i| entries[*i].result().is_some()).collect();
    let objectives = |i: usize| entries[i].outcome.as_ref().map_or(0, |outcome| outcome.objectives.len());
    let several = results.iter().any(|i| objectives(*i) > 1);
    let count = results.len().div_ceil(10);
    let count = if several { count } else { count.min(MOST_BELOW) };
    if several {
        results = by_domination(entries, &results);
    } else {
        results.sort_by(|a, b| entries[*a].rank(entries[*b]));
    }
    let mut below = results[..count].to_vec();
    below.sort_unstable();
    let above = (0..entries.len()).filter(|i| below.binary_search(i).is_err() && says_something(entries[*i])).collect();
    Split { below, above, several }
}

/// Not if it broke down for a reason that may have nothing to do with the point.
fn says_something(entry: &Entry) -> bool {
    let failure = entry.outcome.as_ref().and_then(|outcome| outcome.failure.as_ref());
    !failure.is_some_and(|failure| matches!(failure.kind, FailureKind::Crash | FailureKind::Abandoned))
}

/// Higher fidelities first, among them front after front, in each the less crowded first.
fn by_domination(entries: &[&Entry], results: &[usize]) -> Vec<usize> {
    let outcomes: Vec<&Outcome> = results.iter().filter_map(|i| entries[*i].outcome.as_ref()).collect();
    let placings = pareto::placings(&outcomes).into_iter().zip(results);
    let mut ordered: Vec<_> = placings.filter_map(|(placing, i)| Some((placing?, *i))).collect();
    ordered.sort_by(|a, b| a.0.compare(&b.0).then(a.1.cmp(&b.1)));
    ordered.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Fidelity, Ledger, Point, TrialId};

    fn told(outcomes: impl IntoIterator<Item = Option<Outcome>>) -> Result<Ledger, Error> {
        let mut ledger = Ledger::new();
        for (id, outcome) in (0..).zip(outcomes) {
            ledger.issue(Point::new().with_int("x", id), Fidelity::FULL, "test");
            outcome.map_or(Ok(()), |outcome| ledger.tell(TrialId(id.unsigned_abs()), outcome))?;
        }
        Ok(ledger)
    }

    #[test]
    fn failures_and_pending_trials_are_never_good() -> Result<(), Error> {
        let failed = |kind| Some(Outcome::failed(kind, "test"));
        let scores = (0..11).map(|i| Some(Outcome::score(f64::from((i * 7) % 11))));
        let others = [
            None,
            failed(FailureKind::Crash),
            failed(FailureKind::Invalid),
            failed(FailureKind::Abandoned),
            Some(Outcome::score(-5.0).with_violation(1.0)),
            Some(Outcome::score(f64::NAN)),
        ];
        let split = split(&told(scores.chain(others))?.evidence().collect::<Vec<_>>());
        assert_eq!(split.below, [0, 8]);
        assert_eq!(split.above, [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 15, 16]);
        Ok(())
    }

    #[test]
    fn several_objectives_go_by_fronts_and_room() -> Result<(), Error> {
        // The front: (0, 4), (1, 3), (1.1, 2.9), (4, 0); behind it all others.
        let front = [[1.0, 3.0], [0.0, 4.0], [4.0, 0.0], [1.1, 2.9]];
        let behind = (0..24).map(|i| [5.0 + f64::from(i), 5.0]);
        let all = front.into_iter().chain(behind).map(|scores| Some(Outcome::scores(scores)));
        let split = split(&told(all)?.evidence().collect::<Vec<_>>());
        assert!(split.several);
        assert_eq!(split.below, [1, 2, 3]);
        Ok(())
    }
}
