//! Where the next point is looked for: assemblies of the additive picture, and changes of the best points.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};

use super::assembly::{self, Picture};
use super::draft::Draft;
use super::model::{Model, Prediction};
use super::options::Options;
use super::sites::{Coded, Sites, share};
use crate::optimizer::state::StrategyState;
use crate::{Origin, Point, PointKey, Value};

/// Assemblies of the additive picture that are looked at.
const ASSEMBLIES: usize = 12;
/// Changes of each elite that are looked at.
const MOVES: usize = 100;
/// Other sets of removals that are looked at with the choices of each of the best points.
const ELSEWHERE: usize = 40;
/// How many of the best changes are changed once more, and how often that is repeated.
const FURTHER: usize = 3;
const ROUNDS: usize = 2;
/// Of so many asks, one takes the most promising point with other removals than the best have, and one the most uncertain of the
/// promising points; all others the most promising.
const EXPLORE: usize = 8;

/// The share of an evaluation's work at the first point that is left when the second one was evaluated before: 0 to 1.
pub(super) type Price = dyn Fn(&Point, &Point) -> f64 + Send + Sync;

/// What was found: candidates not yet judged, and those that were, the most worth first.
#[derive(Default)]
struct Found {
    fresh: Vec<Candidate>,
    judged: Vec<Candidate>,
    keys: BTreeSet<PointKey>,
}

impl Found {
    fn put(&mut self, point: Point, origin: &'static str) {
        let key = point.key();
        if self.keys.insert(key) {
            self.fresh.push(Candidate { point, key, origin, worth: 0.0, deviation: 0.0 });
        }
    }
}

/// Where the next point is looked for.
pub(super) struct Pool<'a> {
    pub(super) state: &'a StrategyState,
    pub(super) sites: &'a Sites,
    pub(super) model: &'a mut Model,
    pub(super) price: Option<&'a Price>,
    pub(super) thrift: f64,
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
    worth: f64,
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

    /// What may be asked, the most worth first.
    fn candidates(&mut self, options: &Options, rng: &mut impl Rng) -> Vec<Candidate> {
        let mut found = Found::default();
        for draft in self.assemblies(options) {
            found.put(draft.point(self.sites, &self.state.space, rng), "assembly");
        }
        for elite in self.elites {
            self.change(elite, MOVES, "change", options, &mut found, rng);
        }
        for elite in self.elites.iter().take(FURTHER) {
            let draft = Draft::of(self.sites, elite);
            for _ in 0..ELSEWHERE {
                let Some(other) = draft.elsewhere(self.sites, &options.bundles, rng) else { break };
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
        for draft in Draft::of(self.sites, point).moves(self.sites, &options.bundles, count, rng) {
            found.put(draft.point(self.sites, &self.state.space, rng), origin);
        }
    }

    /// Judges what was found since, and puts the most worth first.
    fn judge(&mut self, found: &mut Found) {
        let mut fresh = std::mem::take(&mut found.fresh);
        fresh.retain(|it| self.sites.has_size(&it.point) && !self.state.ledger.knows_key(it.key));
        let coded: Vec<Coded> = fresh.iter().map(|it| self.sites.code(&it.point)).collect();
        for (candidate, prediction) in fresh.iter_mut().zip(self.model.predict(&coded)) {
            candidate.worth = self.worth(&candidate.point, &prediction);
            candidate.deviation = prediction.deviation;
        }
        found.judged.extend(fresh);
        found.judged.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.key.cmp(&b.key)));
    }

    /// Expected improvement for its price.
    fn worth(&self, point: &Point, prediction: &Prediction) -> f64 {
        // On a row of sites, what is all but one of the points that were asked tells nothing new.
        if prediction.near && !self.sites.items.is_empty() {
            return 0.0;
        }
        let improvement = expected_improvement(prediction.mean, prediction.deviation, self.target);
        if improvement == 0.0 {
            return 0.0;
        }
        let prices = self.price.map(|price| self.elites.iter().map(|elite| price(point, elite)).fold(1.0, f64::min));
        improvement / prices.map_or(1.0, |price| libm::pow(price.clamp(0.05, 1.0), self.thrift))
    }

    /// The best wholes by the additive picture.
    fn assemblies(&mut self, options: &Options) -> Vec<Draft> {
        let Some(best) = self.elites.first() else { return Vec::new() };
        let base = Draft::of(self.sites, best);
        let Some(subset) = &self.sites.subset else { return Vec::new() };
        let picture = self.picture(options, &subset.domain);
        let mut drafts: Vec<Draft> = assembly::assemble(&picture, subset.domain.sizes(), ASSEMBLIES)
            .into_iter()
            .map(|fates| {
                let items = fates
                    .iter()
                    .enumerate()
                    .map(|(item, fate)| fate.map(|choice| options.bundles[item][choice].clone()));
                Draft { items: items.collect(), others: base.others.clone() }
            })
            .collect();
        let others = self.best_others(options, &base);
        let with_best_others: Vec<Draft> =
            drafts.iter().take(ASSEMBLIES / 2).map(|draft| Draft { others: others.clone(), ..draft.clone() }).collect();
        drafts.extend(with_best_others);
        drafts
    }

    fn picture(&mut self, options: &Options, subset: &crate::Domain) -> Picture {
        let n = self.sites.items.len();
        let width = options.embeddings.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let (always, never) = match subset {
            crate::Domain::Subset { always, never, .. } => (always.as_slice(), never.as_slice()),
            _ => (&[][..], &[][..]),
        };
        let mut picture = Picture { removal: Vec::new(), choices: Vec::new(), together: Vec::new() };
        for item in 0..n {
            let fixed = never.contains(&item);
            let removal = || self.model.removal(item, &share(item, n, None, width));
            picture.removal.push(if fixed { f64::INFINITY } else { removal() });
            let may_stay = !always.contains(&item);
            let embeddings = options.embeddings[item].iter().filter(|_| may_stay);
            let cost =
                |embedding: &Vec<f64>| self.model.choice(item, embedding, &share(item, n, Some(embedding), width));
            picture.choices.push(embeddings.map(cost).collect());
        }
        picture.together = (1..n).map(|item| self.model.neighbours(item - 1)).collect();
        picture
    }

    /// For each other dimension, the value that costs least by itself.
    fn best_others(&mut self, options: &Options, base: &Draft) -> Vec<Option<Value>> {
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
