//! When a run is over, as pycma 4.5 has it.
//!
//! | sign | limit |
//! |---|---|
//! | the best of the last `10 + 30 n / members` generations differ by less than | 1e-12 |
//! | these differ by less than 1e-11, and the members of the last generation by less than | 1e-11 |
//! | path and deviations reach less far than | 1e-11 in every coordinate |
//! | the covariance's largest eigenvalue is above its smallest by a factor of | 1e14 |
//! | a deviation has grown since the beginning by a factor of | 1000 |
//! | generations | `100 + 150 (n + 3)^2 / sqrt(members)` |
//! | neither best nor median objectives became better in the last part of | `100 + 100 n^1.5 / members` generations |

use super::distribution::Distribution;

/// How far path and deviations must reach, in the unit of the coordinates.
const TOLERANCE_X: f64 = 1e-11;
/// By how much the objectives of a generation and of the last ones must differ.
const TOLERANCE_F: f64 = 1e-11;
/// By how much the best objectives of the last generations must differ.
const TOLERANCE_HISTORY: f64 = 1e-12;
/// The largest ratio of eigenvalues that the decomposition bears.
const MOST_CONDITION: f64 = 1e14;
/// The largest growth of a deviation since the run began: beyond, the problem is divergent.
const MOST_GROWTH: f64 = 1e3;

/// What the generations of a run came to.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    best: Vec<f64>,
    median: Vec<f64>,
}

impl History {
    /// Enters the objectives of a generation, the best first; infinite where there is none.
    pub(super) fn enter(&mut self, objectives: &[f64]) {
        self.best.push(objectives.first().copied().unwrap_or(f64::INFINITY));
        self.median.push(objectives.get(objectives.len() / 2).copied().unwrap_or(f64::INFINITY));
    }

    /// Whether nothing more is to be expected of a run that began with step size `sigma`.
    pub(super) fn is_over(&self, distribution: &Distribution, sigma: f64, objectives: &[f64]) -> bool {
        let (n, members) = (distribution.mean.len() as f64, objectives.len() as f64);
        let window = (10.0 + 30.0 * n / members) as usize;
        let recent =
            if self.best.len() > window { range(&self.best[self.best.len() - window..]) } else { f64::INFINITY };
        let generations = self.best.len() as f64;
        recent < TOLERANCE_HISTORY
            || (recent < TOLERANCE_F && range(objectives) < TOLERANCE_F)
            || distribution.reach() < TOLERANCE_X
            || distribution.condition() > MOST_CONDITION
            || (0..distribution.mean.len()).any(|i| distribution.deviation(i) > MOST_GROWTH * sigma)
            || generations > 100.0 + 150.0 * (n + 3.0) * (n + 3.0) / members.sqrt()
            || self.stagnates(n, members)
    }

    /// Whether neither best nor median objectives have become better over a long time.
    fn stagnates(&self, n: f64, members: f64) -> bool {
        let patience = 100.0 + 100.0 * n * n.sqrt() / members;
        let generations = self.best.len();
        let part = ((patience / 10.0) as usize).max(generations / 10);
        if (generations as f64) < n * (5.0 + 100.0 / members)
            || (generations as f64) < patience
            || generations < 2 * part
        {
            return false;
        }
        let worse = |history: &[f64]| {
            median(&history[generations - part..]) >= median(&history[generations - 2 * part..generations - part])
        };
        worse(&self.best) && worse(&self.median)
    }
}

/// Infinite if any is.
fn range(numbers: &[f64]) -> f64 {
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    if most.is_finite() { most - least } else { f64::INFINITY }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
}
