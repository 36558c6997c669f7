//! Random removal.

use rand::seq::index::sample;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use tailor_registry::Entry;

use super::{BaselineMethod, BaselineModel, CalibrationData, Removal};
use crate::Error;

/// Layers at random, as often as the study says. Those that make an attention sink go only when no others are left.
pub(super) struct Random;

impl Entry for Random {
    fn name(&self) -> &str {
        "random"
    }

    fn summary(&self) -> &str {
        "Layers at random, drawn `random_draws` times; none that makes an attention sink."
    }
}

impl BaselineMethod for Random {
    fn label(&self) -> &str {
        "random removal"
    }

    fn reads(&self) -> CalibrationData {
        CalibrationData::Nothing
    }

    fn is_drawn(&self) -> bool {
        true
    }

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
        let keep = model.sink_makers()?;
        let (kept, free): (Vec<usize>, Vec<usize>) =
            (0..model.whole.layers.len()).partition(|layer| keep.contains(layer));
        let draws = |k: &usize| {
            let mut random = ChaCha8Rng::seed_from_u64(model.seed);
            let draw = |_| {
                let places = sample(&mut random, free.len(), free.len().min(*k));
                let mut removed: Vec<usize> = places.iter().map(|place| free[place]).collect();
                removed.extend(kept.iter().take(k.saturating_sub(free.len())));
                removed.sort_unstable();
                removed.into()
            };
            (0..model.settings.random_draws).map(draw).collect()
        };
        Ok(counts.iter().map(draws).collect())
    }
}
