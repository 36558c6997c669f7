//! What a row of the table of strategies is: a strategy by its name, with its parameters.

use tailor_registry::{Entry, Parameter, Settings};

use super::structure::SpaceStructure;
use crate::row::Row;
use crate::{Error, Optimizer, Point, Propose, Space};

/// What every strategy is built from, beside its own parameters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StrategySetup {
    /// The space that is searched.
    pub space: Space,
    /// The seed of all randomness.
    pub seed: u64,
    /// For how many trials the search is set up, as far as is known: some strategies size their beginning by it.
    pub trials: usize,
    /// Points to begin with.
    pub initial: Vec<Point>,
    /// What is known of the space beyond its declaration; looked at by `tailor`.
    pub structure: SpaceStructure,
}

impl StrategySetup {
    /// A search for 200 trials, without initial points.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { space, seed, trials: 200, initial: Vec::new(), structure: SpaceStructure::new() }
    }

    /// For about so many trials.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.trials = trials;
        self
    }

    /// With points to begin with.
    #[must_use]
    pub fn with_initial(mut self, initial: Vec<Point>) -> Self {
        self.initial = initial;
        self
    }

    /// With what is known of the space beyond its declaration.
    #[must_use]
    pub fn with_structure(mut self, structure: SpaceStructure) -> Self {
        self.structure = structure;
        self
    }
}

/// A strategy by name: a row of the table. Yours goes in with
/// [`Registry::register`](tailor_registry::Registry::register).
///
/// ```
/// use tailor_registry::{Entry, Settings};
/// use zo_search::{Error, Optimizer, RandomSearch, StrategyKind, StrategySetup, strategies};
///
/// struct Dice;
///
/// impl Entry for Dice {
///     fn name(&self) -> &str { "dice" }
///     fn summary(&self) -> &str { "Random search under another name." }
/// }
///
/// impl StrategyKind for Dice {
///     fn build(&self, setup: StrategySetup, _: &Settings) -> Result<Box<dyn Optimizer>, Error> {
///         Ok(Box::new(RandomSearch::new(setup.space, setup.seed)))
///     }
/// }
///
/// let mut table = strategies();
/// table.register(Box::new(Dice))?;
/// assert!(table.get("dice").is_ok() && table.get("cards").is_err());
/// # Ok::<(), tailor_registry::Error>(())
/// ```
pub trait StrategyKind: Entry + Send + Sync {
    /// The strategy, set up with its checked parameters.
    ///
    /// # Errors
    /// [`Error::BadSetting`] when parameters that are right one by one do not fit together. A strategy of ours also
    /// says what [`Space::build`] says; yours may leave that to its first ask.
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error>;

    /// Whether it decides itself on which fraction of the instances its trials are asked, so that no scheduler goes
    /// around it.
    fn has_own_fidelities(&self) -> bool {
        false
    }
}

/// What [`StrategyKind::build`] does, for a strategy of ours.
pub(super) type Build = fn(StrategySetup, &Settings) -> Result<Box<dyn Optimizer>, Error>;

/// A strategy of ours: how it is built, and what [`StrategyKind::has_own_fidelities`] says of it.
#[derive(Clone, Copy)]
pub(super) struct Strategy {
    pub(super) build: Build,
    pub(super) own_fidelities: bool,
}

impl StrategyKind for Row<Strategy> {
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error> {
        setup.space.check()?;
        (self.functions.build)(setup, parameters)
    }

    fn has_own_fidelities(&self) -> bool {
        self.functions.own_fidelities
    }
}

/// A strategy that leaves the fidelities to a scheduler.
pub(super) const fn row(
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    build: Build,
) -> Row<Strategy> {
    Row::new(name, summary, parameters, Strategy { build, own_fidelities: false })
}

/// With its initial points.
pub(super) fn boxed(strategy: impl Propose + 'static, initial: Vec<Point>) -> Result<Box<dyn Optimizer>, Error> {
    Ok(Box::new(strategy.with_initial(initial)))
}

/// A whole number of at least `least`.
pub(super) const fn count(name: &'static str, least: i64, default: i64, summary: &'static str) -> Parameter {
    Parameter::integer(name, least, i64::MAX, summary).with_default_integer(default)
}

/// A number from 0 to 1.
pub(super) const fn share(name: &'static str, default: f64, summary: &'static str) -> Parameter {
    Parameter::number(name, 0.0, 1.0, summary).with_default_number(default)
}

pub(super) const SECOND_PARENT: &str = "Probability of a second parent.";
