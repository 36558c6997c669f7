//! From packed tokens through the layers to residual streams.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use burn::tensor::Tensor;
use layer_ir::End;
use rayon::prelude::*;

use crate::bank::Pass;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::engine::{Layer, LayerPass};
use crate::plan::Pack;
use crate::runtime::Ends;
use crate::states::StateKey;
use crate::{Error, RecipeModel};

/// The rows of a pack that are asked for after the last layer, ascending; absent: all.
pub(crate) type Wanted<'a> = dyn Fn(&Pack) -> Option<Vec<u32>> + Sync + 'a;
/// What is made of a pack's residual stream after the last layer.
pub(crate) type Done<'a, T> = dyn Fn(&Pack, Tensor<2>) -> Result<T, Error> + Sync + 'a;

/// Which layers' states are kept, and what they are called.
struct Keeping {
    every: usize,
    prefixes: Vec<[u8; 32]>,
}

/// A batch on its way through the layers.
struct Journey {
    batch: Batch,
    /// What it is called in the bank of states.
    name: Option<[u8; 32]>,
    state: Tensor<2>,
    /// Layers behind it.
    depth: usize,
}

impl RecipeModel {
    /// Runs the packs through all layers and hands out what `done` makes of each one's residual stream, in the packs' order.
    ///
    /// The layers stand in the outer loop, over as many packs as the plan says: a layer that does not fit the bank is built once
    /// for all of them.
    pub(crate) fn each_pack<T: Send>(
        &self,
        ends: &Ends,
        packs: &[Pack],
        wanted: &Wanted<'_>,
        done: &Done<'_, T>,
    ) -> Result<Vec<T>, Error> {
        let pass = self.shared().pass();
        let plan = self.work(packs);
        let prefixes = if plan.keep_every > 0 { self.prefix_keys() } else { Vec::new() };
        let keeping = Keeping { every: plan.keep_every, prefixes };
        let waves: Vec<&[Pack]> = packs.chunks(plan.packs_at_once).collect();
        let done = self.on_threads(&waves, |wave| self.wave(pass, ends, wave, &keeping, wanted, done))?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Works on all items: in the threads' pool if that computes, as from outside each step of each layer would have to wake it; for a device
    /// where it is called, as several devices may be more than the pool has threads. Items are shared out to the threads if each computes
    /// faster by itself, else one follows the other.
    pub(crate) fn on_threads<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, Error> + Send + Sync,
    ) -> Result<Vec<T>, Error> {
        if !self.shared().engine.in_pool() {
            return items.iter().map(work).collect();
        }
        if !self.shared().alone {
            return rayon::scope(|_| items.iter().map(work).collect());
        }
        let counters = &self.shared().counters;
        let (start, built) = (Instant::now(), counters.build.read());
        let done = items.par_iter().map(work).collect();
        // Several threads may have built at the same time.
        counters.forward.add(start.elapsed().saturating_sub(counters.build.read().saturating_sub(built)));
        done
    }

    fn wave<T>(
        &self,
        pass: Pass,
        ends: &Ends,
        wave: &[Pack],
        keeping: &Keeping,
        wanted: &Wanted<'_>,
        done: &Done<'_, T>,
    ) -> Result<Vec<T>, Error> {
        let start = |pack: &Pack| {
            let mut batch = self.batch(pack);
            batch.wanted = wanted(pack);
            let name = (!keeping.prefixes.is_empty()).then(|| pack.name());
            self.start(ends, batch, name, &keeping.prefixes)
        };
        let mut journeys = wave.iter().map(start).collect::<Result<Vec<_>, Error>>()?;
        for place in 0..self.layers.len() {
            if journeys.iter().all(|journey| journey.depth > place) {
                continue;
            }
            let layer = self.shared().layer(pass, &self.layers[place].0, &self.recipe, place)?;
            let one = |journey| self.one_step(journey, layer.as_ref().as_ref(), place, keeping);
            journeys = journeys.into_iter().map(one).collect::<Result<_, Error>>()?;
        }
        wave.iter().zip(journeys).map(|(pack, journey)| done(pack, journey.state)).collect()
    }

    /// Takes a batch that has not been there through a layer, and keeps its state after every so many.
    fn one_step(&self, journey: Journey, layer: &dyn Layer, place: usize, keeping: &Keeping) -> Result<Journey, Error> {
        if journey.depth > place {
            return Ok(journey);
        }
        let Journey { batch, name, state, .. } = journey;
        let mut state = self.one_layer(layer, place, state, &batch, None)?;
        let depth = place + 1;
        if let Some(name) = name.filter(|_| depth < self.layers.len() && depth.is_multiple_of(keeping.every)) {
            state = self.keep(StateKey::new(&name, &keeping.prefixes[depth]), depth, state)?;
        }
        Ok(Journey { batch, name, state, depth })
    }

    /// From the deepest state that is known, or the embedding.
    fn start(
        &self,
        ends: &Ends,
        batch: Batch,
        name: Option<[u8; 32]>,
        prefixes: &[[u8; 32]],
    ) -> Result<Journey, Error> {
        let known = match name {
            Some(name) => self.known(&name, prefixes)?,
            None => None,
        };
        let (state, depth) = match known {
            Some(known) => known,
            None => (self.embed(ends, &batch)?, 0),
        };
        let counters = &self.shared().counters;
        counters.layer_tokens_kept.fetch_add((batch.tokens.len() * depth) as u64, Relaxed);
        Ok(Journey { batch, name, state, depth })
    }

    /// The deepest state that is kept of a batch, and its depth.
    fn known(&self, name: &[u8; 32], prefixes: &[[u8; 32]]) -> Result<Option<(Tensor<2>, usize)>, Error> {
        for depth in (1..self.layers.len()).rev() {
            let key = StateKey::new(name, &prefixes[depth]);
            if let Some(state) = self.runtime.states.get(key, |state| self.shared().engine.doubled(state))? {
                return Ok(Some((state, depth)));
            }
        }
        Ok(None)
    }

    /// Keeps a copy of a state, in the memory of one that goes for it if there is one.
    fn keep(&self, key: StateKey, depth: usize, state: Tensor<2>) -> Result<Tensor<2>, Error> {
        let (states, engine) = (&self.runtime.states, &self.shared().engine);
        let bytes = state.dims().iter().product::<usize>() * size_of::<f32>();
        let Some(gone) = states.make_room(key, bytes) else { return Ok(state) };
        gone.into_iter().for_each(|state| engine.recycle(state));
        let [kept, state] = engine.doubled(state)?;
        states.keep(key, depth, kept, bytes);
        Ok(state)
    }

    /// The residual stream `[rows, hidden]` before the first layer.
    fn embed(&self, ends: &Ends, batch: &Batch) -> Result<Tensor<2>, Error> {
        self.shared().forward(|| ends.embedding.embed(&batch.tokens))
    }

    fn one_layer(
        &self,
        layer: &dyn Layer,
        place: usize,
        state: Tensor<2>,
        batch: &Batch,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor<2>, Error> {
        let counters = &self.shared().counters;
        counters.layer_tokens.fetch_add(batch.tokens.len() as u64, Relaxed);
        let wanted = batch.wanted.as_deref().filter(|_| place + 1 == self.layers.len());
        let pass = LayerPass { settings: self.layers[place].1, batch, wanted };
        self.shared().forward(|| layer.forward(state, pass, cache))
    }

    /// The residual stream of a batch after the last layer. `caches` holds one per layer, or is empty. `observe` sees the stream
    /// before the first layer (place 0) and after each.
    pub(crate) fn forward(
        &self,
        pass: Pass,
        ends: &Ends,
        batch: &Batch,
        caches: &mut [LayerCache],
        observe: &mut dyn FnMut(usize, &Tensor<2>) -> Result<(), Error>,
    ) -> Result<Tensor<2>, Error> {
        let mut state = self.embed(ends, batch)?;
        observe(0, &state)?;
        for (place, (key, _)) in self.layers.iter().enumerate() {
            let layer = self.shared().layer(pass, key, &self.recipe, place)?;
            state = self.one_layer(layer.as_ref().as_ref(), place, state, batch, caches.get_mut(place))?;
            observe(place + 1, &state)?;
        }
        Ok(state)
    }

    /// What stands before each depth: the embedding and the layers up to there, each with its settings.
    fn prefix_keys(&self) -> Vec<[u8; 32]> {
        let mut prefix = *blake3::hash(self.recipe.end_key(End::Embedding).as_bytes()).as_bytes();
        let mut keys = vec![prefix];
        for (key, settings) in &self.layers {
            let mut hash = blake3::Hasher::new();
            hash.update(&prefix).update(key.as_bytes());
            hash.update(&settings.scale.to_le_bytes());
            hash.update(&settings.window.map_or(u64::MAX, |window| window as u64).to_le_bytes());
            prefix = *hash.finalize().as_bytes();
            keys.push(prefix);
        }
        keys
    }
}
