//! The published results of GPTailor's pruning search (Guinan-Su/auto-merge-llm), read as a [`Recipe`].
//!
//! Such a file is one JSON object of search parameters. It does not say which models they are about; a [`Context`]
//! does. Su et al., "GPTailor" (arXiv 2506.20480).
//! ```no_run
//! use layer_ir::gptailor::{Context, read_prune};
//!
//! let models = [("base", "Llama-2-13b-hf"), ("chat", "WizardLM-13B-V1.2"), ("math", "WizardMath-13B-V1.0")];
//! let context = Context::new(models.map(|(name, path)| (name.to_owned(), path.to_owned())).into(), "base");
//! let recipe = read_prune("13b-prune-1.json", &context)?;
//! # Ok::<(), layer_ir::Error>(())
//! ```

mod keys;

use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::{BaseAt, Error, Expr, LayerExpr, LayerRef, Merge, OuterTensors, OutputLayer, Parameters, Recipe, Source};
use keys::{Choice, Choices};

/// What a published file does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The models of the recipe by name, as [`Recipe::models`].
    pub models: IndexMap<String, String>,
    /// The base's name.
    pub base: String,
    /// The names of the candidates, in the order of the search.
    pub candidates: Vec<String>,
    /// Layers of the base; absent: up to the highest that the file names.
    pub layers: Option<usize>,
    /// Which layer of the base a merge starts from. The published results were measured with [`BaseAt::Output`].
    pub base_at: BaseAt,
    /// Whether `output_scale` counts. The published results were measured without, although the files have it.
    pub output_scales: bool,
}

impl Context {
    /// Every model but the base is a candidate, in their order; the rest by default.
    #[must_use]
    pub fn new(models: IndexMap<String, String>, base: &str) -> Self {
        Self {
            candidates: models.keys().filter(|name| *name != base).cloned().collect(),
            models,
            base: base.to_owned(),
            layers: None,
            base_at: BaseAt::default(),
            output_scales: false,
        }
    }
}

/// Reads a result of the pruning search.
///
/// A layer without candidates is the base's, one with a single candidate is that one's, others are merged by
/// `gptailor_task_arithmetic`. As in the reference, the embedding is made as the first kept layer, the final norm and
/// the head as the last one.
///
/// # Errors
/// The file cannot be read, is a result of another search, or contradicts itself or the context; the key is named.
pub fn read_prune(path: impl AsRef<Path>, context: &Context) -> Result<Recipe, Error> {
    let file = path.as_ref();
    let read = |source| Error::Read { file: file.to_owned(), source };
    let json = |source| Error::Json { file: file.to_owned(), source };
    let found: Map<String, Value> = serde_json::from_slice(&std::fs::read(file).map_err(read)?).map_err(json)?;
    prune_recipe(&found, file, context)
}

/// As [`read_prune`], of parameters that are read already; `file` is for messages.
///
/// # Errors
/// As of [`read_prune`].
pub fn prune_recipe(found: &Map<String, Value>, file: &Path, context: &Context) -> Result<Recipe, Error> {
    let decoder = Decoder { choices: Choices::read(found, file)?, context, file };
    decoder.check()?;
    let mut recipe = Recipe::of_base(context.models.clone(), &context.base, 0);
    recipe.base_at = context.base_at;
    for (&layer, choice) in &decoder.choices.layers {
        let scale = choice.output_scale.filter(|_| context.output_scales).unwrap_or(1.0);
        recipe.layers.push(OutputLayer { scale: scale as f32, ..decoder.expression(layer, choice)?.into() });
    }
    if let (Some(first), Some(last)) = (recipe.layers.first(), recipe.layers.last()) {
        recipe.outer = OuterTensors::like(&first.from, &last.from);
    }
    Ok(recipe)
}

/// A file whose parameters are sorted, and what is known beside it.
struct Decoder<'a> {
    choices: Choices,
    context: &'a Context,
    file: &'a Path,
}

impl Decoder<'_> {
    /// The error of what stands under a key.
    fn fail(&self, key: String, problem: &'static str) -> Error {
        Error::Gptailor { file: self.file.to_owned(), key, problem }
    }

    /// Whether removed and kept layers make up the base, and the candidates are those of the context.
    fn check(&self) -> Result<(), Error> {
        let highest = self.choices.highest();
        let layers = self.context.layers.unwrap_or(highest.map_or(0, |highest| highest + 1));
        if let Some(highest) = highest.filter(|highest| *highest >= layers) {
            return Err(self.fail(format!("layer_{highest}"), "the base has fewer layers"));
        }
        for layer in 0..layers {
            let key = || format!("layer_{layer}_candidate_0");
            match (self.choices.removed.contains(&layer), self.choices.layers.contains_key(&layer)) {
                (true, true) => return Err(self.fail(key(), "stands there although the layer is removed")),
                (false, false) => return Err(self.fail(key(), "is missing although the layer is not removed")),
                _ => {}
            }
        }
        let models = self.context.candidates.len();
        let known = self.choices.layers.values().flat_map(|choice| choice.candidates.keys());
        match known.max() {
            Some(last) if *last >= models => {
                Err(self.fail(format!("candidate_{last}"), "the file has more candidates than were given"))
            }
            _ => Ok(()),
        }
    }

    /// What a kept layer is made of: the base, one candidate, or a merge of several.
    fn expression(&self, layer: usize, choice: &Choice) -> Result<LayerExpr, Error> {
        let mut chosen = Vec::new();
        for (index, model) in self.context.candidates.iter().enumerate() {
            match choice.candidates.get(&index) {
                Some(true) => chosen.push(LayerRef { model: model.clone(), layer }),
                Some(false) => {}
                None => {
                    let key = format!("layer_{layer}_candidate_{index}");
                    return Err(self.fail(key, "is missing: the search had as many candidates as were given"));
                }
            }
        }
        if chosen.len() <= 1 {
            let base = || LayerRef { model: self.context.base.clone(), layer };
            return Ok(Expr::Take(chosen.pop().unwrap_or_else(base)));
        }
        let key = || format!("layer_{layer}_merge_scale_factor");
        let coefficient =
            choice.merge_scale.ok_or_else(|| self.fail(key(), "is missing, and several models are merged"))?;
        let mut parameters = Parameters::default();
        parameters.set("coefficient", coefficient);
        let sources = chosen.into_iter().map(|of| Source { of, parameters: Parameters::default() }).collect();
        Ok(Expr::Merge(Merge { method: "gptailor_task_arithmetic".to_owned(), parameters, base: None, sources }))
    }
}

#[cfg(test)]
mod tests;
