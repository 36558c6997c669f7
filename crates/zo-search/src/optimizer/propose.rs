//! The short way to a strategy: say which point comes next, and have the rest.

use super::initial_points::InitialPoints;
use super::state::StrategyState;
use crate::{Error, Ledger, Optimizer, Origin, Outcome, Point, Space, Trial, TrialId};

/// A strategy that chooses whole points, one ask after the other. Whoever implements it is an [`Optimizer`]: with
/// initial points, injected results and journals that are replayed without choosing each point again.
///
/// A whole strategy, which changes one value of the best point so far:
/// ```
/// use zo_search::{Error, Optimizer, Origin, Point, Propose, Space, StrategyState, TrialId};
///
/// struct Climb { state: StrategyState }
///
/// impl Propose for Climb {
///     const NAME: &'static str = "climb";
///     fn state(&self) -> &StrategyState { &self.state }
///     fn state_mut(&mut self) -> &mut StrategyState { &mut self.state }
///     fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
///         let mut rng = self.state.generator("climb", id);
///         if let Some(best) = self.state.ledger().best() {
///             let child = self.state.space().mutate(&best.trial.point, 1, &mut rng);
///             if !self.state.ledger().knows(&child) {
///                 return Ok((child, format!("mutation of {}", best.trial.id).into()));
///             }
///         }
///         self.state.random_proposal(&mut rng)
///     }
/// }
///
/// let start = Point::new().with_int("x", 4);
/// let space = Space::new().int("x", 0..=90);
/// let new = || Climb { state: StrategyState::new(space.clone(), 7) }.with_initial(vec![start.clone()]);
/// assert_eq!(new().ask()?.point, start);
/// zo_search::testing::check_laws(new)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Propose: Send {
    /// The strategy's name in a journal, which a strategy of another name does not resume.
    const NAME: &'static str;

    /// Whether outcomes of a higher fidelity replace earlier ones. If not, the strategy learns from the first outcome
    /// of each trial alone.
    const LISTENS_TO_AMENDMENTS: bool = true;

    /// The state that the strategy was built with.
    fn state(&self) -> &StrategyState;

    /// The same, to be changed by asks and tells.
    fn state_mut(&mut self) -> &mut StrategyState;

    /// The point of ask `id`, behind the initial ones, and how the strategy came to it. The point is in the space and
    /// canonical. All that is random in it is drawn from [`StrategyState::generator`], so that the laws of
    /// [`Optimizer`] hold.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when a finite space has no point left.
    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error>;

    /// The strategy's own parameters, for the journal: a strategy with others does not resume it.
    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Begins with these points, those that mean the same only once. One that is not in the space is refused by the
    /// first ask.
    #[must_use]
    fn with_initial(mut self, points: Vec<Point>) -> Self
    where
        Self: Sized,
    {
        self.state_mut().initial = InitialPoints::new(points);
        self
    }

    /// All that was injected, asked and told, in the order of the asks.
    fn ledger(&self) -> &Ledger {
        self.state().ledger()
    }
}

/// What most implementations of [`Propose`] say alike: `state` and `settings` are fields, and the settings are the
/// parameters.
macro_rules! state_and_settings {
    () => {
        fn state(&self) -> &$crate::StrategyState {
            &self.state
        }

        fn state_mut(&mut self) -> &mut $crate::StrategyState {
            &mut self.state
        }

        fn parameters(&self) -> serde_json::Value {
            serde_json::json!(self.settings)
        }
    };
}
pub(crate) use state_and_settings;

impl<P: Propose> Optimizer for P {
    fn ask(&mut self) -> Result<Trial, Error> {
        if let Some(trial) = self.state_mut().initial_trial()? {
            return Ok(trial);
        }
        let (point, origin) = self.propose(self.state().ledger.next_id())?;
        Ok(self.state_mut().issue(point, origin))
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.state_mut().ledger.tell(id, outcome)
    }

    fn space(&self) -> &Space {
        self.state().space()
    }

    fn name(&self) -> &str {
        P::NAME
    }

    fn settings(&self) -> serde_json::Value {
        let (seed, initial) = (self.state().seed.to_string(), self.state().initial.hash());
        serde_json::json!({ "seed": seed, "initial": initial, P::NAME: self.parameters() })
    }

    fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        if P::LISTENS_TO_AMENDMENTS { self.state_mut().amend(id, outcome) } else { Ok(()) }
    }

    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        self.state_mut().inject(&point, outcome)
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        self.state_mut().restore(trial)
    }
}
