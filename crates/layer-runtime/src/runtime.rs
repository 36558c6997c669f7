//! What all models of a family share: checkpoints, device, built layers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use burn::tensor::{Device, Tensor};
use layer_ir::{Architecture, Dtype, End, Family, ModelConfig, Role, ValidRecipe};
use merge_ops::{Registry, build_end_tensor, build_layer_tensor, origin_layer};

use crate::bank::{Bank, Pass};
use crate::decoder::{Decoder, LayerSettings};
use crate::ops::{CpuOps, Ops, PlainOps};
use crate::rope::RopeTables;
use crate::timings::Counters;
use crate::weights::{LayerWeights, Sizes};
use crate::{Error, RecipeModel, Timings};

/// How much memory a runtime may use, and how much it computes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// The most bytes of built layers to keep. Less than a model needs is no error: what does not fit is built anew for
    /// each call. The layer at work comes on top.
    pub bank_bytes: usize,
    /// About how many tokens are computed at once.
    pub batch_tokens: usize,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { bank_bytes: 4 << 30, batch_tokens: 2048 }
    }
}

/// Runs recipes of one family on one device, straight from the checkpoints.
///
/// Every distinct layer expression is built once and kept in the layer bank, which all models of the runtime share. Nothing
/// is loaded before it is needed, nothing is written. Cloning is cheap and shares everything; models may run on several
/// threads.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ops: Arc<dyn Ops>,
    pub(crate) ropes: Arc<RopeTables>,
    pub(crate) share_prefixes: bool,
}

pub(crate) struct Shared {
    family: Family,
    registry: Registry,
    pub device: Device,
    pub options: RuntimeOptions,
    sizes: Sizes,
    layers: Bank<LayerWeights>,
    ends: Bank<Option<Tensor<1>>>,
    pub counters: Counters,
}

/// What stands before the first layer and after the last one.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// `[vocabulary, hidden]`
    pub embedding: Tensor<2>,
    /// `[hidden]`
    pub final_norm: Tensor<1>,
    /// `[hidden, vocabulary]`
    pub head: Tensor<2>,
}

impl Runtime {
    /// A runtime that has loaded nothing yet.
    #[must_use]
    pub fn new(family: Family, registry: Registry, device: Device, options: RuntimeOptions) -> Self {
        let config = family.base().config();
        // Own kernels read a flex tensor's memory in place; elsewhere that would be a transfer.
        let ops: Arc<dyn Ops> = if device == Device::flex() { Arc::new(CpuOps) } else { Arc::new(PlainOps) };
        // One model's ends always have their room, as every pass needs them.
        let ends = (2 * config.vocab_size + 1) * config.hidden_size * size_of::<f32>();
        let ends = ends.min(options.bank_bytes);
        let ropes = Arc::new(RopeTables::new(config, Dtype::F32));
        let shared = Shared {
            sizes: Sizes::new(config),
            layers: Bank::new(options.bank_bytes - ends),
            ends: Bank::new(ends),
            counters: Counters::default(),
            family,
            registry,
            device,
            options,
        };
        Self { shared: Arc::new(shared), ops, ropes, share_prefixes: true }
    }

    /// Whether tokens that several sequences of a call begin with are computed once, which is the default. The scores are the
    /// same without it.
    #[must_use]
    pub fn with_shared_prefixes(mut self, share: bool) -> Self {
        self.share_prefixes = share;
        self
    }

    /// Keeps the rotary frequencies in another type than f32. A transformers model has them so after `model.to(dtype)`, which
    /// rounds them with the weights and leaves them rounded after a later `.float()`; `from_pretrained` does not. For comparisons.
    #[must_use]
    pub fn with_frequencies_in(mut self, precision: Dtype) -> Self {
        self.ropes = Arc::new(RopeTables::new(self.shared.config(), precision));
        self
    }

    /// Uses burn's operations alone, also on the CPU, where own kernels are the default; for comparisons.
    #[must_use]
    pub fn with_plain_operations(mut self) -> Self {
        self.ops = Arc::new(PlainOps);
        self
    }

    /// The model that a recipe describes, ready to run.
    ///
    /// # Errors
    /// The decoder does not know the architecture, or one of its tensors.
    pub fn model(&self, recipe: ValidRecipe) -> Result<RecipeModel, Error> {
        let base = self.shared.family.base();
        if let Architecture::Other(architecture) = &base.config().architecture {
            return Err(Error::UnknownArchitecture { architecture: architecture.clone() });
        }
        if let Some(tensor) = base.layer_tensors().iter().find(|tensor| tensor.role.is_none()) {
            return Err(Error::UnknownTensor { suffix: tensor.suffix.clone() });
        }
        Ok(RecipeModel::new(self.clone(), recipe))
    }

    /// The family whose models are run.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.shared.family
    }

    /// The device that computes.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// The bytes of the layers and ends in the bank.
    #[must_use]
    pub fn bank_bytes(&self) -> usize {
        self.shared.layers.bytes() + self.shared.ends.bytes()
    }

    /// Where the time went so far.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.shared.counters.read()
    }

    pub(crate) fn decoder(&self) -> Decoder<'_> {
        let eps = self.shared.config().rms_norm_eps;
        Decoder { ops: self.ops.as_ref(), heads: self.shared.sizes.heads, eps }
    }
}

impl Shared {
    pub fn config(&self) -> &ModelConfig {
        self.family.base().config()
    }

    /// What of an output layer is not in its tensors.
    pub fn layer_settings(&self, recipe: &ValidRecipe, layer: usize) -> LayerSettings {
        let output = &recipe.layers[layer];
        let window = self.config().windows.get(origin_layer(&output.from)).copied().flatten();
        LayerSettings { window, scale: output.scale }
    }

    /// A new pass over the layers.
    pub fn pass(&self) -> Pass {
        self.layers.pass()
    }

    /// An output layer's tensors, from the bank or built.
    pub fn layer(&self, pass: Pass, key: &str, recipe: &ValidRecipe, layer: usize) -> Result<Arc<LayerWeights>, Error> {
        self.counters.layers_asked.fetch_add(1, Relaxed);
        self.layers.get_or_build(pass, key, || {
            let tensors = self.family.base().layer_tensors();
            let weights = self.counted(|| {
                LayerWeights::build(self.sizes, |role: Role| {
                    let Some(tensor) = tensors.iter().find(|tensor| tensor.role == Some(role)) else { return Ok(None) };
                    let (registry, family, suffix) = (&self.registry, &self.family, &tensor.suffix);
                    Ok(Some(build_layer_tensor(registry, family, recipe, layer, suffix, &self.device)?))
                })
            })?;
            let bytes = weights.bytes;
            Ok((weights, bytes))
        })
    }

    /// The ends of a recipe, from the bank or built.
    pub fn ends(&self, recipe: &ValidRecipe) -> Result<Ends, Error> {
        let pass = self.ends.pass();
        let (hidden, vocabulary) = (self.sizes.hidden, self.config().vocab_size);
        let end = |end: End, key: String, name: &'static str, rows: usize| {
            self.counters.layers_asked.fetch_add(1, Relaxed);
            self.ends.get_or_build(pass, &format!("{name} {key}"), || {
                let flat =
                    self.counted(|| Ok(build_end_tensor(&self.registry, &self.family, recipe, end, &self.device)?))?;
                let found = flat.as_ref().map_or(0, |flat| flat.dims()[0]);
                match (found, rows * hidden) {
                    (found, expected) if flat.is_some() && found != expected => {
                        Err(Error::WrongEndSize { end: name, found, expected })
                    }
                    _ => Ok((flat, found * size_of::<f32>())),
                }
            })
        };
        let of = &recipe.ends;
        let embedding = end(End::Embedding, of.embedding.key(), "embedding", vocabulary)?;
        let final_norm = end(End::FinalNorm, of.final_norm.key(), "final norm", 1)?;
        let head = end(End::Head, of.head.key(), "head", vocabulary)?;
        let present = |tensor: &Option<Tensor<1>>, end| tensor.clone().ok_or(Error::MissingEnd { end });
        let embedding = present(&embedding, "embedding")?.reshape([vocabulary, hidden]);
        let head = head.as_ref().clone().map(|head| head.reshape([vocabulary, hidden]));
        Ok(Ends {
            head: head.unwrap_or_else(|| embedding.clone()).transpose(),
            embedding,
            final_norm: present(&final_norm, "final norm")?,
        })
    }

    fn counted<T>(&self, build: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.counters.layers_built.fetch_add(1, Relaxed);
        self.counters.build.time(build)
    }
}
