//! The tensors that a config promises, of a model on the hub whose weights are pickles: they have no header that could
//! be read without the rest. Their index says which names there are, the config of a known architecture which shapes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use indexmap::IndexMap;

use super::shards::weight_map;
use super::{TensorSource, TensorView};
use crate::{Dtype, Error, ModelConfig, OuterTensor};

/// Tensors without data.
#[derive(Debug)]
pub(super) struct Promised {
    /// The file that names them.
    file: PathBuf,
    dtype: Dtype,
    shapes: IndexMap<String, Vec<usize>>,
}

impl Promised {
    /// Those of a model, if its weights are pickles that are not here.
    pub fn of(folder: &Path, config: &ModelConfig) -> Result<Option<Self>, Error> {
        let Some(file) = tailor_hub::pickles_not_here(folder).map(|name| folder.join(name)) else { return Ok(None) };
        let mut shapes = shapes(config);
        if file.extension().is_some_and(|ending| ending == "json") {
            let weight_map = weight_map(&file)?;
            shapes.retain(|name, _| weight_map.contains_key(name));
        }
        Ok(Some(Self { file, dtype: config.dtype.unwrap_or(Dtype::F32), shapes }))
    }
}

/// What the config asks for.
fn shapes(config: &ModelConfig) -> IndexMap<String, Vec<usize>> {
    let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
    let outer = OuterTensor::ALL.into_iter().filter(|outer| *outer != OuterTensor::Head || !config.tie_word_embeddings);
    let mut shapes: IndexMap<String, Vec<usize>> = outer
        .map(|outer| {
            let shape = if outer == OuterTensor::FinalNorm { vec![hidden] } else { vec![vocabulary, hidden] };
            (outer.tensor_name().to_owned(), shape)
        })
        .collect();
    let tensors = config.layer_tensors();
    for layer in 0..config.num_layers {
        let name = |suffix: &str| format!("model.layers.{layer}.{suffix}");
        shapes.extend(tensors.iter().map(|tensor| (name(&tensor.suffix), tensor.shape.clone())));
    }
    shapes
}

impl TensorSource for Promised {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.shapes.keys().map(String::as_str))
    }

    fn get(&self, name: &str) -> Option<TensorView> {
        let shape = self.shapes.get(name)?.clone();
        let (name, file, dtype) = (name.to_owned(), self.file.clone(), self.dtype);
        Some(TensorView { name, file, dtype, shape, data: Bytes::new(), opened: None })
    }
}
