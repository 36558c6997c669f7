//! NSGA-II: a population that spreads over the Pareto front.

use super::kind::{SECOND_PARENT, Strategy, boxed, count, row, share};
use crate::row::Row;
use std::cmp::Ordering;

use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::pareto::{self, Placing};
use crate::random::{pick, probability};
use crate::strategies::evolution::Reproduction;
use crate::strategies::generations;
use crate::{Entry, Error, Origin, Outcome, Point, Propose, Space, StrategyState, TrialId};

/// NSGA-II (Deb et al. 2002) over any space, with the mutations and the crossover of whole bundles of
/// [`Evolution`](crate::Evolution).
///
/// The first generation is random, behind the [initial points](Self::with_initial). Each child of the next ones has a
/// parent that wins a tournament of two, by non-dominated rank and then by crowding distance, and mostly a second one;
/// then it is mutated. Out of parents and children, the next parents are those of the lowest ranks, of the last rank
/// the least crowded ones. Points that break a constraint have children too, as long as there are too few that keep
/// it: those that break it least.
///
/// Fits two or three objectives, from some five generations on; the front is [`pareto::front`] of the
/// [ledger](Self::ledger). The cost of an ask is a sort; once in a generation of `p` members it is that of comparing
/// each with each in all generations so far, `O(n p)` comparisons after `n` trials.
///
/// The paper (IEEE Transactions on Evolutionary Computation 6) prefers `a` to `b` if `rank(a) < rank(b)`, or if the
/// ranks are equal and `crowding(a) > crowding(b)`. The crowding of a point is, summed over the objectives, the
/// distance of its two neighbours along that objective, as a part of the objective's range.
///
/// ```
/// # use zo_search::{Nsga2, Optimizer, Outcome, Propose, Space, pareto};
/// let mut search = Nsga2::new(Space::new().float("x", -2.0..=2.0), 7).with_population(10);
/// for _ in 0..60 {
///     let trial = search.ask()?;
///     let x = trial.point.float("x")?;
///     search.tell(trial.id, Outcome::scores([x * x, (x - 1.0).powi(2)]))?;
/// }
/// assert!(pareto::front(search.ledger().entries()).len() > 10);
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Nsga2 {
    state: StrategyState,
    settings: Settings,
    parents: Option<CachedParents>,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    /// Members, and children of a generation, at least 2.
    population: usize,
    /// The share of the children that have two parents, 0 to 1.
    crossover: f64,
}

/// The parents, and what they depend on.
#[derive(Debug, Clone)]
struct CachedParents {
    /// Trials in finished generations, those of them that are told, what was injected, amendments.
    of: (usize, usize, usize, u64),
    parents: Vec<Parent>,
}

/// One that may have children.
#[derive(Debug, Clone, Copy)]
struct Parent {
    /// Its place in the ledger's evidence.
    entry: usize,
    placing: Placing,
}

impl Nsga2 {
    /// A population of 50, and two parents for 9 in 10 children.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { population: 50, crossover: 0.9 };
        Self { state: StrategyState::new(space, seed), settings, parents: None }
    }

    /// With a population, and generations, of this size (at least 2).
    #[must_use]
    pub fn with_population(mut self, population: usize) -> Self {
        self.settings.population = population.max(2);
        self.parents = None;
        self
    }

    /// With two parents for this share of the children, 0 to 1.
    #[must_use]
    pub fn with_crossover(mut self, share: f64) -> Self {
        self.settings.crossover = probability(share);
        self
    }

    /// The parents of the next child, the best first; before the first generation is over, what was injected.
    fn parents(&mut self) -> Vec<Parent> {
        let entries = self.state.ledger.entries();
        let over = generations::finished(entries, self.settings.population);
        let told = entries[..over].iter().filter(|entry| entry.outcome.is_some()).count();
        let injected = self.state.ledger.injected();
        let of = (over, told, injected, self.state.amendments);
        match &self.parents {
            Some(known) if known.of == of => known.parents.clone(),
            _ => {
                let parents = self.selected(injected, over);
                self.parents = Some(CachedParents { of, parents: parents.clone() });
                parents
            }
        }
    }

    /// Who is left of what was injected and after all generations among the first `over` trials.
    fn selected(&self, injected: usize, over: usize) -> Vec<Parent> {
        let entries: Vec<&Entry> = self.state.ledger.evidence().collect();
        let numbers: Vec<usize> = (injected..injected + over).collect();
        let generations = numbers.chunks(self.settings.population);
        generations.fold(self.survivors(&entries, (0..injected).collect()), |parents, children| {
            let parents = parents.iter().map(|parent| parent.entry);
            self.survivors(&entries, parents.chain(children.iter().copied()).collect())
        })
    }

    /// The best of these trials, as many as the population holds.
    fn survivors(&self, entries: &[&Entry], candidates: Vec<usize>) -> Vec<Parent> {
        let outcomes = candidates.iter().filter_map(|entry| Some((*entry, entries[*entry].outcome.as_ref()?)));
        let (candidates, outcomes): (Vec<usize>, Vec<&Outcome>) = outcomes.unzip();
        let placings = candidates.into_iter().zip(pareto::placings(&outcomes));
        let mut survivors: Vec<Parent> =
            placings.filter_map(|(entry, placing)| Some(Parent { entry, placing: placing? })).collect();
        survivors.sort_by(better);
        survivors.truncate(self.settings.population);
        survivors
    }
}

/// The better one is less; of equals, the one asked earlier.
fn better(a: &Parent, b: &Parent) -> Ordering {
    a.placing.compare(&b.placing).then(a.entry.cmp(&b.entry))
}

impl Propose for Nsga2 {
    const NAME: &'static str = "nsga2";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("nsga2", id);
        let parents = self.parents();
        let ledger = &self.state.ledger;
        let entries: Vec<&Entry> = ledger.evidence().collect();
        let population: Vec<&Entry> = parents.iter().map(|parent| entries[parent.entry]).collect();
        let reproduction = Reproduction { space: &self.state.space, population: &population };
        let parent = |rng: &mut _| {
            let (a, b) = (pick(&parents, rng)?, pick(&parents, rng)?);
            Some(entries[if better(a, b).is_le() { a } else { b }.entry])
        };
        let child = reproduction.child(self.settings.crossover, parent, |point| ledger.knows(point), &mut rng);
        child.map_or_else(|| self.state.random_proposal(&mut rng), Ok)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "nsga2",
    "NSGA-II: a population that spreads over the front of several objectives.",
    &[count("population", 2, 50, "Members, and children of a generation."), share("crossover", 0.9, SECOND_PARENT)],
    |setup, own| {
        let search = Nsga2::new(setup.space, setup.seed).with_population(own.count("population")?);
        boxed(search.with_crossover(own.number("crossover")?), setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Optimizer as _;

    #[test]
    fn nsga2_keeps_the_laws() -> Result<(), crate::testing::BrokenLaw> {
        let mixed = Space::new().subset_of_sizes("s", 8, 1..=3).float("c", 0.0..=1.0).when_outside("s", 2);
        for space in [mixed, Space::new().subset("s", 6, 2), Space::new().int("x", 0..=9).permutation("p", 3)] {
            crate::testing::check_laws(|| Nsga2::new(space.clone(), 3).with_population(6))?;
        }
        Ok(())
    }

    #[test]
    fn constraints_come_before_objectives() -> Result<(), Error> {
        let mut search = Nsga2::new(Space::new().float("x", 0.0..=1.0), 3).with_population(4);
        for number in 0..8 {
            let trial = search.ask()?;
            // Even ones are good and forbidden, odd ones bad and allowed; the last ones fail.
            let outcome = match number {
                6.. => Outcome::scores([f64::NAN, 0.0]),
                _ if number % 2 == 0 => Outcome::scores([0.0, 0.0]).with_violation(1.0 + number as f64),
                _ => Outcome::scores([number as f64, 9.0 - number as f64]),
            };
            search.tell(trial.id, outcome)?;
        }
        let parents: Vec<usize> = search.parents().iter().map(|parent| parent.entry).collect();
        assert_eq!(parents, [1, 5, 3, 0]);
        Ok(())
    }

    #[test]
    fn an_amendment_renews_the_parents() -> Result<(), Error> {
        let mut search = Nsga2::new(Space::new().float("x", 0.0..=1.0), 3).with_population(3);
        let half = crate::Fidelity::new(0.5)?;
        for number in 0..3 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::scores([f64::from(number), 0.0]).at(half))?;
        }
        assert_eq!(search.parents()[0].entry, 0);
        search.amend(TrialId(2), Outcome::scores([9.0, 9.0]))?;
        assert_eq!(search.parents()[0].entry, 2);
        Ok(())
    }
}
