//! The healed model as a checkpoint, with how it was trained beside it.

use std::path::Path;

use layer_ir::Family;
use layer_train::{CurvePoint, Layout, TrainOutcome};
use merge_ops::{
    CheckpointWriter, DEFAULT_FORMAT, Error as ExportError, ExportModel, ExportOptions, ExportSummary, FileLayout,
    RecipeTensors, Registry, checkpoint_writers,
};
use recipe_search::StudyFolder;
use recipe_search::baselines::whole_model;
use recipe_search::registry::Entry;
use serde_json::json;
use tailor::Error;
use tailor::report::{HealedModel, record_healed, training_curve};

use super::{Arguments, Objective, Patient, WorkFolder};

/// What came of a training, ready to be written.
pub(super) struct Healed<'a> {
    pub patient: &'a Patient,
    /// The folder of the model that the training started from, in f32.
    pub start: &'a Path,
    pub layout: &'a Layout,
    /// The highest learning rate.
    pub rate: f64,
    pub outcome: &'a TrainOutcome,
}

impl Healed<'_> {
    /// Writes the checkpoint, and says what was written.
    ///
    /// # Errors
    /// What merge-ops says; then nothing stands at the output.
    pub fn write(&self, arguments: &Arguments, work: &WorkFolder) -> Result<String, Error> {
        let folder = work.file("healed");
        self.write_in_f32(&folder)?;
        let models = [("model".to_owned(), folder)].into_iter().collect();
        let family = Family::open(&models, "model")?;
        let registry = Registry::standard();
        let recipe = whole_model(&family, "model").validate(&family, &registry)?;
        let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
        let base = self.patient.family.base().dtype();
        let dtype = arguments.dtype.map(Into::into).or(self.patient.recipe.dtype).unwrap_or(base);
        let plain = checkpoint_writers().get(DEFAULT_FORMAT).map_err(ExportError::from)?;
        let writer = HealedWriter { plain, card: self.card(arguments)?, curve: self.outcome };
        let options = ExportOptions { writer: &writer, dtype: Some(dtype), ..ExportOptions::default() };
        let ExportSummary { layers, parameters, bytes, .. } = merge_ops::export(source, &arguments.out, &options)?;
        let TrainOutcome { best, steps, curve, seconds, .. } = self.outcome;
        let validation = |step: usize| curve.iter().find(|point| point.step == step).map(|point| point.validation);
        let (before, after) = (validation(0).unwrap_or(f64::NAN), validation(*best).unwrap_or(f64::NAN));
        let (tokens, rate) = (curve.last().map_or(0, |point| point.tokens), self.rate);
        Ok(format!(
            "{steps} steps over {tokens} tokens at a rate of {rate:e} in {seconds:.0} s; held-back loss {before:.4} before, {after:.4} after \
             step {best}, which is kept\n{}: {layers} layers, {parameters} parameters, {bytes} bytes",
            arguments.out.display()
        ))
    }

    /// Records the model in the folder of the study whose recipe it was, for its report, and says so; nothing where the
    /// recipe is of no study's folder.
    ///
    /// # Errors
    /// As of [`record_healed`].
    pub fn record(&self, arguments: &Arguments) -> Result<String, Error> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(|source| Error::Io { path: path.into(), source });
        let of = absolute(&arguments.model)?;
        let Some(folder) = study_folder(&of) else { return Ok(String::new()) };
        let TrainOutcome { best, steps, curve, seconds, .. } = self.outcome;
        let model = HealedModel {
            path: absolute(&arguments.out)?,
            recipe: self.patient.recipe.key(),
            objective: arguments.objective.name().to_owned(),
            trained: arguments.train.described(arguments),
            generated: arguments.generated.generate,
            rate: self.rate,
            tokens: curve.last().map_or(0, |point| point.tokens),
            steps: *steps,
            best: *best,
            seconds: *seconds,
            curve: curve.clone(),
            of: of.clone(),
        };
        record_healed(&StudyFolder::new(folder), model)?;
        Ok(format!("\n`tailor report {}` scores it and shows its curve", folder.display()))
    }

    /// The start's folder with the trained numbers in place of its own.
    fn write_in_f32(&self, folder: &Path) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        for entry in std::fs::read_dir(self.start).map_err(|source| failed(self.start, source))?.flatten() {
            let (from, to) = (entry.path(), folder.join(entry.file_name()));
            let weights = from.extension().is_some_and(|end| end == "safetensors");
            if !weights && from.is_file() {
                std::fs::copy(&from, &to).map_err(|source| failed(&to, source))?;
            }
        }
        self.layout.write(&self.outcome.values, &folder.join("model.safetensors")).map_err(Error::train)
    }

    /// The text of the model card.
    fn card(&self, arguments: &Arguments) -> Result<String, Error> {
        let (version, outcome) = (env!("CARGO_PKG_VERSION"), self.outcome);
        let tokens = outcome.curve.last().map_or(0, |point| point.tokens);
        let objective = match arguments.objective {
            Objective::Distill => "the divergence from what the best parent of each document predicts",
            Objective::Lm => "the cross entropy of its text",
            Objective::Choices => "the cross entropy of the right choice among all",
        };
        let mut rows = String::new();
        for CurvePoint { step, tokens, loss, validation, .. } in &outcome.curve {
            let loss = loss.map_or_else(String::new, |loss| format!("{loss:.4}"));
            rows += &format!("| {step} | {tokens} | {loss} | {validation:.4} |\n");
        }
        let mut recipe = self.patient.recipe.recipe().clone();
        for (name, path) in self.patient.family.paths() {
            recipe.models.insert(name, path);
        }
        Ok(format!(
            "---\nlibrary_name: transformers\ntags:\n- merge\n- tailor\n---\n# {name}\n\n{layers} layers, trained by \
             Tailor {version}. The licences of its sources hold for it.\n\n## Training\n\n{steps} steps over {tokens} \
             tokens, highest learning rate {rate:e}, {batch} tokens a step, seed {seed}{written}. The loss is {objective}, in \
             nats a token. The weights are those after step {best}, where the loss on documents that were held back \
             was lowest.\n\n| step | tokens | loss | held back |\n|---|---|---|---|\n{rows}\n## What was \
             trained\n\n```yaml\n{yaml}```\n",
            name = arguments.out.file_name().map_or_else(|| "Healed model".into(), |name| name.to_string_lossy()),
            layers = self.layout.layers(),
            steps = outcome.steps,
            rate = self.rate,
            batch = arguments.batch,
            seed = arguments.seed,
            written = match arguments.generated.generate {
                0 => String::new(),
                count => format!("; {count} of the documents were written by the teachers"),
            },
            best = outcome.best,
            yaml = recipe.to_yaml()?,
        ))
    }
}

/// The folder of a started study that a path is, or in which it is a recipe or one of the front.
fn study_folder(path: &Path) -> Option<&Path> {
    let started = |folder: &&Path| folder.join("study.toml").is_file() && folder.join("parents.json").is_file();
    let depth = if path.is_dir() { 1 } else { 3 };
    path.ancestors().take(depth).find(started)
}

/// The plain format with another card, the curve, and no recipe: the recipe alone does not make these weights.
struct HealedWriter<'a> {
    plain: &'a dyn CheckpointWriter,
    card: String,
    curve: &'a TrainOutcome,
}

impl Entry for HealedWriter<'_> {
    fn name(&self) -> &str {
        self.plain.name()
    }

    fn summary(&self) -> &str {
        self.plain.summary()
    }
}

impl CheckpointWriter for HealedWriter<'_> {
    fn weight_files(&self, model: &ExportModel<'_>, max_file_bytes: u64) -> Result<Vec<FileLayout>, ExportError> {
        self.plain.weight_files(model, max_file_bytes)
    }

    fn write_companions(
        &self,
        model: &ExportModel<'_>,
        files: &[FileLayout],
        folder: &Path,
    ) -> Result<(), ExportError> {
        self.plain.write_companions(model, files, folder)?;
        let recipe = folder.join("tailor_recipe.yaml");
        std::fs::remove_file(&recipe).map_err(|source| ExportError::Write { path: recipe.clone(), source })?;
        let TrainOutcome { best, steps, curve, seconds, .. } = self.curve;
        let curve_json = json!({"best": best, "steps": steps, "seconds": seconds, "curve": curve});
        let json = serde_json::to_string_pretty(&curve_json);
        let json = json.map_err(|source| ExportError::Json { path: folder.join("curve.json"), source })?;
        for (name, text) in
            [("README.md", &self.card), ("curve.json", &json), ("curve.svg", &training_curve(curve, *best))]
        {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|source| ExportError::Write { path, source })?;
        }
        Ok(())
    }
}
