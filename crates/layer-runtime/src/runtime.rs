//! What all models of a family share on a device.

use std::sync::Arc;

use burn::tensor::Device;
use layer_ir::{Family, ModelConfig, ValidRecipe};
use merge_ops::Registry;

use crate::engines;
use crate::executor::{Executor, RuntimeParts, Started};
use crate::prepared::PreparedRecipe;
use crate::shared::Shared;
use crate::{Error, RuntimeOptions, Timings};

/// Runs recipes of one family on one device, straight from the checkpoints.
///
/// Every distinct layer expression is built once and kept in the layer bank, which all models of the runtime share.
/// Nothing is loaded before it is needed, nothing is written. Cloning is cheap and shares everything; models may run
/// on several threads.
///
/// ```
/// use layer_ir::{Checkpoint, LayerExpr, LayerRef, Recipe};
/// use layer_runtime::{Runtime, RuntimeOptions, open_device};
/// use merge_ops::Registry;
///
/// # let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
/// let layers = Checkpoint::open(checkpoint)?.num_layers();
/// let mut recipe = Recipe::of_base([("base".into(), checkpoint.into())].into(), "base", layers);
/// recipe.layers.remove(1); // the model without its second layer
/// let family = recipe.open_family()?;
/// let registry = Registry::standard();
/// let recipe = recipe.validate(&family, &registry)?;
/// let runtime = Runtime::new(family, registry, open_device("cpu")?, RuntimeOptions::default())?;
/// let mut model = runtime.model(recipe)?;
/// let logits = model.logits(&[&[1, 17, 4]])?;
/// assert_eq!(logits[0].len(), 3 * 320); // [tokens, vocabulary]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Runtime {
    /// What does not depend on the engine.
    shared: Arc<Shared>,
    /// The engine, its type hidden.
    executor: Arc<dyn Executor>,
    /// The same on further devices, which take their shares of the requests.
    further: Arc<Vec<Runtime>>,
}

impl Runtime {
    /// A runtime that has loaded nothing yet.
    ///
    /// # Errors
    /// [`Error::UnsupportedDtype`] when the device cannot compute in the type asked for, [`Error::UnknownEngine`] or
    /// [`Error::EngineOfAnotherDevice`] when the options name an engine that is not there or does not serve the
    /// device, [`Error::Recipe`] when the architecture of the family's base is not known.
    pub fn new(family: Family, registry: Registry, device: Device, options: RuntimeOptions) -> Result<Self, Error> {
        let Started { shared, executor } = engines::start(RuntimeParts { family, registry, device, options })?;
        Ok(Self { shared, executor, further: Arc::default() })
    }

    /// Computes on further devices too. The requests of a call are shared out among all devices, each with banks of
    /// its own of the same budgets. The answers are those of one device, up to the rounding in which devices differ.
    ///
    /// # Errors
    /// As of [`Runtime::new`].
    pub fn with_further_devices(mut self, devices: Vec<Device>) -> Result<Self, Error> {
        let Shared { family, registry, options, .. } = self.shared.as_ref();
        let further = devices.into_iter().map(|device| Self::new(family.clone(), registry.clone(), device, *options));
        self.further = Arc::new(further.collect::<Result<_, Error>>()?);
        Ok(self)
    }

    /// The family whose models are run.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.shared.family
    }

    /// The merge methods that recipes are validated with and built by.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The settings of the family's base, which hold for all models of the runtime.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        self.shared.config()
    }

    /// The device that computes.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// Its budgets, its type and its engine.
    #[must_use]
    pub fn options(&self) -> RuntimeOptions {
        self.shared.options
    }

    /// The bytes of the layers, embeddings and heads in the bank.
    #[must_use]
    pub fn bank_bytes(&self) -> usize {
        self.executor.bank_bytes()
    }

    /// The bytes of residual streams that are kept.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.executor.state_bytes()
    }

    /// Where the time went so far, all devices together.
    #[must_use]
    pub fn timings(&self) -> Timings {
        let further = self.further.iter().map(Self::timings);
        further.fold(self.shared.counters.read(), |all, one| all + one)
    }

    /// This runtime and those of further devices, each as one of its own.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Self> {
        std::iter::once(self).chain(self.further.iter()).map(|one| Self { further: Arc::default(), ..one.clone() })
    }

    /// Whether there are further devices.
    pub(crate) fn has_further_devices(&self) -> bool {
        !self.further.is_empty()
    }

    /// The engine, its type hidden.
    pub(crate) fn executor(&self) -> &dyn Executor {
        self.executor.as_ref()
    }

    /// A recipe for this device.
    pub(crate) fn prepare(&self, recipe: ValidRecipe) -> PreparedRecipe {
        PreparedRecipe::new(Arc::clone(&self.shared), recipe)
    }

    /// Whether the decoder knows all tensors of the family's layers.
    pub(crate) fn check_tensors(&self) -> Result<(), Error> {
        let base = self.shared.family.base();
        match base.layer_tensors().iter().find(|tensor| tensor.role.is_none()) {
            Some(tensor) => Err(Error::UnknownTensor { suffix: tensor.suffix.clone() }),
            None => Ok(()),
        }
    }
}
