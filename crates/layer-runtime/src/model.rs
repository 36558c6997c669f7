//! A recipe that runs.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use layer_ir::{Checkpoint, Recipe, ValidRecipe};
use merge_ops::Registry;
use task_eval::{GenerateRequest, LanguageModel, LogitsModel, ModelError, Score, ScoreRequest};

use crate::activations::{Activations, ActivationsOptions};
use crate::prepared::PreparedRecipe;
use crate::sampling::Sampling;
use crate::workers::on_all_devices;
use crate::{Error, Runtime, RuntimeOptions};

/// The model that a recipe describes, ready to run; see [`Runtime::model`] and, for a checkpoint as it is,
/// [`RecipeModel::open`].
///
/// It holds no tensors itself: each call takes the layers from the runtime's bank. As a [`LanguageModel`] it scores
/// and generates for `task-eval`.
pub struct RecipeModel {
    runtime: Runtime,
    /// The recipe, with the key and the settings of each of its layers.
    prepared: PreparedRecipe,
}

impl Runtime {
    /// The model that a recipe describes, ready to run.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`] when the decoder does not know one of the tensors of the family's layers.
    pub fn model(&self, recipe: ValidRecipe) -> Result<RecipeModel, Error> {
        self.check_tensors()?;
        Ok(RecipeModel { runtime: self.clone(), prepared: self.prepare(recipe) })
    }
}

impl RecipeModel {
    /// The model in a checkpoint's folder, as it is, with the default options in f32.
    ///
    /// ```
    /// use layer_runtime::{RecipeModel, open_device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
    /// let logits = model.logits(&[&[1, 17, 4], &[1, 9]])?;
    /// let vocabulary = logits[1].len() / 2; // two tokens
    /// assert_eq!(logits[0].len(), 3 * vocabulary);
    /// # Ok::<(), layer_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Recipe`] when the checkpoint cannot be read; as of [`Runtime::new`] and [`Runtime::model`].
    pub fn open(checkpoint: impl AsRef<Path>, device: Device) -> Result<Self, Error> {
        let checkpoint = checkpoint.as_ref();
        let layers = Checkpoint::open(checkpoint)?.num_layers();
        let models = [("model".to_owned(), checkpoint.display().to_string())];
        let recipe = Recipe::of_base(models.into(), "model", layers);
        let family = recipe.open_family()?;
        let recipe = recipe.validate(&family, &())?;
        Runtime::new(family, Registry::standard(), device, RuntimeOptions::default())?.model(recipe)
    }

    /// The recipe.
    #[must_use]
    pub fn recipe(&self) -> &ValidRecipe {
        &self.prepared.recipe
    }

    /// What it runs on.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How many tokens the model knows: the rows of its embedding.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.prepared.vocabulary
    }

    /// The logits of every position of some sequences of token ids: `[tokens, vocabulary]` for each sequence, flat,
    /// in f32. Row `i` predicts the token after token `i`. Sequences that begin alike are computed once up to where
    /// they part.
    ///
    /// # Errors
    /// [`Error::Empty`] or [`Error::UnknownToken`] for a sequence without tokens or with one that the model does not
    /// know; [`Error::Merge`], [`Error::MissingTensor`] or [`Error::WrongSize`] when a layer cannot be built;
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    pub fn logits(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        self.timed(|model| model.runtime.executor().logits(&model.prepared, sequences))
    }

    /// The residual stream before the first layer and after each layer, not normalised: one matrix `[tokens,
    /// hidden]`, flat, in f32, for each of these `layers + 1` places. The tokens of all sequences stand one after the
    /// other.
    ///
    /// # Errors
    /// As of [`RecipeModel::logits`].
    ///
    /// ```
    /// # use layer_runtime::{RecipeModel, open_device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
    /// let states = model.hidden_states(&[&[1, 17, 4], &[1, 9]])?;
    /// assert_eq!(states.len(), model.recipe().layers.len() + 1);
    /// assert_eq!(states[0].len() % 5, 0); // [tokens of both sequences, hidden]
    /// # Ok::<(), layer_runtime::Error>(())
    /// ```
    pub fn hidden_states(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        self.timed(|model| model.runtime.executor().hidden_states(&model.prepared, sequences))
    }

    /// Walks some sequences through the model and shows what each layer makes of them: the MLP's inner activations and
    /// the residual stream, in f32.
    ///
    /// `each` sees one batch after the other, of about [`RuntimeOptions::batch_tokens`] tokens. Of a batch it sees the
    /// places of the residual stream in their order: place 0 stands before the first layer, place `k` after layer
    /// `k - 1`. Only one place's matrices are held at a time, so a long calibration text takes no more memory than a
    /// batch. A batch's rows are tokens of whole sequences, one sequence after the other, without padding; sequences
    /// that begin alike have rows of their own. Sequences of like length share batches, whatever their order.
    ///
    /// The first device alone computes. A layer that does not fit the bank is built anew for each batch.
    ///
    /// ```
    /// use layer_runtime::{Error, RecipeModel, open_device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
    /// let (mut squares, mut tokens) = (0.0_f64, 0);
    /// model.activations(&[&[1, 17, 4], &[1, 9]], |seen| {
    ///     if seen.place == 1 {
    ///         squares += seen.inner.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>(); // of layer 0
    ///         tokens += seen.tokens.len();
    ///     }
    ///     Ok::<_, Error>(())
    /// })?;
    /// assert!(tokens == 5 && squares > 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What `each` returns, which ends the walk; as of [`RecipeModel::logits`].
    pub fn activations<E: From<Error>>(
        &mut self,
        sequences: &[&[u32]],
        each: impl FnMut(Activations<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.activations_with(sequences, ActivationsOptions::default(), each)
    }

    /// As [`RecipeModel::activations`], to some layer only, or with what stands inside of the attention.
    ///
    /// # Errors
    /// As of [`RecipeModel::activations`].
    pub fn activations_with<E: From<Error>>(
        &mut self,
        sequences: &[&[u32]],
        options: ActivationsOptions,
        mut each: impl FnMut(Activations<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut refused = None;
        let mut each = |seen: Activations<'_>| broken(each(seen), &mut refused);
        self.timed(|model| model.runtime.executor().activations(&model.prepared, sequences, options, &mut each))?;
        refused.map_or(Ok(()), Err)
    }

    /// Runs one layer alone: `streams` are the residual streams before it, `[tokens, hidden]` of each sequence, row
    /// after row. `each` sees the place after the layer, batch by batch, and with `attention` what stands inside of the
    /// attention too.
    ///
    /// So a layer can be changed and run again without the ones before it.
    ///
    /// ```
    /// use layer_runtime::{Error, RecipeModel, open_device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
    /// let (sequence, mut after) = ([1, 17, 4], Vec::new());
    /// let states = model.hidden_states(&[&sequence])?;
    /// model.layer_activations(1, &[&sequence], &[&states[1][..]], false, |seen| {
    ///     after = seen.stream;
    ///     Ok::<_, Error>(())
    /// })?;
    /// assert_eq!(after, states[2]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As of [`RecipeModel::activations`]; [`Error::NoSuchLayer`]; [`Error::StreamSize`].
    pub fn layer_activations<E: From<Error>>(
        &mut self,
        layer: usize,
        sequences: &[&[u32]],
        streams: &[&[f32]],
        attention: bool,
        mut each: impl FnMut(Activations<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut refused = None;
        let mut each = |seen: Activations<'_>| broken(each(seen), &mut refused);
        self.timed(|model| {
            let executor = model.runtime.executor();
            executor.layer_activations(&model.prepared, layer, sequences, streams, attention, &mut each)
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// The recipe with what calls need.
    pub(crate) fn prepared(&self) -> &PreparedRecipe {
        &self.prepared
    }

    /// Continuations drawn at random, each token by its probability at the sampling's temperature. The first device
    /// alone computes.
    ///
    /// ```
    /// use layer_runtime::{RecipeModel, Sampling, open_device};
    /// use task_eval::GenerateRequest;
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
    /// let request = GenerateRequest { context: [1, 17, 4].into(), max_new_tokens: 8, stop: &|_| false };
    /// let drawn = model.sample(&[request.clone(), request], Sampling { temperature: 1.0, seed: 3 })?;
    /// assert!(drawn[0].len() == 8 && drawn[0] != drawn[1], "{drawn:?}");
    /// # Ok::<(), layer_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLong`] for a request; else as of [`RecipeModel::logits`].
    pub fn sample(&mut self, requests: &[GenerateRequest<'_>], sampling: Sampling) -> Result<Vec<Vec<u32>>, Error> {
        self.timed(|model| model.runtime.executor().generate(&model.prepared, requests, Some(sampling)))
    }

    /// Counts the time of a call.
    fn timed<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.prepared.shared.counters.total.time(|| work(self))
    }

    /// This model on each device.
    fn on_devices(&self) -> Vec<Self> {
        let model = |runtime: Runtime| Self { prepared: runtime.prepare(self.recipe().clone()), runtime };
        self.runtime.devices().map(model).collect()
    }

    /// Scores on all devices, or where there is nothing to share out on the first one.
    fn score_all(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error> {
        let work = |model: &Self, requests: &[ScoreRequest]| model.runtime.executor().score(&model.prepared, requests);
        if !self.runtime.has_further_devices() || requests.len() < 2 {
            return work(self, requests);
        }
        let order = |a: &ScoreRequest, b: &ScoreRequest| a.context.cmp(&b.context);
        let tokens = |request: &ScoreRequest| request.context.len() + request.continuation.len();
        on_all_devices(&self.on_devices(), requests, order, tokens, work)
    }

    /// Generates on all devices, or where there is nothing to share out on the first one.
    fn generate_all(&self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, Error> {
        let work = |model: &Self, requests: &[GenerateRequest<'_>]| {
            model.runtime.executor().generate(&model.prepared, requests, None)
        };
        if !self.runtime.has_further_devices() || requests.len() < 2 {
            return work(self, requests);
        }
        let order = |a: &GenerateRequest<'_>, b: &GenerateRequest<'_>| a.context.cmp(&b.context);
        let tokens = |request: &GenerateRequest<'_>| request.context.len() + request.max_new_tokens;
        on_all_devices(&self.on_devices(), requests, order, tokens, work)
    }
}

impl LanguageModel for RecipeModel {
    /// The context length of the family's base, in tokens.
    fn max_length(&self) -> usize {
        self.prepared.shared.config().max_position_embeddings
    }

    /// # Errors
    /// [`Error::Empty`], [`Error::UnknownToken`] or [`Error::TooLong`] for a request; else as of
    /// [`RecipeModel::logits`].
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(self.timed(|model| model.score_all(requests))?)
    }

    /// Greedy decoding with a cache of keys and values.
    ///
    /// # Errors
    /// As of `score`.
    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(self.timed(|model| model.generate_all(requests))?)
    }
}

/// The most logits that [`LogitsModel::read_logits`] holds at once, except that a batch has at least one text.
const LOGITS: usize = 1 << 24;

impl LogitsModel for RecipeModel {
    fn read_logits(
        &mut self,
        texts: &[Arc<[u32]>],
        read: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), ModelError> {
        let vocabulary = self.vocabulary();
        let (mut first, mut left) = (0, texts);
        while !left.is_empty() {
            let mut tokens = 0;
            let fits = |text: &&Arc<[u32]>| {
                tokens += text.len();
                tokens * vocabulary <= LOGITS
            };
            let (now, later) = left.split_at(left.iter().take_while(fits).count().max(1));
            let sequences: Vec<&[u32]> = now.iter().map(|text| &**text).collect();
            for (text, logits) in self.logits(&sequences)?.iter().enumerate() {
                let positions = logits.chunks_exact(vocabulary).enumerate();
                positions.for_each(|(position, logits)| read(first + text, position, logits));
            }
            (first, left) = (first + now.len(), later);
        }
        Ok(())
    }
}

/// Goes on, or keeps the error and stops.
fn broken<E>(result: Result<(), E>, refused: &mut Option<E>) -> ControlFlow<()> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            *refused = Some(error);
            ControlFlow::Break(())
        }
    }
}
