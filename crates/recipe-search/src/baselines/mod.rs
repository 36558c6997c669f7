//! What a search is compared with: layers removed from one model of the family, without search.
//!
//! Each method says which `k` layers of one model go; the rest of that model stays as it is.

mod influence;

use layer_ir::{Family, Recipe};
use layer_runtime::Runtime;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};
use task_eval::{LanguageModel, ScoreRequest};

pub use influence::{
    HiddenStates, angular_distances, block_influence, remove_by_angular_distance, remove_by_block_influence,
};

use crate::Error;

/// The baselines: each is run on every model of the family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineSettings {
    /// Random removals per model; 0 for none.
    pub random_draws: usize,
    /// Calibration sequences per task for block influence, angular distance and greedy removal.
    pub calibration: usize,
}

impl Default for BaselineSettings {
    fn default() -> Self {
        Self { random_draws: 3, calibration: 32 }
    }
}

/// How a baseline chooses the layers that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `k` layers at random.
    Random,
    /// ShortGPT (Men et al. 2024): those of smallest block influence.
    BlockInfluence,
    /// PruneMe (Gromov et al. 2024): the block of neighbours of smallest angular distance.
    AngularDistance,
    /// SLEB (Song et al. 2024): one after the other, that whose loss raises the perplexity least.
    Greedy,
}

impl Method {
    /// Every method, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Random, Self::BlockInfluence, Self::AngularDistance, Self::Greedy];

    /// The name in tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Random => "random removal",
            Self::BlockInfluence => "block influence (ShortGPT)",
            Self::AngularDistance => "angular distance (PruneMe)",
            Self::Greedy => "greedy by perplexity (SLEB)",
        }
    }
}

/// One model with some of its layers removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// How the layers were chosen.
    pub method: Method,
    /// The model.
    pub model: String,
    /// Which of several random draws; 0 for the other methods.
    pub draw: usize,
    /// The layers that go, ascending.
    pub removed: Vec<usize>,
}

impl Baseline {
    /// The baseline as a recipe.
    #[must_use]
    pub fn recipe(&self, whole: &Recipe) -> Recipe {
        let mut recipe = whole.clone();
        let mut layer = 0;
        recipe.layers.retain(|_| {
            layer += 1;
            !self.removed.contains(&(layer - 1))
        });
        recipe
    }

    /// The name in tables: method, model and draw.
    #[must_use]
    pub fn label(&self) -> String {
        match self.method {
            Method::Random => format!("{} {}, {}", self.method.label(), self.draw + 1, self.model),
            _ => format!("{}, {}", self.method.label(), self.model),
        }
    }
}

/// The recipe of one model as it is.
#[must_use]
pub fn whole_model(family: &Family, model: &str) -> Recipe {
    Recipe::of_model(family, model)
}

/// All baselines of one model that remove so many layers, for each of `counts`, judged on `calibration` sequences of token ids.
///
/// # Errors
/// [`Error::Model`] when the model cannot be run.
pub fn baselines_of(
    runtime: &Runtime,
    family: &Family,
    model: &str,
    counts: &[usize],
    calibration: &[Vec<u32>],
    settings: &BaselineSettings,
    seed: u64,
) -> Result<Vec<Baseline>, Error> {
    let whole = whole_model(family, model);
    let of = |method, draw, removed| Baseline { method, model: model.to_string(), draw, removed };
    let (mut influence, mut angles, mut greedy) = (Vec::new(), Vec::new(), Vec::new());
    if !calibration.is_empty() {
        let hidden = hidden_states(runtime, family, &whole, calibration)?;
        influence = counts.iter().map(|k| remove_by_block_influence(&hidden, *k)).collect();
        angles = counts.iter().map(|k| remove_by_angular_distance(&hidden, *k)).collect();
        drop(hidden);
        let most = counts.iter().copied().max().unwrap_or(0);
        let order = greedy_removal(runtime, family, &whole, most, calibration)?;
        greedy = counts.iter().map(|k| sorted(&order[..(*k).min(order.len())])).collect();
    }
    let mut found = Vec::new();
    for (place, k) in counts.iter().copied().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let drawn = (0..settings.random_draws)
            .map(|draw| of(Method::Random, draw, random_removal(&mut random, whole.layers.len(), k)));
        found.extend(drawn);
        let judged =
            [(Method::BlockInfluence, &influence), (Method::AngularDistance, &angles), (Method::Greedy, &greedy)];
        found.extend(judged.into_iter().filter_map(|(method, all)| Some(of(method, 0, all.get(place)?.clone()))));
    }
    Ok(found)
}

fn random_removal(random: &mut impl Rng, layers: usize, k: usize) -> Vec<usize> {
    sorted(&sample(random, layers, k).into_vec())
}

fn sorted(layers: &[usize]) -> Vec<usize> {
    let mut sorted = layers.to_vec();
    sorted.sort_unstable();
    sorted
}

fn hidden_states(
    runtime: &Runtime,
    family: &Family,
    whole: &Recipe,
    calibration: &[Vec<u32>],
) -> Result<HiddenStates, Error> {
    let mut model = runtime.model(whole.clone().validate(family)?)?;
    let sequences: Vec<&[u32]> = calibration.iter().map(Vec::as_slice).collect();
    let states = model.hidden_states(&sequences)?;
    let last_tokens = sequences
        .iter()
        .scan(0, |end, sequence| {
            *end += sequence.len();
            Some(*end - 1)
        })
        .collect();
    Ok(HiddenStates { states, width: runtime.config().hidden_size, last_tokens })
}

/// SLEB: `k` times the layer whose removal leaves the smallest perplexity goes; first and last layer alive always stay. In the order
/// of their going, so that the first ones are what a smaller `k` would give.
fn greedy_removal(
    runtime: &Runtime,
    family: &Family,
    whole: &Recipe,
    k: usize,
    calibration: &[Vec<u32>],
) -> Result<Vec<usize>, Error> {
    let requests: Vec<ScoreRequest> = calibration
        .iter()
        .map(|tokens| ScoreRequest { context: tokens[..1].into(), continuation: tokens[1..].into() })
        .collect();
    let mut alive: Vec<usize> = (0..whole.layers.len()).collect();
    let mut gone = Vec::with_capacity(k);
    for _ in 0..k {
        let inner = 1..alive.len().saturating_sub(1).max(2).min(alive.len());
        let mut best = (f64::NEG_INFINITY, inner.start);
        for position in inner {
            let mut recipe = whole.clone();
            recipe.layers = alive
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != position)
                .map(|(_, layer)| whole.layers[*layer].clone())
                .collect();
            let mut model = runtime.model(recipe.validate(family)?)?;
            let scores =
                model.score(&requests).map_err(|source| Error::Model { what: "greedy removal".into(), source })?;
            let total: f64 = scores.iter().map(|score| score.log_likelihood).sum();
            if total > best.0 {
                best = (total, position);
            }
        }
        gone.push(alive.remove(best.1));
    }
    Ok(gone)
}
