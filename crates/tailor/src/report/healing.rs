//! The models that `tailor heal` trained from a study's recipes: what the study's folder records of each, as a table.

use std::path::{Path, PathBuf};

use layer_train::CurvePoint;
use recipe_search::{StudyFolder, TestScores};
use serde::{Deserialize, Serialize};

use super::rows::{percent, short_name};
use super::text::lay_out;
use crate::Error;

/// The file in a study's folder that records what was healed.
pub const HEALED_FILE: &str = "healed.json";

/// How a model was trained from a recipe of a study, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealedModel {
    /// The folder of the checkpoint, absolute.
    pub path: PathBuf,
    /// What was healed, as it was named: the study's folder, for its best recipe, or a file in it.
    pub of: PathBuf,
    /// The hash of its recipe.
    pub recipe: String,
    /// What was learnt: `distill` or `lm`.
    pub objective: String,
    /// What was trained: `all`, `lora, rank 16`, `gaps`.
    pub trained: String,
    /// How many documents were written by the teachers.
    #[serde(default)]
    pub generated: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Tokens that were read, those read again counted again.
    pub tokens: usize,
    /// Steps that were done.
    pub steps: usize,
    /// The step whose weights were kept: the held-back loss was lowest after it.
    pub best: usize,
    /// Seconds that the training took.
    pub seconds: f64,
    /// The losses, the start first.
    pub curve: Vec<CurvePoint>,
}

impl HealedModel {
    /// The loss on held-back text after a step, in nats a token.
    fn held_back(&self, step: usize) -> Option<f64> {
        self.curve.iter().find(|point| point.step == step).map(|point| point.validation)
    }
}

/// The models that were healed from the recipes of the study in `folder`, the oldest first.
///
/// # Errors
/// [`recipe_search::Error::Io`] and [`recipe_search::Error::Results`] for a file that cannot be read.
pub fn healed_models(folder: &StudyFolder) -> Result<Vec<HealedModel>, Error> {
    Ok(folder.read(HEALED_FILE)?.unwrap_or_default())
}

/// Records a healed model in the study's folder, in place of an earlier one at the same path.
///
/// # Errors
/// As [`healed_models`], and [`recipe_search::Error::Io`] for a file that cannot be written.
pub fn record_healed(folder: &StudyFolder, model: HealedModel) -> Result<(), Error> {
    let mut models = healed_models(folder)?;
    models.retain(|known| known.path != model.path);
    models.push(model);
    Ok(folder.write_json(HEALED_FILE, &models)?)
}

/// The healed models as Markdown between blank lines; empty without one. What they retain on the test split is that of
/// [`TestScores::trained`].
#[must_use]
pub fn healing_table(models: &[HealedModel], test: &TestScores) -> String {
    if models.is_empty() {
        return String::new();
    }
    let head = ["healed", "of", "training", "held-back loss before", "after", "kept", "test split"];
    let body = models.iter().map(|model| {
        let HealedRow { name, of, training, before, after, kept, test } = HealedRow::of(model, test, &test.recipe);
        vec![name, of, training, before, after, kept, test]
    });
    let lines: Vec<Vec<String>> = std::iter::once(head.map(str::to_string).to_vec()).chain(body).collect();
    format!("\nHealed models, mean retention of the best parent of each task:\n\n{}\n", lay_out(&lines))
}

/// A healed model as texts of a table.
pub(super) struct HealedRow {
    pub name: String,
    pub of: String,
    pub training: String,
    pub before: String,
    pub after: String,
    pub kept: String,
    pub test: String,
}

impl HealedRow {
    /// Of a model; `chosen` is the hash of the recipe that the study chose.
    pub fn of(model: &HealedModel, test: &TestScores, chosen: &str) -> Self {
        let loss = |step| model.held_back(step).map_or_else(|| "unknown".to_owned(), |loss| format!("{loss:.4}"));
        let scored = test.trained.iter().find(|scored| scored.path == model.path);
        let retained = scored.map(|scored| {
            let (retention, error) =
                (test.reference.retention(&scored.scores), test.reference.retention_error(&scored.scores));
            format!("{} ± {}", percent(retention), percent(error))
        });
        let HealedModel { objective, trained, rate, tokens, seconds, .. } = model;
        let written = match model.generated {
            0 => String::new(),
            count => format!(", {count} documents by the teachers"),
        };
        Self {
            name: short_name(&model.path),
            of: if model.recipe == chosen { "the chosen recipe".to_owned() } else { source(&model.of) },
            training: format!("{objective}, {trained}, {tokens} tokens{written}, rate {rate:e}, {seconds:.0} s"),
            before: loss(0),
            after: loss(model.best),
            kept: format!("step {} of {}", model.best, model.steps),
            test: retained.unwrap_or_else(|| "not scored".to_owned()),
        }
    }
}

/// Another recipe than the chosen one: its file's name, or that the study has chosen anew since.
fn source(of: &Path) -> String {
    if of.is_dir() || of.extension().is_none() { "an earlier choice".to_owned() } else { short_name(of) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recipe_search::{Reference, TaskScore, TrainedScores};

    fn model(path: &str, recipe: &str) -> HealedModel {
        let point = |step, loss, validation| CurvePoint { step, tokens: 100 * step, loss, validation, rate: 1e-4 };
        HealedModel {
            path: path.into(),
            of: "found/front/3.yaml".into(),
            recipe: recipe.into(),
            objective: "distill".into(),
            trained: "all".into(),
            generated: 0,
            rate: 3e-4,
            tokens: 1000,
            steps: 10,
            best: 5,
            seconds: 12.3,
            curve: vec![point(0, None, 0.5), point(5, Some(0.4), 0.25), point(10, Some(0.3), 0.3)],
        }
    }

    fn test_scores() -> TestScores {
        let scores = |values: &[f32]| vec![TaskScore::of("sums", values.to_vec(), &[1.0])];
        TestScores {
            recipe: "own".into(),
            documents: String::new(),
            models: Vec::new(),
            baselines: Vec::new(),
            tailored: scores(&[1.0, 0.0]),
            steps: Vec::new(),
            written: None,
            front: Vec::new(),
            trained: vec![TrainedScores {
                path: "/out/healed".into(),
                files: String::new(),
                layers: 9,
                scores: scores(&[1.0, 1.0]),
            }],
            reference: Reference {
                best: vec![1.0],
                base: vec![0.5],
                loss: vec![None],
                probability: vec![None],
                weights: vec![1.0],
            },
        }
    }

    #[test]
    fn the_table_says_what_was_trained_and_what_it_brought() {
        let table = healing_table(&[model("/out/healed", "own"), model("/out/gone", "other")], &test_scores());
        let lines: Vec<&str> = table.lines().collect();
        for part in ["healed", "the chosen recipe", "distill, all, 1000 tokens, rate 3e-4, 12 s", "0.5000", "0.2500"] {
            assert!(lines[5].contains(part), "`{part}` is not in {}", lines[5]);
        }
        assert!(lines[5].contains("step 5 of 10") && lines[5].contains("100.0% ± 0.0%"), "{}", lines[5]);
        assert!(lines[6].contains("gone") && lines[6].contains("3.yaml") && lines[6].contains("not scored"));
        assert_eq!(healing_table(&[], &test_scores()), "");
    }

    #[test]
    fn a_model_is_recorded_once_for_each_path() -> Result<(), Box<dyn std::error::Error>> {
        let temporary = tempfile::tempdir()?;
        let folder = StudyFolder::new(temporary.path());
        assert_eq!(healed_models(&folder)?, []);
        record_healed(&folder, model("/out/healed", "first"))?;
        record_healed(&folder, model("/out/other", "first"))?;
        record_healed(&folder, model("/out/healed", "second"))?;
        let recipes = healed_models(&folder)?.into_iter().map(|model| (model.path, model.recipe));
        let expected = [("/out/other", "first"), ("/out/healed", "second")];
        assert!(recipes.eq(expected.map(|(path, recipe)| (path.into(), recipe.into()))));
        Ok(())
    }
}
