//! Where the next point is looked for: assemblies of the additive costs, and changes of the best points.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};

use super::assembly::{self, AdditiveCosts};
use super::assignment::Assignment;
use super::model::{Model, Prediction};
use super::options::Options;
use super::sites::{Coded, Sites, profile_share};
use crate::strategies::structure::Price;
use crate::{Origin, Point, PointKey, StrategyState, Value};

/// Assemblies of the additive costs that are looked at.
const ASSEMBLIES: usize = 12;
/// Changes of each elite that are looked at.
const MOVES: usize = 100;
/// Other sets of removals that are looked at with the choices of each of the best points.
const MOVED_REMOVALS: usize = 40;
/// How many of the best candidates are changed once more.
const FURTHER: usize = 3;
/// How often that is repeated.
const ROUNDS: usize = 2;
/// Of so many asks, one takes the most promising point with other removals than the best have, and one the most
/// uncertain of the promising points; all others the most promising.
const EXPLORE: usize = 8;

/// What was found: candidates not yet judged, and those that were, the most acquisition first.
#[derive(Default)]
struct Found {
    fresh: Vec<Candidate>,
    judged: Vec<Candidate>,
    keys: BTreeSet<PointKey>,
}

impl Found {
    /// Enters a candidate, unless its point is there.
    fn put(&mut self, point: Point, origin: &'static str) {
        let key = point.key();
        if self.keys.insert(key) {
            self.fresh.push(Candidate { point, key, origin, acquisition: 0.0, deviation: 0.0 });
        }
    }
}

/// Where the next point is looked for.
pub(super) struct Pool<'a> {
    pub(super) state: &'a StrategyState,
    pub(super) sites: &'a Sites,
    pub(super) model: &'a mut Model,
    pub(super) price: Option<&'a Price>,
    pub(super) cost_exponent: f64,
    /// The best points by the model, the best first.
    pub(super) elites: &'a [Point],
    /// The least mean of these.
    pub(super) target: f64,
}

/// A point that may be asked.
struct Candidate {
    point: Point,
    key: PointKey,
    origin: &'static str,
    /// Expected improvement for its price.
    acquisition: f64,
    /// The standard deviation that the model has there.
    deviation: f64,
}

impl Pool<'_> {
    /// The point to ask: that of most expected improvement for its price, or now and then one that tells more.
    pub(super) fn best(mut self, options: &Options, rng: &mut impl Rng) -> Option<(Point, Origin)> {
        let mut candidates = self.candidates(options, rng);
        let with_other_removals = |it: &Candidate| {
            let removed = self.sites.removed(&it.point);
            self.elites.iter().all(|elite| self.sites.removed(elite) != removed)
        };
        let chosen = match rng.random_range(0..EXPLORE) {
            0 => candidates.iter().position(with_other_removals).unwrap_or(0),
            1 => {
                let promising = candidates.iter().enumerate().take(8 * FURTHER);
                promising.max_by(|a, b| a.1.deviation.total_cmp(&b.1.deviation)).map_or(0, |(place, _)| place)
            }
            _ => 0,
        };
        let chosen = (chosen < candidates.len()).then(|| candidates.swap_remove(chosen))?;
        Some((chosen.point, chosen.origin.into()))
    }

    /// What may be asked, the most acquisition first.
    fn candidates(&mut self, options: &Options, rng: &mut impl Rng) -> Vec<Candidate> {
        let mut found = Found::default();
        for assignment in self.assemblies(options) {
            found.put(assignment.point(self.sites, &self.state.space, rng), "assembly");
        }
        for elite in self.elites {
            self.change(elite, MOVES, "change", options, &mut found, rng);
        }
        for elite in self.elites.iter().take(FURTHER) {
            let assignment = Assignment::of(self.sites, elite);
            for _ in 0..MOVED_REMOVALS {
                let Some(other) = assignment.move_removals(self.sites, &options.bundles, rng) else { break };
                found.put(other.point(self.sites, &self.state.space, rng), "other removals");
            }
        }
        self.judge(&mut found);
        for _ in 0..ROUNDS {
            let leaders: Vec<Point> = found.judged.iter().take(FURTHER).map(|it| it.point.clone()).collect();
            for leader in leaders {
                self.change(&leader, MOVES / 2, "changes", options, &mut found, rng);
            }
            self.judge(&mut found);
        }
        found.judged
    }

    /// Finds up to `count` points that differ from one at one site.
    fn change(
        &self,
        point: &Point,
        count: usize,
        origin: &'static str,
        options: &Options,
        found: &mut Found,
        rng: &mut impl Rng,
    ) {
        for assignment in Assignment::of(self.sites, point).moves(self.sites, &options.bundles, count, rng) {
            found.put(assignment.point(self.sites, &self.state.space, rng), origin);
        }
    }

    /// Judges what was found since, and puts the most acquisition first.
    fn judge(&mut self, found: &mut Found) {
        let mut fresh = std::mem::take(&mut found.fresh);
        fresh.retain(|it| self.sites.has_size(&it.point) && !self.state.ledger.knows_key(it.key));
        let coded: Vec<Coded> = fresh.iter().map(|it| self.sites.code(&it.point)).collect();
        for (candidate, prediction) in fresh.iter_mut().zip(self.model.predict(&coded)) {
            candidate.acquisition = self.acquisition(&candidate.point, &prediction);
            candidate.deviation = prediction.deviation;
        }
        found.judged.extend(fresh);
        found.judged.sort_by(|a, b| b.acquisition.total_cmp(&a.acquisition).then(a.key.cmp(&b.key)));
    }

    /// Expected improvement for its price.
    fn acquisition(&self, point: &Point, prediction: &Prediction) -> f64 {
        // On a row of sites, what is all but one of the points that were asked tells nothing new.
        if prediction.near && !self.sites.items.is_empty() {
            return 0.0;
        }
        let improvement = expected_improvement(prediction.mean, prediction.deviation, self.target);
        if improvement == 0.0 {
            return 0.0;
        }
        let prices = self.price.map(|price| self.elites.iter().map(|elite| price(point, elite)).fold(1.0, f64::min));
        improvement / prices.map_or(1.0, |price| libm::pow(price.clamp(0.05, 1.0), self.cost_exponent))
    }

    /// The best wholes by the additive costs.
    fn assemblies(&mut self, options: &Options) -> Vec<Assignment> {
        let Some(best) = self.elites.first() else { return Vec::new() };
        let base = Assignment::of(self.sites, best);
        if self.sites.items.is_empty() {
            return Vec::new();
        }
        let sizes = match (&self.sites.subset, &self.sites.limit) {
            (Some(subset), _) => subset.domain.sizes(),
            (None, limit) => 0..=limit.as_ref().map_or(0, |limit| limit.most),
        };
        let additive_costs = self.additive_costs(options);
        let mut assignments: Vec<Assignment> = assembly::assemble(&additive_costs, sizes, ASSEMBLIES)
            .into_iter()
            .map(|choices| {
                let items = choices
                    .iter()
                    .enumerate()
                    .map(|(item, choice)| choice.map(|choice| options.bundles[item][choice].clone()));
                Assignment { items: items.collect(), others: base.others.clone() }
            })
            .collect();
        let others = self.best_others(options, &base);
        let with_best_others: Vec<Assignment> = assignments
            .iter()
            .take(ASSEMBLIES / 2)
            .map(|assignment| Assignment { others: others.clone(), ..assignment.clone() })
            .collect();
        assignments.extend(with_best_others);
        assignments
    }

    /// What each removal, choice and joint removal of neighbours costs by the additive part of the model.
    fn additive_costs(&mut self, options: &Options) -> AdditiveCosts {
        let n = self.sites.items.len();
        let width = options.embeddings.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let subset = self.sites.subset.as_ref().map(|subset| &subset.domain);
        let (always, never) = match subset {
            Some(crate::Domain::Subset { always, never, .. }) => (always.as_slice(), never.as_slice()),
            _ => (&[][..], &[][..]),
        };
        let mut additive_costs =
            AdditiveCosts { removal: Vec::new(), choices: Vec::new(), counts: Vec::new(), together: Vec::new() };
        for item in 0..n {
            let fixed = subset.is_none() || never.contains(&item);
            let removal = || self.model.removal(item, &profile_share(item, n, None, width));
            additive_costs.removal.push(if fixed { f64::INFINITY } else { removal() });
            let may_stay = !always.contains(&item);
            let embeddings = options.embeddings[item].iter().filter(|_| may_stay);
            let cost = |embedding: &Vec<f64>| {
                self.model.choice(item, embedding, &profile_share(item, n, Some(embedding), width))
            };
            additive_costs.choices.push(embeddings.map(cost).collect());
            if let Some(limit) = &self.sites.limit {
                let counts = options.bundles[item].iter().map(|bundle| limit.cost(self.sites, item, bundle));
                additive_costs.counts.push(counts.collect());
            }
        }
        additive_costs.together = (1..n).map(|item| self.model.neighbours(item - 1)).collect();
        additive_costs
    }

    /// For each other dimension, the value that costs least by itself.
    fn best_others(&mut self, options: &Options, base: &Assignment) -> Vec<Option<Value>> {
        let best = |(dimension, known): (usize, &Option<Value>)| {
            let values = options.others[dimension].iter();
            let costs = values.map(|(value, embedding)| (self.model.other(dimension, embedding), value));
            let cheapest = costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, value)| value.clone());
            known.as_ref().and(cheapest).or_else(|| known.clone())
        };
        base.others.iter().enumerate().map(best).collect()
    }
}

/// `E max(target - y, 0)` for a normal `y`.
fn expected_improvement(mean: f64, deviation: f64, target: f64) -> f64 {
    let z = (target - mean) / deviation;
    let density = libm::exp(-z * z / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
    let below = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
    (deviation * (z * below + density)).max(0.0)
}
