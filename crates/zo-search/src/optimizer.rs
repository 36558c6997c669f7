//! The seam: whoever chooses points implements [`Optimizer`].

pub(crate) mod initial_points;
mod ledger;
pub(crate) mod number;
mod origin;
mod outcome;
mod propose;
pub(crate) mod state;
mod trial;

pub use ledger::{Entry, Ledger};
pub use origin::Origin;
pub use outcome::{Failure, FailureKind, Outcome};
pub use propose::Propose;
pub(crate) use propose::state_and_settings;
pub use state::StrategyState;
pub use trial::{Fidelity, Rung, Trial, TrialId};

use crate::{Error, Point, Space};

/// Chooses the next point from the results so far.
///
/// Laws, tried by [`testing::check_laws`](crate::testing::check_laws) on yours too:
/// 1. The trials of the asks are numbered 0, 1, 2, ...; their points are points of [`Optimizer::space`], in canonical
///    form.
/// 2. Same seed and same calls, same trials. `tell` may come in any order: which trial comes next depends on what was
///    told, not on the order of telling.
/// 3. Each trial is told at most once; a second `tell`, or one for a number never asked, is an error and changes
///    nothing.
/// 4. Failures, NaN and infinities may be told and never stop it from asking.
///
/// A strategy that chooses whole points implements [`Propose`](crate::Propose), which asks for less, and has this
/// trait by it.
///
/// [`Ledger`](crate::Ledger) keeps the records that the laws ask for, and [`generator`](crate::generator) gives
/// randomness that obeys them. A whole strategy, which looks around the best point so far:
/// ```
/// use zo_search::{Error, Fidelity, Ledger, Optimizer, Outcome, Space, Trial, TrialId, generator};
///
/// struct Nearby { space: Space, seed: u64, ledger: Ledger }
///
/// impl Optimizer for Nearby {
///     fn space(&self) -> &Space { &self.space }
///     fn ask(&mut self) -> Result<Trial, Error> {
///         let mut rng = generator(self.seed, "nearby", self.ledger.next_id());
///         let mut point = self.space.sample(&mut rng)?;
///         if let Some(best) = self.ledger.best() {
///             let x = 0.9 * best.trial.point.float("x")? + 0.1 * point.float("x")?;
///             point = point.with_float("x", x);
///         }
///         Ok(self.ledger.issue(point, Fidelity::FULL, "nearby"))
///     }
///     fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> { self.ledger.tell(id, outcome) }
/// }
///
/// let new = || Nearby { space: Space::new().float("x", 0.0..=1.0), seed: 7, ledger: Ledger::new() };
/// zo_search::testing::check_laws(new)?;
/// # Ok::<(), zo_search::testing::BrokenLaw>(())
/// ```
pub trait Optimizer: Send {
    /// The next trial.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when a finite space has no point left; [`Error::InitialPoint`] and what [`Space::build`]
    /// says when the strategy was set up wrongly.
    fn ask(&mut self) -> Result<Trial, Error>;

    /// The outcome of trial `id`.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`], [`Error::AlreadyTold`].
    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error>;

    /// The space it searches.
    fn space(&self) -> &Space;

    /// The strategy's name in a journal, which a strategy of another name will not resume.
    fn name(&self) -> &str {
        "custom"
    }

    /// Everything but the space that decides its asks (seed, settings, initial points), for the journal: a strategy
    /// with other settings will not resume it.
    fn settings(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// A better outcome for a trial that was told before: one of a higher [`Fidelity`](crate::Fidelity), which
    /// replaces it.
    ///
    /// By default it is not looked at: then all outcomes that the strategy knows are those of the first fidelity, and
    /// comparable.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`], [`Error::NotAnAmendment`].
    fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let _ = (id, outcome);
        Ok(())
    }

    /// What is known of a point from elsewhere (another study, say). Comes before the first ask, and is no trial: the
    /// asks are numbered from 0 all the same. A point that is known on all instances need not be asked.
    ///
    /// By default ignored. A strategy that wraps another hands it on.
    ///
    /// # Errors
    /// What [`Space::canonical`] says of a point that is none of the space.
    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        let _ = (point, outcome);
        Ok(())
    }

    /// As [`Optimizer::ask`], in the replay of a journal that says which trial came of it.
    ///
    /// By default asks, and compares. A strategy that can take a trial without choosing it again should.
    ///
    /// # Errors
    /// [`Error::Diverged`] when it cannot be the next trial.
    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        if self.ask()?.is_recorded_as(trial) { Ok(()) } else { Err(Error::Diverged { id: trial.id }) }
    }
}

impl Optimizer for Box<dyn Optimizer> {
    fn ask(&mut self) -> Result<Trial, Error> {
        (**self).ask()
    }
    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        (**self).tell(id, outcome)
    }
    fn space(&self) -> &Space {
        (**self).space()
    }
    fn name(&self) -> &str {
        (**self).name()
    }
    fn settings(&self) -> serde_json::Value {
        (**self).settings()
    }
    fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        (**self).amend(id, outcome)
    }
    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        (**self).inject(point, outcome)
    }
    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        (**self).restore(trial)
    }
}
