//! What one piece of the model records for its gradient, and the way back through it.

use burn::tensor::Tensor;

use super::trained_tensors::TrainedTensors;

/// The trained tensors that a piece of the model has read, as burn's autodiff knows them.
#[derive(Debug)]
pub(super) struct Tape {
    /// Whether anything is recorded.
    records: bool,
    /// A place among the trained tensors, and the tensor that stands for it.
    leaves: Vec<(usize, Tensor<1>)>,
}

/// A piece of the model that was computed: what went in, what came out, and what was read on the way.
#[derive(Debug)]
pub(super) struct Recorded {
    input: Tensor<2>,
    output: Tensor<2>,
    tape: Tape,
}

impl Tape {
    /// Records nothing: a plain forward pass.
    pub fn off() -> Self {
        Self { records: false, leaves: Vec::new() }
    }

    /// A trained tensor, with all numbers in a row.
    pub fn read(&mut self, trained: &TrainedTensors, place: usize) -> Tensor<1> {
        let value = trained.value(place).clone();
        if !self.records {
            return value;
        }
        let leaf = value.autodiff().require_grad();
        self.leaves.push((place, leaf.clone()));
        leaf
    }
}

impl Recorded {
    /// Computes a piece of the model from `input`.
    pub fn new(input: Tensor<2>, compute: impl FnOnce(Tensor<2>, &mut Tape) -> Tensor<2>) -> Self {
        let mut tape = Tape { records: true, leaves: Vec::new() };
        let input = input.autodiff().require_grad();
        let output = compute(input.clone(), &mut tape);
        Self { input, output, tape }
    }

    /// What came out.
    pub fn output(&self) -> Tensor<2> {
        self.output.clone().inner()
    }

    /// From the gradient of what came out that of what went in. The gradients of what was read are added.
    pub fn backward(self, d_output: Tensor<2>, trained: &mut TrainedTensors) -> Tensor<2> {
        let shape = d_output.dims();
        // Its gradient by the output is `d_output`.
        let mut gradients = (self.output * d_output.clone()).sum().backward();
        for (place, leaf) in self.tape.leaves {
            if let Some(gradient) = leaf.grad_remove(&mut gradients) {
                trained.add_gradient(place, gradient);
            }
        }
        let d_input = self.input.grad_remove(&mut gradients);
        d_input.unwrap_or_else(|| Tensor::zeros(shape, (&d_output.device(), d_output.dtype())))
    }
}
