//! From packed tokens through the layers to residual streams.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::Error;
use crate::bank::Pass;
use crate::batch::Batch;
use crate::engine::{DecoderLayer, Engine, LayerPass, TokenEmbedding, WithInner};
use crate::loaded::{LoadedEngine, OuterLayers};
use crate::pack::Pack;
use crate::prepared::PreparedRecipe;
use crate::states::StateKey;

/// The rows of a pack that are asked for after the last layer, ascending; `None`: all.
pub(crate) type WantedRows<'a> = dyn Fn(&Pack) -> Option<Vec<u32>> + Sync + 'a;
/// What is made of a pack's residual stream after the last layer.
pub(crate) type Finish<'a, T> = dyn Fn(&Pack, Tensor<2>) -> Result<T, Error> + Sync + 'a;

/// A recipe at work on an engine.
pub(crate) struct Execution<'a, E: Engine> {
    /// The engine, and what it has built.
    pub loaded: &'a LoadedEngine<E>,
    /// What is run.
    pub recipe: &'a PreparedRecipe,
}

/// A batch that an engine has laid out.
pub(crate) struct LaidOut<E: Engine> {
    /// As the engine sees it in its layout.
    pub batch: Batch,
    /// The engine's own form of it.
    layout: E::Layout,
}

/// After which layers states are kept, and the hashes of the layers before each depth.
struct StateCaching {
    /// 0: none are kept.
    every: usize,
    /// By depth, from 0; empty if none are kept.
    prefixes: Vec<[u8; 32]>,
}

/// A batch on its way through the layers.
struct InFlight<E: Engine> {
    batch: LaidOut<E>,
    /// The pack's name in the bank of states, if states are kept.
    name: Option<[u8; 32]>,
    /// The residual stream `[rows, hidden]`.
    state: Tensor<2>,
    /// Layers behind it.
    depth: usize,
}

impl<E: Engine> Execution<'_, E> {
    /// Runs the packs through all layers and hands out what `finish` makes of each one's residual stream, in the
    /// packs' order.
    ///
    /// The layers stand in the outer loop, over as many packs as the work plan says: a layer that does not fit the
    /// bank is built once for all of them.
    ///
    /// # Errors
    /// When a layer cannot be built, or the device fails.
    pub fn each_pack<T: Send>(
        &self,
        outer: &OuterLayers<E>,
        packs: &[Pack],
        wanted: &WantedRows<'_>,
        finish: &Finish<'_, T>,
    ) -> Result<Vec<T>, Error> {
        let pass = self.loaded.pass();
        let plan = self.recipe.work_plan(packs);
        let prefixes = if plan.keep_every > 0 { self.recipe.prefix_keys() } else { Vec::new() };
        let caching = StateCaching { every: plan.keep_every, prefixes };
        let waves: Vec<&[Pack]> = packs.chunks(plan.packs_at_once).collect();
        let finished = self.on_threads(&waves, |wave| self.wave(pass, outer, wave, &caching, wanted, finish))?;
        Ok(finished.into_iter().flatten().collect())
    }

    /// Works on all items. An engine of the CPU works in rayon's pool, as from outside each step of each layer would
    /// have to wake it; a device works where it is called, as there may be more devices than the pool has threads.
    /// The items are shared out to the threads if each thread has batches of its own, else one follows the other.
    ///
    /// # Errors
    /// The first error of an item.
    pub fn on_threads<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, Error> + Send + Sync,
    ) -> Result<Vec<T>, Error> {
        if !E::traits().runs_on_rayon {
            return items.iter().map(work).collect();
        }
        let shared = &self.loaded.shared;
        if !shared.one_batch_per_thread {
            return rayon::scope(|_| items.iter().map(work).collect());
        }
        let counters = &shared.counters;
        let (start, built) = (Instant::now(), counters.build.read());
        let finished = items.par_iter().map(work).collect();
        // Several threads may have built at the same time.
        counters.forward.add(start.elapsed().saturating_sub(counters.build.read().saturating_sub(built)));
        finished
    }

    /// Takes some packs through all layers, layer by layer: each pack from the deepest state that is kept of it.
    fn wave<T>(
        &self,
        pass: Pass,
        outer: &OuterLayers<E>,
        wave: &[Pack],
        caching: &StateCaching,
        wanted: &WantedRows<'_>,
        finish: &Finish<'_, T>,
    ) -> Result<Vec<T>, Error> {
        let start = |pack: &Pack| {
            let batch = self.lay_out(self.recipe.batch(pack, wanted(pack)));
            let name = (!caching.prefixes.is_empty()).then(|| pack.hash());
            self.start(outer, batch, name, &caching.prefixes)
        };
        let mut in_flight = wave.iter().map(start).collect::<Result<Vec<_>, Error>>()?;
        for place in 0..self.recipe.layers.len() {
            if in_flight.iter().all(|batch| batch.depth > place) {
                continue;
            }
            let layer = self.loaded.layer(pass, self.recipe, place)?;
            let one = |batch| self.one_step(batch, &layer, place, caching);
            in_flight = in_flight.into_iter().map(one).collect::<Result<_, Error>>()?;
        }
        wave.iter().zip(in_flight).map(|(pack, batch)| finish(pack, batch.state)).collect()
    }

    /// Takes a residual stream `[rows, hidden]` of a whole batch through the layer at `place`, and keeps what stands
    /// inside of its MLP, and if `attention` says so, of its attention.
    ///
    /// # Errors
    /// When the device fails.
    pub fn one_layer_with_inner(
        &self,
        layer: &E::Layer,
        place: usize,
        state: Tensor<2>,
        LaidOut { batch, layout }: &LaidOut<E>,
        attention: bool,
    ) -> Result<WithInner, Error> {
        let shared = &self.loaded.shared;
        shared.counters.layer_tokens.fetch_add(batch.tokens.len() as u64, Relaxed);
        let pass = LayerPass { settings: self.recipe.layers[place].settings, batch, layout, wanted: None };
        shared.forward(|| layer.forward_with_inner(state, pass, attention))
    }

    /// A batch, laid out.
    pub fn lay_out(&self, batch: Batch) -> LaidOut<E> {
        LaidOut { layout: self.loaded.engine.layout(&batch), batch }
    }

    /// Takes a batch through a layer, unless it began behind that, and keeps its state where states are kept.
    fn one_step(
        &self,
        in_flight: InFlight<E>,
        layer: &E::Layer,
        place: usize,
        caching: &StateCaching,
    ) -> Result<InFlight<E>, Error> {
        if in_flight.depth > place {
            return Ok(in_flight);
        }
        let InFlight { batch, name, state, .. } = in_flight;
        let mut state = self.one_layer(layer, place, state, &batch, None)?;
        let depth = place + 1;
        if let Some(name) = name.filter(|_| depth < self.recipe.layers.len() && depth.is_multiple_of(caching.every)) {
            state = self.keep(StateKey::new(&name, &caching.prefixes[depth]), depth, state)?;
        }
        Ok(InFlight { batch, name, state, depth })
    }

    /// A batch at the deepest state that is kept of it, or at the embedding.
    fn start(
        &self,
        outer: &OuterLayers<E>,
        batch: LaidOut<E>,
        name: Option<[u8; 32]>,
        prefixes: &[[u8; 32]],
    ) -> Result<InFlight<E>, Error> {
        let kept = match name {
            Some(name) => self.deepest(&name, prefixes)?,
            None => None,
        };
        let (state, depth) = match kept {
            Some(kept) => kept,
            None => (self.embed(outer, &batch.batch)?, 0),
        };
        let counters = &self.loaded.shared.counters;
        counters.layer_tokens_kept.fetch_add((batch.batch.tokens.len() * depth) as u64, Relaxed);
        Ok(InFlight { batch, name, state, depth })
    }

    /// The deepest state that is kept of a batch, and its depth.
    fn deepest(&self, name: &[u8; 32], prefixes: &[[u8; 32]]) -> Result<Option<(Tensor<2>, usize)>, Error> {
        for depth in (1..self.recipe.layers.len()).rev() {
            if let Some(kept) = self.loaded.states.get(StateKey::new(name, &prefixes[depth])) {
                return Ok(Some((self.loaded.engine.restore(&kept)?, depth)));
            }
        }
        Ok(None)
    }

    /// Keeps a copy of a state, in the memory of one that goes for it if there is one.
    fn keep(&self, key: StateKey, depth: usize, state: Tensor<2>) -> Result<Tensor<2>, Error> {
        let LoadedEngine { states, engine, .. } = self.loaded;
        let bytes = state.dims().iter().product::<usize>() * size_of::<f32>();
        let Some(gone) = states.make_room(key, bytes) else { return Ok(state) };
        gone.into_iter().for_each(|state| engine.recycle(state));
        let (kept, state) = engine.keep(state)?;
        states.keep(key, depth, kept, bytes);
        Ok(state)
    }

    /// The residual stream `[rows, hidden]` before the first layer.
    ///
    /// # Errors
    /// When the device fails.
    pub fn embed(&self, outer: &OuterLayers<E>, batch: &Batch) -> Result<Tensor<2>, Error> {
        self.loaded.shared.forward(|| outer.embedding.embed(&batch.tokens))
    }

    /// Takes a residual stream `[rows, hidden]` through the layer at `place`; after the last layer, only the wanted
    /// rows are left.
    fn one_layer(
        &self,
        layer: &E::Layer,
        place: usize,
        state: Tensor<2>,
        LaidOut { batch, layout }: &LaidOut<E>,
        cache: Option<&mut E::Cache>,
    ) -> Result<Tensor<2>, Error> {
        let shared = &self.loaded.shared;
        shared.counters.layer_tokens.fetch_add(batch.tokens.len() as u64, Relaxed);
        let wanted = batch.wanted.as_deref().filter(|_| place + 1 == self.recipe.layers.len());
        let pass = LayerPass { settings: self.recipe.layers[place].settings, batch, layout, wanted };
        shared.forward(|| layer.forward(state, pass, cache))
    }

    /// The residual stream of a batch after the last layer. `caches` holds one per layer, or is empty. `observe` sees
    /// the stream before the first layer (place 0) and after each.
    ///
    /// # Errors
    /// When a layer cannot be built, the device fails, or `observe` does.
    pub fn forward(
        &self,
        pass: Pass,
        outer: &OuterLayers<E>,
        batch: &LaidOut<E>,
        caches: &mut [E::Cache],
        observe: &mut dyn FnMut(usize, &Tensor<2>) -> Result<(), Error>,
    ) -> Result<Tensor<2>, Error> {
        let mut state = self.embed(outer, &batch.batch)?;
        observe(0, &state)?;
        for place in 0..self.recipe.layers.len() {
            let layer = self.loaded.layer(pass, self.recipe, place)?;
            state = self.one_layer(&layer, place, state, batch, caches.get_mut(place))?;
            observe(place + 1, &state)?;
        }
        Ok(state)
    }
}
