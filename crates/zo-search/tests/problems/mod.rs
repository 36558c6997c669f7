//! Problems with a known or easily computed value, without any model: what strategies are compared on.

use rand::RngExt;
use zo_search::{Error, Optimizer, Outcome, Point, Space, TrialId, generator};

/// Which `remove` of `layers` may go: each costs something by itself (more at both ends), and near ones more when they
/// go together.
pub struct Removal {
    pub layers: usize,
    pub remove: usize,
    alone: Vec<f64>,
    together: Vec<Vec<f64>>,
}

impl Removal {
    pub fn new(layers: usize, remove: usize, seed: u64) -> Self {
        let mut rng = generator(seed, "removal", TrialId(0));
        let middle = (layers - 1) as f64 / 2.0;
        let ends = |layer: usize| 1.0 + 4.0 * ((layer as f64 - middle) / (layers as f64 / 2.0)).powi(4);
        let alone = (0..layers).map(|layer| rng.random::<f64>() * ends(layer)).collect();
        let together = (0..layers).map(|i| {
            (0..layers).map(|j| (rng.random::<f64>() * 1.5 - 0.5) * (-(i.abs_diff(j) as f64) / 3.0).exp()).collect()
        });
        Self { layers, remove, alone, together: together.collect() }
    }

    pub fn space(&self) -> Space {
        Space::new().subset("remove", self.layers, self.remove)
    }

    pub fn cost(&self, removed: &[usize]) -> f64 {
        let alone: f64 = removed.iter().map(|layer| self.alone[*layer]).sum();
        let pairs = removed.iter().flat_map(|i| removed.iter().map(move |j| (*i, *j)));
        alone + pairs.filter(|(i, j)| i < j).map(|(i, j)| self.together[i][j]).sum::<f64>()
    }
}

/// Removal, and for each layer that stays a choice of sources: the shape of the GPTailor prune space.
pub struct Tailored {
    pub removal: Removal,
    models: usize,
    /// How much each source helps each layer.
    gains: Vec<Vec<f64>>,
}

impl Tailored {
    pub fn new(layers: usize, remove: usize, models: usize, seed: u64) -> Self {
        let mut rng = generator(seed, "tailored", TrialId(0));
        let gains = (0..layers).map(|_| (0..models).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()).collect();
        Self { removal: Removal::new(layers, remove, seed), models, gains }
    }

    pub fn space(&self) -> Space {
        let mut space = self.removal.space();
        for layer in 0..self.removal.layers {
            let (sources, bundle) = (format!("layer_{layer}.sources"), format!("layer_{layer}"));
            space = space.mask(&sources, self.models).when_outside("remove", layer).in_bundle(&bundle);
            let coefficient = format!("layer_{layer}.coefficient");
            space = space.float(coefficient, 0.0..=1.0).when_at_least(&sources, 2).in_bundle(&bundle);
        }
        space
    }

    pub fn cost(&self, point: &Point) -> Result<f64, Error> {
        let removed = point.subset("remove")?;
        let mut cost = self.removal.cost(removed);
        for layer in (0..self.removal.layers).filter(|layer| !removed.contains(layer)) {
            let sources = point.mask(&format!("layer_{layer}.sources"))?;
            let gain: f64 =
                self.gains[layer].iter().zip(sources).filter(|(_, used)| **used).map(|(gain, _)| gain).sum();
            let several = sources.iter().filter(|used| **used).count() >= 2;
            let off = if several { point.float(&format!("layer_{layer}.coefficient"))? - 0.5 } else { 0.0 };
            cost -= 0.3 * gain * (1.0 - 4.0 * off * off);
        }
        Ok(cost)
    }
}

/// The smallest cost in `trials` trials.
pub fn best_of(
    mut search: impl Optimizer,
    trials: usize,
    cost: impl Fn(&Point) -> Result<f64, Error>,
) -> Result<f64, Error> {
    let mut best = f64::INFINITY;
    for _ in 0..trials {
        let trial = search.ask()?;
        let cost = cost(&trial.point)?;
        best = best.min(cost);
        search.tell(trial.id, Outcome::score(cost))?;
    }
    Ok(best)
}

/// The median over seeds.
pub fn median(seeds: u64, run: impl Fn(u64) -> Result<f64, Error>) -> Result<f64, Error> {
    let mut results = (0..seeds).map(run).collect::<Result<Vec<f64>, Error>>()?;
    results.sort_by(f64::total_cmp);
    Ok(results[results.len() / 2])
}
