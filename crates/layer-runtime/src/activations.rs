//! What stands inside of a model while it reads: the MLPs' inner activations and the residual stream, batch by batch.

use std::ops::ControlFlow;

use burn::tensor::{DType, Tensor, TensorData};

use crate::Error;
use crate::engine::{Engine, WithInner};
use crate::forward::Execution;
use crate::pack::Pack;

/// What a model makes of the tokens of a batch at one place of the residual stream; see
/// [`RecipeModel::activations`](crate::RecipeModel::activations).
///
/// The matrices are the receiver's to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations<'a> {
    /// Which token each row is; the same for all places of a batch.
    pub tokens: &'a [TokenPlace],
    /// 0: before the first layer; `k`: after layer `k - 1`.
    pub place: usize,
    /// The inner activations of the MLP of layer `place - 1`: `silu(gate) * up`, the input of `down_proj`,
    /// `[tokens, intermediate]`, row after row. Empty at place 0. The MLP's output is `down_proj` of it.
    pub inner: Vec<f32>,
    /// The residual stream at this place, `[tokens, hidden]`, row after row; after a layer with an output scale, with
    /// that scale.
    pub stream: Vec<f32>,
    /// What stands inside of the attention of layer `place - 1`, where [`ActivationsOptions::attention`] asks for it;
    /// [`None`] at place 0.
    pub attention: Option<AttentionActivations>,
}

/// What stands inside of a layer's attention.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionActivations {
    /// What the heads have read, the input of `o_proj`, `[tokens, heads * head_dim]`, row after row.
    pub attended: Vec<f32>,
    /// The residual stream after `o_proj` is added, before the MLP, `[tokens, hidden]`, row after row; without the
    /// layer's output scale.
    pub stream: Vec<f32>,
}

/// How far a walk goes, and what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActivationsOptions {
    /// The walk ends after so many layers; [`None`]: after all.
    pub layers: Option<usize>,
    /// Whether the inside of the attention is shown too.
    pub attention: bool,
}

/// Which token a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenPlace {
    /// Its sequence's place in the call, from 0.
    pub sequence: usize,
    /// Its position in the sequence, from 0.
    pub position: usize,
}

impl<E: Engine> Execution<'_, E> {
    /// What the layers make of some sequences, place by place, until `each` breaks.
    ///
    /// # Errors
    /// As of [`Executor::activations`](crate::executor::Executor::activations).
    pub fn activations(
        &self,
        sequences: &[&[u32]],
        options: ActivationsOptions,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let outer = self.loaded.outer_layers(self.recipe)?;
        let pass = self.loaded.pass();
        let layers = options.layers.unwrap_or(usize::MAX).min(self.recipe.layers.len());
        for pack in self.recipe.unshared_batches(sequences)? {
            let tokens = places(&pack);
            let batch = self.lay_out(self.recipe.batch(&pack, None));
            let mut state = self.embed(&outer, &batch.batch)?;
            let stream = state.clone().try_into_vec_as::<f32>()?;
            let (inner, attention) = (Vec::new(), None);
            if each(Activations { tokens: &tokens, place: 0, inner, stream, attention }).is_break() {
                return Ok(());
            }
            for layer in 0..layers {
                let built = self.loaded.layer(pass, self.recipe, layer)?;
                let made = self.one_layer_with_inner(&built, layer, state, &batch, options.attention)?;
                state = made.stream.clone();
                if each(shown(&tokens, layer, made)?).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What one layer makes of the streams before it, `[tokens, hidden]` of each sequence, until `each` breaks.
    ///
    /// # Errors
    /// As of [`Executor::layer_activations`](crate::executor::Executor::layer_activations).
    pub fn layer_activations(
        &self,
        layer: usize,
        sequences: &[&[u32]],
        streams: &[&[f32]],
        attention: bool,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (shared, hidden) = (&self.loaded.shared, self.loaded.shared.config().hidden_size);
        if layer >= self.recipe.layers.len() {
            return Err(Error::NoSuchLayer { layer, layers: self.recipe.layers.len() });
        }
        for (index, sequence) in sequences.iter().enumerate() {
            let (found, expected) = (streams.get(index).map_or(0, |stream| stream.len()), sequence.len() * hidden);
            if found != expected {
                return Err(Error::StreamSize { sequence: index, found, expected });
            }
        }
        let built = self.loaded.layer(self.loaded.pass(), self.recipe, layer)?;
        for pack in self.recipe.unshared_batches(sequences)? {
            let tokens = places(&pack);
            let batch = self.lay_out(self.recipe.batch(&pack, None));
            let row = |token: &TokenPlace| &streams[token.sequence][token.position * hidden..][..hidden];
            let rows: Vec<f32> = tokens.iter().flat_map(row).copied().collect();
            let state = TensorData::new(rows, [tokens.len(), hidden]);
            let state = Tensor::from_data(state, (&shared.device, DType::F32));
            let made = self.one_layer_with_inner(&built, layer, state, &batch, attention)?;
            if each(shown(&tokens, layer, made)?).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a layer made, in the host's memory.
fn shown(tokens: &[TokenPlace], layer: usize, made: WithInner) -> Result<Activations<'_>, Error> {
    let host = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>();
    let attention = match made.attention {
        Some([attended, stream]) => Some(AttentionActivations { attended: host(attended)?, stream: host(stream)? }),
        None => None,
    };
    let (inner, stream) = (host(made.inner)?, host(made.stream)?);
    Ok(Activations { tokens, place: layer + 1, inner, stream, attention })
}

/// Which token each row of a pack is; no rows are shared.
fn places(pack: &Pack) -> Vec<TokenPlace> {
    let lengths = pack.members.iter().zip(pack.trie.lengths());
    let places =
        lengths.flat_map(|(&sequence, length)| (0..length).map(move |position| TokenPlace { sequence, position }));
    places.collect()
}
