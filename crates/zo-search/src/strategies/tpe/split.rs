//! Which observations are good, and which are not.

use std::cmp::Ordering;

use crate::{Entry, FailureKind};

/// The good ones at most, with one objective.
const MOST_BELOW: usize = 25;

/// Places among the evidence, rising: the best tenth of the results; and all others that say something of their
/// point, pending ones too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    pub(super) below: Vec<usize>,
    pub(super) above: Vec<usize>,
    /// Whether the results have several objectives.
    pub(super) several: bool,
}

/// By rank; with several objectives by non-domination, then crowding.
pub(super) fn split(entries: &[&Entry]) -> Split {
    let mut results: Vec<usize> = (0..entries.len()).filter(|i| entries[*i].result().is_some()).collect();
    let several = results.iter().any(|i| objectives(entries[*i]).len() > 1);
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

fn objectives(entry: &Entry) -> &[f64] {
    entry.outcome.as_ref().map_or(&[], |outcome| &outcome.objectives)
}

/// Higher fidelities first, among them front after front, in each the less crowded first.
fn by_domination(entries: &[&Entry], results: &[usize]) -> Vec<usize> {
    let fidelity = |i: usize| entries[i].result().map_or(0.0, |(_, fidelity)| fidelity.fraction());
    let better = |a: usize, b: usize| match fidelity(a).total_cmp(&fidelity(b)) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => dominates(objectives(entries[a]), objectives(entries[b])),
    };
    let mut dominators: Vec<usize> =
        results.iter().map(|b| results.iter().filter(|a| better(**a, *b)).count()).collect();
    let mut left: Vec<usize> = (0..results.len()).collect();
    let mut ordered = Vec::with_capacity(results.len());
    while !left.is_empty() {
        let (front, behind): (Vec<usize>, Vec<usize>) = left.iter().partition(|i| dominators[**i] == 0);
        for i in &behind {
            dominators[*i] -= front.iter().filter(|a| better(results[**a], results[*i])).count();
        }
        let front: Vec<usize> = front.into_iter().map(|i| results[i]).collect();
        ordered.extend(least_crowded_first(entries, front));
        left = behind;
    }
    ordered
}

fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

fn least_crowded_first(entries: &[&Entry], mut front: Vec<usize>) -> Vec<usize> {
    let count = front.iter().map(|i| objectives(entries[*i]).len()).min().unwrap_or(0);
    let mut room = vec![0.0; entries.len()];
    for objective in 0..count {
        let value = |i: usize| objectives(entries[i])[objective];
        front.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
        let (Some(&first), Some(&last)) = (front.first(), front.last()) else { continue };
        let range = (value(last) - value(first)).max(f64::MIN_POSITIVE);
        room[first] = f64::INFINITY;
        room[last] = f64::INFINITY;
        for three in front.windows(3) {
            room[three[1]] += (value(three[2]) - value(three[0])) / range;
        }
    }
    front.sort_by(|a, b| room[*b].total_cmp(&room[*a]).then(a.cmp(b)));
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Fidelity, Ledger, Outcome, Point, TrialId};

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
