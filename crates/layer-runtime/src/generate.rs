//! Continuations, greedy or drawn at random, many at a time, with a cache of keys and values.
//!
//! A pack's prompts go through the layers as one batch, with shared beginnings computed once. Then each step takes
//! the last token of each sequence that is still open through all layers; a sequence that is done leaves the batch. A
//! sequence's keys are rows of the caches, anywhere: those of its prompt, which other sequences may share, and then
//! rows of its own.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use task_eval::GenerateRequest;

use crate::Error;
use crate::attention::{AttentionPlan, Span};
use crate::bank::Pass;
use crate::batch::Batch;
use crate::engine::{Engine, KvCache, LmHead};
use crate::forward::{Execution, LaidOut};
use crate::loaded::OuterLayers;
use crate::pack::Pack;
use crate::sampling::Sampling;

/// The least number of sequences of a batch where each thread has batches of its own: two steps of the products'
/// kernels with AVX-512.
const STEP_ROWS: usize = 24;

/// The most bytes that the keys and values of such a batch's prompts may take.
const CACHE_BYTES: usize = 128 << 20;

/// A sequence that still generates.
struct OpenSequence {
    /// Its place in the pack.
    member: usize,
    /// Its request in the call.
    request: usize,
    /// The rows of its keys in the caches, by position.
    keys: Vec<u32>,
    /// Rows of the caches that it has taken and not filled.
    room: Range<u32>,
    /// The last token, from which it goes on.
    last: u32,
    /// How many new tokens it has.
    new: usize,
}

/// A pack's generation: where the next rows of its caches are.
struct Generation<'a, E: Engine> {
    /// All of its steps are one pass, so that the bank keeps the same layers for each.
    pass: Pass,
    /// Embedding and head.
    outer: &'a OuterLayers<E>,
    /// One per layer.
    caches: &'a mut [E::Cache],
    /// Rows of the caches that are taken.
    used: u32,
    /// How tokens are drawn; the most likely ones without it.
    sampling: Option<Sampling>,
}

impl<E: Engine> Execution<'_, E> {
    /// The next tokens of each request, the most likely ones or as `sampling` draws them, until its `stop` says so or
    /// it has its most tokens.
    ///
    /// # Errors
    /// As of [`Executor::generate`](crate::executor::Executor::generate).
    pub fn generate(
        &self,
        requests: &[GenerateRequest<'_>],
        sampling: Option<Sampling>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let max_length = self.loaded.shared.config().max_position_embeddings;
        for (index, request) in requests.iter().enumerate() {
            let length = request.context.len() + request.max_new_tokens;
            if length > max_length {
                return Err(Error::TooLong { index, length, max_length });
            }
        }
        let contexts: Vec<&[u32]> = requests.iter().map(|request| request.context.as_ref()).collect();
        let outer = self.loaded.outer_layers(self.recipe)?;
        let packs = self.recipe.batches_within(&contexts, self.prompt_tokens(&contexts))?;
        // The memory of one pack's caches serves the next pack of the thread.
        let unused = Mutex::new(Vec::new());
        let found = self.on_threads(&packs, |pack| {
            let known = unused.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let new = || self.recipe.layers.iter().map(|_| E::Cache::default()).collect::<Vec<_>>();
            let mut caches = known.unwrap_or_else(new);
            let found = self.generate_pack(&outer, pack, requests, sampling, &mut caches);
            caches.iter_mut().for_each(KvCache::clear);
            unused.lock().unwrap_or_else(PoisonError::into_inner).push(caches);
            found
        })?;
        let mut answers = vec![Vec::new(); requests.len()];
        for (pack, found) in packs.iter().zip(found) {
            pack.members.iter().zip(found).for_each(|(request, answer)| answers[*request] = answer);
        }
        Ok(answers)
    }

    /// The most tokens of prompts in a batch. Where each thread has batches of its own, the model is small and its
    /// keys and values take little memory: there is room for so many sequences that the products of a step are worth
    /// it.
    fn prompt_tokens(&self, contexts: &[&[u32]]) -> usize {
        let longest = contexts.iter().map(|context| context.len()).max().unwrap_or(0);
        let shared = &self.loaded.shared;
        let (tokens, config) = (shared.options.batch_tokens, shared.config());
        let per_token = 2 * self.recipe.layers.len() * config.num_kv_heads * config.head_dim * size_of::<f32>();
        let room = CACHE_BYTES / per_token.max(1);
        if shared.one_batch_per_thread { tokens.max(room.min(STEP_ROWS * longest)) } else { tokens }
    }

    /// The answers of a pack's members.
    fn generate_pack(
        &self,
        outer: &OuterLayers<E>,
        pack: &Pack,
        requests: &[GenerateRequest<'_>],
        sampling: Option<Sampling>,
        caches: &mut [E::Cache],
    ) -> Result<Vec<Vec<u32>>, Error> {
        let mut answers = vec![Vec::new(); pack.members.len()];
        let mut open = open_sequences(pack, requests);
        let lasts: Vec<u32> = open.iter().filter_map(|open| open.keys.last().copied()).collect();
        let mut rows = lasts.clone();
        rows.sort_unstable();
        rows.dedup();
        let prompt = self.lay_out(self.recipe.batch(pack, Some(rows.clone())));
        let used = prompt.batch.tokens.len() as u32;
        let mut generation = Generation { pass: self.loaded.pass(), outer, caches, used, sampling };
        // Prompts that are alike end in the same row.
        let ends: Vec<usize> = lasts.iter().map(|row| rows.partition_point(|known| known < row)).collect();
        let mut next = self.next_tokens(&mut generation, &prompt, &open, &ends)?;
        loop {
            open = accept(open, &next, requests, &mut answers);
            if open.is_empty() {
                return Ok(answers);
            }
            next = self.step(&mut generation, &mut open)?;
        }
    }

    /// The next token of each open sequence; `ends` says behind which of the batch's wanted rows each goes on.
    fn next_tokens(
        &self,
        generation: &mut Generation<'_, E>,
        batch: &LaidOut<E>,
        open: &[OpenSequence],
        ends: &[usize],
    ) -> Result<Vec<u32>, Error> {
        let Generation { pass, outer, caches, sampling, .. } = generation;
        let state = self.forward(*pass, outer, batch, caches, &mut |_, _| Ok(()))?;
        let shared = &self.loaded.shared;
        let Some(sampling) = sampling else {
            let likely = shared.forward(|| outer.head.most_likely(state, shared.threads()))?;
            return Ok(ends.iter().map(|row| likely[*row]).collect());
        };
        let (vocabulary, mut first, mut drawn) = (self.recipe.vocabulary, 0, vec![0; open.len()]);
        let mut draw = |block: &[f32]| {
            let rows = first..first + block.len() / vocabulary;
            for (place, (open, row)) in open.iter().zip(ends).enumerate().filter(|(_, (_, row))| rows.contains(row)) {
                let logits = &block[(row - rows.start) * vocabulary..][..vocabulary];
                drawn[place] = sampling.draw(logits, open.request, open.new);
            }
            first = rows.end;
        };
        shared.forward(|| outer.head.logits(state, &mut draw))?;
        Ok(drawn)
    }

    /// Takes the last token of each open sequence through the layers. Its keys get the next row that the sequence has
    /// taken, or the first of new ones.
    fn step(&self, generation: &mut Generation<'_, E>, open: &mut [OpenSequence]) -> Result<Vec<u32>, Error> {
        let shared = &self.loaded.shared;
        let counted = (open.len() * self.recipe.layers.len()) as u64;
        shared.counters.layer_tokens_asked.fetch_add(counted, Relaxed);
        let ropes = &shared.ropes;
        let places = open.iter().map(|open| (open.keys.len() as u32, ropes.class(open.keys.len() + 1)));
        let rotations = ropes.rows(places);
        let spans = open.iter_mut().enumerate().map(|(i, open)| {
            if open.room.is_empty() {
                open.room = generation.used..generation.used + E::traits().cache_rows;
                generation.used = open.room.end;
            }
            open.keys.extend(open.room.next());
            Span { queries: i..i + 1, keys: std::mem::take(&mut open.keys) }
        });
        let attention = AttentionPlan { spans: spans.collect() };
        let tokens = open.iter().map(|open| open.last).collect();
        let batch = Batch { tokens, rotations, attention, wanted: None, threads: shared.threads() };
        let mut batch = self.lay_out(batch);
        let ends: Vec<usize> = (0..open.len()).collect();
        let next = self.next_tokens(generation, &batch, open, &ends)?;
        for (open, span) in open.iter_mut().zip(batch.batch.attention.spans.drain(..)) {
            open.keys = span.keys;
        }
        Ok(next)
    }
}

/// The sequences of a pack that want new tokens.
fn open_sequences(pack: &Pack, requests: &[GenerateRequest<'_>]) -> Vec<OpenSequence> {
    let members = pack.members.iter().enumerate();
    let wanted = members.filter(|(_, request)| requests[**request].max_new_tokens > 0);
    let open = wanted.map(|(member, &request)| OpenSequence {
        member,
        request,
        keys: pack.trie.sequence(member),
        room: 0..0,
        last: 0,
        new: 0,
    });
    open.collect()
}

/// Adds each open sequence's next token to its answer, and returns the sequences that go on.
fn accept(
    open: Vec<OpenSequence>,
    next: &[u32],
    requests: &[GenerateRequest<'_>],
    answers: &mut [Vec<u32>],
) -> Vec<OpenSequence> {
    let goes_on = |(mut open, &token): (OpenSequence, &u32)| {
        let (request, answer) = (&requests[open.request], &mut answers[open.member]);
        answer.push(token);
        (open.last, open.new) = (token, answer.len());
        (answer.len() < request.max_new_tokens && !(request.stop)(answer)).then_some(open)
    };
    open.into_iter().zip(next).filter_map(goes_on).collect()
}
