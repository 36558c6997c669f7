//! Scores on the test split.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ModelScores;
use crate::scores::{Reference, Scores};

/// All scores on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// The hash of the tailored recipe.
    pub recipe: String,
    /// The hash of the test documents and of which baselines were scored on them.
    #[serde(default)]
    pub documents: String,
    /// Each model of the family as it is, the base first.
    pub models: Vec<ModelScores>,
    /// The baselines that [`BaselineSettings::test`](crate::BaselineSettings::test) names; with bridges, also the best
    /// one without, and the best one refitted layer by layer.
    pub baselines: Vec<ModelScores>,
    /// The tailored model, run from its recipe.
    pub tailored: Scores,
    /// The tailored model before its bridges, and before they were refitted one after the other; empty where it has
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ModelScores>,
    /// The checkpoint that was written of it, loaded back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<ModelScores>,
    /// The trials of the Pareto front, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontScores>,
    /// The checkpoints that were trained from the study's recipes, loaded back; see [`Search::test_trained`].
    ///
    /// [`Search::test_trained`]: crate::Search::test_trained
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained: Vec<TrainedScores>,
    /// What retention is measured against: the parents on the test split.
    pub reference: Reference,
}

/// The scores of a trial on the Pareto front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontScores {
    /// The trial.
    pub trial: u64,
    /// Its scores.
    pub scores: Scores,
}

/// The scores of a checkpoint that was trained from a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedScores {
    /// Its folder.
    pub path: PathBuf,
    /// Names, lengths and times of its weight files: others are other weights.
    pub files: String,
    /// Its layers.
    pub layers: usize,
    /// Its scores.
    pub scores: Scores,
}

impl TestScores {
    /// The tailored model as it is delivered: the written checkpoint's scores if there is one.
    #[must_use]
    pub fn delivered(&self) -> &Scores {
        self.written.as_ref().map_or(&self.tailored, |written| &written.scores)
    }

    /// The mean of a model's scores over the tasks, whatever their weights.
    #[must_use]
    pub fn average(&self, scores: &Scores) -> f64 {
        scores.iter().map(|score| score.score).sum::<f64>() / scores.len().max(1) as f64
    }

    /// Retention as GPTailor's paper has it (arXiv 2506.20480): the model's mean score over the tasks as a share of the
    /// highest mean score of a single model of the family.
    #[must_use]
    pub fn of_best_model(&self, scores: &Scores) -> f64 {
        let best = self.models.iter().map(|model| self.average(&model.scores)).fold(f64::NAN, f64::max);
        self.average(scores) / best
    }

    /// The baseline of highest retention.
    #[must_use]
    pub fn best_baseline(&self) -> Option<&ModelScores> {
        let retention = |named: &ModelScores| self.reference.retention(&named.scores);
        self.baselines.iter().max_by(|a, b| retention(a).total_cmp(&retention(b)))
    }
}
