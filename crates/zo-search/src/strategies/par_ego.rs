//! ParEGO: SMAC for several objectives.

use super::kind::{Strategy, boxed, row};
use crate::row::Row;
use rand::RngExt;

use crate::optimizer::state_and_settings;
use crate::strategies::smac::{Settings, Surrogate, quantile};
use crate::{Error, Origin, Point, Propose, Space, StrategyState, TrialId};

/// The weight of the sum beside the largest term.
const RHO: f64 = 0.05;
/// The quantiles of an objective that become 0 and 1.
const SCALE: [f64; 2] = [0.05, 0.95];
/// An objective of a smaller range says nothing.
const NO_RANGE: f64 = 1e-10;

/// [`Smac`](crate::Smac) on one number made of all objectives, with other weights for each forest:
/// `max_i w_i y_i + 0.05 sum_i w_i y_i`.
///
/// Each objective is scaled by the range that nine tenths of its results lie in, and cut off above it, so that one
/// broken point does not make all the others equal. The trials that no other one beats in all objectives are its
/// answer ([`pareto::front`](crate::pareto::front)). With one objective it is SMAC, but for the cut.
///
/// Fits two to some five objectives in the spaces that fit SMAC, from some fifty trials on; the cost of an ask is
/// SMAC's.
///
/// After Knowles 2006 (doi 10.1109/TEVC.2005.851274), whose augmented Tchebycheff function the number is: the largest
/// weighted objective, and a little of the sum, so that of two points with the same largest one the better is
/// preferred. The weights `w` are drawn evenly and then divided by their sum. SMAC3 2.4.1 does the same, but scales by
/// the smallest and the largest result.
///
/// ```
/// # use zo_search::{Optimizer, Outcome, ParEgo, Propose, Space, pareto};
/// let mut search = ParEgo::new(Space::new().float("x", -2.0..=2.0), 7).with_trials(24);
/// for _ in 0..24 {
///     let trial = search.ask()?;
///     let x = trial.point.float("x")?;
///     search.tell(trial.id, Outcome::scores([x * x, (x - 1.0).powi(2)]))?;
/// }
/// assert!(pareto::front(search.ledger().entries()).len() > 2);
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ParEgo {
    state: StrategyState,
    settings: Settings,
    surrogate: Surrogate,
}

impl ParEgo {
    /// ParEGO in a space, set up for 100 trials.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { state: StrategyState::new(space, seed), settings: Settings::default(), surrogate: Surrogate::default() }
    }

    /// For so many trials: the first design takes at most a quarter of them.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.settings.trials = trials;
        self
    }
}

impl Propose for ParEgo {
    const NAME: &'static str = "par_ego";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let state = &self.state;
        self.surrogate.propose(state, &self.settings, id, |begin, outcomes| {
            let results: Vec<&[f64]> = outcomes.iter().filter_map(|outcome| outcome.result()).collect();
            let mut rng = state.generator("par_ego weights", begin);
            let count = results.iter().map(|result| result.len()).min().unwrap_or(0);
            let weights: Vec<f64> = (0..count).map(|_| rng.random()).collect();
            let total: f64 = weights.iter().sum::<f64>() + NO_RANGE;
            let weights: Vec<f64> = weights.into_iter().map(|weight| weight / total).collect();
            scalarised(&results, &weights)
        })
    }
}

/// One number for each of the results.
fn scalarised(results: &[&[f64]], weights: &[f64]) -> Vec<f64> {
    let (mut largest, mut sums) = (vec![f64::NEG_INFINITY; results.len()], vec![0.0; results.len()]);
    for (objective, weight) in weights.iter().enumerate() {
        let mut sorted: Vec<f64> = results.iter().map(|result| result[objective]).collect();
        sorted.sort_by(f64::total_cmp);
        let [low, high] = SCALE.map(|share| quantile(&sorted, share));
        let (low, high) = match (sorted.first(), sorted.last()) {
            // Nine tenths are equal: the others are all there is to tell apart.
            (Some(first), Some(last)) if high - low < NO_RANGE => (*first, *last),
            _ => (low, high),
        };
        for (place, result) in results.iter().enumerate() {
            // Halves first: the difference of two floats need not be a float.
            let range = high / 2.0 - low / 2.0;
            let scaled =
                if range < NO_RANGE / 2.0 { 1.0 } else { ((result[objective] / 2.0 - low / 2.0) / range).min(1.0) };
            largest[place] = largest[place].max(weight * scaled);
            sums[place] += weight * scaled;
        }
    }
    largest.iter().zip(sums).map(|(largest, sum)| largest + RHO * sum).collect()
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> =
    row("par_ego", "ParEGO: SMAC on weighted sums of several objectives.", &[], |setup, _| {
        boxed(ParEgo::new(setup.space, setup.seed).with_trials(setup.trials), setup.initial)
    });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use crate::testing::{BrokenLaw, check_laws};

    #[test]
    fn par_ego_keeps_the_laws() -> Result<(), BrokenLaw> {
        let layers = (0..4).fold(Space::new().subset_of_sizes("remove", 4, 0..=2), |space, layer| {
            space.mask(layer.to_string(), 2).when_outside("remove", layer)
        });
        for space in [layers, Space::new().float("x", 0.0..=1.0), Space::new().int("x", 0..=20)] {
            check_laws(|| ParEgo::new(space.clone(), 3).with_trials(30))?;
        }
        Ok(())
    }

    #[test]
    fn a_broken_point_does_not_make_the_others_equal() {
        let results: Vec<[f64; 2]> = (0..40).map(|i| [f64::from(i), if i == 0 { 1e9 } else { 1.0 }]).collect();
        let results: Vec<&[f64]> = results.iter().map(<[f64; 2]>::as_slice).collect();
        let costs = scalarised(&results, &[0.5, 0.5]);
        assert!(costs[0] > costs[1] && costs.iter().all(|cost| cost.is_finite()));
        assert!((1..30).all(|i| costs[i] < costs[i + 1] || costs[i] < costs[30]), "{costs:?}");
        let huge: [&[f64]; 2] = [&[-1e308], &[1e308]];
        assert!(scalarised(&huge, &[1.0]).iter().all(|cost| cost.is_finite()));
    }

    #[test]
    fn the_front_is_covered_better_than_by_chance() -> Result<(), Error> {
        let space = || (0..6).fold(Space::new(), |space, i| space.float(format!("x{i}"), 0.0..=1.0));
        // The front: x1.. are 0, x0 from 0 to 1; on it the objectives sum to 1.
        let objectives = |point: &Point| {
            let rest: f64 = (1..6).map(|i| point.float(&format!("x{i}"))).sum::<Result<f64, Error>>()?;
            let x = point.float("x0")?;
            Ok::<_, Error>([x + rest, 1.0 - x + rest])
        };
        // The mean distance from the front of the best point in each tenth of it.
        let distance = |search: &mut dyn crate::Optimizer| {
            let mut best = [5.0_f64; 5];
            for _ in 0..100 {
                let trial = search.ask()?;
                let [a, b] = objectives(&trial.point)?;
                let part = (((a - b + 1.0) / 2.0 * 5.0) as usize).min(4);
                best[part] = best[part].min(a + b - 1.0);
                search.tell(trial.id, Outcome::scores([a, b]))?;
            }
            Ok::<f64, Error>(best.iter().sum::<f64>() / 5.0)
        };
        let (mut ours, mut random) = (0.0, 0.0);
        for seed in 0..3 {
            ours += distance(&mut ParEgo::new(space(), seed))?;
            random += distance(&mut crate::RandomSearch::new(space(), seed))?;
        }
        assert!(ours < 0.7 * random, "{ours}, at random {random}");
        Ok(())
    }
}
