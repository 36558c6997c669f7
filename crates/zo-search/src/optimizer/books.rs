//! What every strategy that chooses whole points keeps: its space, seed, initial points and ledger.

use rand_chacha::ChaCha8Rng;

use crate::optimizer::initial::InitialPoints;
use crate::random::generator;
use crate::{Error, Fidelity, Ledger, Outcome, Point, Space, Trial, TrialId};

/// How often a point is drawn anew because it was asked before, until the space is walked through for one that was not.
const DRAWS: usize = 16;

/// The books of a strategy. With [`proposes!`], a strategy is these and a function `propose`.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) space: Space,
    pub(crate) seed: u64,
    pub(crate) initial: InitialPoints,
    pub(crate) ledger: Ledger,
    /// Counts amendments: what was derived from the ledger before one may be wrong after it.
    pub(crate) amendments: u64,
}

impl Books {
    pub(crate) fn new(space: Space, seed: u64) -> Self {
        Self { space, seed, initial: InitialPoints::default(), ledger: Ledger::new(), amendments: 0 }
    }

    /// The next trial if it is one of the initial points.
    pub(crate) fn initial_trial(&mut self) -> Result<Option<Trial>, Error> {
        self.space.check()?;
        let point = self.initial.get(&self.space, self.ledger.next_id())?;
        Ok(point.map(|point| self.issue(point, "initial")))
    }

    pub(crate) fn issue(&mut self, point: Point, origin: impl Into<String>) -> Trial {
        self.ledger.issue(point, Fidelity::FULL, origin)
    }

    /// Takes a trial from a journal without choosing it again: its point must be one of the space, and asked on all instances.
    pub(crate) fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        if !trial.fidelity.is_full() || !self.space.contains(&trial.point) {
            return Err(Error::Diverged { id: trial.id });
        }
        self.ledger.restore(trial)
    }

    /// Enters what is known of a point from elsewhere. If it is known on all instances, it is no initial point any more.
    pub(crate) fn inject(&mut self, point: &Point, outcome: Outcome) -> Result<(), Error> {
        let point = self.space.canonical(point)?;
        if outcome.fidelity.is_none_or(Fidelity::is_full) {
            self.initial.leave_out(&point);
        }
        self.ledger.inject(point, outcome);
        Ok(())
    }

    /// The generator of ask `id` for this use of randomness.
    pub(crate) fn generator(&self, stream: &str, id: TrialId) -> ChaCha8Rng {
        generator(self.seed, stream, id)
    }

    /// A random point that was not asked before.
    pub(crate) fn unknown_point(&self, rng: &mut impl rand::Rng) -> Result<Point, Error> {
        unknown_point(&self.space, &self.ledger, rng)
    }
}

/// A random point that is not in the ledger.
pub(crate) fn unknown_point(space: &Space, ledger: &Ledger, rng: &mut impl rand::Rng) -> Result<Point, Error> {
    for _ in 0..DRAWS {
        let point = space.sample(rng)?;
        if !ledger.knows(&point) {
            return Ok(point);
        }
    }
    let left = space.first_unknown(|point| ledger.knows(point), rng);
    left.ok_or(Error::Exhausted { points: ledger.distinct() })
}

/// Makes an [`Optimizer`](crate::Optimizer) of a strategy that has a field `books: Books`, a field `settings` that serialises, and
/// `fn propose(&mut self, id: TrialId) -> Result<(Point, String), Error>`: the point of ask `id` behind the initial ones, and its origin.
/// With `first outcomes only`, amendments are not looked at.
macro_rules! proposes {
    ($strategy:ty, $name:literal) => {
        $crate::optimizer::books::proposes! { $strategy, $name, {
            fn amend(&mut self, id: $crate::TrialId, outcome: $crate::Outcome) -> Result<(), $crate::Error> {
                self.books.ledger.amend(id, outcome)?;
                self.books.amendments += 1;
                Ok(())
            }
        } }
    };
    ($strategy:ty, $name:literal, first outcomes only) => {
        $crate::optimizer::books::proposes! { $strategy, $name, {} }
    };
    ($strategy:ty, $name:literal, { $($amend:tt)* }) => {
        impl $strategy {
            /// Begins with these points, those that mean the same only once.
            #[must_use]
            pub fn with_initial(mut self, points: Vec<$crate::Point>) -> Self {
                self.books.initial = $crate::optimizer::initial::InitialPoints::new(points);
                self
            }

            /// All that was asked and told.
            #[must_use]
            pub fn ledger(&self) -> &$crate::Ledger {
                &self.books.ledger
            }
        }

        impl $crate::Optimizer for $strategy {
            fn ask(&mut self) -> Result<$crate::Trial, $crate::Error> {
                if let Some(trial) = self.books.initial_trial()? {
                    return Ok(trial);
                }
                let (point, origin) = self.propose(self.books.ledger.next_id())?;
                Ok(self.books.issue(point, origin))
            }

            fn tell(&mut self, id: $crate::TrialId, outcome: $crate::Outcome) -> Result<(), $crate::Error> {
                self.books.ledger.tell(id, outcome)
            }

            fn space(&self) -> &$crate::Space {
                &self.books.space
            }

            fn name(&self) -> &str {
                $name
            }

            fn settings(&self) -> serde_json::Value {
                let (seed, initial) = (self.books.seed.to_string(), self.books.initial.hash());
                serde_json::json!({ "seed": seed, "initial": initial, $name: self.settings })
            }

            $($amend)*

            fn inject(&mut self, point: $crate::Point, outcome: $crate::Outcome) -> Result<(), $crate::Error> {
                self.books.inject(&point, outcome)
            }

            fn restore(&mut self, trial: &$crate::Trial) -> Result<(), $crate::Error> {
                self.books.restore(trial)
            }
        }
    };
}
pub(crate) use proposes;
