//! What all models of a runtime share, whichever engine computes: checkpoints, device, options, sizes, counters.

use burn::tensor::{Device, Tensor};
use layer_ir::{Alignment, Cost, Dtype, Family, ModelConfig, OuterTensor, Role, ValidRecipe};
use merge_ops::{RecipeTensors, Registry};

use crate::engine::EngineTraits;
use crate::rope::RopeTables;
use crate::timings::Counters;
use crate::weights::{LayerTensors, Sizes};
use crate::{Error, RuntimeOptions};

/// What all models of a runtime share, whichever engine computes.
pub(crate) struct Shared {
    /// The checkpoints.
    pub family: Family,
    /// The base's, which all models of the family share.
    config: ModelConfig,
    /// The merge methods.
    pub registry: Registry,
    /// Where it computes.
    pub device: Device,
    /// Budgets, type, engine.
    pub options: RuntimeOptions,
    /// Of every layer.
    pub sizes: Sizes,
    /// For queries and keys.
    pub ropes: RopeTables,
    /// For what is built.
    pub budgets: BankBudgets,
    /// Bytes of a layer, built.
    pub layer_bytes: usize,
    /// Whether each thread has batches of its own, as a layer is small enough for its cache.
    pub one_batch_per_thread: bool,
    /// What was spent so far.
    pub counters: Counters,
}

/// How the bank's bytes are shared out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BankBudgets {
    /// For layers.
    pub layers: usize,
    /// For embeddings.
    pub embeddings: usize,
    /// For final norms and heads.
    pub heads: usize,
}

impl BankBudgets {
    /// One model's embedding and head always have their room, as every pass needs them. In a search, those of several
    /// models have some if there is room.
    fn new(config: &ModelConfig, options: &RuntimeOptions) -> Self {
        let one = config.vocab_size * config.hidden_size * options.dtype.size_in_bytes();
        let each = (4 * one).min(options.bank_bytes / 8).max(one + config.hidden_size * size_of::<f32>());
        let each = each.min(options.bank_bytes / 2);
        Self { layers: options.bank_bytes - 2 * each, embeddings: each, heads: each }
    }
}

/// For how many threads work is cut where that must not depend on how many there are.
const REPRODUCIBLE_CUTS: usize = 8;

impl Shared {
    /// Nothing is read yet but the base's config.
    pub fn new(
        family: Family,
        registry: Registry,
        device: Device,
        options: RuntimeOptions,
        traits: EngineTraits,
    ) -> Result<Self, Error> {
        let config = family.base().config()?.clone();
        let bytes = |layers| Cost::of(&config, layers, options.dtype).bytes as usize;
        let layer_bytes = bytes(1) - bytes(0);
        Ok(Self {
            sizes: Sizes::new(&config),
            ropes: RopeTables::new(&config, options.rope_dtype),
            budgets: BankBudgets::new(&config, &options),
            config,
            layer_bytes,
            one_batch_per_thread: layer_bytes <= traits.bytes_of_one_thread,
            counters: Counters::default(),
            family,
            registry,
            device,
            options,
        })
    }

    /// The base's config: layers of all models of a family have the same sizes, rotations and norms.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How many threads of the CPU share a batch.
    pub fn threads(&self) -> usize {
        if self.one_batch_per_thread { 1 } else { self.cuts() }
    }

    /// For how many threads work is cut.
    pub fn cuts(&self) -> usize {
        if self.options.reproducible { REPRODUCIBLE_CUTS } else { rayon::current_num_threads() }
    }

    /// Runs a part of a forward pass and counts its time. Where each thread has batches of its own, the time is
    /// counted by the one who shares the batches out.
    pub fn forward<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.one_batch_per_thread { work() } else { self.counters.forward.time(work) }
    }

    /// How many tokens a recipe's model knows.
    pub fn vocabulary(&self, recipe: &ValidRecipe) -> usize {
        recipe.alignment().map_or(self.config().vocab_size, Alignment::rows)
    }

    /// Floating-point operations of a layer per token.
    pub fn layer_flops(&self) -> usize {
        let flops = |layers| Cost::of(self.config(), layers, self.options.dtype).flops_per_token as usize;
        flops(1) - flops(0)
    }

    /// The merged tensors of an output layer.
    ///
    /// # Errors
    /// [`Error::Merge`] when one cannot be read or merged; as of [`LayerTensors::fetch`].
    pub fn layer_tensors(&self, recipe: &ValidRecipe, layer: usize) -> Result<LayerTensors, Error> {
        let tensors = self.family.base().layer_tensors();
        LayerTensors::fetch(self.sizes, |role: Role| {
            let Some(tensor) = tensors.iter().find(|tensor| tensor.role == Some(role)) else { return Ok(None) };
            // Every engine takes what is stored in bf16 as it is.
            let (device, stored) = (&self.device, Dtype::BF16);
            Ok(Some(self.recipe_tensors(recipe).layer(layer, &tensor.suffix, device, stored)?))
        })
    }

    /// The token embedding `[vocabulary, hidden]`.
    ///
    /// # Errors
    /// [`Error::Merge`], [`Error::MissingOuterTensor`] or [`Error::WrongOuterTensorSize`].
    pub fn embedding(&self, recipe: &ValidRecipe) -> Result<Tensor<2>, Error> {
        let tensor = self.outer_tensor(recipe, OuterTensor::Embedding)?;
        Ok(self.as_rows(recipe, tensor.ok_or(Error::MissingOuterTensor { tensor: "embedding" })?))
    }

    /// The final norm `[hidden]`.
    ///
    /// # Errors
    /// As of [`Shared::embedding`].
    pub fn final_norm(&self, recipe: &ValidRecipe) -> Result<Tensor<1>, Error> {
        self.outer_tensor(recipe, OuterTensor::FinalNorm)?.ok_or(Error::MissingOuterTensor { tensor: "final norm" })
    }

    /// The head `[vocabulary, hidden]`. A model without a head of its own uses its embedding.
    ///
    /// # Errors
    /// As of [`Shared::embedding`].
    pub fn head(&self, recipe: &ValidRecipe) -> Result<Tensor<2>, Error> {
        let head = self.outer_tensor(recipe, OuterTensor::Head)?.map(|head| self.as_rows(recipe, head));
        head.map_or_else(|| self.embedding(recipe), Ok)
    }

    /// Where a recipe's tensors are built from.
    fn recipe_tensors<'a>(&'a self, recipe: &'a ValidRecipe) -> RecipeTensors<'a> {
        RecipeTensors { family: &self.family, recipe, registry: &self.registry }
    }

    /// A tensor outside of the layers, flat, of the size that config and alignment say.
    fn outer_tensor(&self, recipe: &ValidRecipe, outer: OuterTensor) -> Result<Option<Tensor<1>>, Error> {
        let hidden = self.sizes.hidden;
        let (name, expected) = match outer {
            OuterTensor::Embedding => ("embedding", self.vocabulary(recipe) * hidden),
            OuterTensor::FinalNorm => ("final norm", hidden),
            OuterTensor::Head => ("head", self.vocabulary(recipe) * hidden),
        };
        match self.recipe_tensors(recipe).outer_tensor(outer, &self.device)? {
            Some(tensor) if tensor.dims()[0] != expected => {
                Err(Error::WrongOuterTensorSize { tensor: name, found: tensor.dims()[0], expected })
            }
            tensor => Ok(tensor),
        }
    }

    /// `[vocabulary, hidden]`
    fn as_rows(&self, recipe: &ValidRecipe, tensor: Tensor<1>) -> Tensor<2> {
        tensor.reshape([self.vocabulary(recipe), self.sizes.hidden])
    }
}
