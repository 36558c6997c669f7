//! From packed tokens through the layers to logits.

use std::sync::atomic::Ordering::Relaxed;

use burn::tensor::Tensor;

use crate::bank::Pass;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::ops::indices;
use crate::plan::Pack;
use crate::runtime::Ends;
use crate::{Error, RecipeModel};

/// Elements of logits that are made at once: a few megabytes, so that what follows the product finds them in the cache.
const LOGITS_AT_ONCE: usize = 1 << 20;
/// Elements of residual streams that go through a layer before the next layer is fetched.
const STATES_AT_ONCE: usize = 1 << 26;

impl RecipeModel {
    /// Runs the packs through all layers and hands out each one's residual stream.
    pub(crate) fn each_pack(
        &self,
        ends: &Ends,
        packs: &[Pack],
        done: &mut dyn FnMut(&Pack, Tensor<2>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let shared = self.shared();
        let at_once = STATES_AT_ONCE / (shared.config().hidden_size * shared.options.batch_tokens).max(1);
        let pass = shared.pass();
        for wave in packs.chunks(at_once.max(1)) {
            let batches: Vec<Batch> = wave.iter().map(|pack| self.batch(pack)).collect();
            let states = self.forward(pass, ends, &batches, &mut [], &mut |_, _| Ok(()))?;
            for (pack, state) in wave.iter().zip(states) {
                done(pack, state)?;
            }
        }
        Ok(())
    }

    /// The residual stream of each batch after the last layer.
    ///
    /// The layers stand in the outer loop: one that does not fit the bank is built once for all batches. `caches` holds
    /// one per layer for the only batch, or is empty. `observe` sees the stream of each batch before the first layer (place
    /// 0) and after each.
    pub(crate) fn forward(
        &self,
        pass: Pass,
        ends: &Ends,
        batches: &[Batch],
        caches: &mut [LayerCache],
        observe: &mut dyn FnMut(usize, &Tensor<2>) -> Result<(), Error>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        let (shared, clock) = (self.shared(), &self.shared().counters.forward);
        let mut states = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = batch.tokens.iter().map(|&token| token as i32).collect();
            states.push(clock.time(|| ends.embedding.clone().select(0, indices(rows, &shared.device))));
        }
        for state in &states {
            observe(0, state)?;
        }
        let decoder = self.runtime.decoder();
        for (place, (key, settings)) in self.layers.iter().enumerate() {
            let weights = shared.layer(pass, key, &self.recipe, place)?;
            let mut through = |(state, batch): (Tensor<2>, &Batch)| {
                let cache = caches.get_mut(place);
                let state = clock.time(|| decoder.layer(state, &weights, *settings, batch, cache))?;
                observe(place + 1, &state)?;
                Ok(state)
            };
            states = states.into_iter().zip(batches).map(&mut through).collect::<Result<_, Error>>()?;
        }
        let tokens: usize = batches.iter().map(|batch| batch.tokens.len()).sum();
        shared.counters.layer_tokens.fetch_add((tokens * self.layers.len()) as u64, Relaxed);
        Ok(states)
    }

    /// The logits `[count, vocabulary]` of some rows of a residual stream, a block of rows at a time: `each` also gets the
    /// place of the block's first row among those asked for.
    pub(crate) fn each_logits(
        &self,
        ends: &Ends,
        state: &Tensor<2>,
        rows: &[u32],
        each: &mut dyn FnMut(usize, Tensor<2>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let shared = self.shared();
        let block = (LOGITS_AT_ONCE / shared.config().vocab_size.max(1)).max(1);
        shared.counters.forward.time(|| {
            for (index, rows) in rows.chunks(block).enumerate() {
                let rows = rows.iter().map(|&row| row as i32).collect();
                let chosen = state.clone().select(0, indices(rows, &shared.device));
                let (_, normed) = self.runtime.ops.rms_norm(chosen, &ends.final_norm, shared.config().rms_norm_eps)?;
                each(index * block, normed.matmul(ends.head.clone()))?;
            }
            Ok(())
        })
    }
}
