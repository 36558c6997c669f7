//! A strategy: looks around the best point so far, wider and wider until a better one is found.

use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Error, Optimizer, Origin, Point, Propose, Space, StrategyKind, StrategySetup, StrategyState, TrialId};

/// Changes some of the values of the best point; more of them, the longer nothing better was found.
///
/// It keeps nothing beside [`StrategyState`], and draws from a generator of the trial's number: so a study that was cut
/// off goes on to the same points.
pub struct WideningSearch {
    state: StrategyState,
    /// So many values are changed at most, from 1 on.
    widest: usize,
}

impl WideningSearch {
    /// A search over `space` that changes at most `widest` values at once.
    pub fn new(space: Space, seed: u64, widest: usize) -> Self {
        Self { state: StrategyState::new(space, seed), widest }
    }
}

impl Propose for WideningSearch {
    const NAME: &'static str = "widening";

    fn state(&self) -> &StrategyState { &self.state }
    fn state_mut(&mut self) -> &mut StrategyState { &mut self.state }

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut random = self.state.generator("widening", id);
        if let Some(best) = self.state.ledger().best() {
            let since = id.0.saturating_sub(best.trial.id.0) as usize;
            let changes = (1 + since / 10).min(self.widest);
            let near = self.state.space().mutate(&best.trial.point, changes, &mut random);
            if !self.state.ledger().knows(&near) {
                return Ok((near, "near the best".into()));
            }
        }
        Ok((self.state.unknown_point(&mut random)?, "random".into()))
    }
}

/// `strategy = { name = "widening", widest = 4 }`.
pub struct Widening;

const PARAMETERS: &[Parameter] =
    &[Parameter::integer("widest", 1, 1000, "So many values are changed at most.").with_default_integer(4)];

impl Entry for Widening {
    fn name(&self) -> &str { "widening" }
    fn summary(&self) -> &str { "Changes more and more values of the best point until a better one is found." }
    fn parameters(&self) -> &[Parameter] { PARAMETERS }
}

impl StrategyKind for Widening {
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error> {
        let search = WideningSearch::new(setup.space, setup.seed, parameters.count("widest")?);
        Ok(Box::new(search.with_initial(setup.initial)))
    }
}
