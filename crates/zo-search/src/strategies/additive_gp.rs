//! Bayesian optimisation with an additive Gaussian process, made for "k of n items go, each remaining one has a
//! choice".

mod assembly;
mod assignment;
mod kernel;
mod model;
mod observed;
mod options;
mod pool;
mod screen;
mod sites;
mod triangle;

use tailor_registry::Parameter;

use super::kind::{Strategy, boxed, row, share};
use super::structure::SpaceStructure;
use crate::row::Row;
use rand::Rng;
use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::random::probability;
use crate::{Error, Origin, Point, Propose, Space, StrategyState, TrialId};
use model::Model;
use observed::Observations;
use options::Options;
use pool::Pool;
use sites::Sites;

/// Results that must be there before the model speaks.
const LEAST_RESULTS: usize = 6;
/// Elites whose surroundings are looked at.
const ELITES: usize = 6;

/// Bayesian optimisation with an additive Gaussian process, for structured choices: which `k` of `n` items go, and
/// what each remaining one is to be. Tailor's default strategy: `strategy = "tailor"` in a study.
///
/// It reads the space as a row of sites: each item of a [subset](Space::subset) is removed, or kept with the values of
/// the dimensions that depend on it. A search has three parts:
///
/// 1. It asks the [initial points](Self::with_initial).
/// 2. It screens the row around the best of them: what the removal of each item does, and each choice on a stretch of
///    items; where the choices have a limit, first each costlier choice for each item.
/// 3. From then on each ask takes the point of largest expected improvement under a Gaussian process whose kernel is a
///    sum over the sites. The candidates are the best wholes by the additive part of the process, which a dynamic
///    program over the row assembles exactly, and changes of the best points at one, two or three sites.
///
/// With a [price](SpaceStructure::with_price) the expected improvement is weighed against what the evaluation costs.
/// Outcomes with [instances](crate::Outcome::instances) on a part of them are compared with the incumbent pair by
/// pair, so that the strategy goes well with [`Racing`](crate::Racing).
///
/// With several objectives it models the first. Where the subset's size is free too, it aims at each size in turn: one
/// run gives the best point of every size. If the other objectives are prices that fall with the size, that is what
/// the first objective is at each price.
///
/// Fits spaces with one subset and choices that depend on it, noisy objectives, and 30 to 500 trials; other spaces
/// too, but with less reason. An ask costs the inference of the process, `O(m³)` for `m` results of which at most 300
/// are looked at, and the prediction of some thousand candidates, `O(m²)` each: from milliseconds to a second.
///
/// The process is after Kandasamy et al. 2015 (additive kernels, arXiv 1503.01673): its kernel is a sum of kernels
/// that each look at one site, or at few. Expected improvement is after Jones et al. 1998: where the process predicts
/// mean `m` and deviation `s`, and `t` is the lowest predicted mean of the best points, it is `s (z Phi(z) + phi(z))`
/// with `z = (t - m) / s`. It is divided by `price^cost_exponent`.
///
/// ```
/// # use zo_search::{AdditiveGpSearch, Optimizer, Outcome, Propose, Space};
/// let mut space = Space::new().subset("remove", 12, 3);
/// for layer in 0..12 {
///     space = space.categorical(format!("layer_{layer}"), ["base", "math"]).when_outside("remove", layer);
/// }
/// let mut search = AdditiveGpSearch::new(space, 7).with_trials(60);
/// for _ in 0..60 {
///     let trial = search.ask()?;
///     let removed: usize = trial.point.subset("remove")?.iter().map(|item| 12 - item).sum();
///     let base = trial.point.iter().filter(|(_, value)| **value == "base".into()).count();
///     search.tell(trial.id, Outcome::score((removed + base) as f64))?;
/// }
/// let best = search.ledger().best().ok_or("no result")?;
/// assert_eq!(best.trial.point.subset("remove")?, [9, 10, 11]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AdditiveGpSearch {
    state: StrategyState,
    settings: Settings,
    structure: SpaceStructure,
    /// The space and its structure as a row of sites, from the first ask on.
    sites: Option<Sites>,
    /// The variances fitted last, and to what.
    fitted: Option<(u64, model::Weights)>,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    /// May change when a search is resumed.
    #[serde(skip)]
    trials: usize,
    /// The share of the trials that screening may take, 0 to 1.
    screening: f64,
    #[serde(rename = "thrift")]
    cost_exponent: f64,
}

impl AdditiveGpSearch {
    /// The search over a space, for 200 trials.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { trials: 200, screening: 0.15, cost_exponent: 0.3 };
        let (state, structure) = (StrategyState::new(space, seed), SpaceStructure::new());
        Self { state, settings, structure, sites: None, fitted: None }
    }

    /// For about so many trials: a [share](Self::with_screening) of them is spent on screening, and nothing else
    /// depends on the number.
    ///
    /// A search that is resumed with more trials goes on with the model, after the probes that are missing from the
    /// larger share.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.settings.trials = trials;
        self
    }

    /// With this share of the trials spent on screening, 0 to 1.
    #[must_use]
    pub fn with_screening(mut self, share: f64) -> Self {
        self.settings.screening = probability(share);
        self
    }

    /// With what is known of the space, in place of what was given before. The cost exponent stays as it is where the
    /// structure has no price.
    #[must_use]
    pub fn with_structure(mut self, structure: SpaceStructure) -> Self {
        if structure.price.is_some() {
            self = self.with_cost_exponent(structure.cost_exponent);
        }
        (self.structure, self.sites) = (structure, None);
        self
    }

    /// With this power of a point's price by which its expected improvement is divided, 0 to 1.
    #[must_use]
    pub fn with_cost_exponent(mut self, exponent: f64) -> Self {
        self.settings.cost_exponent = probability(exponent);
        self
    }

    /// The point to ask and where it comes from: a probe of the screening, or the best of the pool. None while there
    /// are too few results, and where all that is looked at was asked before.
    fn next(&mut self, sites: &Sites, id: TrialId, rng: &mut impl Rng) -> Option<(Point, Origin)> {
        let observed = Observations::of(&self.state.ledger, sites);
        if observed.len() < LEAST_RESULTS {
            return None;
        }
        let aimed = observed.are_several().then(|| sites.aimed_at(id)).flatten();
        let (sites, size) = aimed.as_ref().map_or((sites, None), |(aimed, size)| (aimed, Some(*size)));
        let options = Options::of(sites, &observed.best_points(ELITES, None), rng);
        let budget = (self.settings.screening * self.settings.trials as f64) as usize;
        let best = observed.best_points(1, size);
        if let Some(probe) = screen::next(&self.state, sites, &options, best.first()?, budget, rng) {
            return Some(probe);
        }
        let mut model = self.model(&observed);
        let elites = observed.best_by(ELITES, size, |coded| model.mean(coded));
        let target = elites.iter().map(|point| model.mean(&sites.code(point))).fold(f64::INFINITY, f64::min);
        let pool = Pool {
            state: &self.state,
            sites,
            model: &mut model,
            target,
            price: self.structure.price.as_deref(),
            cost_exponent: self.settings.cost_exponent,
            elites: &elites,
        };
        pool.best(&options, rng)
    }

    /// The posterior; its variances are fitted anew when there is a quarter more to fit them to.
    fn model(&mut self, observed: &Observations) -> Model {
        let (early, key) = observed.for_fitting();
        let weights = match self.fitted {
            Some((known, weights)) if known == key => weights,
            _ => Model::fit(&early, None).weights(),
        };
        self.fitted = Some((key, weights));
        let mut model = Model::fit(observed.seen(), Some(weights));
        let pending = observed.pending();
        if pending.is_empty() {
            return model;
        }
        // What is pending is taken to come out as the model expects it.
        let imagined = pending.iter().map(|coded| model::Observation {
            coded: coded.clone(),
            value: model.mean(coded),
            partial: false,
        });
        let all: Vec<model::Observation> = observed.seen().iter().cloned().chain(imagined).collect();
        Model::fit(&all, Some(weights))
    }
}

impl Propose for AdditiveGpSearch {
    const NAME: &'static str = "tailor";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("tailor", id);
        let sites = self.sites.take().unwrap_or_else(|| Sites::of(&self.state.space, self.structure.embedding.clone()));
        let proposed = self.next(&sites, id, &mut rng);
        self.sites = Some(sites);
        proposed.map_or_else(|| self.state.random_proposal(&mut rng), Ok)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "tailor",
    "An additive Gaussian process over the items that go or stay and the choices for each that stays.",
    &[
        share("screening", 0.15, "Share of the trials spent on single removals and choices around the best point."),
        Parameter::number(
            "cost_exponent",
            0.0,
            1.0,
            "Power of a point's price by which its expected improvement is divided.",
        )
        .optional(),
    ],
    |setup, own| {
        let search = AdditiveGpSearch::new(setup.space, setup.seed).with_trials(setup.trials);
        let search = search.with_structure(setup.structure).with_screening(own.number("screening")?);
        let exponent = own.value("cost_exponent").and_then(serde_json::Value::as_f64);
        boxed(exponent.map_or(search.clone(), |exponent| search.with_cost_exponent(exponent)), setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BrokenLaw, check_laws};
    use crate::{Fidelity, Optimizer as _, Outcome};

    fn layers(n: usize, sizes: std::ops::RangeInclusive<usize>) -> Space {
        let mut space = Space::new().subset_of_sizes("remove", n, sizes).never([0]);
        for layer in 0..n {
            let (sources, bundle) = (format!("layer_{layer}.sources"), format!("layer_{layer}"));
            space = space.mask(&sources, 2).when_outside("remove", layer).in_bundle(&bundle);
            space = space.float(format!("layer_{layer}.c"), 0.0..=1.0).when_at_least(&sources, 2).in_bundle(&bundle);
        }
        space.categorical("head", ["base", "math"]).int("last", 0..=9).when("head", "math")
    }

    /// At each of `n` places a stack of none, one or two, `most` in all.
    fn stacks(n: usize, most: usize) -> Space {
        let names: Vec<String> = (0..n).map(|place| format!("stack_{place}")).collect();
        let space = names.iter().fold(Space::new(), |space, name| {
            space.categorical(name.clone(), ["none", "one", "two"]).in_bundle(name.clone())
        });
        space.at_most(names, [0, 1, 2], most)
    }

    #[test]
    fn tailor_search_keeps_the_laws() -> Result<(), BrokenLaw> {
        let spaces = [
            layers(6, 2..=2),
            layers(5, 1..=3),
            Space::new().subset("s", 5, 2),
            Space::new().float("x", 0.0..=1.0).permutation("p", 3).categorical("c", ["a", "b"]),
            Space::new(),
            stacks(5, 2),
            (0..3).fold(Space::new(), |space, group| {
                let (method, bundle) = (format!("{group}.method"), format!("{group}"));
                let space = space.categorical(&method, ["a", "b"]).in_bundle(&bundle);
                let space = space.float(format!("{group}.x"), 0.0..=1.0).when(&method, "a").in_bundle(&bundle);
                space.float(format!("{group}.y"), 0.0..=1.0).when(&method, "b").in_bundle(&bundle)
            }),
        ];
        for space in spaces {
            check_laws(|| AdditiveGpSearch::new(space.clone(), 3).with_trials(30))?;
        }
        Ok(())
    }

    /// Without pairs: the best subset of an additive problem is the assembly's, as soon as each item was seen.
    #[test]
    fn an_additive_problem_is_solved_by_assembly() -> Result<(), Error> {
        for seed in 0..5 {
            let mut search = AdditiveGpSearch::new(Space::new().subset("s", 20, 6), seed).with_trials(60);
            let cost = |point: &Point| -> Result<f64, Error> {
                Ok(point.subset("s")?.iter().map(|item| ((item * 7 + 3) % 20) as f64).sum())
            };
            for _ in 0..60 {
                let trial = search.ask()?;
                search.tell(trial.id, Outcome::score(cost(&trial.point)?))?;
            }
            let best = search.ledger().best().and_then(|best| best.outcome.as_ref()?.objective());
            assert_eq!(best, Some((0..6).sum::<usize>() as f64), "seed {seed}");
        }
        Ok(())
    }

    #[test]
    fn screening_looks_at_each_removal_around_the_best_point() -> Result<(), Error> {
        let mut search = AdditiveGpSearch::new(layers(8, 2..=2), 1).with_trials(100);
        let mut screened = std::collections::BTreeSet::new();
        for _ in 0..30 {
            let trial = search.ask()?;
            if trial.origin.to_string().starts_with("screening: without") {
                screened.insert(trial.origin.to_string());
            }
            let removed: usize = trial.point.subset("remove")?.iter().sum();
            search.tell(trial.id, Outcome::score(removed as f64))?;
        }
        assert!(screened.len() >= 4, "{screened:?}");
        Ok(())
    }

    /// Without a subset: what the choices cost is limited, and the best whole within the limit is assembled.
    #[test]
    fn a_limited_row_of_bundles_is_solved_by_assembly() -> Result<(), Error> {
        let gain = |place: usize, choice: usize| ((place * 7 + choice * 5 + 3) % 11) as f64 * choice as f64;
        let value = |point: &Point| -> Result<f64, Error> {
            let mut sum = 0.0;
            for place in 0..12 {
                let choice = point.categorical(&format!("stack_{place}"))?;
                let choice = ["none", "one", "two"].iter().position(|name| *name == choice).unwrap_or(0);
                sum -= gain(place, choice);
            }
            Ok(sum)
        };
        // By a dynamic program over the places.
        let mut best = [0.0; 5];
        for place in 0..12 {
            for left in (0..5).rev() {
                let with = |choice: usize| best[left - choice] + gain(place, choice);
                best[left] = (0..=left.min(2)).map(with).fold(0.0, f64::max);
            }
        }
        for seed in 0..3 {
            let mut search = AdditiveGpSearch::new(stacks(12, 4).build()?, seed).with_trials(80);
            for _ in 0..80 {
                let trial = search.ask()?;
                assert!(search.space().contains(&trial.point));
                let cost = value(&trial.point)?;
                search.tell(trial.id, Outcome::score(cost))?;
            }
            let found = search.ledger().best().and_then(crate::Entry::result).map(|(objective, _)| objective);
            assert_eq!(found, Some(-best[4]), "seed {seed}");
        }
        Ok(())
    }

    #[test]
    fn with_several_objectives_each_size_is_aimed_at_in_turn() -> Result<(), Error> {
        let space = || Space::new().subset_of_sizes("s", 12, 1..=4).never([0]);
        let cost = |items: &[usize]| items.iter().map(|item| ((item * 7 + 3) % 12 + 1) as f64).sum::<f64>();
        let run = |objectives: &dyn Fn(f64, usize) -> Vec<f64>| -> Result<AdditiveGpSearch, Error> {
            let mut search = AdditiveGpSearch::new(space(), 5).with_trials(80);
            for _ in 0..80 {
                let trial = search.ask()?;
                assert!(search.space().contains(&trial.point));
                let items = trial.point.subset("s")?;
                search.tell(trial.id, Outcome::scores(objectives(cost(items), items.len())))?;
            }
            Ok(search)
        };
        let several = run(&|cost, size| vec![cost, 1.0 - size as f64 / 12.0])?;
        // Of items 1 to 11: the cheapest, the two cheapest, and so on.
        let mut costs: Vec<f64> = (1..12).map(|item| cost(&[item])).collect();
        costs.sort_by(f64::total_cmp);
        let front = crate::pareto::front(several.ledger().entries());
        for size in 1..=4_usize {
            let of_size = front.iter().find(|entry| entry.trial.point.subset("s").is_ok_and(|s| s.len() == size));
            let best = of_size.and_then(|entry| entry.result()).map(|(objective, _)| objective);
            assert_eq!(best, Some(costs[..size].iter().sum()), "size {size}");
        }
        let count = |search: &AdditiveGpSearch, size| {
            let asked = search.ledger().entries().iter().skip(40);
            asked.filter(|entry| entry.trial.point.subset("s").is_ok_and(|s| s.len() == size)).count()
        };
        assert!((1..=4).all(|size| count(&several, size) >= 4));
        let one = run(&|cost, _| vec![cost])?;
        assert!(count(&one, 4) < count(&several, 4), "one objective has no use for the largest size");
        Ok(())
    }

    #[test]
    fn the_cheaper_of_two_equal_proposals_is_asked() -> Result<(), Error> {
        let dear = |point: &Point, _: &Point| if point.int("x").is_ok_and(|x| x % 2 == 0) { 1.0 } else { 0.05 };
        let space = || Space::new().int("x", 0..=1000).categorical("c", ["a", "b", "c"]);
        let odd = |cost_exponent: f64| -> Result<usize, Error> {
            let mut search =
                AdditiveGpSearch::new(space(), 2).with_structure(SpaceStructure::new().with_price(dear, cost_exponent));
            let mut odd = 0;
            for _ in 0..40 {
                let trial = search.ask()?;
                let x = trial.point.int("x")?;
                odd += usize::from(x % 2 == 1);
                search.tell(trial.id, Outcome::score((x as f64 - 300.0).abs()))?;
            }
            Ok(odd)
        };
        assert!(odd(1.0)? > odd(0.0)? + 5, "{} {}", odd(1.0)?, odd(0.0)?);
        Ok(())
    }

    #[test]
    fn a_part_of_the_instances_is_compared_pair_by_pair() -> Result<(), Error> {
        let sites = Sites::of(&Space::new().int("x", 0..=9), None);
        let mut ledger = crate::Ledger::new();
        let asked = |ledger: &mut crate::Ledger, x| ledger.issue(Point::new().with_int("x", x), Fidelity::FULL, "").id;
        let (best, part) = (asked(&mut ledger, 1), asked(&mut ledger, 2));
        ledger.tell(best, Outcome::score(0.5).with_instances([0.0, 0.0, 1.0, 1.0]))?;
        // Better than the incumbent on the whole by its objective, but on easy instances: a half worse on these.
        ledger.tell(part, Outcome::score(0.25).with_instances([1.0, 0.0]).at(Fidelity::new(0.5)?))?;
        let observed = Observations::of(&ledger, &sites);
        assert_eq!(observed.best_points(1, None)[0].int("x")?, 1);
        Ok(())
    }
}
