//! The model that an export writes: its tensors and its other parts, before any number is computed.
//!
//! Output scales are folded here: what a layer adds to the residual stream is divided by the product of the scales of
//! the layers before it ([`ValidRecipe::scale_divisors`](layer_ir::Recipe::scale_divisors)).

use std::path::Path;

use indexmap::IndexMap;
use layer_ir::{Dtype, Family, LayerTensor, OuterTensor, Recipe, Role, ValidRecipe};
use serde_json::{Map, Value};

use super::config;
use crate::build::{Prepared, TakenOrMerged};
use crate::{Error, Operand, RecipeTensors};

/// The model of a recipe, as a [`CheckpointWriter`](super::CheckpointWriter) sees it. No number of it has been
/// computed.
pub struct ExportModel<'a> {
    source: RecipeTensors<'a>,
    /// The name of the output folder, which is the model's title.
    name: String,
    /// The number format of all tensors; `None`: that of each in the base.
    dtype: Option<Dtype>,
    tensors: Vec<PlannedTensor>,
}

/// One tensor that an export writes.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// Its name in a Hugging Face checkpoint of the base's architecture.
    pub name: String,
    /// Its shape, row-major, `[out, in]` for matrices.
    pub shape: Vec<usize>,
    /// The number format that the export was asked for, or else that of the tensor in the base.
    pub dtype: Dtype,
    /// Where it comes from.
    pub origin: TensorOrigin,
    /// What its numbers are divided by, for the output scales of the layers before.
    pub(super) divisor: f64,
}

/// Where a tensor comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TensorOrigin {
    /// A layer of the recipe.
    Layer {
        /// The output layer, from 0.
        output: usize,
        /// The tensor's name within its layer.
        suffix: String,
        /// What it does; `None` if the architecture's description does not have it.
        role: Option<Role>,
    },
    /// The embedding, the final norm or the head.
    Outer(OuterTensor),
    /// Another tensor of the base, copied as it is.
    Other,
}

impl PlannedTensor {
    /// How many numbers it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many bytes its numbers take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.elements() * self.dtype.size_in_bytes()) as u64
    }
}

/// The files that a tokenizer may be made of, and the settings of generation.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "generation_config.json",
];

impl<'a> ExportModel<'a> {
    /// The model, to be written to `out`; `dtype` is that of [`ExportOptions`](super::ExportOptions).
    pub(super) fn new(source: RecipeTensors<'a>, out: &Path, dtype: Option<Dtype>) -> Result<Self, Error> {
        let name = out.file_name().map_or_else(|| "Tailored model".into(), |name| name.to_string_lossy());
        let dtype = dtype.or(source.recipe.dtype);
        let tensors = planned(source.family, source.recipe, dtype)?;
        Ok(Self { source, name: name.into_owned(), dtype, tensors })
    }

    /// Its tensors: the embedding, the layers, the final norm, the head, then what else the base has.
    #[must_use]
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.tensors
    }

    /// The family that the recipe is made from.
    #[must_use]
    pub fn family(&self) -> &'a Family {
        self.source.family
    }

    /// The recipe.
    #[must_use]
    pub fn recipe(&self) -> &'a ValidRecipe {
        self.source.recipe
    }

    /// The name of the folder that is written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many numbers it has.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.elements() as u64).sum()
    }

    /// How many bytes its numbers take in their [`PlannedTensor::dtype`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(PlannedTensor::bytes).sum()
    }

    /// Its `config.json`: the base's, cut to the recipe's layers, with the vocabulary and the number format that it
    /// has.
    #[must_use]
    pub fn config(&self) -> Map<String, Value> {
        config::edited(self.family(), self.recipe(), self.dtype)
    }

    /// The recipe's YAML with the absolute paths of models and bridges and the number format of the export. It makes
    /// the same model again.
    ///
    /// # Errors
    /// As of [`Recipe::to_yaml`].
    pub fn recipe_yaml(&self) -> Result<String, Error> {
        let mut stated: Recipe = self.recipe().recipe().clone();
        stated.dtype = self.dtype;
        for (name, path) in self.family().paths() {
            let path = std::path::absolute(&path).map_or(path, |path| path.display().to_string());
            stated.models.insert(name, path);
        }
        for bridge in stated.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut()) {
            bridge.file = std::path::absolute(&bridge.file).unwrap_or_else(|_| bridge.file.clone());
        }
        Ok(stated.to_yaml()?)
    }

    /// The files of its tokenizer, by name: those of [`Recipe::tokenizer_owner`], with the tokens and the chat template
    /// of the recipe.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Ir`] for a tokenizer that cannot be changed so.
    pub fn tokenizer_files(&self) -> Result<IndexMap<String, Vec<u8>>, Error> {
        let owner = self.family().get(self.recipe().tokenizer_owner())?.dir();
        let read = |path: &Path, source| Error::Read { path: path.to_owned(), source };
        let mut files = IndexMap::new();
        for entry in std::fs::read_dir(owner).map_err(|source| read(owner, source))? {
            let path = entry.map_err(|source| read(owner, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let wanted = TOKENIZER_FILES.contains(&name) || name.starts_with("chat_template");
            if wanted && path.is_file() {
                // Not a copy with the file's permissions: those of a cache may forbid to write.
                files.insert(name.to_owned(), std::fs::read(&path).map_err(|source| read(&path, source))?);
            }
        }
        files.extend(layer_ir::tokenizer_files(self.family(), self.recipe())?);
        Ok(files)
    }

    /// Everything of a tensor but its numbers.
    pub(super) fn prepare(&self, tensor: &PlannedTensor) -> Result<Prepared<'_>, Error> {
        let base = self.family().base();
        match &tensor.origin {
            TensorOrigin::Layer { output, suffix, .. } => self.source.prepare_layer(*output, suffix),
            TensorOrigin::Outer(outer) => {
                // Only outer tensors that the base stores are planned.
                let missing = || layer_ir::Error::MissingOuterTensor { folder: base.dir().to_owned(), tensor: *outer };
                Ok(self.source.prepare_outer(*outer)?.ok_or_else(missing)?)
            }
            TensorOrigin::Other => Ok(TakenOrMerged::Take(Operand::new(base.tensor(&tensor.name)?, Dtype::F32)).into()),
        }
    }
}

/// A tensor to be written, before it is known what the base has of it.
struct Listed {
    /// The name of one of its shape in the base.
    stored: String,
    /// Its own name.
    name: String,
    /// As [`PlannedTensor::divisor`].
    divisor: f64,
    /// Where it comes from.
    origin: TensorOrigin,
}

impl Listed {
    /// A tensor that has its name and its shape in the base.
    fn same(name: &str, origin: TensorOrigin) -> Self {
        Self { stored: name.to_owned(), name: name.to_owned(), divisor: 1.0, origin }
    }
}

/// The tensors of the recipe's model, in the order in which they are stored.
fn planned(family: &Family, recipe: &ValidRecipe, dtype: Option<Dtype>) -> Result<Vec<PlannedTensor>, Error> {
    let base = family.base();
    let plan = |Listed { stored, name, divisor, origin }| {
        let layer_ir::TensorView { mut shape, dtype: stored, .. } = base.tensor(&stored)?;
        let with_tokens = matches!(origin, TensorOrigin::Outer(outer) if OuterTensor::WITH_TOKENS.contains(&outer));
        if let Some((alignment, rows)) = recipe.alignment().filter(|_| with_tokens).zip(shape.first_mut()) {
            *rows = alignment.rows();
        }
        Ok(PlannedTensor { name, shape, dtype: dtype.unwrap_or(stored), divisor, origin })
    };
    listed(family, recipe).into_iter().map(plan).collect()
}

/// The tensors in the order in which they are stored. Of the layers all have the tensors of the base's first one.
fn listed(family: &Family, recipe: &ValidRecipe) -> Vec<Listed> {
    let base = family.base();
    let writers = base.architecture().spec().map_or(&[] as &[Role], |spec| spec.residual_writers);
    let writes = |tensor: &LayerTensor| tensor.role.is_some_and(|role| writers.contains(&role));
    let of_outer = |outer| base.outer_name(outer).map(|name| Listed::same(name, TensorOrigin::Outer(outer)));
    let mut listed: Vec<Listed> = of_outer(OuterTensor::Embedding).into_iter().collect();
    for (output, divisor) in recipe.scale_divisors().into_iter().enumerate() {
        listed.extend(base.layer_tensors().iter().map(|tensor| Listed {
            stored: base.layer_tensor_name(0, &tensor.suffix),
            name: base.layer_tensor_name(output, &tensor.suffix),
            divisor: if writes(tensor) { divisor } else { 1.0 },
            origin: TensorOrigin::Layer { output, suffix: tensor.suffix.clone(), role: tensor.role },
        }));
    }
    listed.extend([OuterTensor::FinalNorm, OuterTensor::Head].into_iter().filter_map(of_outer));
    listed.extend(base.other_tensors().map(|name| Listed::same(name, TensorOrigin::Other)));
    listed
}
