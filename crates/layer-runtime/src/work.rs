//! In which order is the work done, and what of it is kept?

use std::fmt;

use task_eval::{GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};

use crate::plan::Pack;
use crate::{Error, RecipeModel};

/// How a call is computed: decided from the sizes of layers and batches and the budgets alone, so the same call has the same plan.
///
/// - **Order.** If the bank holds all layers of the model, batches go through the layers one after the other, and a batch's activations stay
///   in the cache. If not, a layer is built once and all batches go through it, as many as a quarter of the bank's budget (256 MiB at
///   least) holds.
/// - **States.** The residual streams between the layers are kept for recipes that begin alike, if the budget for states holds those of
///   four recipes; else those of every second layer, every third, and so on; none if the budget does not hold one layer's. Where a copy
///   costs much beside a layer, those of every second layer at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPlan {
    /// Tokens of all sequences.
    pub tokens: usize,
    /// Tokens that are computed, those that sequences begin with alike once.
    pub computed_tokens: usize,
    /// Batches.
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
    /// The streams after every how many layers are kept; 0 for none.
    pub keep_every: usize,
}

/// Activations of batches that wait for a layer.
const WAITING_BYTES: usize = 256 << 20;
/// Recipes whose states should fit.
const RECIPES: usize = 4;
/// Floating-point operations of a layer for each byte of its state that make a copy cheap: fresh memory takes 2 GB/s where products
/// reach 200 GFLOP/s, and a copy is to cost a tenth of a layer.
const FLOPS_PER_BYTE: usize = 1000;

impl WorkPlan {
    /// Whether the layers stand in the outer loop.
    #[must_use]
    pub fn layer_by_layer(&self) -> bool {
        self.packs_at_once > 1 || self.layer_bytes > self.bank_bytes
    }
}

impl fmt::Display for WorkPlan {
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

/// A model that plans and does not compute: give it to whatever evaluates a model, then ask for the plans.
pub struct Explainer {
    model: RecipeModel,
    plans: Vec<WorkPlan>,
}

impl Explainer {
    /// Plans for a model.
    #[must_use]
    pub fn new(model: RecipeModel) -> Self {
        Self { model, plans: Vec::new() }
    }

    /// The plans of the calls so far, one for each.
    #[must_use]
    pub fn plans(&self) -> &[WorkPlan] {
        &self.plans
    }

    fn add(&mut self, sequences: &[&[u32]]) -> Result<(), Error> {
        self.plans.push(self.model.work(&self.model.packs(sequences, self.model.shared().options.batch_tokens)?));
        Ok(())
    }
}

impl LanguageModel for Explainer {
    fn max_length(&self) -> usize {
        self.model.max_length()
    }

    /// Answers that every continuation is certain.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let inputs = self.model.inputs(requests)?;
        self.add(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        Ok(requests.iter().map(|_| Score { log_likelihood: 0.0, greedy: true }).collect())
    }

    /// Plans the prompts and answers nothing.
    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        self.add(&requests.iter().map(|request| request.context.as_ref()).collect::<Vec<_>>())?;
        Ok(requests.iter().map(|_| Vec::new()).collect())
    }
}

impl RecipeModel {
    pub(crate) fn work(&self, packs: &[Pack]) -> WorkPlan {
        let shared = self.shared();
        let hidden = shared.config().hidden_size * size_of::<f32>();
        let computed_tokens: usize = packs.iter().map(|pack| pack.trie.tokens.len()).sum();
        let tokens = packs.iter().flat_map(|pack| pack.trie.lengths()).sum();
        let mut keys: Vec<&str> = self.layers.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        let (layer_bytes, bank_bytes) = (keys.len() * shared.layer_bytes, shared.layers_budget());
        let pack_bytes = (shared.options.batch_tokens * hidden).max(1);
        let waiting = (bank_bytes / 4).max(WAITING_BYTES) / pack_bytes;
        let state_bytes = computed_tokens * hidden;
        let states_budget = self.runtime.states.budget();
        let layers = self.layers.len();
        // So many of a recipe's states fit, if those of a few recipes are to.
        let fitting = states_budget / (RECIPES * state_bytes).max(1);
        let cheap = if shared.layer_flops() < FLOPS_PER_BYTE * hidden { 2 } else { 1 };
        let keep_every = match fitting {
            _ if state_bytes > states_budget || states_budget == 0 => 0,
            0 => layers,
            fitting => layers.div_ceil(fitting).max(cheap).min(layers).max(1),
        };
        WorkPlan {
            tokens,
            computed_tokens,
            packs: packs.len(),
            packs_at_once: if layer_bytes <= bank_bytes { 1 } else { waiting.clamp(1, packs.len().max(1)) },
            layers,
            layer_bytes,
            bank_bytes,
            state_bytes,
            states_budget,
            keep_every,
        }
    }
}
