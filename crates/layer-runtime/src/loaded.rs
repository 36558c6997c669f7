//! An engine with what it has built: layers, embeddings, heads and residual streams, each under a budget of bytes.
//!
//! What is built is known by keys that depend on the recipe's expressions alone, so that recipes of a search share
//! what they have in common.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use layer_ir::OuterTensor;

use crate::Error;
use crate::bank::{Bank, Pass};
use crate::engine::{DecoderLayer, Engine, LmHead, TokenEmbedding};
use crate::prepared::PreparedRecipe;
use crate::shared::Shared;
use crate::states::StateBank;

/// An engine with what it has built so far.
pub(crate) struct LoadedEngine<E: Engine> {
    /// Lays out and runs.
    pub engine: E,
    /// What does not depend on the engine.
    pub shared: Arc<Shared>,
    /// Residual streams, for recipes that begin alike.
    pub states: StateBank<E::KeptState>,
    /// By layer key.
    layers: Bank<E::Layer>,
    /// By the embedding's key.
    embeddings: Bank<E::Embedding>,
    /// By the keys of final norm, head and embedding, as a model without a head uses its embedding.
    heads: Bank<E::Head>,
}

/// What stands before the first layer and after the last one.
pub(crate) struct OuterLayers<E: Engine> {
    /// `[vocabulary, hidden]`
    pub embedding: Arc<E::Embedding>,
    /// The final norm and `[vocabulary, hidden]`.
    pub head: Arc<E::Head>,
}

impl<E: Engine> LoadedEngine<E> {
    /// Nothing is built yet.
    pub fn new(engine: E, shared: Arc<Shared>) -> Self {
        let budgets = shared.budgets;
        Self {
            engine,
            states: StateBank::new(shared.options.state_bytes),
            layers: Bank::new(budgets.layers),
            embeddings: Bank::new(budgets.embeddings),
            heads: Bank::new(budgets.heads),
            shared,
        }
    }

    /// The bytes of layers, embeddings and heads that are kept.
    pub fn bytes(&self) -> usize {
        self.layers.bytes() + self.embeddings.bytes() + self.heads.bytes()
    }

    /// A new pass over the layers.
    pub fn pass(&self) -> Pass {
        self.layers.pass()
    }

    /// The output layer at `place`, from the bank or built.
    ///
    /// # Errors
    /// [`Error::Merge`], [`Error::MissingTensor`] or [`Error::WrongSize`] when its tensors are not there or do not
    /// fit; [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    pub fn layer(&self, pass: Pass, recipe: &PreparedRecipe, place: usize) -> Result<Arc<E::Layer>, Error> {
        self.shared.counters.layers_asked.fetch_add(1, Relaxed);
        self.layers.get_or_build(pass, &recipe.layers[place].key, || {
            let shared = &self.shared;
            let layer = || self.engine.layer(shared.sizes, shared.layer_tensors(&recipe.recipe, place)?);
            let built = self.counted(layer)?;
            let bytes = built.bytes();
            Ok((built, bytes))
        })
    }

    /// The embedding and the head of a recipe, from the bank or built.
    ///
    /// # Errors
    /// [`Error::Merge`], [`Error::MissingOuterTensor`] or [`Error::WrongOuterTensorSize`] when its tensors are not
    /// there or do not fit; [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    pub fn outer_layers(&self, recipe: &PreparedRecipe) -> Result<OuterLayers<E>, Error> {
        self.shared.counters.layers_asked.fetch_add(2, Relaxed);
        let (shared, recipe) = (&self.shared, &recipe.recipe);
        let key = recipe.outer_key(OuterTensor::Embedding);
        let embedding = self.embeddings.get_or_build(self.embeddings.pass(), &key, || {
            let built = self.counted(|| self.engine.embedding(shared.embedding(recipe)?))?;
            let bytes = built.bytes();
            Ok::<_, Error>((built, bytes))
        })?;
        let key = [OuterTensor::FinalNorm, OuterTensor::Head, OuterTensor::Embedding]
            .map(|outer| recipe.outer_key(outer))
            .join(" ");
        let head = self.heads.get_or_build(self.heads.pass(), &key, || {
            let lm_head = || self.engine.lm_head(shared.sizes, shared.final_norm(recipe)?, shared.head(recipe)?);
            let built = self.counted(lm_head)?;
            let bytes = built.bytes();
            Ok::<_, Error>((built, bytes))
        })?;
        Ok(OuterLayers { embedding, head })
    }

    /// Counts a layer that is built, and its time.
    fn counted<T>(&self, build: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.shared.counters.layers_built.fetch_add(1, Relaxed);
        self.shared.counters.build.time(build)
    }
}
