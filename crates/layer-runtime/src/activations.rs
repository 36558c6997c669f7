//! What stands inside of a model while it reads: the MLPs' inner activations and the residual stream, batch by batch.

use std::ops::ControlFlow;

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
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let outer = self.loaded.outer_layers(self.recipe)?;
        let pass = self.loaded.pass();
        for pack in self.recipe.unshared_batches(sequences)? {
            let tokens = places(&pack);
            let batch = self.lay_out(self.recipe.batch(&pack, None));
            let mut state = self.embed(&outer, &batch.batch)?;
            let stream = state.clone().try_into_vec_as::<f32>()?;
            if each(Activations { tokens: &tokens, place: 0, inner: Vec::new(), stream }).is_break() {
                return Ok(());
            }
            for layer in 0..self.recipe.layers.len() {
                let built = self.loaded.layer(pass, self.recipe, layer)?;
                let WithInner { stream, inner } = self.one_layer_with_inner(&built, layer, state, &batch)?;
                let inner = inner.try_into_vec_as::<f32>()?;
                state = stream;
                let stream = state.clone().try_into_vec_as::<f32>()?;
                if each(Activations { tokens: &tokens, place: layer + 1, inner, stream }).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Which token each row of a pack is; no rows are shared.
fn places(pack: &Pack) -> Vec<TokenPlace> {
    let lengths = pack.members.iter().zip(pack.trie.lengths());
    let places =
        lengths.flat_map(|(&sequence, length)| (0..length).map(move |position| TokenPlace { sequence, position }));
    places.collect()
}
