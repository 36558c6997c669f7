//! One decoder layer, for every architecture that the roles can say.

use burn::tensor::Tensor;

use crate::Error;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::ops::{HeadNorms, Heads, Ops};
use crate::weights::LayerWeights;

/// What is the same for all layers of a model.
#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a> {
    pub ops: &'a dyn Ops,
    pub heads: Heads,
    pub eps: f64,
}

/// What differs from layer to layer beside the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerSettings {
    /// A query sees so many positions, its own included.
    pub window: Option<usize>,
    /// The residual stream is multiplied by this afterwards.
    pub scale: f32,
}

impl Decoder<'_> {
    /// The residual stream `[rows, hidden]` after the layer. With a cache, keys and values are added to it, and the
    /// batch's key rows are rows of the cache.
    pub fn layer(
        &self,
        x: Tensor<2>,
        layer: &LayerWeights,
        settings: LayerSettings,
        batch: &Batch,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor<2>, Error> {
        let (x, normed) = self.ops.rms_norm(x, &layer.input_norm, self.eps)?;
        let norms = layer.head_norms.as_ref().map(|(query, key)| HeadNorms { query, key, eps: self.eps });
        let (queries, new) = self.ops.rotate(layer.qkv.apply(normed), norms, self.heads, batch)?;
        let attended = match cache {
            None => self.ops.attend(queries, new, settings.window, self.heads, batch)?.0,
            Some(cache) => {
                let seen = cache.append(new);
                let (attended, seen) = self.ops.attend(queries, seen, settings.window, self.heads, batch)?;
                cache.keep(seen);
                attended
            }
        };
        let x = x + layer.output.apply(attended);
        let (x, normed) = self.ops.rms_norm(x, &layer.post_attention_norm, self.eps)?;
        let gated = self.ops.swiglu(layer.gate_up.apply(normed))?;
        let x = x + layer.down.apply(gated);
        Ok(if settings.scale == 1.0 { x } else { x * settings.scale })
    }
}
