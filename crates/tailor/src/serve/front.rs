//! The trials that no other one beats.

use zo_search::{History, Outcome, Record, pareto};

/// The full results of a study with several objectives that no other one dominates, in the order of their numbers. Only
/// what is on the front so far is compared with each trial, so that ten thousand take no time.
pub(super) fn front(history: &History) -> Vec<&Record> {
    let mut front: Vec<(&Record, &Outcome)> = Vec::new();
    for (record, outcome) in full(history) {
        if front.iter().any(|(_, other)| pareto::dominates(other, outcome)) {
            continue;
        }
        front.retain(|(_, other)| !pareto::dominates(outcome, other));
        front.push((record, outcome));
    }
    front.into_iter().map(|(record, _)| record).collect()
}

/// The trials with several objectives on all documents.
pub(super) fn full(history: &History) -> impl Iterator<Item = (&Record, &Outcome)> {
    let full = history.trials().iter().filter(|record| record.full_objective().is_some());
    full.filter_map(|record| Some((record, record.outcome.as_ref()?)))
        .filter(|(_, outcome)| outcome.objectives.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zo_search::{Header, RandomSearch, Space, Study};

    #[test]
    fn the_front_is_the_one_of_comparing_each_with_each() -> Result<(), zo_search::Error> {
        let space = Space::new().float("x", 0.0..=1.0).float("y", 0.0..=1.0);
        let mut study = Study::in_memory(Header::new("front", 3), RandomSearch::new(space, 3))?;
        for _ in 0..200 {
            let trial = study.ask()?;
            let coarse = |x: f64| (8.0 * x).round() / 8.0;
            let outcome = Outcome::scores([coarse(trial.point.float("x")?), coarse(trial.point.float("y")?)]);
            study.tell(trial.id, outcome)?;
        }
        let outcomes: Vec<&Outcome> = study.trials().iter().filter_map(|record| record.outcome.as_ref()).collect();
        let first = pareto::ranks(&outcomes).into_iter().enumerate().filter(|(_, rank)| *rank == Some(0));
        let expected: Vec<u64> = first.map(|(trial, _)| trial as u64).collect();
        let found: Vec<u64> = front(study.history()).iter().map(|record| record.trial.id.0).collect();
        assert_eq!(found, expected);
        Ok(())
    }
}
