//! A whole model on a batch: from tokens to the loss, and back through its layers one at a time.
//!
//! The stream before each layer is kept. Of the last layers the autodiff's record is kept too, as far as the memory
//! for activations goes; the others are computed again on the way back. So no more than one layer's record is held
//! beyond that memory.

use burn::tensor::{DType, Device, IndexingUpdateOp, Tensor};
use layer_ir::Dtype;

use super::BurnSettings;
use super::batch::DeviceBatch;
use super::head::{DeviceStreams, DeviceTargets, rows_at_once};
use super::layer::Layer;
use super::tape::{Recorded, Tape};
use super::tensors::rms_norm;
use super::trained_tensors::TrainedTensors;
use super::weights::{Reader, Weights};
use crate::{Error, Layout, PackedBatch, Target};

/// A model at work on a batch.
pub(super) struct Pass<'a> {
    layout: &'a Layout,
    weights: &'a Weights,
    device: &'a Device,
    batch: DeviceBatch,
    /// The last layers whose records are kept.
    kept_layers: usize,
}

/// What is kept of a layer until the way back.
enum Kept {
    /// The stream before it.
    Stream(Box<Tensor<2>>),
    /// What autodiff recorded.
    Record(Box<Recorded>),
}

impl<'a> Pass<'a> {
    pub fn new(layout: &'a Layout, weights: &'a Weights, settings: &'a BurnSettings, batch: &PackedBatch) -> Self {
        let device = &settings.device;
        let batch = DeviceBatch::new(batch, &layout.config().windows, device);
        let kept_layers = settings.activation_bytes / record_bytes(layout, &batch, settings.compute).max(1);
        Self { layout, weights, device, batch, kept_layers }
    }

    /// The sum of the targets' losses.
    pub fn losses(&self, trained: &TrainedTensors, targets: &[Target<'_>]) -> Result<Vec<f64>, Error> {
        let mut x = self.embed(trained);
        for layer in 0..self.layout.layers() {
            x = self.layer(layer, x, trained, &mut Tape::off());
        }
        let mut losses = Vec::new();
        for targets in self.blocks(targets) {
            let taken = x.clone().select(0, targets.rows.clone());
            let logits = self.logits(taken, trained, &mut Tape::off());
            losses.push(targets.losses(logits, false).rows);
        }
        losses.extend(DeviceStreams::new(targets, self.device).map(|streams| streams.losses(&x).0));
        let mut losses = fetched(losses)?;
        // Those of streams are behind those of predictions.
        let of_streams = losses.split_off(targets.len().min(losses.len()));
        let with_stream = losses.iter_mut().zip(targets).filter(|(_, target)| target.hidden.is_some());
        with_stream.zip(of_streams).for_each(|((loss, _), of_stream)| *loss += of_stream);
        Ok(losses)
    }

    /// The sum of [`Self::losses`], and adds the gradients of what is trained.
    pub fn gradients(&self, trained: &mut TrainedTensors, targets: &[Target<'_>]) -> Result<f64, Error> {
        let (layers, first) = (self.layout.layers(), self.weights.first_layer);
        let mut x = self.embed(trained);
        let mut kept = Vec::with_capacity(layers);
        for layer in 0..layers {
            if layer < first {
                x = self.layer(layer, x, trained, &mut Tape::off());
            } else if layer + self.kept_layers >= layers {
                let record = self.record(layer, x, trained);
                x = record.output();
                kept.push(Kept::Record(Box::new(record)));
            } else {
                kept.push(Kept::Stream(Box::new(x.clone())));
                x = self.layer(layer, x, trained, &mut Tape::off());
            }
        }
        let (losses, mut d_x) = self.head_gradients(x, trained, targets);
        for layer in (first..layers).rev() {
            let Some(kept) = kept.pop() else { break };
            let record = match kept {
                Kept::Record(record) => *record,
                Kept::Stream(x) => self.record(layer, *x, trained),
            };
            d_x = record.backward(d_x, trained);
        }
        self.embedding_gradient(d_x, trained);
        Ok(fetched(losses)?.iter().sum())
    }

    /// The embedding's rows of the batch's tokens, `[rows, hidden]`.
    fn embed(&self, trained: &TrainedTensors) -> Tensor<2> {
        let embedding = self.weights.starting_at(self.layout.embedding().start);
        let embedding = Reader { weights: self.weights, trained, tape: &mut Tape::off() }.matrix(embedding);
        embedding.select(0, self.batch.tokens.clone()).cast(DType::F32)
    }

    fn embedding_gradient(&self, d_x: Tensor<2>, trained: &mut TrainedTensors) {
        let embedding = self.weights.starting_at(self.layout.embedding().start);
        if let Some(place) = self.weights.trained(embedding) {
            let hidden = self.layout.config().hidden_size;
            trained.change_gradient(place, |gradient| {
                let rows = gradient.dims()[0] / hidden;
                let gradient = gradient.reshape([rows, hidden]);
                let gradient = gradient.select_assign(0, self.batch.tokens.clone(), d_x, IndexingUpdateOp::Add);
                gradient.reshape([rows * hidden])
            });
        }
    }

    fn layer(&self, layer: usize, x: Tensor<2>, trained: &TrainedTensors, tape: &mut Tape) -> Tensor<2> {
        let reader = Reader { weights: self.weights, trained, tape };
        Layer { config: self.layout.config(), layer, batch: &self.batch, reader }.forward(x)
    }

    fn record(&self, layer: usize, x: Tensor<2>, trained: &TrainedTensors) -> Recorded {
        Recorded::new(x, |x, tape| self.layer(layer, x, trained, tape))
    }

    /// Losses, and the gradient of the last stream.
    fn head_gradients(
        &self,
        x: Tensor<2>,
        trained: &mut TrainedTensors,
        targets: &[Target<'_>],
    ) -> (Vec<Tensor<1>>, Tensor<2>) {
        let mut d_x = x.zeros_like();
        let mut losses = Vec::new();
        for targets in self.blocks(targets) {
            let rows = targets.rows.clone();
            let taken = x.clone().select(0, rows.clone());
            let record = Recorded::new(taken, |taken, tape| self.logits(taken, trained, tape));
            let found = targets.losses(record.output(), true);
            losses.push(found.rows);
            if let Some(d_logits) = found.d_logits {
                let d_taken = record.backward(d_logits, trained);
                d_x = d_x.select_assign(0, rows, d_taken, IndexingUpdateOp::Add);
            }
        }
        if let Some(streams) = DeviceStreams::new(targets, self.device) {
            let rows = streams.rows.clone();
            let (loss, d_rows) = streams.losses(&x);
            losses.push(loss);
            d_x = d_x.select_assign(0, rows, d_rows, IndexingUpdateOp::Add);
        }
        (losses, d_x)
    }

    /// The logits of some rows of the last stream, `[n, vocabulary]`.
    fn logits(&self, taken: Tensor<2>, trained: &TrainedTensors, tape: &mut Tape) -> Tensor<2> {
        let (norm, head) = (self.layout.final_norm().start, self.layout.head().start);
        let [norm, head] = [norm, head].map(|start| self.weights.starting_at(start));
        let mut reader = Reader { weights: self.weights, trained, tape };
        let normed = rms_norm(taken, reader.vector(norm), self.layout.config().rms_norm_eps);
        reader.project(normed, head, None)
    }

    /// The targets in blocks whose logits are held at once.
    fn blocks<'t>(&'t self, targets: &'t [Target<'t>]) -> impl Iterator<Item = DeviceTargets> + 't {
        let rows = rows_at_once(self.layout.config().vocab_size);
        targets.chunks(rows).map(|targets| DeviceTargets::new(targets, self.device))
    }
}

/// About how many bytes autodiff keeps of a layer: what products, norms, gate and attention multiply, and the weights
/// in the type of products.
fn record_bytes(layout: &Layout, batch: &DeviceBatch, compute: Dtype) -> usize {
    let config = layout.config();
    let (q, kv) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
    let of_rows = batch.rows() * (6 * config.hidden_size + 6 * q + 3 * kv + 6 * config.intermediate_size);
    let scores: usize = batch.groups.iter().map(|group| group.count * group.length * group.length).sum();
    let cast = if compute == Dtype::F32 { 0 } else { compute.size_in_bytes() * layout.layer_layout().len() };
    size_of::<f32>() * (of_rows + 2 * config.num_heads * scores) + cast
}

/// The blocks' losses, fetched at once.
fn fetched(losses: Vec<Tensor<1>>) -> Result<Vec<f64>, Error> {
    if losses.is_empty() {
        return Ok(Vec::new());
    }
    let losses = Tensor::cat(losses, 0).try_into_vec_as::<f32>()?;
    Ok(losses.into_iter().map(f64::from).collect())
}
