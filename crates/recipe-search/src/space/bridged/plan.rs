//! What the bridges of a study are fitted on, checked before any model runs.

use std::path::PathBuf;

use layer_runtime::Runtime;
use serde_json::{Value, json};
use task_eval::ModelTokenizer;

use crate::bridges::{FitError, StatisticsSettings, StatisticsShape};
use crate::evaluator::TaskText;
use crate::{BridgeMethod, Error, RecipeEvaluator, RecipeSpace, Study};

/// So many times as many tokens as inputs make a good fit.
const ENOUGH: usize = 4;

/// The calibration text of a study, and how its bridges are fitted on it.
#[derive(Debug, Clone)]
pub(crate) struct BridgePlan {
    pub method: BridgeMethod,
    pub ridges: Vec<f64>,
    /// The calibration text.
    pub texts: Vec<TaskText>,
    /// Where the statistics are, if not in the study's folder.
    pub folder: Option<PathBuf>,
    /// Of the statistics of one model, or of the layers that are refitted one after the other.
    pub statistics: StatisticsSettings,
}

impl BridgePlan {
    /// The plan of a study; none if it has neither bridges nor a sequential refit.
    ///
    /// # Errors
    /// [`Error::StudyValue`] for bridges in a space that does not say how many layers its recipes have;
    /// [`Error::Bridge`] of too little calibration text, or too little memory for one model's statistics; what
    /// task-eval says of a split that cannot be read.
    pub fn of(
        study: &Study,
        space: &dyn RecipeSpace,
        evaluator: &RecipeEvaluator,
        text: &ModelTokenizer,
        runtime: &Runtime,
    ) -> Result<Option<Self>, Error> {
        let (method, layers) = (study.space.bridge, runtime.family().base().num_layers());
        if method == BridgeMethod::Off && study.search.sequential != Some(true) {
            return Ok(None);
        }
        let largest_gap = match space.layers() {
            Some(kept) => layers.saturating_sub(*kept.start()).clamp(1, layers.saturating_sub(1).max(1)),
            // A sequential refit reads no gaps.
            None if method == BridgeMethod::Off => 1,
            None => {
                let expected = "\"off\": this kind of space does not say how many layers its recipes have";
                return Err(Error::value(&study.file, "space.bridge", json!(method), expected));
            }
        };
        let memory_bytes = study.bridge.memory_mib.saturating_mul(1 << 20);
        let plan = Self {
            method,
            ridges: study.space.ridge.clone(),
            texts: evaluator.bridge_texts(study, text)?,
            folder: study.bridge.statistics.clone(),
            statistics: StatisticsSettings { largest_gap, memory_bytes, ..StatisticsSettings::default() },
        };
        plan.check(runtime)?;
        Ok(Some(plan))
    }

    /// Whether the text is enough, and the statistics of one model fit into the memory.
    fn check(&self, runtime: &Runtime) -> Result<(), FitError> {
        let shape = self.shape(runtime);
        let inputs = if self.method == BridgeMethod::Replaceme { shape.hidden } else { shape.intermediate };
        let tokens: usize = self.texts.iter().map(|text| text.tokens.len()).sum();
        let StatisticsSettings { held_back_every: every, memory_bytes: budget, .. } = self.statistics;
        let (sequences, ridges) = (self.texts.len(), self.ridges.len());
        if tokens == 0 {
            return Err(FitError::NoTokens);
        }
        if tokens < inputs {
            return Err(FitError::TooFewTokens { tokens, inputs, enough: ENOUGH * inputs });
        }
        if sequences < every && ridges > 1 {
            return Err(FitError::NothingHeldBack { sequences, every, ridges });
        }
        let needed = shape.needed_bytes(runtime.options().batch_tokens);
        if self.method != BridgeMethod::Off && needed > budget {
            return Err(FitError::Memory { needed, budget });
        }
        Ok(())
    }

    /// The sizes of one model's statistics.
    pub fn shape(&self, runtime: &Runtime) -> StatisticsShape {
        StatisticsShape {
            layers: runtime.family().base().num_layers(),
            intermediate: runtime.config().intermediate_size,
            hidden: runtime.config().hidden_size,
            largest_gap: self.statistics.largest_gap,
        }
    }

    /// The calibration text without its tasks.
    pub fn sequences(&self) -> Vec<Vec<u32>> {
        self.texts.iter().map(|text| text.tokens.clone()).collect()
    }

    /// What the bridges of a recipe depend on beside its models, by the keys of the study; nothing without bridges.
    pub fn identity(&self, study: &Study) -> Vec<(&'static str, Value)> {
        if self.method == BridgeMethod::Off {
            return Vec::new();
        }
        let mut text = blake3::Hasher::new();
        for sequence in &self.texts {
            text.update(&(sequence.tokens.len() as u64).to_le_bytes());
            sequence.tokens.iter().for_each(|token| _ = text.update(&token.to_le_bytes()));
        }
        let StatisticsSettings { largest_gap, held_back_every, .. } = self.statistics;
        vec![
            ("space.bridge", json!(self.method)),
            ("space.ridge", json!(self.ridges)),
            ("bridge.split", json!(study.bridge.split)),
            ("bridge.tokens", json!(study.bridge.tokens)),
            ("the calibration text of the bridges", json!(text.finalize().to_hex()[..32])),
            ("the statistics of the bridges", json!([largest_gap, held_back_every])),
        ]
    }
}
