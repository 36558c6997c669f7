//! An engine whose type is not known, for the models: everything below is generic over it, everything above does not
//! see it.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::Device;
use layer_ir::Family;
use tailor_registry::Entry;
use task_eval::{GenerateRequest, Score, ScoreRequest};

use crate::activations::{Activations, ActivationsOptions};
use crate::engine::Engine;
use crate::forward::Execution;
use crate::loaded::LoadedEngine;
use crate::prepared::PreparedRecipe;
use crate::sampling::Sampling;
use crate::shared::Shared;
use crate::{Error, RuntimeOptions};

/// Runs recipes on one engine.
pub(crate) trait Executor: Send + Sync {
    /// The logits of every position, `[tokens, vocabulary]` per sequence.
    ///
    /// # Errors
    /// [`Error::Empty`] or [`Error::UnknownToken`] for a sequence; [`Error::Merge`], [`Error::MissingTensor`] or
    /// [`Error::WrongSize`] when a layer cannot be built; [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when
    /// the device fails.
    fn logits(&self, recipe: &PreparedRecipe, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error>;

    /// The residual stream before the first layer and after each, `[tokens of all sequences, hidden]` each.
    ///
    /// # Errors
    /// As of [`Executor::logits`].
    fn hidden_states(&self, recipe: &PreparedRecipe, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error>;

    /// What the layers make of some sequences, place by place.
    ///
    /// # Errors
    /// As of [`Executor::logits`].
    fn activations(
        &self,
        recipe: &PreparedRecipe,
        sequences: &[&[u32]],
        options: ActivationsOptions,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// What one layer makes of the streams before it, `[tokens, hidden]` of each sequence.
    ///
    /// # Errors
    /// As of [`Executor::logits`]; [`Error::NoSuchLayer`]; [`Error::StreamSize`].
    fn layer_activations(
        &self,
        recipe: &PreparedRecipe,
        layer: usize,
        sequences: &[&[u32]],
        streams: &[&[f32]],
        attention: bool,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// The score of each request.
    ///
    /// # Errors
    /// As of [`Executor::logits`], and [`Error::TooLong`] for a request.
    fn score(&self, recipe: &PreparedRecipe, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error>;

    /// The continuation of each request, greedy or drawn at random.
    ///
    /// # Errors
    /// As of [`Executor::score`].
    fn generate(
        &self,
        recipe: &PreparedRecipe,
        requests: &[GenerateRequest<'_>],
        sampling: Option<Sampling>,
    ) -> Result<Vec<Vec<u32>>, Error>;

    /// The bytes of layers, embeddings and heads that are kept.
    fn bank_bytes(&self) -> usize;

    /// The bytes of residual streams that are kept.
    fn state_bytes(&self) -> usize;
}

impl<E: Engine> Executor for LoadedEngine<E> {
    fn logits(&self, recipe: &PreparedRecipe, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        Execution { loaded: self, recipe }.logits(sequences)
    }

    fn hidden_states(&self, recipe: &PreparedRecipe, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        Execution { loaded: self, recipe }.hidden_states(sequences)
    }

    fn activations(
        &self,
        recipe: &PreparedRecipe,
        sequences: &[&[u32]],
        options: ActivationsOptions,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        Execution { loaded: self, recipe }.activations(sequences, options, each)
    }

    fn layer_activations(
        &self,
        recipe: &PreparedRecipe,
        layer: usize,
        sequences: &[&[u32]],
        streams: &[&[f32]],
        attention: bool,
        each: &mut dyn FnMut(Activations<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        Execution { loaded: self, recipe }.layer_activations(layer, sequences, streams, attention, each)
    }

    fn score(&self, recipe: &PreparedRecipe, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error> {
        Execution { loaded: self, recipe }.score(requests)
    }

    fn generate(
        &self,
        recipe: &PreparedRecipe,
        requests: &[GenerateRequest<'_>],
        sampling: Option<Sampling>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        Execution { loaded: self, recipe }.generate(requests, sampling)
    }

    fn bank_bytes(&self) -> usize {
        self.bytes()
    }

    fn state_bytes(&self) -> usize {
        self.states.bytes()
    }
}

/// What a runtime is made of before its engine is there.
pub(crate) struct RuntimeParts {
    /// The checkpoints.
    pub family: Family,
    /// The merge methods.
    pub registry: merge_ops::Registry,
    /// Where it computes.
    pub device: Device,
    /// Budgets, type, engine.
    pub options: RuntimeOptions,
}

/// A row of the table of engines.
pub(crate) trait EngineEntry: Entry + Send + Sync {
    /// Whether the engine computes on this device.
    fn serves(&self, device: &Device) -> bool;

    /// Starts the engine.
    ///
    /// # Errors
    /// [`Error::UnsupportedDtype`] when the engine does not compute in the options' type on this device.
    fn start(&self, parts: RuntimeParts) -> Result<Started, Error>;
}

/// An engine that has loaded nothing yet.
pub(crate) struct Started {
    /// What does not depend on the engine.
    pub shared: Arc<Shared>,
    /// What does.
    pub executor: Arc<dyn Executor>,
}

impl Started {
    /// Hides the engine's type.
    ///
    /// # Errors
    /// [`Error::Recipe`] when the architecture of the family's base is not known.
    pub fn new<E: Engine>(engine: E, parts: RuntimeParts) -> Result<Self, Error> {
        let RuntimeParts { family, registry, device, options } = parts;
        let shared = Arc::new(Shared::new(family, registry, device, options, E::traits())?);
        Ok(Self { executor: Arc::new(LoadedEngine::new(engine, Arc::clone(&shared))), shared })
    }
}
