//! Results of auto-merge-llm, the Python code of GPTailor and of its parent, read as a [`Recipe`].
//!
//! Such a file is one JSON object: the parameters of the best point of a search. The keys tell which of the three
//! searches it was ([`Kind`]): `prune` removes layers and merges what is left, `lfs` merges groups of layers, `dis`
//! stacks layers of several models. The file does not say which models it is about; a [`Context`] does.
//! Su et al., "GPTailor" (arXiv 2506.20480) and "Fine, I'll Merge It Myself" (arXiv 2502.04030).
//! ```no_run
//! use layer_ir::BaseAt;
//! use layer_ir::gptailor::{Context, ResultFile};
//!
//! let models = [("base", "Llama-2-13b-hf"), ("chat", "WizardLM-13B-V1.2"), ("math", "WizardMath-13B-V1.0")];
//! let context = Context::new(models.map(|(name, path)| (name.to_owned(), path.to_owned())).into(), "base");
//! let result = ResultFile::read("13b-prune-1.json")?;
//! let recipe = result.recipe(&Context { layers: Some(40), base_at: BaseAt::Output, ..context })?;
//! # Ok::<(), layer_ir::Error>(())
//! ```

mod entries;
mod kind;
mod problem;

mod fusion;
mod stacking;

mod dis;
mod lfs;
mod prune;

use std::path::Path;

use indexmap::IndexMap;

use crate::{BaseAt, Error, Recipe};
pub use dis::{LEAST_SCALE, permutation};
use entries::Entries;
pub use fusion::{Fusion, GroupMerge};
pub use kind::Kind;
pub use lfs::softmax_place;
pub use problem::Problem;
pub use stacking::{Stack, Stacking};

/// What a result file does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The models of the recipe by name, as [`Recipe::models`].
    pub models: IndexMap<String, String>,
    /// The base's name.
    pub base: String,
    /// The names of the candidates, in the order of the search.
    pub candidates: Vec<String>,
    /// Layers of the base. Absent: up to the highest that the file names; `lfs` names none, so there it is needed.
    pub layers: Option<usize>,
    /// Which layer of the base a merge starts from. The published results were measured with [`BaseAt::Output`], which
    /// makes a difference in `prune` only.
    pub base_at: BaseAt,
    /// Of `prune`: whether `output_scale` counts. The published results were measured without, although the files have
    /// it.
    pub output_scales: bool,
    /// Of `dis`: what a scale multiplies.
    pub scale_site: ScaleSite,
    /// Of a `dis` file without permutations: the candidates' numbers in the order in which their layers are stacked,
    /// each once. Absent: [`ResultFile::assumed_order`].
    pub order: Option<Vec<usize>>,
    /// Of `dis`: how many layers at either end are the first candidate's and not searched (`fix_layers`).
    pub fixed_layers: usize,
    /// Of `dis`: whether the base's layer stands where no candidate was chosen (`remain_base`).
    pub remain_base: bool,
    /// Of `lfs`: the filters in the order in which they are tried. Absent: any order, and a file in which the order
    /// would matter is refused.
    pub filters: Option<Vec<String>>,
}

/// What a scale of `dis` multiplies. The reference has two readings of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScaleSite {
    /// The residual stream after the layer, as the reference's Hugging Face model does.
    #[default]
    Stream,
    /// What the layer's MLP adds to the stream, as the reference's vLLM model does.
    Mlp,
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
            scale_site: ScaleSite::default(),
            order: None,
            fixed_layers: 0,
            remain_base: true,
            filters: None,
        }
    }
}

/// A result of one of the searches, of which only the names of its keys were looked at so far.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultFile {
    entries: Entries,
    kind: Kind,
}

impl ResultFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is not a JSON object, has a key twice, or has keys of none of the searches.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = path.as_ref();
        let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Self::from_text(&text, file)
    }

    /// As [`Self::read`], of a text that is there already; `file` is for messages.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn from_text(text: &str, file: &Path) -> Result<Self, Error> {
        let entries = Entries::read(text, file)?;
        let kind = Kind::of_keys(entries.keys()).ok_or_else(|| match entries.keys().next() {
            Some(key) => entries.fail(key, Problem::NoSearch),
            None => Error::GptailorEmpty { file: file.to_owned() },
        })?;
        Ok(Self { entries, kind })
    }

    /// A result of a search whose values are there already, by the names of the parameters.
    #[must_use]
    pub fn of_values(kind: Kind, values: IndexMap<String, serde_json::Value>) -> Self {
        Self { entries: Entries::of(values), kind }
    }

    /// The search that it is a result of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.entries.file
    }

    /// Of a `dis` file without permutations, the order in which it stacks layers of so many candidates, as the
    /// reference reads it: the second of their permutations in lexicographic order. `None` for a file that says the
    /// order, or has nothing to order.
    #[must_use]
    pub fn assumed_order(&self, candidates: usize) -> Option<Vec<usize>> {
        (self.kind == Kind::Dis).then(|| dis::assumed_order(&self.entries, candidates)).flatten()
    }

    /// The recipe of the result.
    ///
    /// The embedding is made as the first layer, the final norm and the head as the last one, as in the reference.
    ///
    /// # Errors
    /// [`Error::Gptailor`] names the key that contradicts the others or the context.
    pub fn recipe(&self, context: &Context) -> Result<Recipe, Error> {
        match self.kind {
            Kind::Prune => prune::recipe(&self.entries, context),
            Kind::Lfs => lfs::recipe(&self.entries, context),
            Kind::Dis => dis::recipe(&self.entries, context),
        }
    }
}

#[cfg(test)]
mod tests;
