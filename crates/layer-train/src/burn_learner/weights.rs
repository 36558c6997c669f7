//! The model's tensors on the device: those that are trained, and those that stay as they are.

use burn::tensor::{DType, Device, Tensor};
use layer_ir::Role;

use super::tape::Tape;
use super::tensors::numbers;
use super::trained_tensors::TrainedTensors;
use crate::trained::lora::Additions;
use crate::{Layout, TrainSettings, TrainWhat};

/// Where a parameter's numbers are.
#[derive(Debug)]
enum Place {
    /// Here, and they do not change; a matrix in the type of the products.
    Frozen(Box<Tensor<1>>),
    /// Among the trained tensors.
    Trained(usize),
}

/// A matrix's low-rank addition: the places of B and A among the trained tensors.
#[derive(Debug, Clone, Copy)]
struct Addition {
    b: usize,
    a: usize,
}

/// The model's tensors, in the order of its layout. A [`Reader`] reads them.
#[derive(Debug)]
pub(super) struct Weights {
    layout: Layout,
    /// The type of products.
    pub dtype: DType,
    /// By the parameter's place in the layout.
    places: Vec<(Place, Option<Addition>)>,
    /// Where the low-rank factors stand among all of them, and their scale.
    pub additions: Option<Additions>,
    /// The first layer that has anything to train, or anything before it; the number of layers for none.
    pub first_layer: usize,
}

impl Weights {
    /// Puts a model that starts from `values` on the device, with what is trained of it.
    pub fn new(
        layout: &Layout,
        values: &[f32],
        settings: &TrainSettings,
        dtype: DType,
        device: &Device,
    ) -> (Self, TrainedTensors) {
        let mut trained = TrainedTensors::new(device);
        let (mut places, mut first_layer) = (Vec::new(), layout.layers());
        for parameter in layout.parameters() {
            let (layer, values) = (layout.layer_of(parameter), &values[parameter.range.clone()]);
            let place = if settings.what.is_trained(layer) {
                first_layer = first_layer.min(layer.unwrap_or(first_layer));
                Place::Trained(trained.push(values, parameter.is_matrix()))
            } else {
                let values = numbers(values.to_vec(), device);
                Place::Frozen(Box::new(if parameter.is_matrix() { values.cast(dtype) } else { values }))
            };
            places.push((place, None));
        }
        let mut weights = Self { layout: layout.clone(), dtype, places, additions: None, first_layer };
        if let TrainWhat::Lora { rank, alpha } = settings.what {
            weights.add(Additions::new(layout, rank, alpha, settings.seed), &mut trained);
        }
        (weights, trained)
    }

    /// Adds low-rank factors to the trained tensors.
    fn add(&mut self, (additions, factors): (Additions, Vec<f32>), trained: &mut TrainedTensors) {
        for slot in &additions.slots {
            let mut push = |range: &std::ops::Range<usize>| trained.push(&factors[range.clone()], true);
            let addition = Addition { b: push(&slot.b), a: push(&slot.a) };
            self.places[self.layout.parameter_at(slot.range.start)].1 = Some(addition);
        }
        self.first_layer = 0;
        self.additions = Some(additions);
    }

    /// The place of a layer's tensor among the parameters, if its layers have it.
    pub fn of_layer(&self, layer: usize, role: Role) -> Option<usize> {
        let start = self.layout.layer_layout().get(role)?.start;
        Some(self.layout.parameter_at(self.layout.layer(layer).start + start))
    }

    /// The place of the tensor that begins with this number of the model.
    pub fn starting_at(&self, start: usize) -> usize {
        self.layout.parameter_at(start)
    }

    /// The place of a parameter among the trained tensors; `None` for one that does not change.
    pub fn trained(&self, parameter: usize) -> Option<usize> {
        match self.places[parameter].0 {
            Place::Trained(place) => Some(place),
            Place::Frozen(_) => None,
        }
    }
}

/// Reads tensors of [`Weights`]; what is trained is noted on a tape.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub weights: &'a Weights,
    pub trained: &'a TrainedTensors,
    pub tape: &'a mut Tape,
}

impl Reader<'_> {
    /// A parameter's numbers in a row: f32 if it is trained or a vector, else in the type of the products.
    pub fn vector(&mut self, parameter: usize) -> Tensor<1> {
        match &self.weights.places[parameter].0 {
            Place::Frozen(values) => values.as_ref().clone(),
            Place::Trained(place) => self.tape.read(self.trained, *place),
        }
    }

    /// A matrix, `[out, in]`, in the same type.
    pub fn matrix(&mut self, parameter: usize) -> Tensor<2> {
        let shape = &self.weights.layout.parameters()[parameter].shape;
        let (outputs, inputs) = (shape[0], shape[1]);
        self.vector(parameter).reshape([outputs, inputs])
    }

    /// `x W^T + s x A^T B^T + b` in f32, from `[rows, in]` to `[rows, out]`; products in their type.
    pub fn project(&mut self, x: Tensor<2>, weight: usize, bias: Option<usize>) -> Tensor<2> {
        let dtype = self.weights.dtype;
        let x = x.cast(dtype);
        let matrix = self.matrix(weight).cast(dtype);
        let [outputs, inputs] = matrix.dims();
        let mut y = x.clone().matmul(matrix.transpose()).cast(DType::F32);
        if let (Some(Addition { b, a }), Some(Additions { rank, scale, .. })) =
            (self.weights.places[weight].1, &self.weights.additions)
        {
            let a = self.tape.read(self.trained, a).reshape([*rank, inputs]).cast(dtype);
            let b = self.tape.read(self.trained, b).reshape([outputs, *rank]).cast(dtype);
            y = y + x.matmul(a.transpose()).matmul(b.transpose()).cast(DType::F32) * *scale;
        }
        match bias {
            Some(bias) => y + self.vector(bias).unsqueeze(),
            None => y,
        }
    }
}
