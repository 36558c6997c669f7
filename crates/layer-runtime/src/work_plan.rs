//! In which order the batches of a call are computed, and what of them is kept.
//!
//! With `L` layers and `B` batches there are two orders. Batch by batch, `for batch { for layer { .. } }`, keeps a
//! batch's activations in the cache and needs all layers in the bank. Layer by layer, `for layer { for batch { .. }
//! }`, builds each layer once per call, but keeps the streams of all batches in memory.

use std::fmt;

use crate::RuntimeOptions;

/// How a call is computed. The plan follows from the sizes of layers and batches and from the budgets alone: the same
/// call has the same plan.
///
/// - **Order.** If the bank holds all layers of the model, each batch goes through all layers before the next batch
///   starts, so that its activations stay in the cache. If not, a layer is built once and many batches go through it
///   before the next layer is built: as many as a quarter of the bank's budget (256 MiB at least) holds.
/// - **States.** The residual streams between the layers are kept for recipes that begin alike. All are kept if the
///   budget for states holds those of four recipes; else those of every second layer, every third, and so on; none if
///   the budget does not hold one layer's. Where a copy is expensive beside a layer, at most those of every second
///   layer are kept.
///
/// Printed, it is three lines, such as
/// ```text
/// tokens   5120 in 3 batches; 2048 computed (60% shared by sequences that begin alike)
/// layers   12, 10.5 MiB; the bank holds 96.0 MiB: batch by batch, every layer built once
/// states   1.5 MiB after each layer, 1024.0 MiB for them: all kept, the least useful go first
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPlan {
    /// Tokens of all sequences of the call.
    pub tokens: usize,
    /// Tokens that are computed: a beginning that sequences share counts once.
    pub computed_tokens: usize,
    /// Batches of the call.
    pub packs: usize,
    /// Batches that go through a layer before the next layer is fetched.
    pub packs_at_once: usize,
    /// Layers of the model.
    pub layers: usize,
    /// Bytes of the model's distinct layers, built.
    pub layer_bytes: usize,
    /// Bytes for layers in the bank.
    pub bank_bytes: usize,
    /// Bytes of the residual streams of all batches between two layers.
    pub state_bytes: usize,
    /// Bytes for residual streams.
    pub states_budget: usize,
    /// The streams are kept after every so many layers; 0: none are.
    pub keep_every: usize,
}

/// Bytes that the activations of batches may take while they wait for a layer.
const WAITING_BYTES: usize = 256 << 20;
/// The number of recipes whose states should fit the budget.
const RECIPES: usize = 4;
/// Floating-point operations of a layer for each byte of its state that make a copy cheap: fresh memory takes 2 GB/s
/// where products reach 200 GFLOP/s, and a copy is to cost a tenth of a layer.
const FLOPS_PER_BYTE: usize = 1000;

/// What there is to do in a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// As [`WorkPlan::tokens`].
    pub tokens: usize,
    /// As [`WorkPlan::computed_tokens`].
    pub computed_tokens: usize,
    /// As [`WorkPlan::packs`].
    pub packs: usize,
    /// As [`WorkPlan::layers`].
    pub layers: usize,
    /// Layers of the model that differ.
    pub distinct_layers: usize,
    /// Bytes of one layer, built.
    pub layer_bytes: usize,
    /// Floating-point operations of a layer per token.
    pub layer_flops: usize,
    /// Bytes of the residual stream per token.
    pub stream_bytes: usize,
}

impl WorkPlan {
    /// The plan for some work, with so many bytes for layers in the bank.
    pub(crate) fn new(work: Work, options: &RuntimeOptions, bank_bytes: usize) -> Self {
        let layer_bytes = work.distinct_layers * work.layer_bytes;
        let pack_bytes = (options.batch_tokens * work.stream_bytes).max(1);
        let waiting = (bank_bytes / 4).max(WAITING_BYTES) / pack_bytes;
        Self {
            tokens: work.tokens,
            computed_tokens: work.computed_tokens,
            packs: work.packs,
            packs_at_once: if layer_bytes <= bank_bytes { 1 } else { waiting.clamp(1, work.packs.max(1)) },
            layers: work.layers,
            layer_bytes,
            bank_bytes,
            state_bytes: work.computed_tokens * work.stream_bytes,
            states_budget: options.state_bytes,
            keep_every: keep_every(work, options.state_bytes),
        }
    }

    /// Whether a layer takes several batches before the next layer is fetched.
    #[must_use]
    pub fn layer_by_layer(&self) -> bool {
        self.packs_at_once > 1 || self.layer_bytes > self.bank_bytes
    }
}

impl fmt::Display for WorkPlan {
    /// Three lines: tokens, layers, states.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
        let share = 100.0 * (1.0 - self.computed_tokens as f64 / self.tokens.max(1) as f64);
        writeln!(
            f,
            "tokens   {} in {} batches; {} computed ({share:.0}% shared by sequences that begin alike)",
            self.tokens, self.packs, self.computed_tokens
        )?;
        let (layers, need, bank) = (self.layers, mib(self.layer_bytes), mib(self.bank_bytes));
        if self.layer_by_layer() {
            let at_once = self.packs_at_once;
            writeln!(
                f,
                "layers   {layers}, {need}; the bank holds {bank}: layer by layer, {at_once} batches at a time"
            )?;
        } else {
            writeln!(f, "layers   {layers}, {need}; the bank holds {bank}: batch by batch, every layer built once")?;
        }
        let (state, budget) = (mib(self.state_bytes), mib(self.states_budget));
        match self.keep_every {
            0 => write!(f, "states   {state} after each layer, {budget} for them: none kept"),
            1 => write!(f, "states   {state} after each layer, {budget} for them: all kept, the least useful go first"),
            n => write!(f, "states   {state} after each layer, {budget} for them: every {n} layers one is kept"),
        }
    }
}

/// After every how many layers a state is kept.
fn keep_every(work: Work, budget: usize) -> usize {
    let state_bytes = work.computed_tokens * work.stream_bytes;
    if state_bytes > budget || budget == 0 {
        return 0;
    }
    let cheapest = if work.layer_flops < FLOPS_PER_BYTE * work.stream_bytes { 2 } else { 1 };
    // How many states of each recipe fit, if those of several recipes are to.
    match budget / (RECIPES * state_bytes).max(1) {
        0 => work.layers,
        fitting => work.layers.div_ceil(fitting).max(cheapest).min(work.layers).max(1),
    }
}
