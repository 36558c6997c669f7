//! A whole model: from tokens to the loss, and back through its layers one at a time.

use std::sync::Arc;

use crate::buffers::Buffers;
use crate::head::{self, HeadGradients, HeadWeights};
use crate::layer::{KeptActivations, LayerEngine, LayerWeights};
use crate::{CpuLayers, Error, Layout, PackedBatch, Target};

/// What adds the gradients of a layer to the memory for them, or goes by without memory.
pub type AddLayer<'a> = &'a mut dyn FnMut(Option<&mut [f32]>) -> Result<(), Error>;

/// Which gradients are wanted.
pub trait GradientSink {
    /// Where the gradient of the embedding goes, `[vocabulary, hidden]`, and, if it is not the same, that of the head;
    /// the gradients are added.
    fn embedding(&mut self) -> Option<&mut [f32]>;

    /// Where that of the head goes, `[vocabulary, hidden]`.
    fn head(&mut self) -> Option<&mut [f32]>;

    /// Where that of the final norm goes, `[hidden]`.
    fn final_norm(&mut self) -> Option<&mut [f32]>;

    /// The first layer whose weights, or anything before it, have a gradient; the number of layers for none.
    fn first_layer(&self) -> usize;

    /// Hands the memory for the gradients of a layer to `add`, if these are wanted; without memory, if not.
    ///
    /// # Errors
    /// Those of `add`.
    fn layer(&mut self, layer: usize, add: AddLayer<'_>) -> Result<(), Error>;
}

/// Gradients of all of a model's numbers, in the order of its layout.
#[derive(Debug)]
pub struct AllGradients<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The gradients, added to what is there.
    pub values: &'a mut [f32],
}

impl GradientSink for AllGradients<'_> {
    fn embedding(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.values[self.layout.embedding()])
    }

    fn head(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.values[self.layout.head()])
    }

    fn final_norm(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.values[self.layout.final_norm()])
    }

    fn first_layer(&self) -> usize {
        0
    }

    fn layer(&mut self, layer: usize, add: AddLayer<'_>) -> Result<(), Error> {
        add(Some(&mut self.values[self.layout.layer(layer)]))
    }
}

/// Computes losses and gradients of models of one layout.
pub struct ModelEngine {
    layout: Layout,
    layers: Box<dyn LayerEngine>,
    buffers: Arc<Buffers>,
    /// The most bytes of activations that are kept from the forward pass for the gradient.
    activation_bytes: usize,
}

impl ModelEngine {
    /// On the CPU, with at most so many bytes of kept activations; what does not fit is computed twice.
    #[must_use]
    pub fn on_cpu(layout: Layout, activation_bytes: usize) -> Self {
        let buffers = Arc::new(Buffers::default());
        let layers = Box::new(CpuLayers::new(&layout, Arc::clone(&buffers)));
        Self { layout, layers, buffers, activation_bytes }
    }

    /// The layout of the weights.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The loss of some rows of a batch: the sum of each times its weight, in nats.
    ///
    /// `values` are all numbers of the model, in the order of the layout.
    ///
    /// # Errors
    /// An engine whose device can fail says so; that of the CPU cannot.
    pub fn loss(&self, values: &[f32], batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error> {
        Ok(self.losses(values, batch, targets)?.iter().sum())
    }

    /// As [`Self::loss`], each row by itself, in the order of the targets.
    ///
    /// # Errors
    /// An engine whose device can fail says so; that of the CPU cannot.
    pub fn losses(&self, values: &[f32], batch: &PackedBatch, targets: &[Target<'_>]) -> Result<Vec<f64>, Error> {
        self.buffers.next_batch();
        let mut x = self.embed(values, batch);
        for layer in 0..self.layout.layers() {
            let (behind, _) = self.layers.forward(self.layer(values, layer), batch, &x, false)?;
            self.buffers.give([std::mem::replace(&mut x, behind)]);
        }
        let losses = head::losses(self.head(values), &x, targets, None, &self.buffers);
        self.buffers.give([x]);
        Ok(losses)
    }

    /// As [`Self::loss`], and adds its gradients where they are wanted.
    ///
    /// # Errors
    /// An engine whose device can fail says so; that of the CPU cannot.
    pub fn gradients(
        &self,
        values: &[f32],
        batch: &PackedBatch,
        targets: &[Target<'_>],
        sink: &mut dyn GradientSink,
    ) -> Result<f64, Error> {
        self.buffers.next_batch();
        let layers = self.layout.layers();
        let first = sink.first_layer();
        let kept_layers = self.activation_bytes / self.layers.kept_bytes(batch.rows()).max(1);
        let mut streams: Vec<Vec<f32>> = vec![self.embed(values, batch)];
        let mut kept: Vec<Option<KeptActivations>> = Vec::new();
        for layer in 0..layers {
            let keep = layer >= first && layer + kept_layers >= layers;
            let x = &streams[layer];
            let (behind, activations) = self.layers.forward(self.layer(values, layer), batch, x, keep)?;
            streams.push(behind);
            kept.push(activations);
        }
        let x = streams.pop().unwrap_or_default();
        let mut d_x = self.buffers.zeros(x.len());
        let loss = self.head_gradients(values, &x, targets, &mut d_x, sink);
        self.buffers.give([x]);
        for layer in (first..layers).rev() {
            let (x, kept) = (streams.pop().unwrap_or_default(), kept.pop().flatten());
            let (weights, mut given) = (self.layer(values, layer), Some((kept, std::mem::take(&mut d_x))));
            sink.layer(layer, &mut |d_weights| {
                let Some((kept, d_out)) = given.take() else { return Ok(()) };
                d_x = self.layers.backward(weights, batch, &x, kept, d_out, d_weights)?;
                Ok(())
            })?;
            self.buffers.give([x]);
        }
        if let Some(d_embedding) = sink.embedding() {
            let hidden = self.layout.config().hidden_size;
            for (token, d_x) in batch.tokens().iter().zip(d_x.chunks_exact(hidden)) {
                let row = &mut d_embedding[*token as usize * hidden..][..hidden];
                row.iter_mut().zip(d_x).for_each(|(sum, d)| *sum += d);
            }
        }
        self.buffers.give([d_x]);
        Ok(loss)
    }

    /// The loss and the gradient of the last stream.
    fn head_gradients(
        &self,
        values: &[f32],
        x: &[f32],
        targets: &[Target<'_>],
        d_x: &mut [f32],
        sink: &mut dyn GradientSink,
    ) -> f64 {
        // The sink lends one gradient at a time, and the norm's is small.
        let mut d_norm = vec![0.0; self.layout.config().hidden_size];
        let gradients = HeadGradients { d_x, d_norm: Some(&mut d_norm), d_head: sink.head() };
        let losses = head::losses(self.head(values), x, targets, Some(gradients), &self.buffers);
        if let Some(into) = sink.final_norm() {
            into.iter_mut().zip(&d_norm).for_each(|(sum, d)| *sum += d);
        }
        losses.iter().sum()
    }

    /// The embedding's rows of a batch's tokens, `[rows, hidden]`.
    fn embed(&self, values: &[f32], batch: &PackedBatch) -> Vec<f32> {
        let (embedding, hidden) = (&values[self.layout.embedding()], self.layout.config().hidden_size);
        let mut x = self.buffers.take(batch.rows() * hidden);
        for (token, x) in batch.tokens().iter().zip(x.chunks_exact_mut(hidden)) {
            x.copy_from_slice(&embedding[*token as usize * hidden..][..hidden]);
        }
        x
    }

    fn layer<'a>(&self, values: &'a [f32], layer: usize) -> LayerWeights<'a> {
        LayerWeights { values: &values[self.layout.layer(layer)], window: self.layout.config().windows[layer] }
    }

    fn head<'a>(&self, values: &'a [f32]) -> HeadWeights<'a> {
        let norm = &values[self.layout.final_norm()];
        HeadWeights { norm, eps: self.layout.config().rms_norm_eps as f32, head: &values[self.layout.head()] }
    }
}
