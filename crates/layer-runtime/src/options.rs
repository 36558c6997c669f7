//! How much memory a runtime may use, how much it computes at once, in which type and with which engine.

use layer_ir::{Cost, Dtype, Family};

/// How much memory a runtime may use, how much it computes at once, in which type and with which engine.
///
/// ```
/// use layer_runtime::RuntimeOptions;
///
/// let options = RuntimeOptions { bank_bytes: 1 << 30, ..RuntimeOptions::default() };
/// assert_eq!(options.batch_tokens, 2048);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// The most bytes of built layers to keep. Less than a model needs is no error: a layer that does not fit is
    /// built anew for each call. The layer at work comes on top.
    pub bank_bytes: usize,
    /// The most bytes of residual streams to keep for recipes that begin alike; 0 for none.
    pub state_bytes: usize,
    /// About how many tokens are computed at once: by each thread where each has a batch of its own (small layers on
    /// the CPU; more than that if it generates), else by all threads together.
    pub batch_tokens: usize,
    /// The type of the weights and of what the products multiply: f32, or bf16 or f16 with sums in f32. Norms, softmax
    /// and the residual stream are in f32 always; on the CPU weights in f16 are rounded, and multiplied in f32.
    pub dtype: Dtype,
    /// The engine: `cpu` for own kernels, `burn` for burn's operations, which run on every device. `None` takes the
    /// fastest one that serves the device. For comparisons.
    pub engine: Option<&'static str>,
    /// Whether tokens that several sequences of a call begin with are computed once. The scores are the same without
    /// it. For comparisons.
    pub share_prefixes: bool,
    /// The type in which the rotary frequencies are kept; f32 is exact. After `model.to(dtype)`, a model of
    /// transformers has them rounded with its weights, and leaves them rounded after a later `.float()`;
    /// `from_pretrained` does not round them. For comparisons.
    pub rope_dtype: Dtype,
    /// Whether work is cut in the same way for any number of threads: then the CPU gives the same numbers to the last
    /// bit. Without it the cuts fit the threads, and the order of some sums changes with them.
    pub reproducible: bool,
}

impl RuntimeOptions {
    /// Shares a budget of `memory_bytes` out. The bank gets what all layers, embeddings and heads of the family take
    /// when they are built, and as much again for one model's merged layers, but three quarters of the budget at
    /// most. The states get the rest. Activations and the layer at work come on top.
    ///
    /// ```
    /// use layer_ir::{Dtype, Recipe};
    /// use layer_runtime::RuntimeOptions;
    ///
    /// # let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
    /// let family = Recipe::of_base([("base".into(), checkpoint.into())].into(), "base", 1).open_family()?;
    /// let options = RuntimeOptions::within(8 << 30, &family, Dtype::BF16);
    /// assert_eq!(options.bank_bytes + options.state_bytes, 8 << 30);
    /// # Ok::<(), layer_ir::Error>(())
    /// ```
    #[must_use]
    pub fn within(memory_bytes: usize, family: &Family, dtype: Dtype) -> Self {
        let one = Cost::of_checkpoint(family.base(), family.base().num_layers(), dtype).bytes as usize;
        let bank_bytes = one.saturating_mul(family.names().count() + 1).min(memory_bytes / 4 * 3);
        Self { bank_bytes, state_bytes: memory_bytes - bank_bytes, dtype, ..Self::default() }
    }
}

impl Default for RuntimeOptions {
    /// 4 GiB of layers, 1 GiB of states, batches of 2,048 tokens, f32, the fastest engine.
    fn default() -> Self {
        Self {
            bank_bytes: 4 << 30,
            state_bytes: 1 << 30,
            batch_tokens: 2048,
            dtype: Dtype::F32,
            engine: None,
            share_prefixes: true,
            rope_dtype: Dtype::F32,
            reproducible: false,
        }
    }
}
