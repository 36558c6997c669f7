//! A recipe that runs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use layer_ir::ValidRecipe;
use task_eval::{GenerateRequest, LanguageModel, ModelError, NextTokens, Score, ScoreRequest};

use crate::batch::Batch;
use crate::engine::LayerSettings;
use crate::plan::{Pack, pack};
use crate::runtime::Shared;
use crate::{Error, Runtime};

/// The model that a recipe describes; see [`Runtime::model`].
///
/// It holds no tensors itself: each pass takes the layers from the runtime's bank.
pub struct RecipeModel {
    pub(crate) runtime: Runtime,
    pub(crate) recipe: ValidRecipe,
    /// Each layer's key in the bank, and what is not in its tensors.
    pub(crate) layers: Vec<(String, LayerSettings)>,
}

impl RecipeModel {
    pub(crate) fn new(runtime: Runtime, recipe: ValidRecipe) -> Self {
        let layer = |index| (recipe.layer_key(index), runtime.shared.layer_settings(&recipe, index));
        let layers = (0..recipe.layers.len()).map(layer).collect();
        Self { runtime, recipe, layers }
    }

    /// The recipe.
    #[must_use]
    pub fn recipe(&self) -> &ValidRecipe {
        &self.recipe
    }

    /// The logits of every position of some sequences, `[tokens * vocabulary]` each, in one batch if it holds them.
    ///
    /// # Errors
    /// A sequence is empty or has an unknown token; a layer cannot be built; the device fails.
    pub fn logits(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let vocabulary = self.vocabulary();
        let mut answers = vec![Vec::new(); sequences.len()];
        self.timed(|model| {
            let ends = model.shared().ends(&model.recipe)?;
            let packs = model.plan(sequences)?;
            let logits = model.each_pack(&ends, &packs, &|_| None, &|_, state| {
                let mut logits = Vec::new();
                model.shared().forward(|| ends.ending.logits(state, &mut |block| logits.extend_from_slice(block)))?;
                Ok(logits)
            })?;
            for (pack, logits) in packs.iter().zip(logits) {
                pack.hand_out(&logits, vocabulary, &mut answers);
            }
            Ok(())
        })?;
        Ok(answers)
    }

    /// The residual stream before the first layer and after each layer, not normalised: one matrix `[tokens, hidden]` for
    /// each of these `layers + 1` places, with the tokens of all sequences one after the other.
    ///
    /// # Errors
    /// As of [`RecipeModel::logits`].
    pub fn hidden_states(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let hidden = self.shared().config().hidden_size;
        let mut places = vec![vec![Vec::new(); sequences.len()]; self.layers.len() + 1];
        self.timed(|model| {
            let ends = model.shared().ends(&model.recipe)?;
            let pass = model.shared().pass();
            for pack in model.plan(sequences)? {
                let batch = model.batch(&pack);
                model.forward(pass, &ends, &batch, &mut [], &mut |place, state| {
                    let values = state.clone().try_into_vec_as::<f32>()?;
                    pack.hand_out(&values, hidden, &mut places[place]);
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(places.into_iter().map(|sequences| sequences.concat()).collect())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.runtime.shared
    }

    /// How many tokens the model knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.shared().vocabulary(&self.recipe)
    }

    pub(crate) fn timed<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.shared().counters.total.time(|| work(self))
    }

    /// The batches of sequences that are about to be computed.
    pub(crate) fn plan(&self, sequences: &[&[u32]]) -> Result<Vec<Pack>, Error> {
        self.plan_within(sequences, self.shared().options.batch_tokens)
    }

    /// The same, in batches of so many tokens at most.
    pub(crate) fn plan_within(&self, sequences: &[&[u32]], most: usize) -> Result<Vec<Pack>, Error> {
        let packs = self.packs(sequences, most)?;
        let counters = &self.shared().counters;
        let computed: usize = packs.iter().map(|pack| pack.trie.tokens.len()).sum();
        let asked: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        counters.layer_tokens_asked.fetch_add((asked * self.layers.len()) as u64, Relaxed);
        counters.layer_tokens_shared.fetch_add(((asked - computed) * self.layers.len()) as u64, Relaxed);
        Ok(packs)
    }

    /// Checks the sequences and packs them into batches of so many tokens at most.
    pub(crate) fn packs(&self, sequences: &[&[u32]], most: usize) -> Result<Vec<Pack>, Error> {
        let vocabulary = self.vocabulary();
        for (index, sequence) in sequences.iter().enumerate() {
            if sequence.is_empty() {
                return Err(Error::Empty { index });
            }
            if let Some(&token) = sequence.iter().find(|&&token| token as usize >= vocabulary) {
                return Err(Error::UnknownToken { index, token, vocabulary });
            }
        }
        let class = |length| self.runtime.ropes.class(length);
        Ok(pack(sequences, class, self.batch_tokens(sequences, most), self.runtime.share_prefixes))
    }

    /// About how many tokens make a batch. If threads work alone, each gets as many batches as the others, of about the same size.
    fn batch_tokens(&self, sequences: &[&[u32]], most: usize) -> usize {
        if !self.shared().alone {
            return most;
        }
        let all: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let threads = rayon::current_num_threads();
        let rounds = all.div_ceil(threads * most.max(1)).max(1);
        all.div_ceil(threads * rounds)
    }

    pub(crate) fn batch(&self, pack: &Pack) -> Batch {
        let mut batch = pack.batch(&self.runtime.ropes);
        batch.threads = self.threads();
        batch
    }

    /// How many threads share a batch.
    pub(crate) fn threads(&self) -> usize {
        if self.shared().alone { 1 } else { rayon::current_num_threads() }
    }
}

impl LanguageModel for RecipeModel {
    fn max_length(&self) -> usize {
        self.shared().config().max_position_embeddings
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(self.timed(|model| model.score_on_all(requests))?)
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(self.timed(|model| model.generate_on_all(requests))?)
    }
}

/// Logits that [`NextTokens::next_tokens`] holds at once, in one batch of texts at least one of them.
const LOGITS: usize = 1 << 24;

impl NextTokens for RecipeModel {
    fn next_tokens(
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
