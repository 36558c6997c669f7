//! Choosing points by a forest: what SMAC and ParEGO share.

use serde::Serialize;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::climb::{Candidate, Climber};
use super::evidence::Evidence;
use super::response::log_costs;
use crate::models::features::Features;
use crate::models::forest::{Forest, ForestSettings, Table};
use crate::random::shuffle;
use crate::strategies::sobol_search::sobol_point;
use crate::{Error, Origin, Outcome, Point, StrategyState, TrialId};

/// Points of the first design for each value that a point has.
const DESIGN_PER_VALUE: usize = 10;
/// The share of the trials that the first design may take.
const DESIGN_SHARE: usize = 4;
/// Of the random points that were looked at, so many stand in when all climbs ended at points that were asked before.
const SPARE: usize = 64;

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    /// How many trials there will be, as far as is known: may change when a search is resumed.
    #[serde(skip)]
    pub(crate) trials: usize,
    pub(crate) forest: ForestSettings,
    /// How often a point is drawn evenly.
    pub(crate) random_share: f64,
    /// How many points are proposed by one forest.
    pub(crate) refit: usize,
    /// Random points that are looked at.
    pub(crate) points: usize,
    /// How many of them, and of the trials, are climbed from.
    pub(crate) starts: usize,
    /// A fidelity with fewer results than this gives way to a lower one.
    pub(crate) least: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let forest = ForestSettings::default();
        Self { trials: 100, forest, random_share: 0.2, refit: 8, points: 10_000, starts: 10, least: 8 }
    }
}

/// A forest's proposals. All that it holds is derived from the state, and kept only as long as it would be derived
/// again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surrogate {
    features: Option<Features>,
    /// The rows of the first entries of the evidence, whose points never change.
    rows: Option<Table>,
    batch: Option<Batch>,
}

/// What one forest proposes.
#[derive(Debug, Clone)]
struct Batch {
    key: BatchKey,
    /// The best first.
    proposals: Vec<(Point, &'static str)>,
}

/// What a forest was grown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BatchKey {
    /// Trials from this one on were proposed by the forest itself.
    begin: usize,
    /// How many of the trials before were told.
    told: usize,
    /// How many outcomes had been amended.
    amendments: u64,
}

impl Surrogate {
    /// The point of ask `id`: of the first design, drawn evenly, or one of large expected improvement. `cost` makes
    /// one number of each of the results; it is told where the batch begins.
    pub(crate) fn propose(
        &mut self,
        state: &StrategyState,
        settings: &Settings,
        id: TrialId,
        cost: impl FnOnce(TrialId, &[&Outcome]) -> Vec<f64>,
    ) -> Result<(Point, Origin), Error> {
        let mut rng = state.generator("smac", id);
        let features = self.features.get_or_insert_with(|| Features::new(&state.space));
        let number = state.ledger.entries().len();
        let initial = state.ledger.entries().iter().take_while(|entry| entry.trial.origin == Origin::Initial).count();
        let first = if initial > 0 { initial } else { settings.design(features).saturating_sub(known_results(state)) };
        if number < first {
            let point = sobol_point(&state.space, id.0, state.seed, &mut rng);
            if !state.ledger.knows(&point) {
                return Ok((point, "first design".into()));
            }
        } else if rng.random::<f64>() >= settings.random_share {
            let refit = settings.refit.max(1);
            let begin = first + (number - first) / refit * refit;
            let proposals = self.proposals(state, settings, begin, cost);
            if let Some((point, origin)) = proposals.iter().find(|(point, _)| !state.ledger.knows(point)) {
                return Ok((point.clone(), (*origin).into()));
            }
        }
        state.random_proposal(&mut rng)
    }

    /// What the forest proposes that is grown on what was injected and the trials before `begin`.
    fn proposals(
        &mut self,
        state: &StrategyState,
        settings: &Settings,
        begin: usize,
        cost: impl FnOnce(TrialId, &[&Outcome]) -> Vec<f64>,
    ) -> &[(Point, &'static str)] {
        let places = state.ledger.injected() + begin;
        let told = state.ledger.evidence().take(places).filter(|entry| entry.outcome.is_some()).count();
        let key = BatchKey { begin, told, amendments: state.amendments };
        if self.batch.as_ref().is_none_or(|batch| batch.key != key) {
            let features = self.features.get_or_insert_with(|| Features::new(&state.space));
            let rows = self.rows.get_or_insert_with(|| Table::new(features.width()));
            for entry in state.ledger.evidence().take(places).skip(rows.len()) {
                rows.push(&features.encode(&entry.trial.point));
            }
            let begin_id = TrialId(begin as u64);
            let evidence = Evidence::collect(&state.ledger, places, settings.least, |results| cost(begin_id, results));
            let mut rng = state.generator("smac batch", begin_id);
            let proposals = evidence.map(|evidence| {
                let model = Model::grow(features, rows, &evidence, settings, &mut rng);
                model.proposals(state, places, settings, &mut rng)
            });
            self.batch = Some(Batch { key, proposals: proposals.unwrap_or_default() });
        }
        self.batch.as_ref().map_or(&[], |batch| &batch.proposals)
    }
}

/// How many results were injected: so many points fewer does the first design need.
fn known_results(state: &StrategyState) -> usize {
    state.ledger.evidence().take(state.ledger.injected()).filter(|entry| entry.result().is_some()).count()
}

impl Settings {
    /// The number of points in the first design, if no initial points are given.
    fn design(&self, features: &Features) -> usize {
        (DESIGN_PER_VALUE * features.values()).min(self.trials / DESIGN_SHARE).max(1)
    }
}

/// A forest, and what it was grown on.
struct Model<'a> {
    features: &'a Features,
    rows: &'a Table,
    forest: Forest,
    /// The lowest predicted log-cost of a trial that was told.
    best: f64,
}

impl<'a> Model<'a> {
    /// A forest on the evidence; with pending trials a second one, on these too, each with the mean that the first
    /// predicts.
    fn grow(
        features: &'a Features,
        rows: &'a Table,
        evidence: &Evidence,
        settings: &Settings,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mut costs = log_costs(&evidence.costs);
        let mut table = rows.select(&evidence.trials);
        let mut forest = Forest::grow(&table, &costs, &settings.forest, rng);
        if !evidence.pending.is_empty() {
            for row in evidence.pending.iter().map(|trial| rows.row(*trial)) {
                costs.push(forest.predict(row).mean);
                table.push(row);
            }
            forest = Forest::grow(&table, &costs, &settings.forest, rng);
        }
        let predicted = evidence.trials.iter().map(|trial| forest.predict(rows.row(*trial)).mean);
        let best = predicted.fold(f64::INFINITY, f64::min);
        Self { features, rows, forest, best }
    }

    /// Points of large expected improvement, the best first.
    fn proposals(
        &self,
        state: &StrategyState,
        places: usize,
        settings: &Settings,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(Point, &'static str)> {
        let trials = self.trials_of_low_cost(places, settings.starts, rng);
        let Some(&model) = trials.first() else { return Vec::new() };
        let climber =
            Climber { features: self.features, forest: &self.forest, best: self.best, model: self.rows.row(model) };
        let random = self.random_points(&climber, settings, rng);
        let mut starts: Vec<Candidate> = random.iter().take(settings.starts).cloned().collect();
        starts.extend(trials.iter().map(|trial| {
            let row = self.rows.row(*trial).to_vec();
            Candidate { improvement: climber.improvement(&row), row, origin: Some(*trial) }
        }));
        starts.iter_mut().for_each(|start| climber.climb(start, rng));
        shuffle(&mut starts, rng);
        starts.sort_by(|a, b| b.improvement.total_cmp(&a.improvement));
        let climbed = starts.iter().map(|candidate| (candidate, "expected improvement"));
        let spare = random.iter().map(|candidate| (candidate, "expected improvement, drawn"));
        let all: Vec<(&Candidate, &'static str)> = climbed.chain(spare).collect();
        let origin = |candidate: &Candidate| {
            let entry = state.ledger.evidence().nth(candidate.origin?)?;
            Some(&entry.trial.point)
        };
        let decoded = all.into_iter().map(|(candidate, name)| {
            (self.features.decode(&candidate.row, origin(candidate), &state.space, rng), name)
        });
        decoded.collect()
    }

    /// The trials whose predicted cost is lowest, the lowest first; of equal ones any.
    fn trials_of_low_cost(&self, places: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut trials: Vec<(f64, usize)> =
            (0..places).map(|trial| (self.forest.predict(self.rows.row(trial)).mean, trial)).collect();
        shuffle(&mut trials, rng);
        trials.sort_by(|a, b| a.0.total_cmp(&b.0));
        trials.into_iter().take(count).map(|(_, trial)| trial).collect()
    }

    /// Of many random points those of the largest expected improvement, the best first; of equal ones the earlier.
    fn random_points(&self, climber: &Climber<'_>, settings: &Settings, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
        let kept = SPARE.max(settings.starts);
        let mut best: Vec<Candidate> = Vec::with_capacity(kept + 1);
        let mut row = vec![0.0; self.features.width()];
        for _ in 0..settings.points {
            self.features.sample(&mut row, rng);
            let improvement = climber.improvement(&row);
            let place = best.partition_point(|other| other.improvement >= improvement);
            if place < kept {
                best.truncate(kept - 1);
                best.insert(place, Candidate { row: row.clone(), origin: None, improvement });
            }
        }
        best
    }
}
