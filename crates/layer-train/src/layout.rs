//! Where each tensor of a model stands in one flat array of all its numbers.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use layer_ir::{Checkpoint, ModelConfig, OuterTensor, Role};

use crate::Error;
use crate::tensor_file::{NamedTensor, TensorNumbers, write_tensors};

/// A tensor of a model, by its place among all numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in a checkpoint.
    pub name: String,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub range: Range<usize>,
}

impl Parameter {
    /// Whether it is a matrix rather than a vector.
    pub(crate) fn is_matrix(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The tensors of a layer, by the places that they have in every layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerLayout {
    ranges: Vec<(Role, Range<usize>)>,
    len: usize,
}

impl LayerLayout {
    /// One of the tensors; `None` if the layers of this model do not have it.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<Range<usize>> {
        self.ranges.iter().find(|(of, _)| *of == role).map(|(_, range)| range.clone())
    }

    /// One that every layer has; empty if this one does not.
    pub(crate) fn of(&self, role: Role) -> Range<usize> {
        self.get(role).unwrap_or(0..0)
    }

    /// Numbers of a layer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a layer has no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A model's tensors in one array: the embedding, the layers in order, the final norm, the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    config: ModelConfig,
    parameters: Vec<Parameter>,
    layer: LayerLayout,
    /// Where the first layer begins.
    layers_start: usize,
    final_norm: Range<usize>,
    /// Of a model whose head is not its embedding.
    own_head: Option<Range<usize>>,
}

impl Layout {
    /// The layout of a checkpoint's tensors.
    ///
    /// # Errors
    /// [`Error::Ir`] for an architecture that is not known; [`Error::UntrainableTensor`] for one whose layers have
    /// tensors beyond those of its description.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let config = checkpoint.config()?;
        if let Some(tensor) = checkpoint.layer_tensors().iter().find(|tensor| tensor.role.is_none()) {
            return Err(Error::UntrainableTensor { name: checkpoint.layer_tensor_name(0, &tensor.suffix) });
        }
        Ok(Self::of_config(config))
    }

    /// The layout of the tensors that a config describes.
    #[must_use]
    pub fn of_config(config: &ModelConfig) -> Self {
        let mut layout = Self {
            parameters: Vec::new(),
            layer: LayerLayout { ranges: Vec::new(), len: 0 },
            layers_start: 0,
            final_norm: 0..0,
            own_head: None,
            config: config.clone(),
        };
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let outer = |outer: OuterTensor| {
            match outer {
                OuterTensor::Embedding => "model.embed_tokens.weight",
                OuterTensor::FinalNorm => "model.norm.weight",
                OuterTensor::Head => "lm_head.weight",
            }
            .to_owned()
        };
        layout.push(outer(OuterTensor::Embedding), vec![vocabulary, hidden]);
        layout.layers_start = layout.len();
        for layer in 0..config.num_layers {
            let start = layout.len();
            for tensor in config.layer_tensors() {
                let range = layout.push(format!("model.layers.{layer}.{}", tensor.suffix), tensor.shape);
                if let (0, Some(role)) = (layer, tensor.role) {
                    layout.layer.ranges.push((role, range.start - start..range.end - start));
                }
            }
            layout.layer.len = layout.len() - start;
        }
        layout.final_norm = layout.push(outer(OuterTensor::FinalNorm), vec![hidden]);
        if !config.tie_word_embeddings {
            layout.own_head = Some(layout.push(outer(OuterTensor::Head), vec![vocabulary, hidden]));
        }
        layout
    }

    /// Adds a tensor behind the others.
    fn push(&mut self, name: String, shape: Vec<usize>) -> Range<usize> {
        let range = self.len()..self.len() + shape.iter().product::<usize>();
        self.parameters.push(Parameter { name, shape, range: range.clone() });
        range
    }

    /// The settings of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All tensors, in the order of their places.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Numbers of all tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.last().map_or(0, |last| last.range.end)
    }

    /// Whether there are no tensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many layers there are.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.config.num_layers
    }

    /// The places of tensors within each layer.
    #[must_use]
    pub fn layer_layout(&self) -> &LayerLayout {
        &self.layer
    }

    /// All numbers of a layer.
    #[must_use]
    pub fn layer(&self, layer: usize) -> Range<usize> {
        let start = self.layers_start + layer * self.layer.len;
        start..start + self.layer.len
    }

    /// The layer that a tensor is in; `None` for embedding, final norm and head.
    pub(crate) fn layer_of(&self, parameter: &Parameter) -> Option<usize> {
        let place = parameter.range.start.checked_sub(self.layers_start)?;
        let layer = place / self.layer.len.max(1);
        (layer < self.layers()).then_some(layer)
    }

    /// The place among all tensors of that which begins with this number.
    #[cfg(feature = "burn")]
    pub(crate) fn parameter_at(&self, start: usize) -> usize {
        self.parameters.partition_point(|parameter| parameter.range.start < start)
    }

    /// The embedding, `[vocabulary, hidden]`.
    #[must_use]
    pub fn embedding(&self) -> Range<usize> {
        0..self.layers_start
    }

    /// The norm before the head, `[hidden]`.
    #[must_use]
    pub fn final_norm(&self) -> Range<usize> {
        self.final_norm.clone()
    }

    /// The head, `[vocabulary, hidden]`; of a model with tied embeddings the embedding.
    #[must_use]
    pub fn head(&self) -> Range<usize> {
        self.own_head.clone().unwrap_or_else(|| self.embedding())
    }

    /// The numbers of a checkpoint in f32, in the order of this layout.
    ///
    /// # Errors
    /// [`Error::Ir`] for a tensor that is not there.
    pub fn read(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>, Error> {
        let mut values = Vec::with_capacity(self.len());
        for parameter in &self.parameters {
            values.extend_from_slice(&checkpoint.tensor(&parameter.name)?.to_f32());
        }
        Ok(values)
    }

    /// Writes numbers of this layout as a file of safetensors, with the names of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Write`]; nothing stands under the name then that was not there before.
    pub fn write(&self, values: &[f32], file: &Path) -> Result<(), Error> {
        let tensors: Vec<NamedTensor<'_>> = self
            .parameters
            .iter()
            .map(|parameter| {
                (parameter.name.as_str(), TensorNumbers::F32(&values[parameter.range.clone()]), parameter.shape.clone())
            })
            .collect();
        write_tensors(file, &tensors, HashMap::from([("format".to_owned(), "pt".to_owned())]))
    }
}
