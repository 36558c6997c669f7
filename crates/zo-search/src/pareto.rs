//! Several objectives: which outcomes no other beats, how evenly they lie, and how much they cover.
//!
//! ```
//! # use zo_search::{Outcome, pareto};
//! let outcomes = [Outcome::scores([1.0, 4.0]), Outcome::scores([2.0, 2.0]), Outcome::scores([3.0, 3.0])];
//! let outcomes: Vec<&Outcome> = outcomes.iter().collect();
//! assert_eq!(pareto::ranks(&outcomes), [Some(0), Some(0), Some(1)]);
//! let points: Vec<&[f64]> = outcomes.iter().filter_map(|outcome| outcome.result()).collect();
//! assert_eq!(pareto::hypervolume(&points, &[5.0, 5.0]), 10.0);
//! ```

use std::cmp::Ordering;

use crate::{Entry, Fidelity, Outcome};

/// What an outcome says of its point, the better kinds first; failures say nothing.
enum Standing<'a> {
    Result(Fidelity, &'a [f64]),
    Violation(f64),
}

/// None for failures, and where an objective is no finite number and no constraint is broken.
fn standing(outcome: &Outcome) -> Option<Standing<'_>> {
    if let Some(objectives) = outcome.result() {
        return Some(Standing::Result(outcome.fidelity.unwrap_or(Fidelity::FULL), objectives));
    }
    (outcome.failure.is_none() && outcome.violation > 0.0).then_some(Standing::Violation(outcome.violation))
}

/// Whether `a` beats `b`: it is as small in each objective and smaller in one.
///
/// A result beats one of lower fidelity, with which it cannot be compared, and one that breaks a constraint; of those
/// that do, the one that breaks it less beats the other. They all beat failures and what is not a number, which beat
/// nothing.
#[must_use]
pub fn dominates(a: &Outcome, b: &Outcome) -> bool {
    match (standing(a), standing(b)) {
        (Some(Standing::Result(fa, a)), Some(Standing::Result(fb, b))) => fa > fb || (fa == fb && smaller(a, b)),
        (Some(Standing::Violation(a)), Some(Standing::Violation(b))) => a < b,
        (Some(Standing::Result(..)), Some(Standing::Violation(_))) | (Some(_), None) => true,
        (Some(Standing::Violation(_)), Some(Standing::Result(..))) | (None, _) => false,
    }
}

/// As small in each objective and smaller in one; never for different numbers of objectives.
fn smaller(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a <= b) && a != b
}

/// The non-dominated rank of each outcome: 0 where no other [`dominates`] it, 1 where only those of rank 0 do, and so
/// on; none for failures and what is not a number.
///
/// Costs a comparison of each with each.
#[must_use]
pub fn ranks(outcomes: &[&Outcome]) -> Vec<Option<usize>> {
    let mut ranks = vec![None; outcomes.len()];
    let sound: Vec<usize> = (0..outcomes.len()).filter(|i| standing(outcomes[*i]).is_some()).collect();
    let beaten_by = |i: usize| sound.iter().copied().filter(move |j| dominates(outcomes[i], outcomes[*j]));
    let beaten: Vec<(usize, Vec<usize>)> = sound.iter().map(|i| (*i, beaten_by(*i).collect())).collect();
    let mut better = vec![0_usize; outcomes.len()];
    beaten.iter().flat_map(|(_, worse)| worse).for_each(|worse| better[*worse] += 1);
    let mut left = beaten;
    for rank in 0.. {
        let (front, behind): (Vec<_>, Vec<_>) = left.into_iter().partition(|(i, _)| better[*i] == 0);
        if front.is_empty() {
            break;
        }
        for (i, worse) in front {
            ranks[i] = Some(rank);
            worse.into_iter().for_each(|worse| better[worse] -= 1);
        }
        left = behind;
    }
    ranks
}

/// The results that no other dominates, in the order of the asks. Pending trials, failures, and what breaks a
/// constraint or is not a number is never among them.
#[must_use]
pub fn front(entries: &[Entry]) -> Vec<&Entry> {
    let sound = |entry: &Entry| entry.outcome.as_ref().is_some_and(|outcome| outcome.result().is_some());
    let results: Vec<&Entry> = entries.iter().filter(|entry| sound(entry)).collect();
    let beats = |a: &Entry, b: &Entry| a.outcome.as_ref().zip(b.outcome.as_ref()).is_some_and(|(a, b)| dominates(a, b));
    let unbeaten = |entry: &&&Entry| !results.iter().any(|other| beats(other, entry));
    results.iter().filter(unbeaten).copied().collect()
}

/// How far the neighbours of each point lie apart, as a sum over the objectives of parts of their ranges; infinite at
/// the ends.
///
/// Points of one non-dominated rank are meant, with as many objectives each (Deb et al. 2002).
#[must_use]
pub fn crowding(points: &[&[f64]]) -> Vec<f64> {
    let mut distances = vec![0.0; points.len()];
    let at = |point: usize, objective: usize| points[point].get(objective).copied().unwrap_or(f64::NAN);
    for objective in 0..points.iter().map(|point| point.len()).max().unwrap_or(0) {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| at(*a, objective).total_cmp(&at(*b, objective)).then(a.cmp(b)));
        let (Some(first), Some(last)) = (order.first(), order.last()) else { break };
        let range = at(*last, objective) - at(*first, objective);
        (distances[*first], distances[*last]) = (f64::INFINITY, f64::INFINITY);
        for around in order.windows(3).filter(|_| range > 0.0) {
            distances[around[1]] += (at(around[2], objective) - at(around[0], objective)) / range;
        }
    }
    distances
}

/// The volume of all that some point dominates, up to the reference point: what a front covers.
///
/// Exact. Points that do not lie below the reference in each objective, or have another number of objectives, cover
/// nothing. Costs a sort with two objectives, and as many times more with each further one as there are points.
#[must_use]
pub fn hypervolume(points: &[&[f64]], reference: &[f64]) -> f64 {
    let below = |point: &&&[f64]| {
        point.len() == reference.len() && point.iter().zip(reference).all(|(x, r)| x.is_finite() && x < r)
    };
    let mut points: Vec<&[f64]> = points.iter().filter(below).copied().collect();
    volume(&mut points, reference)
}

/// Cuts the volume into slices along the last objective; within each, it is the volume of one objective less.
fn volume(points: &mut [&[f64]], reference: &[f64]) -> f64 {
    let Some((end, rest)) = reference.split_last() else { return 0.0 };
    let last = rest.len();
    points.sort_by(|a, b| a[last].total_cmp(&b[last]));
    match rest {
        [] => points.first().map_or(0.0, |point| end - point[0]),
        [width] => {
            let (mut sum, mut left) = (0.0, *width);
            for (i, point) in points.iter().enumerate() {
                let next = points.get(i + 1).map_or(*end, |next| next[1]);
                left = left.min(point[0]);
                sum += (width - left) * (next - point[1]);
            }
            sum
        }
        _ => {
            let slice = |i: usize| {
                let next = points.get(i + 1).map_or(*end, |next| next[last]);
                let height = next - points[i][last];
                if height > 0.0 { height * volume(&mut points[..=i].to_vec(), rest) } else { 0.0 }
            };
            (0..points.len()).map(slice).sum()
        }
    }
}

/// How well an outcome does among others: its non-dominated [rank](ranks), and its [crowding] distance among those of
/// that rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placing {
    pub(crate) rank: usize,
    pub(crate) crowding: f64,
}

impl Placing {
    /// The better one is less: the lower rank, then the larger crowding distance (the crowded comparison of Deb et al.
    /// 2002).
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then(other.crowding.total_cmp(&self.crowding))
    }
}

/// The placing of each outcome among all; none for failures and what is not a number.
pub(crate) fn placings(outcomes: &[&Outcome]) -> Vec<Option<Placing>> {
    let ranks = ranks(outcomes);
    let mut placings = vec![None; outcomes.len()];
    for rank in 0..ranks.iter().flatten().max().map_or(0, |last| last + 1) {
        let front: Vec<usize> = (0..outcomes.len()).filter(|i| ranks[*i] == Some(rank)).collect();
        let points: Vec<&[f64]> = front.iter().map(|i| outcomes[*i].objectives.as_slice()).collect();
        for (i, crowding) in front.iter().zip(crowding(&points)) {
            placings[*i] = Some(Placing { rank, crowding });
        }
    }
    placings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FailureKind, Ledger, Point};

    fn result(objectives: &[f64]) -> Outcome {
        Outcome::scores(objectives)
    }

    #[test]
    fn what_is_feasible_beats_what_is_not_and_a_failure_has_no_rank() {
        let outcomes = [
            result(&[9.0, 9.0]),
            result(&[0.0, 0.0]).with_violation(2.0),
            result(&[5.0, 5.0]).with_violation(1.0),
            Outcome::failed(FailureKind::Crash, "no").with_violation(0.5),
            result(&[f64::NAN, 0.0]),
            Outcome::default().with_violation(1.0),
            result(&[0.0, 0.0]).with_violation(f64::NAN),
        ];
        let outcomes: Vec<&Outcome> = outcomes.iter().collect();
        assert_eq!(ranks(&outcomes), [Some(0), Some(2), Some(1), None, None, Some(1), None]);
    }

    #[test]
    fn the_front_is_of_the_highest_fidelity_and_of_results_alone() -> Result<(), crate::Error> {
        let mut ledger = Ledger::new();
        let half = Fidelity::new(0.5)?;
        let outcomes = [
            Some(result(&[0.0, 0.0]).at(half)),
            Some(result(&[1.0, 2.0])),
            Some(result(&[2.0, 1.0])),
            Some(result(&[2.0, 2.0])),
            Some(result(&[0.0, 0.0]).with_violation(1.0)),
            Some(result(&[f64::NEG_INFINITY, 0.0])),
            None,
        ];
        for outcome in outcomes {
            let trial = ledger.issue(Point::new(), Fidelity::FULL, "test");
            outcome.map_or(Ok(()), |outcome| ledger.tell(trial.id, outcome))?;
        }
        let ids: Vec<u64> = front(ledger.entries()).iter().map(|entry| entry.trial.id.0).collect();
        assert_eq!(ids, [1, 2]);
        Ok(())
    }

    #[test]
    fn crowding_is_the_gap_between_neighbours() {
        let points: [&[f64]; 4] = [&[0.0, 4.0], &[1.0, 2.0], &[2.0, 1.0], &[4.0, 0.0]];
        assert_eq!(crowding(&points), [f64::INFINITY, 0.5 + 0.75, 0.75 + 0.5, f64::INFINITY]);
        assert_eq!(crowding(&[]), Vec::<f64>::new());
        assert_eq!(crowding(&[&[1.0], &[1.0], &[1.0]]), [f64::INFINITY, 0.0, f64::INFINITY]);
    }

    #[test]
    fn volumes_that_are_known() {
        assert_eq!(hypervolume(&[&[0.25]], &[1.0]), 0.75);
        assert_eq!(hypervolume(&[&[0.0, 0.5], &[0.5, 0.0]], &[1.0, 1.0]), 0.75);
        // Three corners of a cube of side 2, each a column of 1 x 1 missing: 8 - 3 - 1 by inclusion and exclusion.
        let corners: [&[f64]; 3] = [&[1.0, 1.0, 0.0], &[1.0, 0.0, 1.0], &[0.0, 1.0, 1.0]];
        assert_eq!(hypervolume(&corners, &[2.0, 2.0, 2.0]), 4.0);
        assert_eq!(hypervolume(&[&[2.0, 0.0], &[f64::NAN, 0.0], &[0.0]], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[], &[]), 0.0);
    }

    /// Points on a coarse grid, so that there are ties.
    fn points(objectives: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        prop::collection::vec(prop::collection::vec((0_u8..6).prop_map(f64::from), objectives), 0..14)
    }

    /// The volume by counting the unit cells of the grid.
    fn counted(points: &[Vec<f64>], objectives: usize) -> f64 {
        let cells = 6_usize.pow(u32::try_from(objectives).unwrap_or(0));
        let corner = |cell: usize| (0..objectives).map(move |i| (cell / 6_usize.pow(i as u32) % 6) as f64);
        let covered = |cell: &usize| points.iter().any(|point| point.iter().zip(corner(*cell)).all(|(x, c)| *x <= c));
        (0..cells).filter(covered).count() as f64
    }

    proptest! {
        #[test]
        fn the_volume_is_that_of_the_cells_covered(two in points(2), three in points(3), four in points(4)) {
            for (points, objectives) in [(two, 2), (three, 3), (four, 4)] {
                let slices: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
                let volume = hypervolume(&slices, &vec![6.0; objectives]);
                prop_assert_eq!(volume, counted(&points, objectives));
            }
        }

        #[test]
        fn a_rank_is_one_more_than_the_highest_that_dominates(points in points(3), violated in any::<u16>()) {
            let violation = |i: usize| f64::from(violated >> i & 1) * (1 + i % 3) as f64;
            let outcomes = points.iter().enumerate().map(|(i, point)| result(point).with_violation(violation(i)));
            let outcomes: Vec<Outcome> = outcomes.collect();
            let outcomes: Vec<&Outcome> = outcomes.iter().collect();
            let ranks = ranks(&outcomes);
            for (outcome, rank) in outcomes.iter().zip(&ranks) {
                prop_assert!(!dominates(outcome, outcome));
                let above = outcomes.iter().zip(&ranks).filter(|(other, _)| dominates(other, outcome));
                prop_assert_eq!(*rank, above.map(|(_, rank)| rank.map(|rank| rank + 1)).max().unwrap_or(Some(0)));
            }
        }
    }
}
