//! Logits and residual streams of whole sequences.

use crate::Error;
use crate::engine::{Engine, LmHead};
use crate::forward::Execution;

impl<E: Engine> Execution<'_, E> {
    /// The logits of every position of some sequences, `[tokens, vocabulary]` each, flat.
    ///
    /// # Errors
    /// As of [`Executor::logits`](crate::executor::Executor::logits).
    pub fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let mut answers = vec![Vec::new(); sequences.len()];
        let outer = self.loaded.outer_layers(self.recipe)?;
        let packs = self.recipe.batches(sequences)?;
        let logits = self.each_pack(&outer, &packs, &|_| None, &|_, state| {
            let mut logits = Vec::new();
            let forward = || outer.head.logits(state, &mut |block| logits.extend_from_slice(block));
            self.loaded.shared.forward(forward)?;
            Ok(logits)
        })?;
        for (pack, logits) in packs.iter().zip(logits) {
            pack.scatter(&logits, self.recipe.vocabulary, &mut answers);
        }
        Ok(answers)
    }

    /// The residual stream before the first layer and after each, `[tokens of all sequences, hidden]` each, flat.
    ///
    /// # Errors
    /// As of [`Executor::logits`](crate::executor::Executor::logits).
    pub fn hidden_states(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let hidden = self.loaded.shared.sizes.hidden;
        let mut places = vec![vec![Vec::new(); sequences.len()]; self.recipe.layers.len() + 1];
        let outer = self.loaded.outer_layers(self.recipe)?;
        let pass = self.loaded.pass();
        for pack in self.recipe.batches(sequences)? {
            let batch = self.lay_out(self.recipe.batch(&pack, None));
            self.forward(pass, &outer, &batch, &mut [], &mut |place, state| {
                let values = state.clone().try_into_vec_as::<f32>()?;
                pack.scatter(&values, hidden, &mut places[place]);
                Ok(())
            })?;
        }
        Ok(places.into_iter().map(|sequences| sequences.concat()).collect())
    }
}
