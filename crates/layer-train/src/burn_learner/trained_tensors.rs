//! What is trained, on the device: numbers in f32, their gradients and moments, and steps of AdamW over them.

use burn::tensor::{DType, Device, Tensor};

use super::tensors::{fetch, numbers};
use crate::adam_w::Factors;
use crate::{AdamW, Error, LearnerState, Moments, Step};

/// A tensor that is trained, with all numbers in a row.
#[derive(Debug)]
struct TrainedTensor {
    value: Tensor<1>,
    /// None is zero.
    gradient: Option<Tensor<1>>,
    /// m and v.
    moments: [Tensor<1>; 2],
    /// Whether it is a matrix, which decays.
    matrix: bool,
}

impl TrainedTensor {
    fn len(&self) -> usize {
        self.value.dims()[0]
    }

    fn zeros(&self) -> Tensor<1> {
        Tensor::zeros([self.len()], (&self.value.device(), DType::F32))
    }

    /// After a step; what is owned alone is written in place.
    fn updated(self, factors: Factors) -> Self {
        let Factors { clip, beta1, beta2, rate, eps, keep } = factors;
        let known = self.gradient.clone().unwrap_or_else(|| self.zeros());
        let Self { value, gradient, moments: [m, v], matrix } = self;
        let m = m * beta1 + known.clone() * (clip * (1.0 - beta1));
        let v = v * beta2 + known.square() * (clip * clip * (1.0 - beta2));
        let value = value * keep + m.clone() / (v.clone().sqrt() + eps) * rate;
        Self { value, gradient, moments: [m, v], matrix }
    }
}

/// All that is trained, in the order of a state's numbers.
#[derive(Debug)]
pub(super) struct TrainedTensors {
    tensors: Vec<TrainedTensor>,
    device: Device,
}

impl TrainedTensors {
    pub fn new(device: &Device) -> Self {
        Self { tensors: Vec::new(), device: device.clone() }
    }

    /// Adds a tensor that starts from `values`; returns its place.
    pub fn push(&mut self, values: &[f32], matrix: bool) -> usize {
        let value = numbers(values.to_vec(), &self.device);
        let zeros = || Tensor::zeros([values.len()], (&self.device, DType::F32));
        self.tensors.push(TrainedTensor { value, gradient: None, moments: [zeros(), zeros()], matrix });
        self.tensors.len() - 1
    }

    /// Numbers of all tensors.
    pub fn len(&self) -> usize {
        self.tensors.iter().map(TrainedTensor::len).sum()
    }

    pub fn value(&self, place: usize) -> &Tensor<1> {
        &self.tensors[place].value
    }

    pub fn zero_gradients(&mut self) {
        self.tensors.iter_mut().for_each(|tensor| tensor.gradient = None);
    }

    /// Adds to the gradient of a tensor.
    pub fn add_gradient(&mut self, place: usize, gradient: Tensor<1>) {
        let tensor = &mut self.tensors[place];
        tensor.gradient = Some(match tensor.gradient.take() {
            Some(sum) => sum + gradient,
            None => gradient,
        });
    }

    /// Changes the gradient of a tensor, which is zero at first.
    pub fn change_gradient(&mut self, place: usize, change: impl FnOnce(Tensor<1>) -> Tensor<1>) {
        let tensor = &mut self.tensors[place];
        let gradient = tensor.gradient.take().unwrap_or_else(|| tensor.zeros());
        tensor.gradient = Some(change(gradient));
    }

    /// The norm of all gradients. Each tensor's squares are summed on the device, the sums in f64.
    pub fn gradient_norm(&self) -> Result<f64, Error> {
        let sums: Vec<Tensor<1>> =
            self.tensors.iter().filter_map(|tensor| tensor.gradient.as_ref()).map(sum_of_squares).collect();
        if sums.is_empty() {
            return Ok(0.0);
        }
        let sums = Tensor::cat(sums, 0).try_into_vec_as::<f32>()?;
        Ok(sums.into_iter().map(f64::from).sum::<f64>().sqrt())
    }

    pub fn gradients(&self) -> Result<Vec<f32>, Error> {
        let mut gradients = Vec::with_capacity(self.len());
        for tensor in &self.tensors {
            match &tensor.gradient {
                Some(gradient) => gradients.extend(gradient.clone().try_into_vec_as::<f32>()?),
                None => gradients.resize(gradients.len() + tensor.len(), 0.0),
            }
        }
        Ok(gradients)
    }

    /// One step of the optimiser.
    pub fn update(&mut self, adam: &AdamW, step: Step) {
        let tensors = std::mem::take(&mut self.tensors);
        let updated = |tensor: TrainedTensor| {
            let factors = adam.factors(step, tensor.matrix);
            tensor.updated(factors)
        };
        self.tensors = tensors.into_iter().map(updated).collect();
    }

    /// The numbers of all tensors.
    pub fn values(&self) -> Result<Vec<f32>, Error> {
        fetch(self.tensors.iter().map(|tensor| &tensor.value))
    }

    /// The numbers and their moments.
    pub fn state(&self) -> Result<LearnerState<'static>, Error> {
        let moment = |place: usize| fetch(self.tensors.iter().map(|tensor| &tensor.moments[place]));
        let moments = Moments::Full([moment(0)?.into(), moment(1)?.into()]);
        Ok(LearnerState { numbers: self.values()?.into(), moments })
    }

    /// Takes numbers and moments of [`Self::state`].
    ///
    /// # Errors
    /// [`Error::OptimizerMemory`] for moments in another form.
    pub fn restore(&mut self, state: LearnerState<'_>) -> Result<(), Error> {
        let [m, v] = state.moments.full()?;
        let mut start = 0;
        for tensor in &mut self.tensors {
            let range = start..start + tensor.len();
            start = range.end;
            let part = |values: &[f32]| numbers(values[range.clone()].to_vec(), &self.device);
            (tensor.value, tensor.gradient) = (part(&state.numbers), None);
            tensor.moments = [part(&m), part(&v)];
        }
        Ok(())
    }
}

/// `[1]`. Long tensors are summed in rows first: one sum in f32 over millions of numbers loses digits.
fn sum_of_squares(gradient: &Tensor<1>) -> Tensor<1> {
    const ROW: usize = 1 << 12;
    let squares = gradient.clone().square();
    let [len] = squares.dims();
    let whole = len / ROW * ROW;
    if whole == 0 {
        return squares.sum();
    }
    let rows = squares.clone().narrow(0, 0, whole).reshape([whole / ROW, ROW]).sum_dim(1).sum();
    if whole == len { rows } else { rows + squares.narrow(0, whole, len - whole).sum() }
}
