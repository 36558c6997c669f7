//! What every strategy that chooses whole points keeps.

use rand_chacha::ChaCha8Rng;

use super::initial_points::InitialPoints;
use crate::random::generator;
use crate::{Error, Fidelity, Ledger, Origin, Outcome, Point, Space, Trial, TrialId};

/// How often a point is drawn anew because it was asked before, until the space is walked through for one that was
/// not.
const DRAWS: usize = 16;

/// What every strategy that chooses whole points keeps: its space, its seed, its initial points and the ledger of its
/// trials.
///
/// A strategy of your own holds one and implements [`Propose`](crate::Propose).
#[derive(Debug, Clone)]
pub struct StrategyState {
    pub(crate) space: Space,
    pub(crate) seed: u64,
    pub(crate) initial: InitialPoints,
    pub(crate) ledger: Ledger,
    /// Counts amendments: what was derived from the ledger before one may be wrong after it.
    pub(crate) amendments: u64,
}

impl StrategyState {
    /// The state of a strategy that has asked nothing yet. The space is checked at the first ask.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { space, seed, initial: InitialPoints::default(), ledger: Ledger::new(), amendments: 0 }
    }

    /// The space that is searched.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The seed of all randomness.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// All that was injected, asked and told, in the order of the asks.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The generator of ask `id`. `stream` keeps apart several uses of randomness in one ask; one of them may be
    /// named as the strategy.
    #[must_use]
    pub fn generator(&self, stream: &str, id: TrialId) -> ChaCha8Rng {
        generator(self.seed, stream, id)
    }

    /// A point drawn evenly from those that were not asked before, and that no injected result on all instances is
    /// known of.
    ///
    /// In a finite space that is nearly exhausted, it is the first one in the order of declaration.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when a finite space has no point left; what [`Space::build`] says of a space that makes
    /// no sense.
    pub fn unknown_point(&self, rng: &mut impl rand::Rng) -> Result<Point, Error> {
        unknown_point(&self.space, &self.ledger, rng)
    }

    /// An [unknown point](Self::unknown_point), proposed as `random`: what a strategy asks while it knows nothing
    /// better.
    ///
    /// # Errors
    /// As [`StrategyState::unknown_point`].
    pub fn random_proposal(&self, rng: &mut impl rand::Rng) -> Result<(Point, Origin), Error> {
        Ok((self.unknown_point(rng)?, "random".into()))
    }

    /// The next trial if it is one of the initial points.
    pub(super) fn initial_trial(&mut self) -> Result<Option<Trial>, Error> {
        self.space.check()?;
        let point = self.initial.get(&self.space, self.ledger.next_id())?;
        Ok(point.map(|point| self.issue(point, Origin::Initial)))
    }

    /// Enters the next trial, on all instances.
    pub(super) fn issue(&mut self, point: Point, origin: Origin) -> Trial {
        self.ledger.issue(point, Fidelity::FULL, origin)
    }

    /// Takes a trial from a journal without choosing it again: its point must be one of the space, and asked on all
    /// instances.
    pub(super) fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        if !trial.fidelity.is_full() || !self.space.contains(&trial.point) {
            return Err(Error::Diverged { id: trial.id });
        }
        self.ledger.restore(trial)
    }

    /// Puts an outcome of a higher fidelity in the place of an earlier one.
    pub(super) fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.ledger.amend(id, outcome)?;
        self.amendments += 1;
        Ok(())
    }

    /// Enters what is known of a point from elsewhere. If it is known on all instances, it is no initial point any
    /// more.
    pub(super) fn inject(&mut self, point: &Point, outcome: Outcome) -> Result<(), Error> {
        let point = self.space.canonical(point)?;
        if outcome.fidelity.is_none_or(Fidelity::is_full) {
            self.initial.leave_out(&point);
        }
        self.ledger.inject(point, outcome);
        Ok(())
    }
}

/// As [`StrategyState::unknown_point`].
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
