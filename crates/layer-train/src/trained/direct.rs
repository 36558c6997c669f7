//! A model's own numbers, of all its tensors or of some layers.

use std::borrow::Cow;
use std::ops::Range;

use super::Trained;
use crate::adam_w::{Numbers, Step};
use crate::{AdamW, AddLayer, Error, GradientSink, Layout, TrainWhat};

/// Some tensors of a model, in the order of its layout.
#[derive(Debug)]
pub(super) struct Direct {
    layout: Layout,
    /// Their places in the model, and whether they are matrices.
    tensors: Vec<(Range<usize>, bool)>,
    /// For each layer, where its gradients begin; `None` for one that is not trained.
    layers: Vec<Option<usize>>,
    /// Whether everything is trained: then a range of the model is the same range of the gradients.
    all: bool,
    gradients: Vec<f32>,
}

impl Direct {
    /// All tensors, or those of some layers.
    pub fn new(layout: &Layout, what: &TrainWhat) -> Self {
        let mut layers = vec![None; layout.layers()];
        let (mut tensors, mut len) = (Vec::new(), 0);
        for parameter in what.trained_parameters(layout) {
            if let Some(layer) = layout.layer_of(parameter) {
                layers[layer].get_or_insert(len);
            }
            len += parameter.range.len();
            tensors.push((parameter.range.clone(), parameter.is_matrix()));
        }
        let all = *what == TrainWhat::All;
        Self { layout: layout.clone(), tensors, layers, all, gradients: vec![0.0; len] }
    }
}

impl Trained for Direct {
    fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    fn gradients_mut(&mut self) -> &mut [f32] {
        &mut self.gradients
    }

    fn update(&mut self, adam: &AdamW, step: Step, [m, v]: &mut [Vec<f32>; 2], values: &mut [f32]) {
        let mut start = 0;
        for (range, matrix) in &self.tensors {
            let here = start..start + range.len();
            start = here.end;
            let numbers = Numbers {
                values: &mut values[range.clone()],
                gradients: &self.gradients[here.clone()],
                moments: [&mut m[here.clone()], &mut v[here]],
                matrix: *matrix,
            };
            adam.update(step, numbers);
        }
    }

    fn numbers<'a>(&'a self, values: &'a [f32]) -> Cow<'a, [f32]> {
        if self.all {
            return Cow::Borrowed(values);
        }
        Cow::Owned(self.tensors.iter().flat_map(|(range, _)| &values[range.clone()]).copied().collect())
    }

    fn restore(&mut self, numbers: Vec<f32>, values: &mut [f32]) {
        let mut start = 0;
        for (range, _) in &self.tensors {
            values[range.clone()].copy_from_slice(&numbers[start..start + range.len()]);
            start += range.len();
        }
    }
}

impl GradientSink for Direct {
    fn embedding(&mut self) -> Option<&mut [f32]> {
        self.all.then(|| &mut self.gradients[self.layout.embedding()])
    }

    fn head(&mut self) -> Option<&mut [f32]> {
        self.all.then(|| &mut self.gradients[self.layout.head()])
    }

    fn final_norm(&mut self) -> Option<&mut [f32]> {
        self.all.then(|| &mut self.gradients[self.layout.final_norm()])
    }

    fn first_layer(&self) -> usize {
        if self.all { 0 } else { self.layers.iter().position(Option::is_some).unwrap_or(self.layers.len()) }
    }

    fn layer(&mut self, layer: usize, add: AddLayer<'_>) -> Result<(), Error> {
        let len = self.layout.layer_layout().len();
        add(self.layers[layer].map(|start| &mut self.gradients[start..start + len]))
    }
}
