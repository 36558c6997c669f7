//! Evolution: children of good points, changed a little.

mod crossover;
mod mutation;
mod offspring;
mod reproduction;

use tailor_registry::Parameter;

use super::kind::{SECOND_PARENT, Strategy, boxed, count, row, share};
use crate::row::Row;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::optimizer::state_and_settings;
use crate::random::{pick, probability};
use crate::{Entry, Error, Optimizer, Origin, Point, Propose, Space, StrategyState, TrialId};
pub(crate) use mutation::Edit;
pub(crate) use offspring::{ATTEMPTS, edits};
pub(crate) use reproduction::Reproduction;

/// A steady-state evolution of small mutations and some crossover, with tournament selection.
///
/// Each ask makes one child: the best of a few members of the population, drawn at random, is its parent; sometimes a
/// second one is, and gives whole bundles of dimensions; then one to three values (5, 3 and 1 times in 9) are changed
/// as their types are best changed. A subset swaps a member with an item outside (every second time with a neighbour
/// of it), a mask flips a bit or moves one, a float or integer is shifted a little or less (reflected at its bounds),
/// a permutation swaps two neighbours. A dimension that becomes active inherits a value from a good point or from the
/// dimension like it that is nearest, or gets a random one.
///
/// Fits structured and conditional spaces, from some fifty trials on; better with [initial
/// points](Self::with_initial), which then stand in for the random ones that it begins with. Results of unequal
/// fidelities are never compared: those of a higher one are preferred as parents. The cost of an ask is that of
/// sorting the `n` results, `O(n log n)`.
///
/// After Real et al. 2019 (arXiv 1802.01548), which lets only the [youngest](Survival::Youngest) live. In a population
/// of `p` with tournaments of `s`, the member of rank `r` (from 0) is the parent with probability `((p - r) / p)^s -
/// ((p - r - 1) / p)^s`.
///
/// ```
/// # use zo_search::{Evolution, Optimizer, Outcome, Point, Propose, Space};
/// let known = Point::new().with_subset("remove", [9, 10, 11]).with_float("scale", 0.5);
/// let space = Space::new().subset("remove", 12, 3).float("scale", 0.0..=1.0);
/// let mut search = Evolution::new(space, 7).with_population(20).with_founders(1).with_initial(vec![known.clone()]);
/// let first = search.ask()?;
/// assert_eq!(first.point, known);
/// search.tell(first.id, Outcome::score(0.25))?;
/// assert_eq!(search.ask()?.origin.to_string(), "mutation of 0");
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Evolution {
    state: StrategyState,
    settings: Settings,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    /// How many may have children, at least 1.
    population: usize,
    /// The parent is the best of so many members, drawn with replacement.
    tournament: usize,
    /// Random points until so many were asked or injected.
    founders: usize,
    /// The share of the children that have two parents, 0 to 1.
    crossover: f64,
    survival: Survival,
}

/// Who of those with a result may have children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Survival {
    /// The best of all so far. The faster one where results hardly change when they are measured again.
    #[default]
    Best,
    /// The last ones asked, as in regularised evolution: a result that was good by luck dies out.
    Youngest,
}

impl Evolution {
    /// Evolution in a space: a population of 10, tournaments of 5, 10 random points to begin with, crossover for 4 in
    /// 10 children.
    ///
    /// Settings for a few hundred trials. For thousands, or noise as large as the differences, take a larger
    /// population.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings =
            Settings { population: 10, tournament: 5, founders: 10, crossover: 0.4, survival: Survival::default() };
        Self { state: StrategyState::new(space, seed), settings }
    }

    /// Regularised evolution as published: the last 50 that have a result may have children, the first 50 points are
    /// random, the best of 10 members is the parent, and there is no crossover.
    ///
    /// For noisy results and a thousand trials or more. A member's age is the number of its trial, not when it was
    /// told.
    #[must_use]
    pub fn regularised(space: Space, seed: u64) -> Self {
        let survival = Survival::Youngest;
        let settings = Settings { population: 50, tournament: 10, founders: 50, crossover: 0.0, survival };
        Self { state: StrategyState::new(space, seed), settings }
    }

    /// With a population of this size (at least 1).
    #[must_use]
    pub fn with_population(mut self, population: usize) -> Self {
        self.settings.population = population.max(1);
        self
    }

    /// With the best of so many members, drawn with replacement, as the parent (at least 1, which is no selection).
    #[must_use]
    pub fn with_tournament(mut self, tournament: usize) -> Self {
        self.settings.tournament = tournament.max(1);
        self
    }

    /// With random points until so many points were asked or injected, the initial ones counted in.
    #[must_use]
    pub fn with_founders(mut self, founders: usize) -> Self {
        self.settings.founders = founders;
        self
    }

    /// With two parents for this share of the children, 0 to 1.
    #[must_use]
    pub fn with_crossover(mut self, share: f64) -> Self {
        self.settings.crossover = probability(share);
        self
    }

    /// With this rule of who may have children.
    #[must_use]
    pub fn with_survival(mut self, survival: Survival) -> Self {
        self.settings.survival = survival;
        self
    }

    /// Who may have children, the best first.
    fn population(&self) -> Vec<&Entry> {
        let mut population: Vec<&Entry> =
            self.state.ledger.evidence().filter(|entry| entry.result().is_some()).collect();
        if self.settings.survival == Survival::Youngest {
            population.drain(..population.len().saturating_sub(self.settings.population));
        }
        population.sort_by(|a, b| a.rank(b));
        population.truncate(self.settings.population);
        population
    }

    /// A child that was not asked before, and where it comes from; none if no parent is there yet or all children are
    /// known.
    fn child(&self, rng: &mut impl Rng) -> Option<(Point, Origin)> {
        let (population, ledger) = (self.population(), &self.state.ledger);
        let reproduction = Reproduction { space: &self.state.space, population: &population };
        let parent = |rng: &mut _| self.tournament(&population, rng);
        reproduction.child(self.settings.crossover, parent, |point| ledger.knows(point), rng)
    }

    /// The best of a few members drawn at random; none where there are no members.
    fn tournament<'a>(&self, population: &[&'a Entry], rng: &mut impl Rng) -> Option<&'a Entry> {
        let drawn = (0..self.settings.tournament).filter_map(|_| pick(population, rng).copied());
        drawn.min_by(|a, b| a.rank(b))
    }
}

impl Propose for Evolution {
    const NAME: &'static str = "evolution";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("evolution", id);
        let founding = self.state.ledger.evidence().count() < self.settings.founders;
        let child = if founding { None } else { self.child(&mut rng) };
        child.map_or_else(|| self.state.random_proposal(&mut rng), Ok)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "evolution",
    "Steady-state evolution: one child of good points after the other.",
    &evolution_parameters("How many may have children.", [10, 5, 10], 0.4, "best"),
    |setup, own| evolution(Evolution::new(setup.space, setup.seed), own, setup.initial),
);

/// The row of the table of strategies.
pub(super) const REGULARISED_ROW: Row<Strategy> = row(
    "regularised_evolution",
    "Regularised evolution: the youngest have children, the oldest die.",
    &evolution_parameters("How many of the last may have children.", [50, 10, 50], 0.0, "youngest"),
    |setup, own| evolution(Evolution::regularised(setup.space, setup.seed), own, setup.initial),
);

/// Those of both kinds of evolution, with their defaults; `parents` says who is in the population.
const fn evolution_parameters(
    parents: &'static str,
    [population, tournament, founders]: [i64; 3],
    crossover: f64,
    survival: &'static str,
) -> [Parameter; 5] {
    [
        count("population", 1, population, parents),
        count("tournament", 1, tournament, "The parent is the best of so many, drawn with replacement."),
        count("founders", 0, founders, "Random points until so many were asked."),
        share("crossover", crossover, SECOND_PARENT),
        Parameter::one_of("survival", &["best", "youngest"], "Which of all may have children.")
            .with_default_text(survival),
    ]
}

fn evolution(
    search: Evolution,
    own: &tailor_registry::Settings,
    initial: Vec<Point>,
) -> Result<Box<dyn Optimizer>, Error> {
    let survival = if own.text("survival")? == "youngest" { Survival::Youngest } else { Survival::Best };
    let search = search.with_population(own.count("population")?).with_tournament(own.count("tournament")?);
    let search = search.with_founders(own.count("founders")?).with_crossover(own.number("crossover")?);
    boxed(search.with_survival(survival), initial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BrokenLaw, check_laws};
    use crate::{Fidelity, Outcome, Trial};

    fn layers() -> Space {
        let mut space = Space::new().subset("remove", 6, 2);
        for layer in 0..6 {
            let (sources, bundle) = (format!("layer_{layer}.sources"), format!("layer_{layer}"));
            space = space.mask(&sources, 2).when_outside("remove", layer).in_bundle(&bundle);
            space = space.float(format!("layer_{layer}.c"), 0.0..=1.0).when_at_least(&sources, 2).in_bundle(&bundle);
        }
        space
    }

    #[test]
    fn evolution_keeps_the_laws() -> Result<(), BrokenLaw> {
        let start = Point::new().with_float("x", 0.5).with_permutation("p", [2, 1, 0]);
        let spaces = [layers(), Space::new().subset("s", 6, 2), Space::new().float("x", 0.0..=1.0).permutation("p", 3)];
        for survival in [Survival::Best, Survival::Youngest] {
            for space in &spaces {
                let initial = if space.contains(&start) { vec![start.clone()] } else { Vec::new() };
                let new = || Evolution::new(space.clone(), 3).with_survival(survival).with_initial(initial.clone());
                check_laws(|| new().with_founders(4).with_population(4))?;
            }
        }
        let free = Space::new().subset_of_sizes("s", 8, 1..=3).float("c", 0.0..=1.0).when_outside("s", 2);
        check_laws(|| Evolution::regularised(free.clone(), 3).with_founders(9))
    }

    #[test]
    fn regularised_evolution_forgets_the_oldest_by_their_numbers() -> Result<(), Error> {
        let mut search = Evolution::regularised(layers(), 1).with_founders(4).with_population(2);
        let trials = (0..4).map(|_| search.ask()).collect::<Result<Vec<_>, _>>()?;
        for trial in trials.iter().rev() {
            search.tell(trial.id, Outcome::score(trial.id.0 as f64))?;
        }
        let members: Vec<u64> = search.population().iter().map(|member| member.trial.id.0).collect();
        assert_eq!(members, [2, 3]);
        assert!(search.ask()?.origin.to_string().starts_with("mutation of "));
        Ok(())
    }

    #[test]
    fn initial_points_stand_in_for_random_ones() -> Result<(), Error> {
        let point = |item| Point::new().with_subset("s", [0, item]);
        let mut search = Evolution::new(Space::new().subset("s", 30, 2), 1).with_founders(3).with_initial(vec![
            point(3),
            point(4),
            point(5),
        ]);
        for item in 3..6 {
            let trial = search.ask()?;
            assert_eq!((&trial.point, trial.origin.to_string().as_str()), (&point(item), "initial"));
            search.tell(trial.id, Outcome::score(item as f64))?;
        }
        let child = search.ask()?;
        assert!(child.origin.to_string().contains(" of "), "{}", child.origin);
        Ok(())
    }

    #[test]
    fn it_goes_on_at_random_while_nothing_has_a_result() -> Result<(), Error> {
        let mut search = Evolution::new(layers(), 1).with_founders(0);
        let first = search.ask()?;
        assert_eq!(
            (first.origin.to_string().as_str(), search.ask()?.origin.to_string().as_str()),
            ("random", "random")
        );
        search.tell(first.id, Outcome::score(1.0))?;
        assert_eq!(search.ask()?.origin.to_string(), "mutation of 0");
        Ok(())
    }

    #[test]
    fn parents_are_of_the_highest_fidelity() -> Result<(), Error> {
        let mut search = Evolution::new(layers(), 1).with_founders(2).with_tournament(64);
        let (a, b) = (search.ask()?, search.ask()?);
        search.tell(a.id, Outcome::score(0.0).at(Fidelity::new(0.25)?))?;
        search.tell(b.id, Outcome::score(1.0).at(Fidelity::new(0.25)?))?;
        search.amend(b.id, Outcome::score(9.0))?;
        assert_eq!(search.ask()?.origin.to_string(), "mutation of 1");
        Ok(())
    }

    #[test]
    fn injected_points_have_children_and_are_not_asked_again() -> Result<(), Error> {
        let point = |item| Point::new().with_subset("s", [0, item]);
        let mut search = Evolution::new(Space::new().subset("s", 30, 2), 1).with_founders(2).with_initial(vec![
            point(3),
            point(4),
            point(5),
        ]);
        search.inject(point(3), Outcome::score(1.0))?;
        search.inject(point(4), Outcome::score(2.0).at(Fidelity::new(0.5)?))?;
        assert!(search.inject(point(30), Outcome::score(0.0)).is_err());
        assert_eq!((search.ask()?.point, search.ask()?.point), (point(4), point(5)), "half known is asked again");
        let child = search.ask()?;
        assert!(child.origin.to_string().contains(" of injected "), "{}", child.origin);
        assert_eq!(child.id, TrialId(2));
        Ok(())
    }

    #[test]
    fn a_trial_that_is_not_of_the_space_is_not_restored() -> Result<(), Error> {
        let mut search = Evolution::new(Space::new().int("x", 0..=3), 1);
        let trial = |id, x| Trial::new(TrialId(id), Point::new().with_int("x", x), Fidelity::FULL, "test");
        assert!(matches!(search.restore(&trial(0, 4)), Err(Error::Diverged { .. })));
        assert!(matches!(search.restore(&trial(1, 3)), Err(Error::Diverged { .. })));
        search.restore(&trial(0, 3))
    }
}
