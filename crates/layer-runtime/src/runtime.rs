//! What all models of a family share: checkpoints, device, built layers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use burn::tensor::{DType, Device, Tensor};
use layer_ir::{Alignment, Architecture, Cost, Dtype, End, Family, ModelConfig, Role, ValidRecipe};
use merge_ops::{Registry, build_end_tensor, build_layer_tensor, origin_layer};

use crate::bank::{Bank, Pass};
use crate::cpu::{Bf16Kernel, CpuEngine};
use crate::engine::{Embedding, Ending, Engine, Layer, LayerSettings};
use crate::plain::PlainEngine;
use crate::rope::RopeTables;
use crate::states::StateBank;
use crate::timings::Counters;
use crate::weights::{LayerTensors, Sizes};
use crate::{Error, RecipeModel, Timings};

/// How much memory a runtime may use, how much it computes at once, and in which type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// The most bytes of built layers to keep. Less than a model needs is no error: what does not fit is built anew for
    /// each call. The layer at work comes on top.
    pub bank_bytes: usize,
    /// The most bytes of residual streams to keep for recipes that begin alike; 0 for none.
    pub state_bytes: usize,
    /// About how many tokens are computed at once: by each thread, if a layer is so small that each works by itself (more, if it
    /// generates, for the sake of its products), else by all together.
    pub batch_tokens: usize,
    /// The type of the weights and of what the products multiply: f32, or bf16 with sums in f32. Norms, softmax and the residual
    /// stream are in f32 always.
    pub dtype: Dtype,
}

impl RuntimeOptions {
    /// Shares a budget out: the bank gets what all layers and ends of the family take when they are built, and as much again for one model's
    /// merged layers, but three quarters of the budget at most; the states get the rest. Activations and the layer at work come
    /// on top.
    #[must_use]
    pub fn within(memory_bytes: usize, family: &Family, dtype: Dtype) -> Self {
        let one = Cost::of(family.base().config(), family.base().num_layers(), dtype).bytes as usize;
        let bank_bytes = one.saturating_mul(family.names().count() + 1).min(memory_bytes / 4 * 3);
        Self { bank_bytes, state_bytes: memory_bytes - bank_bytes, dtype, ..Self::default() }
    }
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { bank_bytes: 4 << 30, state_bytes: 1 << 30, batch_tokens: 2048, dtype: Dtype::F32 }
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
    pub(crate) states: Arc<StateBank>,
    pub(crate) ropes: Arc<RopeTables>,
    pub(crate) share_prefixes: bool,
    /// The same on further devices, which take their shares of the requests.
    pub(crate) further: Arc<Vec<Runtime>>,
}

pub(crate) struct Shared {
    family: Family,
    registry: Registry,
    pub device: Device,
    pub options: RuntimeOptions,
    sizes: Sizes,
    pub engine: Box<dyn Engine>,
    /// Bytes of a layer, built.
    pub layer_bytes: usize,
    /// Whether each thread has batches of its own.
    pub alone: bool,
    layers: Bank<Box<dyn Layer>>,
    embeddings: Bank<Box<dyn Embedding>>,
    endings: Bank<Box<dyn Ending>>,
    pub counters: Counters,
}

/// What stands before the first layer and after the last one.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub embedding: Arc<Box<dyn Embedding>>,
    pub ending: Arc<Box<dyn Ending>>,
}

impl Runtime {
    /// A runtime that has loaded nothing yet.
    ///
    /// # Errors
    /// [`Error::UnsupportedDtype`] when the device cannot compute in the type asked for.
    pub fn new(family: Family, registry: Registry, device: Device, options: RuntimeOptions) -> Result<Self, Error> {
        // Own kernels read a flex tensor's memory in place; elsewhere that would be a transfer.
        let plain = device != Device::flex();
        Self::with_engine(family, registry, device, options, plain)
    }

    fn with_engine(
        family: Family,
        registry: Registry,
        device: Device,
        options: RuntimeOptions,
        plain: bool,
    ) -> Result<Self, Error> {
        let config = family.base().config();
        let (dtype, bf16) = match options.dtype {
            Dtype::F32 => (DType::F32, None),
            Dtype::BF16 if device.supports_dtype(DType::BF16) => (DType::BF16, Some(Bf16Kernel::best())),
            dtype => return Err(Error::UnsupportedDtype { dtype }),
        };
        let engine: Box<dyn Engine> =
            if plain { Box::new(PlainEngine { dtype }) } else { Box::new(CpuEngine::new(bf16)) };
        // One model's ends always have their room, as every pass needs them; in a search, ends of several models if there is room.
        let end = config.vocab_size * config.hidden_size * dtype.size();
        let ends = (4 * end).min(options.bank_bytes / 8).max(end + config.hidden_size * size_of::<f32>());
        let ends = ends.min(options.bank_bytes / 2);
        let ropes = Arc::new(RopeTables::new(config, Dtype::F32));
        let bytes = |layers| Cost::of(config, layers, options.dtype).bytes as usize;
        let layer_bytes = bytes(1) - bytes(0);
        let shared = Shared {
            sizes: Sizes::new(config),
            alone: engine.alone(layer_bytes),
            layer_bytes,
            engine,
            layers: Bank::new(options.bank_bytes - 2 * ends),
            embeddings: Bank::new(ends),
            endings: Bank::new(ends),
            counters: Counters::default(),
            family,
            registry,
            device,
            options,
        };
        let (shared, states) = (Arc::new(shared), StateBank::new(options.state_bytes));
        Ok(Self { shared, states, ropes, share_prefixes: true, further: Arc::default() })
    }

    /// Also computes on further devices: the requests of a call are shared out among all, each with banks of its own of the same
    /// budgets. The answers are those of one device, up to the rounding in which devices differ.
    ///
    /// # Errors
    /// As of [`Runtime::new`].
    pub fn with_further_devices(mut self, devices: Vec<Device>) -> Result<Self, Error> {
        let Shared { family, registry, options, .. } = self.shared.as_ref();
        let further = devices.into_iter().map(|device| {
            let runtime = Self::new(family.clone(), registry.clone(), device, *options)?;
            Ok(Self { ropes: Arc::clone(&self.ropes), share_prefixes: self.share_prefixes, ..runtime })
        });
        self.further = Arc::new(further.collect::<Result<_, Error>>()?);
        Ok(self)
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
        self.states = StateBank::new(self.shared.options.state_bytes);
        self
    }

    /// Uses burn's operations alone, also on the CPU, where own kernels are the default; for comparisons. Nothing is loaded in it yet.
    ///
    /// # Errors
    /// As of [`Runtime::new`].
    pub fn with_plain_operations(self) -> Result<Self, Error> {
        let Shared { family, registry, device, options, .. } = self.shared.as_ref();
        let plain = Self::with_engine(family.clone(), registry.clone(), device.clone(), *options, true)?;
        Ok(Self { shared: plain.shared, states: plain.states, ..self })
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

    /// Its budgets and its type.
    #[must_use]
    pub fn options(&self) -> RuntimeOptions {
        self.shared.options
    }

    /// The bytes of the layers and ends in the bank.
    #[must_use]
    pub fn bank_bytes(&self) -> usize {
        self.shared.layers.bytes() + self.shared.embeddings.bytes() + self.shared.endings.bytes()
    }

    /// The bytes of residual streams that are kept.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.states.bytes()
    }

    /// Where the time went so far, all devices together.
    #[must_use]
    pub fn timings(&self) -> Timings {
        let further = self.further.iter().map(Self::timings);
        further.fold(self.shared.counters.read(), |all, one| all + one)
    }
}

impl Shared {
    pub fn config(&self) -> &ModelConfig {
        self.family.base().config()
    }

    /// Runs a part of a forward pass, and counts its time unless whoever shared batches out to the threads does.
    pub fn forward<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.alone { work() } else { self.counters.forward.time(work) }
    }

    /// How many tokens a recipe's model knows.
    pub fn vocabulary(&self, recipe: &ValidRecipe) -> usize {
        recipe.alignment().map_or(self.config().vocab_size, Alignment::rows)
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

    /// Floating-point operations of a layer for a token.
    pub fn layer_flops(&self) -> usize {
        let flops = |layers| Cost::of(self.config(), layers, self.options.dtype).flops_per_token as usize;
        flops(1) - flops(0)
    }

    /// Bytes for layers in the bank.
    pub fn layers_budget(&self) -> usize {
        self.layers.budget()
    }

    /// An output layer, from the bank or built.
    pub fn layer(
        &self,
        pass: Pass,
        key: &str,
        recipe: &ValidRecipe,
        layer: usize,
    ) -> Result<Arc<Box<dyn Layer>>, Error> {
        self.counters.layers_asked.fetch_add(1, Relaxed);
        self.layers.get_or_build(pass, key, || {
            let tensors = self.family.base().layer_tensors();
            let built = self.counted(|| {
                let tensors = LayerTensors::fetch(self.sizes, |role: Role| {
                    let Some(tensor) = tensors.iter().find(|tensor| tensor.role == Some(role)) else { return Ok(None) };
                    let (registry, family, suffix) = (&self.registry, &self.family, &tensor.suffix);
                    // Both engines take what is stored in bf16 as it is.
                    let (device, stored) = (&self.device, Dtype::BF16);
                    Ok(Some(build_layer_tensor(registry, family, recipe, layer, suffix, device, stored)?))
                })?;
                self.engine.layer(self.sizes, tensors)
            })?;
            let bytes = built.bytes();
            Ok((built, bytes))
        })
    }

    /// The ends of a recipe, from the bank or built.
    pub fn ends(&self, recipe: &ValidRecipe) -> Result<Ends, Error> {
        self.counters.layers_asked.fetch_add(2, Relaxed);
        let embedding =
            self.embeddings.get_or_build(self.embeddings.pass(), &recipe.end_key(End::Embedding), || {
                self.counted(|| {
                    let embedding = self.engine.embedding(self.embedding(recipe)?)?;
                    let bytes = embedding.bytes();
                    Ok((embedding, bytes))
                })
            })?;
        let key = [End::FinalNorm, End::Head, End::Embedding].map(|end| recipe.end_key(end)).join(" ");
        let ending = self.endings.get_or_build(self.endings.pass(), &key, || {
            self.counted(|| {
                let norm = self.end(recipe, End::FinalNorm)?.ok_or(Error::MissingEnd { end: "final norm" })?;
                let head = self.end(recipe, End::Head)?.map(|head| self.as_rows(recipe, head));
                // Without a head of its own, a model reads its embedding backwards.
                let head = head.map_or_else(|| self.embedding(recipe), Ok)?;
                let ending = self.engine.ending(self.sizes, norm, head)?;
                let bytes = ending.bytes();
                Ok((ending, bytes))
            })
        })?;
        Ok(Ends { embedding, ending })
    }

    /// `[vocabulary, hidden]`
    fn embedding(&self, recipe: &ValidRecipe) -> Result<Tensor<2>, Error> {
        let tensor = self.end(recipe, End::Embedding)?;
        Ok(self.as_rows(recipe, tensor.ok_or(Error::MissingEnd { end: "embedding" })?))
    }

    /// An end's tensor, flat, of the size that config and alignment say.
    fn end(&self, recipe: &ValidRecipe, end: End) -> Result<Option<Tensor<1>>, Error> {
        let hidden = self.sizes.hidden;
        let (name, expected) = match end {
            End::Embedding => ("embedding", self.vocabulary(recipe) * hidden),
            End::FinalNorm => ("final norm", hidden),
            End::Head => ("head", self.vocabulary(recipe) * hidden),
        };
        match build_end_tensor(&self.registry, &self.family, recipe, end, &self.device)? {
            Some(tensor) if tensor.dims()[0] != expected => {
                Err(Error::WrongEndSize { end: name, found: tensor.dims()[0], expected })
            }
            tensor => Ok(tensor),
        }
    }

    fn as_rows(&self, recipe: &ValidRecipe, tensor: Tensor<1>) -> Tensor<2> {
        tensor.reshape([self.vocabulary(recipe), self.sizes.hidden])
    }

    fn counted<T>(&self, build: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.counters.layers_built.fetch_add(1, Relaxed);
        self.counters.build.time(build)
    }
}
