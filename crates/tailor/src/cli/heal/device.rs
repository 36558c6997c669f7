//! Where a model is trained, and in which type of products.

use layer_ir::Dtype;
use layer_runtime::{Device, open_device};
use layer_train::{Layout, Learner, ModelEngine, TrainSettings, cpu_learner};
use tailor::Error;

/// The options.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceSettings {
    /// What trains, and what asks the model of --teacher: cpu, cuda[:i] or wgpu[:i] (see `tailor devices`). The
    /// teachers of a study are asked on the study's devices.
    #[arg(long = "device", default_value = "cpu", value_name = "DEVICE")]
    pub name: String,
    /// The type of products; without it f32 on the CPU, and on a GPU bf16 if it has that. All else is f32.
    #[arg(long, value_enum)]
    compute: Option<Compute>,
}

/// The type of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Compute {
    // Their doc comments would become help texts that only repeat the names.
    F32,
    Bf16,
}

impl From<Compute> for Dtype {
    fn from(compute: Compute) -> Self {
        match compute {
            Compute::F32 => Self::F32,
            Compute::Bf16 => Self::BF16,
        }
    }
}

/// A device that is there.
#[derive(Debug)]
pub(super) enum TrainDevice {
    /// All cores, by own kernels.
    Cpu,
    /// Any other device, by burn's autodiff.
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    Burn {
        /// The name that was given.
        name: String,
        /// The device and what it computes in.
        settings: layer_train::BurnSettings,
    },
}

impl DeviceSettings {
    /// Opens the device.
    ///
    /// # Errors
    /// As of [`open_device`]; [`Error::BadOption`] and [`Error::Train`] for a type that it does not compute in.
    pub fn open(&self) -> Result<TrainDevice, Error> {
        let device = open_device(&self.name)?;
        if self.name != "cpu" {
            return self.other(device);
        }
        match self.compute {
            None | Some(Compute::F32) => Ok(TrainDevice::Cpu),
            Some(Compute::Bf16) => {
                Err(Error::BadOption { option: "compute", found: "bf16".to_owned(), expected: "f32 on the CPU" })
            }
        }
    }

    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    fn other(&self, device: Device) -> Result<TrainDevice, Error> {
        let settings = layer_train::BurnSettings::new(device, self.compute.map(Dtype::from)).map_err(Error::train)?;
        Ok(TrainDevice::Burn { name: self.name.clone(), settings })
    }

    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    fn other(&self, _: Device) -> Result<TrainDevice, Error> {
        let expected = "cpu, in a binary that was built without GPUs";
        Err(Error::BadOption { option: "device", found: self.name.clone(), expected })
    }
}

impl TrainDevice {
    /// What a training depends on, beside its settings and data: a state of another device is not gone on from.
    pub fn identity(&self) -> String {
        match self {
            Self::Cpu => String::new(),
            #[cfg(any(feature = "cuda", feature = "wgpu"))]
            Self::Burn { name, settings } => format!(" on {name} in {:?}", settings.compute),
        }
    }

    /// What learns from `values`, with at most so many bytes of activations kept for the gradient.
    ///
    /// # Errors
    /// [`Error::Train`].
    pub fn learner(
        self,
        layout: Layout,
        values: Vec<f32>,
        training: &TrainSettings,
        activation_bytes: usize,
    ) -> Result<Box<dyn Learner>, Error> {
        match self {
            Self::Cpu => {
                let engine = ModelEngine::on_cpu(layout, activation_bytes);
                cpu_learner(engine, values, training).map_err(Error::train)
            }
            #[cfg(any(feature = "cuda", feature = "wgpu"))]
            Self::Burn { settings, .. } => {
                let settings = layer_train::BurnSettings { activation_bytes, ..settings };
                let learner = layer_train::BurnLearner::new(layout, values, training, settings);
                Ok(Box::new(learner.map_err(Error::train)?))
            }
        }
    }
}
