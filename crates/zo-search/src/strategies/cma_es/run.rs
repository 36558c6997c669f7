//! One generation after the other: a function of the results of the points that come up.

use std::cmp::Ordering;

use rand::RngExt;

use super::Settings;
use super::distribution::Distribution;
use super::latent::{Coordinate, Latent};
use super::margin::{Marginal, keep_margin};
use super::stops::History;
use crate::random::generator;
use crate::{Entry, Point, PointKey, Space, TrialId};

/// Up to so many coordinates all covariances are learnt, beyond only the variances.
const MOST_FULL: usize = 100;
/// Restarts that double the number of members.
const DOUBLINGS: u32 = 9;
/// A run that comes to no new point for so many generations is over.
const MOST_STALE: usize = 20;
/// And the whole search, after so many.
const MOST_STALE_EVER: usize = 100;
/// Integers of more values are treated as floats, between rounding.
const MOST_LEVELS: f64 = 1e6;

/// A member of a generation.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) point: Point,
    pub(super) key: PointKey,
    /// From the mean, in units of the step size.
    step: Vec<f64>,
}

/// The search at one generation.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) latent: Latent,
    distribution: Distribution,
    /// The factor of each coordinate's deviation, from the margin.
    scales: Vec<f64>,
    history: History,
    pub(super) members: Vec<Member>,
    pub(super) generation: u64,
    pub(super) restarts: u32,
    /// The step size that this run began with.
    sigma: f64,
    /// The place of the last trial that any generation was made of, and for how many generations that has not
    /// changed.
    newest: Option<usize>,
    stale: usize,
    seed: u64,
}

impl Run {
    /// The first generation, around a point or in the middle.
    pub(super) fn new(space: &Space, seed: u64, settings: &Settings, start: Option<&Point>) -> Self {
        let latent = Latent::new(space);
        let mean = start.map_or_else(|| vec![0.5; latent.coordinates.len()], |point| latent.encode(space, point));
        let members = settings.population.unwrap_or_else(|| default_members(mean.len()));
        let distribution = Distribution::new(mean, settings.sigma, members, latent.coordinates.len() > MOST_FULL);
        let mut run = Self {
            scales: vec![1.0; latent.coordinates.len()],
            latent,
            distribution,
            history: History::default(),
            members: Vec::new(),
            generation: 0,
            restarts: 0,
            sigma: settings.sigma,
            newest: None,
            stale: 0,
            seed,
        };
        run.draw_members(space);
        run
    }

    /// Whether it has given up: nearly every point is known.
    pub(super) fn is_exhausted(&self) -> bool {
        self.stale >= MOST_STALE_EVER
    }

    /// A member more, from the current distribution.
    pub(super) fn surplus(&self, space: &Space, rng: &mut impl rand::Rng) -> Point {
        self.decode(space, &self.distribution.step(rng))
    }

    /// Goes on to the next generation if all of this one have an outcome; false if not.
    pub(super) fn advance<'a>(
        &mut self,
        space: &Space,
        settings: &Settings,
        known: impl Fn(PointKey) -> Option<(usize, &'a Entry)>,
    ) -> bool {
        let mut newest = None;
        let mut ranked = Vec::with_capacity(self.members.len());
        for member in &self.members {
            match known(member.key) {
                Some((place, entry)) if entry.outcome.is_some() => {
                    newest = newest.max(Some(place));
                    ranked.push((entry, member.step.as_slice()));
                }
                _ => return false,
            }
        }
        self.stale = if newest > self.newest { 0 } else { self.stale + 1 };
        self.newest = self.newest.max(newest);
        // Stable: of equals, the member drawn first, so that old points have no advantage.
        ranked.sort_by(|a, b| better(a.0, b.0));
        let objectives: Vec<f64> =
            ranked.iter().map(|(entry, _)| entry.result().map_or(f64::INFINITY, |(objective, _)| objective)).collect();
        let steps: Vec<&[f64]> = ranked.iter().map(|(_, step)| *step).collect();
        let sound = self.distribution.update(&steps);
        if sound && settings.margin {
            self.keep_margins();
        }
        self.history.enter(&objectives);
        self.generation += 1;
        let over = self.stale > 0 && self.stale.is_multiple_of(MOST_STALE);
        if !sound || over || self.history.is_over(&self.distribution, self.sigma, &objectives) {
            self.restart();
        }
        self.draw_members(space);
        true
    }

    /// Begins again anywhere, with twice as many members.
    fn restart(&mut self) {
        let mut rng = generator(self.seed, "cma restart", TrialId(self.generation));
        self.restarts += 1;
        let members = self.members.len() * if self.restarts <= DOUBLINGS { 2 } else { 1 };
        let anywhere = self.latent.coordinates.iter().map(|coordinate| match coordinate {
            Coordinate::Preference => 0.5,
            _ => rng.random::<f64>(),
        });
        let mean: Vec<f64> = anywhere.collect();
        let diagonal = mean.len() > MOST_FULL;
        self.scales = vec![1.0; mean.len()];
        self.distribution = Distribution::new(mean, self.sigma, members, diagonal);
        self.history = History::default();
        self.members.clear();
    }

    fn draw_members(&mut self, space: &Space) {
        let mut rng = generator(self.seed, "cma", TrialId(self.generation));
        let members = (0..self.distribution.constants.weights.len()).map(|_| {
            let step = self.distribution.step(&mut rng);
            let point = self.decode(space, &step);
            Member { key: point.key(), point, step }
        });
        self.members = members.collect();
    }

    fn decode(&self, space: &Space, step: &[f64]) -> Point {
        let from_mean = step.iter().zip(&self.scales).map(|(step, scale)| self.distribution.sigma * scale * step);
        let x: Vec<f64> = from_mean.zip(&self.distribution.mean).map(|(step, mean)| mean + step).collect();
        self.latent.decode(space, &x)
    }

    fn keep_margins(&mut self) {
        let members = self.distribution.constants.weights.len();
        let margin = 1.0 / (self.scales.len() * members) as f64;
        for (i, coordinate) in self.latent.coordinates.iter().enumerate() {
            if let Coordinate::Levels(levels) = coordinate
                && *levels <= MOST_LEVELS
            {
                let at = Marginal { mean: self.distribution.mean[i], scale: self.scales[i] };
                let kept = keep_margin(at, self.distribution.deviation(i), *levels, margin);
                (self.distribution.mean[i], self.scales[i]) = (kept.mean, kept.scale);
            }
        }
    }
}

fn default_members(coordinates: usize) -> usize {
    4 + libm::floor(3.0 * libm::log(coordinates.max(1) as f64)) as usize
}

/// Results before violations, the smaller ones first, before failures.
fn better(a: &Entry, b: &Entry) -> Ordering {
    let violation = |entry: &Entry| entry.outcome.as_ref().map_or(0.0, |outcome| outcome.violation);
    match (a.result(), b.result()) {
        (Some((a, _)), Some((b, _))) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => match (violation(a) > 0.0, violation(b) > 0.0) {
            (true, true) => violation(a).total_cmp(&violation(b)),
            (a, b) => b.cmp(&a),
        },
    }
}
