//! The results of a ledger as the model learns from them: one comparable number for each point.

use std::collections::BTreeMap;

use super::model::Observation;
use super::sites::{Coded, Sites};
use crate::space::order::rising;
use crate::{Ledger, Outcome, Point};

/// At most so many results go into the model: half of them the best, half the last.
const MOST: usize = 300;
/// How strongly large values are pressed together: at 0 not at all.
const LOG_WARP: f64 = 3.0;

/// Points with results, in the order of the asks, and those that wait for one.
pub(super) struct Observations {
    points: Vec<Point>,
    /// What was seen at each of the points.
    seen: Vec<Observation>,
    /// The values as told, or estimated for a full evaluation.
    values: Vec<f64>,
    /// The points that wait for a result.
    pending: Vec<Coded>,
    /// Whether there is more than one objective.
    several: bool,
}

impl Observations {
    /// All results of a ledger, made comparable; a failure is as bad as the worst result.
    pub(super) fn of(ledger: &Ledger, sites: &Sites) -> Self {
        let mut levels = Levels::of(ledger);
        let mut found =
            Self { points: Vec::new(), seen: Vec::new(), values: Vec::new(), pending: Vec::new(), several: false };
        let mut failed = Vec::new();
        for entry in ledger.evidence() {
            let coded = sites.code(&entry.trial.point);
            match (&entry.outcome, entry.result()) {
                (Some(outcome), Some((objective, fidelity))) => {
                    let value = levels.level(outcome, objective);
                    found.several |= !outcome.further().is_empty();
                    found.enter(&entry.trial.point, coded, value, !fidelity.is_full());
                }
                (Some(outcome), None) if outcome.is_evidence() => failed.push((entry.trial.point.clone(), coded)),
                (Some(_), None) => {}
                (None, _) => found.pending.push(coded),
            }
        }
        // A failure is as bad as the worst result.
        if let Some(worst) = found.values.iter().copied().reduce(f64::max) {
            for (point, coded) in failed {
                found.enter(&point, coded, worst, false);
            }
        }
        found.limit();
        found.log_warp();
        found
    }

    fn enter(&mut self, point: &Point, coded: Coded, value: f64, partial: bool) {
        self.points.push(point.clone());
        self.values.push(value);
        self.seen.push(Observation { coded, value, partial });
    }

    /// Drops what is neither among the best nor among the last.
    fn limit(&mut self) {
        if self.values.len() <= MOST {
            return;
        }
        let mut kept: Vec<usize> = rising(&self.values).into_iter().take(MOST / 2).collect();
        let last: Vec<usize> =
            (0..self.values.len()).rev().filter(|i| !kept.contains(i)).take(MOST - MOST / 2).collect();
        kept.extend(last);
        kept.sort_unstable();
        self.points = kept.iter().map(|i| self.points[*i].clone()).collect();
        self.seen = kept.iter().map(|i| self.seen[*i].clone()).collect();
        self.values = kept.iter().map(|i| self.values[*i]).collect();
    }

    /// Presses the values together where they are far above the best: what is broken is just broken.
    fn log_warp(&mut self) {
        log_warp(&mut self.seen, &self.values);
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn seen(&self) -> &[Observation] {
        &self.seen
    }

    pub(super) fn pending(&self) -> &[Coded] {
        &self.pending
    }

    /// Whether the outcomes have several objectives.
    pub(super) fn are_several(&self) -> bool {
        self.several
    }

    /// The points of least value; with a size, of those that remove so many items, or as nearly so many as there are.
    pub(super) fn best_points(&self, count: usize, size: Option<usize>) -> Vec<Point> {
        self.ranked(count, size, &self.values)
    }

    /// The points of least value by a model, as [`Self::best_points`].
    pub(super) fn best_by(
        &self,
        count: usize,
        size: Option<usize>,
        mut value: impl FnMut(&Coded) -> f64,
    ) -> Vec<Point> {
        let values: Vec<f64> = self.seen.iter().map(|seen| value(&seen.coded)).collect();
        self.ranked(count, size, &values)
    }

    /// The points of least value, among those nearest to the size.
    fn ranked(&self, count: usize, size: Option<usize>, values: &[f64]) -> Vec<Point> {
        let off = |i: &usize| size.map_or(0, |size| self.seen[*i].coded.removed.len().abs_diff(size));
        let nearest = (0..values.len()).map(|i| off(&i)).min();
        let ranked = rising(values).into_iter().filter(|i| Some(off(i)) == nearest);
        ranked.take(count).map(|i| self.points[i].clone()).collect()
    }

    /// The first results, as many as are a power of 5/4, with a key that changes when they do.
    pub(super) fn for_fitting(&self) -> (Vec<Observation>, u64) {
        let mut count = 8.0;
        while count * 1.25 <= self.seen.len() as f64 {
            count *= 1.25;
        }
        let mut early: Vec<Observation> = self.seen.iter().take(count as usize).cloned().collect();
        // By themselves: what was fitted to them holds as long as they are the same, whatever came after.
        log_warp(&mut early, &self.values);
        let mut hasher = blake3::Hasher::new();
        for (point, seen) in self.points.iter().zip(&early) {
            hasher.update(&point.key().as_u128().to_le_bytes());
            hasher.update(&seen.value.to_bits().to_le_bytes()).update(&[u8::from(seen.partial)]);
        }
        let mut key = [0; 8];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        (early, u64::from_le_bytes(key))
    }
}

/// `log(1 + 3 (y - least) / (median - least))`, over the values of what was seen.
fn log_warp(seen: &mut [Observation], values: &[f64]) {
    let values = &values[..seen.len()];
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(least) = sorted.first().copied() else { return };
    let spread = (sorted[sorted.len() / 2] - least).max(1e-12);
    for (seen, value) in seen.iter_mut().zip(values) {
        seen.value = libm::log(1.0 + LOG_WARP * (value - least) / spread);
    }
}

/// Puts outcomes on a part of the instances level with those on all of them.
struct Levels<'a> {
    /// Instances and objective of every result on all instances.
    whole: Vec<(&'a [f64], f64)>,
    /// By how many instances a part has: what the rest of them adds, in the mean over the whole results that have
    /// more.
    shifts: BTreeMap<usize, Option<f64>>,
}

impl<'a> Levels<'a> {
    /// The results that have both, the whole and its instances.
    fn of(ledger: &'a Ledger) -> Self {
        let full = ledger.evidence().filter_map(|entry| Some((entry.outcome.as_ref()?, entry.result()?)));
        let full = full.filter(|(outcome, (_, fidelity))| fidelity.is_full() && !outcome.instances.is_empty());
        let whole = full.map(|(outcome, (objective, _))| (outcome.instances.as_slice(), objective)).collect();
        Self { whole, shifts: BTreeMap::new() }
    }

    /// The objective; for an outcome on a part of the instances, that of the part and what the rest of them added to
    /// the objectives of those that have both: what is hard in the part for all is no fault of the point.
    fn level(&mut self, outcome: &Outcome, objective: f64) -> f64 {
        let part = outcome.instances.len();
        let whole = &self.whole;
        let Some(shift) = *self.shifts.entry(part).or_insert_with(|| shift(whole, part)) else { return objective };
        let shifted = outcome.instances.iter().sum::<f64>() / part as f64 + shift;
        if shifted.is_finite() { shifted } else { objective }
    }
}

/// What the instances behind the first `part` add, in the mean over those that have more; none without any.
fn shift(whole: &[(&[f64], f64)], part: usize) -> Option<f64> {
    let longer = whole.iter().filter(|(instances, _)| part > 0 && instances.len() > part);
    let shifts: Vec<f64> =
        longer.map(|(instances, objective)| objective - instances[..part].iter().sum::<f64>() / part as f64).collect();
    (!shifts.is_empty()).then(|| shifts.iter().sum::<f64>() / shifts.len() as f64)
}
