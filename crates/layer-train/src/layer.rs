//! The seam between the walk over the layers and what computes one: forward, and the gradient by that layer alone.

use crate::{Error, PackedBatch};

/// A layer's weights and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// Its numbers, as a [`LayerLayout`](crate::LayerLayout) orders them.
    pub values: &'a [f32],
    /// Its sliding window in tokens, if it has one.
    pub window: Option<usize>,
}

/// What a layer keeps of its forward pass for its gradient.
#[derive(Debug, Default)]
pub struct KeptActivations(pub(crate) Vec<Vec<f32>>);

impl KeptActivations {
    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|part| part.len() * size_of::<f32>()).sum()
    }
}

/// Computes a decoder layer and its gradient.
///
/// Laws: (1) with kept activations and without, [`backward`](Self::backward) gives the same numbers; (2) the result of
/// a call depends on its arguments alone, not on the number of threads; (3) gradients of weights are added to what is
/// there.
pub trait LayerEngine: Send + Sync {
    /// The stream behind the layer, `[rows, hidden]`, from the one before it, `x`. With `keep` also what makes
    /// [`backward`](Self::backward) cheaper, if this engine has such.
    ///
    /// # Errors
    /// An engine whose device can fail says so; that of the CPU cannot.
    fn forward(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        keep: bool,
    ) -> Result<(Vec<f32>, Option<KeptActivations>), Error>;

    /// The gradient of the stream before the layer, from `d_out`, that of the stream behind it, `[rows, hidden]` both.
    /// The gradients of the weights are added to `d_weights`, ordered as the weights, where it is wanted.
    ///
    /// # Errors
    /// An engine whose device can fail says so; that of the CPU cannot.
    fn backward(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        kept: Option<KeptActivations>,
        d_out: Vec<f32>,
        d_weights: Option<&mut [f32]>,
    ) -> Result<Vec<f32>, Error>;

    /// Bytes that [`forward`](Self::forward) keeps of so many rows.
    fn kept_bytes(&self, rows: usize) -> usize;
}
