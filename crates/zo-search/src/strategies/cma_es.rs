//! CMA-ES: a normal distribution that learns where to draw from.

mod constants;
mod distribution;
mod latent;
mod margin;
mod run;
mod stops;

use tailor_registry::Parameter;

use super::kind::{Strategy, boxed, row};
use crate::row::Row;
use std::collections::HashMap;

use rand::Rng;
use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::{Entry, Error, Origin, Point, PointKey, Propose, Space, StrategyState, TrialId};
use run::Run;

/// The first step size, as a fraction of each range: that of Optuna's `CmaEsSampler`. With a quarter, which pycma
/// advises, a search of few hundred trials is over when its steps have become short enough.
const SIGMA: f64 = 1.0 / 6.0;
/// Draws beside the generation until one gives a new point.
const DRAWS: usize = 16;

/// Covariance matrix adaptation, with active update, margin for what is discrete, and restarts with ever more members.
///
/// A generation of `4 + 3 ln N` points is drawn from a normal distribution over `N` coordinates; when all have an
/// outcome, the distribution moves to the better half and stretches along its steps. Floats keep to their bounds by a
/// smooth fold, so that optima at a bound are reached. An integer, a mask's bit and a choice of two are one coordinate
/// each, cut into levels, of which the mean's neighbours never become too unlikely (CMAwM). A choice of more is the
/// largest of as many coordinates, a subset the largest ones or, if its size is free, those over one half; a
/// permutation is the order of its items' coordinates. Inactive coordinates play no part in the point. Above 100
/// coordinates, only variances are learnt.
///
/// Fits floats and integers, correlated or badly scaled, from some `100 N` trials on; with several optima, thousands,
/// through the restarts. Much is lost in spaces of many categoricals, subsets and conditions. The cost of an ask is up
/// to that of drawing `N²` numbers together, and once in a generation that of a decomposition, `N³`.
///
/// It begins at the best of what was injected and its [initial points](Self::with_initial) when all have an outcome,
/// or in the middle. A point that comes up again is not asked again: its outcome is known. While some of a generation
/// are pending and none is left to ask, points are drawn beside it, and play no part unless they come up in a
/// generation. Later outcomes of a higher fidelity are not looked at.
///
/// After Hansen 2016 (arXiv 1604.00772) with the constants of pycma 4.5: a member is `x = m + sigma y` with `y` from
/// `N(0, C)`; the updates of `m`, `sigma` and `C` are those of its figure 6. Hamano et al. 2022 (arXiv 2205.13482) for
/// the margin; Auger and Hansen 2005 for the restarts, each with twice the members; Ros and Hansen 2008 for the
/// variances alone.
///
/// ```
/// # use zo_search::{CmaEs, Optimizer, Outcome, Propose, Space};
/// let mut search = CmaEs::new(Space::new().float("x", -5.0..=5.0).float("y", -5.0..=5.0), 7);
/// for _ in 0..250 {
///     let trial = search.ask()?;
///     let (x, y) = (trial.point.float("x")?, trial.point.float("y")?);
///     search.tell(trial.id, Outcome::score((x - 1.0).powi(2) + 100.0 * (y - x).powi(2)))?;
/// }
/// let best = search.ledger().best().and_then(|best| best.outcome.as_ref()?.objective());
/// assert!(best.is_some_and(|cost| cost < 1e-3));
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CmaEs {
    state: StrategyState,
    settings: Settings,
    /// Follows from the ledger.
    run: Option<Run>,
    /// The place among the evidence of the first trial at each point, as far as they were entered.
    firsts: HashMap<PointKey, usize>,
    /// How many entries of the evidence were entered.
    entered: usize,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    sigma: f64,
    population: Option<usize>,
    margin: bool,
}

impl CmaEs {
    /// CMA-ES in a space, with a first step size of a sixth of each range.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { sigma: SIGMA, population: None, margin: true };
        Self { state: StrategyState::new(space, seed), settings, run: None, firsts: HashMap::new(), entered: 0 }
    }

    /// With this first step size, as a fraction of each range (between 0.0001 and 1).
    #[must_use]
    pub fn with_sigma(mut self, sigma: f64) -> Self {
        self.settings.sigma = if sigma.is_nan() { SIGMA } else { sigma.clamp(1e-4, 1.0) };
        self
    }

    /// With so many members in the first generations (at least 4), until a restart doubles them.
    #[must_use]
    pub fn with_population(mut self, members: usize) -> Self {
        self.settings.population = Some(members.max(4));
        self
    }

    /// Without the margin: what is discrete is rounded and no more.
    #[must_use]
    pub fn without_margin(mut self) -> Self {
        self.settings.margin = false;
        self
    }

    /// Brings the run to the generation that the ledger leads to.
    fn follow(&mut self) {
        let space = &self.state.space;
        let evidence: Vec<&Entry> = self.state.ledger.evidence().collect();
        for (place, entry) in evidence.iter().enumerate().skip(self.entered) {
            if entry.trial.fidelity.is_full() {
                self.firsts.entry(entry.trial.point.key()).or_insert(place);
            }
        }
        self.entered = evidence.len();
        if self.run.is_none() {
            let begun = |entry: &&&Entry| matches!(entry.trial.origin, Origin::Initial | Origin::Injected);
            let initial = || evidence.iter().take_while(begun);
            if initial().any(|entry| entry.outcome.is_none()) {
                return;
            }
            let start = initial().min_by(|a, b| a.rank(b)).map(|entry| &entry.trial.point);
            self.run = Some(Run::new(space, self.state.seed, &self.settings, start));
        }
        let Some(run) = &mut self.run else { return };
        let known = |key: PointKey| {
            let place = *self.firsts.get(&key)?;
            Some((place, *evidence.get(place)?))
        };
        while !run.is_exhausted() && run.advance(space, &self.settings, known) {}
    }

    /// A member of the generation that was not asked yet, or else a point drawn beside it; none if all are known.
    fn of_generation(&self, run: &Run, rng: &mut impl Rng) -> Option<(Point, Origin)> {
        let is_new = |point: &Point| !self.state.ledger.knows(point);
        if let Some(member) = run.members.iter().find(|member| is_new(&member.point)) {
            return Some((member.point.clone(), format!("generation {}", run.generation).into()));
        }
        let point = (0..DRAWS).map(|_| run.surplus(&self.state.space, rng)).find(is_new)?;
        Some((point, format!("beside generation {}", run.generation).into()))
    }
}

impl Propose for CmaEs {
    const NAME: &'static str = "cma-es";
    const LISTENS_TO_AMENDMENTS: bool = false;
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("cma beside", id);
        if self.state.space.dimensions().iter().any(|dimension| dimension.domain.varies()) {
            self.follow();
        }
        let run = self.run.as_ref().filter(|run| !run.is_exhausted());
        let proposed = run.and_then(|run| self.of_generation(run, &mut rng));
        proposed.map_or_else(|| self.state.random_proposal(&mut rng), Ok)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "cma_es",
    "CMA-ES with margin and restarts: a normal distribution that learns where to draw from.",
    &[
        Parameter::number("sigma", 1e-4, 1.0, "First step size, as a fraction of each range; a sixth if not given.")
            .optional(),
        Parameter::integer("population", 4, i64::MAX, "Members of a generation; by the dimensions if not given.")
            .optional(),
        Parameter::flag("margin", true, "Whether discrete values never become too unlikely."),
    ],
    |setup, own| {
        let mut search = CmaEs::new(setup.space, setup.seed);
        if own.value("sigma").is_some() {
            search = search.with_sigma(own.number("sigma")?);
        }
        if own.value("population").is_some() {
            search = search.with_population(own.count("population")?);
        }
        boxed(if own.flag("margin")? { search } else { search.without_margin() }, setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BrokenLaw, check_laws};
    use crate::{FailureKind, Fidelity, Optimizer as _, Outcome, Trial};

    fn mixed() -> Space {
        Space::new()
            .subset_of_sizes("s", 9, 2..=4)
            .always([3])
            .mask("m", 3)
            .when_outside("s", 2)
            .float("x", -1.0..=2.0)
            .when_at_least("m", 2)
            .int("i", -5..=9)
            .categorical("c", ["a", "b", "c"])
            .permutation("p", 4)
    }

    #[test]
    fn cma_es_keeps_the_laws() -> Result<(), BrokenLaw> {
        let floats = Space::new().float("x", -1.0..=2.0).log_float("r", 1e-3..=1.0);
        let fixed = Space::new().int("i", 3..=3);
        for space in [mixed(), floats, fixed, Space::new().int("i", 0..=20), Space::new().mask("m", 150)] {
            check_laws(|| CmaEs::new(space.clone(), 5))?;
            check_laws(|| CmaEs::new(space.clone(), 5).with_population(4).without_margin())?;
        }
        let start = Point::new().with_float("x", 1.5).with_float("r", 0.1);
        check_laws(|| {
            CmaEs::new(Space::new().float("x", -1.0..=2.0).log_float("r", 1e-3..=1.0), 5)
                .with_initial(vec![start.clone()])
        })
    }

    /// Warm starts were lost on it.
    #[test]
    fn it_begins_at_the_best_of_what_was_injected() -> Result<(), Error> {
        let mut search = CmaEs::new(Space::new().float("x", 0.0..=100.0).float("y", 0.0..=1.0), 1).with_sigma(1e-3);
        for (x, cost) in [(80.0, 2.0), (20.0, 1.0)] {
            search.inject(Point::new().with_float("x", x).with_float("y", 0.5), Outcome::score(cost))?;
        }
        let x = search.ask()?.point.float("x")?;
        assert!((x - 20.0).abs() < 2.0, "the first point is at {x}, the best known one at 20");
        Ok(())
    }

    #[test]
    fn a_finite_space_is_asked_to_its_last_point() -> Result<(), Error> {
        let mut search = CmaEs::new(Space::new().mask("m", 5).int("i", 0..=2), 1);
        for _ in 0..96 {
            let trial = search.ask()?;
            let bits = trial.point.mask("m")?.iter().filter(|bit| **bit).count();
            search.tell(trial.id, Outcome::score(bits as f64 + trial.point.int("i")? as f64))?;
        }
        assert!(matches!(search.ask(), Err(Error::Exhausted { points: 96 })));
        Ok(())
    }

    #[test]
    fn a_pending_member_holds_the_generation_and_what_is_drawn_beside_it_changes_nothing() -> Result<(), Error> {
        let space = || (0..4).fold(Space::new(), |space, i| space.float(format!("x{i}"), 0.0..=1.0));
        let (mut patient, mut hasty) = (CmaEs::new(space(), 3), CmaEs::new(space(), 3));
        let outcome = |trial: &Trial| Ok::<_, Error>(Outcome::score(trial.point.float("x0")?));
        let members = |search: &mut CmaEs| (0..8).map(|_| search.ask()).collect::<Result<Vec<_>, _>>();
        let (ours, theirs) = (members(&mut patient)?, members(&mut hasty)?);
        let beside = hasty.ask()?;
        assert_eq!(beside.origin.to_string(), "beside generation 0");
        hasty.tell(beside.id, Outcome::score(-9.0))?;
        for (ours, theirs) in ours.iter().zip(theirs.iter()).rev() {
            patient.tell(ours.id, outcome(ours)?)?;
            hasty.tell(theirs.id, outcome(theirs)?)?;
        }
        let (next, other) = (patient.ask()?, hasty.ask()?);
        assert_eq!((&next.point, next.origin.to_string().as_str()), (&other.point, "generation 1"));
        Ok(())
    }

    #[test]
    fn it_begins_around_the_best_initial_point_once_all_are_told() -> Result<(), Error> {
        let point = |x| Point::new().with_float("x", x).with_float("y", x);
        let space = Space::new().float("x", 0.0..=1.0).float("y", 0.0..=1.0);
        let mut search = CmaEs::new(space, 3).with_initial(vec![point(0.2), point(0.8)]).with_sigma(1e-3);
        let (low, high) = (search.ask()?, search.ask()?);
        search.tell(low.id, Outcome::score(5.0))?;
        assert_eq!(search.ask()?.origin.to_string(), "random");
        search.tell(high.id, Outcome::score(4.0))?;
        assert!((search.ask()?.point.float("x")? - 0.8).abs() < 0.01);
        Ok(())
    }

    #[test]
    fn failures_are_the_worst_and_amendments_are_not_looked_at() -> Result<(), Error> {
        let space = || Space::new().float("x", 0.0..=1.0).float("y", 0.0..=1.0);
        let (mut amended, mut plain) = (CmaEs::new(space(), 3), CmaEs::new(space(), 3));
        for round in 0..200 {
            let (a, b) = (amended.ask()?, plain.ask()?);
            assert_eq!(a.point, b.point, "trial {round}");
            let outcome = match a.point.float("x")? {
                x if x > 0.6 => Outcome::failed(FailureKind::Crash, "test"),
                x => Outcome::score(-x).at(Fidelity::new(0.5)?),
            };
            amended.tell(a.id, outcome.clone())?;
            amended.amend(a.id, Outcome::score(round as f64))?;
            plain.tell(b.id, outcome)?;
        }
        let best = plain.ledger().best().and_then(|entry| entry.outcome.as_ref()?.objective());
        assert!(best.is_some_and(|best| best < -0.599), "{best:?}");
        Ok(())
    }
}
