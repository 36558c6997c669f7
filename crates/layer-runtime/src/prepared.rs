//! A recipe with what all calls on its model need, and how their sequences are packed into batches.
//!
//! Keys are computed once per model, as a search asks for each layer thousands of times.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use layer_ir::{OuterTensor, ValidRecipe};
use task_eval::ScoreRequest;

use crate::Error;
use crate::batch::Batch;
use crate::engine::LayerSettings;
use crate::pack::{Pack, pack};
use crate::shared::Shared;
use crate::work_plan::{Work, WorkPlan};

/// A recipe with what all calls on its model need.
pub(crate) struct PreparedRecipe {
    /// The runtime's.
    pub shared: Arc<Shared>,
    /// As it was validated.
    pub recipe: ValidRecipe,
    /// From the first to the last.
    pub layers: Vec<PreparedLayer>,
    /// How many tokens the model knows.
    pub vocabulary: usize,
}

/// What is known of an output layer before it is built.
#[derive(Debug)]
pub(crate) struct PreparedLayer {
    /// Its name in the bank: layers of one key have the same tensors.
    pub key: String,
    /// What is not in its tensors.
    pub settings: LayerSettings,
}

impl PreparedRecipe {
    /// Computes the keys and settings of all layers.
    pub fn new(shared: Arc<Shared>, recipe: ValidRecipe) -> Self {
        let layer = |(index, output): (usize, &layer_ir::OutputLayer)| {
            let settings = LayerSettings { window: shared.family.window(&output.from), scale: output.scale };
            PreparedLayer { key: recipe.layer_key(index).unwrap_or_default().to_owned(), settings }
        };
        let layers = recipe.layers.iter().enumerate().map(layer).collect();
        Self { vocabulary: shared.vocabulary(&recipe), shared, layers, recipe }
    }

    /// The batches of sequences that are about to be computed; they are counted.
    ///
    /// # Errors
    /// As of [`PreparedRecipe::packs`].
    pub fn batches(&self, sequences: &[&[u32]]) -> Result<Vec<Pack>, Error> {
        self.batches_within(sequences, self.shared.options.batch_tokens)
    }

    /// As [`PreparedRecipe::batches`], in batches of at most `most` tokens.
    ///
    /// # Errors
    /// As of [`PreparedRecipe::packs`].
    pub fn batches_within(&self, sequences: &[&[u32]], most: usize) -> Result<Vec<Pack>, Error> {
        let packs = self.packs(sequences, most)?;
        let counters = &self.shared.counters;
        let computed: usize = packs.iter().map(|pack| pack.trie.tokens.len()).sum();
        let asked: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        counters.layer_tokens_asked.fetch_add((asked * self.layers.len()) as u64, Relaxed);
        counters.layer_tokens_shared.fetch_add(((asked - computed) * self.layers.len()) as u64, Relaxed);
        Ok(packs)
    }

    /// The batches of sequences of which each has rows of its own, also where they begin alike.
    ///
    /// # Errors
    /// As of [`PreparedRecipe::packs`].
    pub fn unshared_batches(&self, sequences: &[&[u32]]) -> Result<Vec<Pack>, Error> {
        self.check(sequences)?;
        let asked: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        self.shared.counters.layer_tokens_asked.fetch_add((asked * self.layers.len()) as u64, Relaxed);
        Ok(pack(sequences, |length| self.shared.ropes.class(length), self.shared.options.batch_tokens, false))
    }

    /// Checks the sequences and packs them into batches of at most `most` tokens.
    ///
    /// # Errors
    /// [`Error::Empty`] or [`Error::UnknownToken`] for the first sequence that has no tokens or one that the model
    /// does not know.
    pub fn packs(&self, sequences: &[&[u32]], most: usize) -> Result<Vec<Pack>, Error> {
        self.check(sequences)?;
        let class = |length| self.shared.ropes.class(length);
        Ok(pack(sequences, class, self.batch_tokens(sequences, most), self.shared.options.share_prefixes))
    }

    /// Whether all sequences have tokens, and such that the model knows.
    ///
    /// # Errors
    /// As of [`PreparedRecipe::packs`].
    fn check(&self, sequences: &[&[u32]]) -> Result<(), Error> {
        let vocabulary = self.vocabulary;
        for (index, sequence) in sequences.iter().enumerate() {
            if sequence.is_empty() {
                return Err(Error::Empty { index });
            }
            if let Some(&token) = sequence.iter().find(|&&token| token as usize >= vocabulary) {
                return Err(Error::UnknownToken { index, token, vocabulary });
            }
        }
        Ok(())
    }

    /// About how many tokens make a batch. Where each thread has batches of its own, all threads get equally many, of
    /// about the same size.
    fn batch_tokens(&self, sequences: &[&[u32]], most: usize) -> usize {
        if !self.shared.one_batch_per_thread {
            return most;
        }
        let all: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let threads = self.shared.cuts();
        let rounds = all.div_ceil(threads * most.max(1)).max(1);
        all.div_ceil(threads * rounds)
    }

    /// A pack as the batch of a pass; `wanted` are the rows asked for after the last layer.
    pub fn batch(&self, pack: &Pack, wanted: Option<Vec<u32>>) -> Batch {
        pack.batch(&self.shared.ropes, wanted, self.shared.threads())
    }

    /// What the model sees of each request: all but the last token.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::UnknownToken`] or [`Error::TooLong`] for the first request of its kind.
    pub fn inputs(&self, requests: &[ScoreRequest]) -> Result<Vec<Vec<u32>>, Error> {
        let (max_length, vocabulary) = (self.shared.config().max_position_embeddings, self.vocabulary);
        let input = |(index, request): (usize, &ScoreRequest)| {
            let Some((&last, before)) = request.continuation.split_last() else { return Err(Error::Empty { index }) };
            if request.context.is_empty() {
                return Err(Error::Empty { index });
            }
            if last as usize >= vocabulary {
                return Err(Error::UnknownToken { index, token: last, vocabulary });
            }
            let length = request.context.len() + before.len();
            if length > max_length {
                return Err(Error::TooLong { index, length, max_length });
            }
            Ok([&request.context, before].concat())
        };
        requests.iter().enumerate().map(input).collect()
    }

    /// In which order packs are computed, and what of them is kept.
    pub fn work_plan(&self, packs: &[Pack]) -> WorkPlan {
        let shared = &self.shared;
        let mut keys: Vec<&str> = self.layers.iter().map(|layer| layer.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        let work = Work {
            tokens: packs.iter().flat_map(|pack| pack.trie.lengths()).sum(),
            computed_tokens: packs.iter().map(|pack| pack.trie.tokens.len()).sum(),
            packs: packs.len(),
            layers: self.layers.len(),
            distinct_layers: keys.len(),
            layer_bytes: shared.layer_bytes,
            layer_flops: shared.layer_flops(),
            stream_bytes: shared.sizes.hidden * size_of::<f32>(),
        };
        WorkPlan::new(work, &shared.options, shared.budgets.layers)
    }

    /// What stands before each depth from 0 on: a hash of the embedding and the layers up to there, each with its
    /// settings.
    pub fn prefix_keys(&self) -> Vec<[u8; 32]> {
        let mut prefix = *blake3::hash(self.recipe.outer_key(OuterTensor::Embedding).as_bytes()).as_bytes();
        let mut keys = vec![prefix];
        for PreparedLayer { key, settings } in &self.layers {
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
