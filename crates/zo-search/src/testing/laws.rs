//! Tries the laws of [`Optimizer`] on any implementation, yours too.

use crate::{Error, FailureKind, Fidelity, Optimizer, Outcome, Point, Trial, TrialId, generator};

/// Trials of one round: all are asked before the first is told.
const ROUND: usize = 4;
/// Rounds of each attempt.
const ROUNDS: usize = 12;
/// Points known before the first ask.
const INJECTED: u64 = 8;

/// A law of [`Optimizer`] that an implementation breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenLaw {
    /// Law 1: asks are numbered from 0.
    #[error("law 1: trial {found} was asked where {expected} was due; number the asks 0, 1, 2, ...")]
    Numbering {
        /// The number due.
        expected: TrialId,
        /// The number found.
        found: TrialId,
    },
    /// Law 1: points are canonical points of the space.
    #[error("law 1: the point of trial {id} is no canonical point of the space: {point:?}")]
    OutsideSpace {
        /// The trial.
        id: TrialId,
        /// Its point.
        point: Box<Point>,
    },
    /// Law 2: same seed and same calls, same trials.
    #[error(
        "law 2: set up and told the same, trial {id} is not the same; draw its randomness from \
         `generator(seed, .., id)`"
    )]
    NotRepeatable {
        /// The first trial that differs.
        id: TrialId,
    },
    /// Law 2: the order of telling does not matter.
    #[error(
        "law 2: trial {id} depends on the order of telling; decide from a `Ledger`, which is in the order of the asks"
    )]
    OrderMatters {
        /// The first trial that differs.
        id: TrialId,
    },
    /// Law 2: a strategy that a journal is replayed into goes on as the one that wrote it.
    #[error("law 2: after `restore`, trial {id} is not the one that would have come without")]
    RestoreDiffers {
        /// The trial that differs.
        id: TrialId,
    },
    /// Law 3: a second `tell` is an error.
    #[error("law 3: trial {id} was told a second time, and that was no error")]
    ToldTwice {
        /// The trial.
        id: TrialId,
    },
    /// Law 3: a `tell` without an ask is an error.
    #[error("law 3: trial {id} was told and never asked, and that was no error")]
    ToldUnasked {
        /// The trial.
        id: TrialId,
    },
    /// Law 3: wrong tells change nothing.
    #[error("law 3: trial {id} is another one because of tells that were refused")]
    RefusedTellMatters {
        /// The first trial that differs.
        id: TrialId,
    },
    /// Law 4: failures do not stop it.
    #[error("law 4: after outcomes that are no results, trial {id} cannot be asked or told")]
    StoppedByFailures {
        /// The trial.
        id: TrialId,
        /// What it said.
        source: Error,
    },
    /// It refuses what every strategy must do.
    #[error("trial {id} cannot be asked, told or restored, though nothing went wrong before")]
    Refused {
        /// The trial.
        id: TrialId,
        /// What it said.
        source: Error,
    },
}

/// Tries the laws of [`Optimizer`] on what `new` sets up, each time the same.
///
/// A finite space may run out of points; then it is tried as far as it goes. Some fifty trials are asked a few times
/// over.
///
/// # Errors
/// The first law that is found broken.
pub fn check_laws<O: Optimizer>(new: impl Fn() -> O) -> Result<(), BrokenLaw> {
    let good = |trial: &Trial| score_of(&trial.point);
    let (rounds, mut last) = run(new(), good, Order::Rising).map_err(refused)?;
    numbered_points_of_the_space(&rounds, &last)?;

    let again = run(new(), good, Order::Rising).map_err(refused)?.0;
    same(&rounds, &again).map_err(|id| BrokenLaw::NotRepeatable { id })?;
    for order in [Order::Falling, Order::Shuffled] {
        let other = run(new(), good, order).map_err(refused)?.0;
        same(&rounds, &other).map_err(|id| BrokenLaw::OrderMatters { id })?;
    }
    restored_goes_on(new(), &rounds, &mut last)?;
    wrong_tells_are_refused(new(), &rounds)?;
    let bad = |trial: &Trial| no_result(trial.id);
    let stopped = |(id, source)| BrokenLaw::StoppedByFailures { id, source };
    let (rounds, last) = run(new(), bad, Order::Rising).map_err(stopped)?;
    numbered_points_of_the_space(&rounds, &last)?;
    injected_keep_the_laws(new)
}

/// Tries the laws once more on a strategy that knows something before its first ask.
fn injected_keep_the_laws<O: Optimizer>(new: impl Fn() -> O) -> Result<(), BrokenLaw> {
    let first = |source| refused((TrialId(0), source));
    let informed = || inject(new()).map_err(first);
    let good = |trial: &Trial| score_of(&trial.point);
    let (rounds, mut last) = run(informed()?, good, Order::Rising).map_err(refused)?;
    numbered_points_of_the_space(&rounds, &last)?;
    let other = run(informed()?, good, Order::Shuffled).map_err(refused)?.0;
    same(&rounds, &other).map_err(|id| BrokenLaw::OrderMatters { id })?;
    restored_goes_on(informed()?, &rounds, &mut last)
}

/// Results on all instances and on some, and none at all.
fn inject<O: Optimizer>(mut search: O) -> Result<O, Error> {
    for number in 0..INJECTED {
        let point = search.space().sample(&mut generator(1, "injected", TrialId(number)))?;
        let outcome = match number % 4 {
            0 | 1 => score_of(&point),
            2 => score_of(&point).at(Fidelity::new(0.5)?),
            _ => no_result(TrialId(number)),
        };
        search.inject(point, outcome)?;
    }
    Ok(search)
}

/// In which order the trials of a round are told.
#[derive(Clone, Copy)]
enum Order {
    Rising,
    Falling,
    Shuffled,
}

impl Order {
    /// The trials of a round in this order.
    fn of(self, round: &[Trial]) -> Vec<&Trial> {
        match self {
            Self::Rising => round.iter().collect(),
            Self::Falling => round.iter().rev().collect(),
            Self::Shuffled => (0..ROUND).filter_map(|i| round.get((i * 3 + 1) % ROUND)).collect(),
        }
    }
}

/// The trials of all rounds, and the optimiser at their end.
type Run<O> = (Vec<Vec<Trial>>, O);
/// What an optimiser said, and of which trial.
type Refusal = (TrialId, Error);

/// Asks and tells in rounds.
fn run<O: Optimizer>(mut search: O, outcome: impl Fn(&Trial) -> Outcome, order: Order) -> Result<Run<O>, Refusal> {
    let mut rounds = Vec::new();
    let mut asked = 0;
    for _ in 0..ROUNDS {
        let round = ask_round(&mut search, asked)?;
        for trial in order.of(&round) {
            search.tell(trial.id, outcome(trial)).map_err(|error| (trial.id, error))?;
        }
        asked += round.len() as u64;
        rounds.push(round);
    }
    Ok((rounds, search))
}

/// The trials of a round; fewer, or none, if the space runs out of points.
fn ask_round(search: &mut impl Optimizer, first: u64) -> Result<Vec<Trial>, Refusal> {
    let mut round = Vec::new();
    for _ in 0..ROUND {
        match search.ask() {
            Ok(trial) => round.push(trial),
            Err(Error::Exhausted { .. }) => break,
            Err(error) => return Err((TrialId(first + round.len() as u64), error)),
        }
    }
    Ok(round)
}

fn refused((id, source): Refusal) -> BrokenLaw {
    BrokenLaw::Refused { id, source }
}

/// Law 1.
fn numbered_points_of_the_space(rounds: &[Vec<Trial>], search: &impl Optimizer) -> Result<(), BrokenLaw> {
    for (number, trial) in rounds.iter().flatten().enumerate() {
        let expected = TrialId(number as u64);
        if trial.id != expected {
            return Err(BrokenLaw::Numbering { expected, found: trial.id });
        }
        if !search.space().contains(&trial.point) {
            return Err(BrokenLaw::OutsideSpace { id: trial.id, point: Box::new(trial.point.clone()) });
        }
    }
    Ok(())
}

/// The number of the first trial in which two runs differ, if they do.
fn same(a: &[Vec<Trial>], b: &[Vec<Trial>]) -> Result<(), TrialId> {
    let (mut a, mut b) = (a.iter().flatten(), b.iter().flatten());
    let differs = (0..).map_while(|number| match (a.next(), b.next()) {
        (None, None) => None,
        (ours, theirs) => Some((TrialId(number), ours == theirs)),
    });
    differs.into_iter().find(|(_, equal)| !equal).map_or(Ok(()), |(id, _)| Err(id))
}

/// Replays the rounds into a new one and compares its next trials with those of `last`, which came to them by itself.
fn restored_goes_on<O: Optimizer>(mut search: O, rounds: &[Vec<Trial>], last: &mut O) -> Result<(), BrokenLaw> {
    for round in rounds {
        for trial in round {
            search.restore(trial).map_err(|source| refused((trial.id, source)))?;
        }
        for trial in round {
            search.tell(trial.id, score_of(&trial.point)).map_err(|source| refused((trial.id, source)))?;
        }
    }
    let first = rounds.iter().flatten().count() as u64;
    let (ours, theirs) = (ask_round(&mut search, first).map_err(refused)?, ask_round(last, first).map_err(refused)?);
    same(&[ours], &[theirs]).map_err(|id| BrokenLaw::RestoreDiffers { id: TrialId(first + id.0) })
}

/// Runs again, with tells in between that must be refused and change nothing.
fn wrong_tells_are_refused(mut search: impl Optimizer, rounds: &[Vec<Trial>]) -> Result<(), BrokenLaw> {
    let mut again = Vec::new();
    let mut asked = 0;
    for _ in rounds {
        let round = ask_round(&mut search, asked).map_err(refused)?;
        for trial in &round {
            search.tell(trial.id, score_of(&trial.point)).map_err(|source| refused((trial.id, source)))?;
            if search.tell(trial.id, Outcome::score(-1.0)).is_ok() {
                return Err(BrokenLaw::ToldTwice { id: trial.id });
            }
        }
        asked += round.len() as u64;
        let unasked = TrialId(asked + 1_000_000);
        if search.tell(unasked, Outcome::score(-1.0)).is_ok() {
            return Err(BrokenLaw::ToldUnasked { id: unasked });
        }
        again.push(round);
    }
    same(rounds, &again).map_err(|id| BrokenLaw::RefusedTellMatters { id })
}

/// A score between 0 and 1 that knows nothing but the point.
fn score_of(point: &Point) -> Outcome {
    Outcome::score((point.key().as_u128() >> 64) as f64 / u64::MAX as f64)
}

/// One of the ways not to have a result.
fn no_result(id: TrialId) -> Outcome {
    match id.0 % 8 {
        0 => Outcome::failed(FailureKind::Crash, "tried by check_laws"),
        1 => Outcome::score(f64::NAN),
        2 => Outcome::score(f64::INFINITY),
        3 => Outcome::failed(FailureKind::Invalid, "tried by check_laws"),
        4 => Outcome::score(f64::NEG_INFINITY),
        5 => Outcome::scores([]),
        6 => Outcome::failed(FailureKind::OutOfMemory, "tried by check_laws"),
        _ => Outcome::failed(FailureKind::Abandoned, "tried by check_laws"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fidelity, Ledger, Space, generator};

    /// What a strategy does wrong.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        FollowsTheLastTell,
        AcceptsAnything,
        StopsAfterFailures,
        LeavesTheSpace,
        Numbers,
    }

    struct Faulty {
        fault: Fault,
        space: Space,
        ledger: Ledger,
        last: f64,
    }

    impl Faulty {
        fn new(fault: Fault) -> Self {
            Self { fault, space: Space::new().float("x", 0.0..=1.0), ledger: Ledger::new(), last: 0.0 }
        }
    }

    impl Optimizer for Faulty {
        fn space(&self) -> &Space {
            &self.space
        }
        fn ask(&mut self) -> Result<Trial, Error> {
            let mut point = self.space.sample(&mut generator(1, "faulty", self.ledger.next_id()))?;
            let told = self.ledger.entries().iter().any(|entry| entry.outcome.is_some());
            match self.fault {
                Fault::FollowsTheLastTell => {
                    let x = (point.float("x")? + self.last) / 2.0;
                    point = point.with_float("x", x);
                }
                Fault::LeavesTheSpace => point = point.with_float("y", 0.0),
                Fault::StopsAfterFailures if told && self.ledger.best().is_none() => {
                    return Err(Error::UnknownTrial { id: self.ledger.next_id() });
                }
                _ => {}
            }
            let mut trial = self.ledger.issue(point, Fidelity::FULL, "faulty");
            trial.id.0 += u64::from(self.fault == Fault::Numbers) * trial.id.0;
            Ok(trial)
        }
        fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
            let id = if self.fault == Fault::Numbers { TrialId(id.0 / 2) } else { id };
            self.last = outcome.objective().unwrap_or(self.last).clamp(0.0, 1.0);
            let told = self.ledger.tell(id, outcome);
            if self.fault == Fault::AcceptsAnything { Ok(()) } else { told }
        }
    }

    #[test]
    fn each_broken_law_is_found() {
        let broken = |fault| check_laws(|| Faulty::new(fault)).err();
        assert!(broken(Fault::None).is_none());
        assert!(matches!(broken(Fault::FollowsTheLastTell), Some(BrokenLaw::OrderMatters { .. })));
        assert!(matches!(broken(Fault::AcceptsAnything), Some(BrokenLaw::ToldTwice { .. })));
        assert!(matches!(broken(Fault::StopsAfterFailures), Some(BrokenLaw::StoppedByFailures { .. })));
        assert!(matches!(broken(Fault::LeavesTheSpace), Some(BrokenLaw::OutsideSpace { .. })));
        assert!(matches!(broken(Fault::Numbers), Some(BrokenLaw::Numbering { .. })));
    }
}
