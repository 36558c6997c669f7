//! Greedy continuations, many at a time, with a cache of keys and values.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Tensor;
use task_eval::GenerateRequest;

use crate::attention::{AttentionPlan, Span};
use crate::bank::Pass;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::plan::Pack;
use crate::runtime::Ends;
use crate::{Error, RecipeModel};

/// Sequences of a batch, at least, where each thread works by itself: two steps of the products' kernels with AVX-512.
const STEP_ROWS: usize = 24;

/// What the keys and values of such a batch's prompts may take.
const CACHE_BYTES: usize = 128 << 20;

/// A sequence that is not done.
struct Open {
    /// Its place in the pack.
    member: usize,
    request: usize,
    /// The rows of its keys in the caches.
    keys: Vec<u32>,
    /// Rows that it has taken and not filled.
    room: Range<u32>,
    /// The token to go on from.
    last: u32,
}

impl RecipeModel {
    /// The most likely next tokens of each request, until its `stop` says so.
    pub(crate) fn generate_greedily(&self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, Error> {
        let max_length = self.shared().config().max_position_embeddings;
        for (index, request) in requests.iter().enumerate() {
            let length = request.context.len() + request.max_new_tokens;
            if length > max_length {
                return Err(Error::TooLong { index, length, max_length });
            }
        }
        let contexts: Vec<&[u32]> = requests.iter().map(|request| request.context.as_ref()).collect();
        let ends = self.shared().ends(&self.recipe)?;
        let packs = self.plan_within(&contexts, self.prompt_tokens(&contexts))?;
        let caches = Mutex::new(Vec::new());
        let found = self.on_threads(&packs, |pack| {
            let known = caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let new = || self.layers.iter().map(|_| LayerCache::default()).collect::<Vec<_>>();
            let mut own = known.unwrap_or_else(new);
            let found = self.generate_pack(&ends, pack, requests, &mut own);
            own.iter_mut().for_each(LayerCache::clear);
            caches.lock().unwrap_or_else(PoisonError::into_inner).push(own);
            found
        })?;
        let mut answers = vec![Vec::new(); requests.len()];
        for (pack, found) in packs.iter().zip(found) {
            pack.members.iter().zip(found).for_each(|(request, answer)| answers[*request] = answer);
        }
        Ok(answers)
    }

    /// How many tokens of prompts a batch has at most. A small model, whose threads work alone and whose keys and values take little memory,
    /// has room for so many sequences that the products of a step are worth it.
    fn prompt_tokens(&self, contexts: &[&[u32]]) -> usize {
        let longest = contexts.iter().map(|context| context.len()).max().unwrap_or(0);
        let (tokens, config) = (self.shared().options.batch_tokens, self.shared().config());
        let per_token = 2 * self.layers.len() * config.num_kv_heads * config.head_dim * size_of::<f32>();
        let room = CACHE_BYTES / per_token.max(1);
        if self.shared().alone { tokens.max(room.min(STEP_ROWS * longest)) } else { tokens }
    }

    /// The answers of a pack's members.
    fn generate_pack(
        &self,
        ends: &Ends,
        pack: &Pack,
        requests: &[GenerateRequest<'_>],
        caches: &mut [LayerCache],
    ) -> Result<Vec<Vec<u32>>, Error> {
        let threads = self.threads();
        let pass = self.shared().pass();
        let mut answers = vec![Vec::new(); pack.members.len()];
        let mut prompt = self.batch(pack);
        let mut used = prompt.tokens.len() as u32;
        let wanted = pack.members.iter().enumerate().filter(|(_, request)| requests[**request].max_new_tokens > 0);
        let open = wanted.map(|(member, &request)| Open {
            member,
            request,
            keys: pack.trie.sequence(member),
            room: 0..0,
            last: 0,
        });
        let mut open: Vec<Open> = open.collect();
        let lasts: Vec<u32> = open.iter().filter_map(|open| open.keys.last().copied()).collect();
        let mut rows = lasts.clone();
        rows.sort_unstable();
        rows.dedup();
        prompt.wanted = Some(rows.clone());
        let state = self.forward(pass, ends, &prompt, caches, &mut |_, _| Ok(()))?;
        let found = self.shared().forward(|| ends.ending.most_likely(state, threads))?;
        // Prompts that are alike end in the same row.
        let mut next: Vec<u32> = lasts.iter().map(|row| found[rows.partition_point(|known| known < row)]).collect();
        loop {
            open = accept(open, &next, requests, &mut answers);
            if open.is_empty() {
                return Ok(answers);
            }
            let state = self.step(pass, ends, &mut open, &mut used, caches)?;
            next = self.shared().forward(|| ends.ending.most_likely(state, threads))?;
        }
    }

    /// One more token of each open sequence goes through the layers; its keys get the next of its rows, or some from `used` on.
    fn step(
        &self,
        pass: Pass,
        ends: &Ends,
        open: &mut [Open],
        used: &mut u32,
        caches: &mut [LayerCache],
    ) -> Result<Tensor<2>, Error> {
        let counted = (open.len() * self.layers.len()) as u64;
        self.shared().counters.layer_tokens_asked.fetch_add(counted, Relaxed);
        let ropes = &self.runtime.ropes;
        let places = open.iter().map(|open| (open.keys.len() as u32, ropes.class(open.keys.len() + 1)));
        let rotations = ropes.rows(places);
        let rows = self.shared().engine.cache_rows();
        let spans = open.iter_mut().enumerate().map(|(i, open)| {
            if open.room.is_empty() {
                open.room = *used..*used + rows;
                *used += rows;
            }
            open.keys.extend(open.room.next());
            Span { queries: i..i + 1, keys: std::mem::take(&mut open.keys) }
        });
        let attention = AttentionPlan { spans: spans.collect() };
        let mut batch = Batch::new(open.iter().map(|open| open.last).collect(), rotations, attention);
        batch.threads = self.threads();
        let state = self.forward(pass, ends, &batch, caches, &mut |_, _| Ok(()))?;
        for (open, span) in open.iter_mut().zip(batch.attention.spans.drain(..)) {
            open.keys = span.keys;
        }
        Ok(state)
    }
}

/// Adds each open sequence's next token to its answer; those that go on remain.
fn accept(open: Vec<Open>, next: &[u32], requests: &[GenerateRequest<'_>], answers: &mut [Vec<u32>]) -> Vec<Open> {
    let goes_on = |(mut open, &token): (Open, &u32)| {
        let (request, answer) = (&requests[open.request], &mut answers[open.member]);
        answer.push(token);
        open.last = token;
        (answer.len() < request.max_new_tokens && !(request.stop)(answer)).then_some(open)
    };
    open.into_iter().zip(next).filter_map(goes_on).collect()
}
