//! From a name to a device that works, and which names there are.
//!
//! | name | what | cargo feature |
//! |---|---|---|
//! | `cpu` | all cores, own kernels | none |
//! | `cuda`, `cuda:1` | an NVIDIA GPU | `cuda` |
//! | `wgpu`, `wgpu:1` | any GPU with Vulkan, Metal or DirectX 12 | `wgpu` |

use burn::tensor::{DType, Device, Tensor};
use tailor_simd::InstructionSet;

use crate::Error;
use crate::cpu;

/// A kind of device, and the devices of the kind on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `cpu`, `cuda` or `wgpu`; the last two are also the cargo features that bring them.
    pub name: &'static str,
    /// The devices in the order of their numbers. `None`: this binary was built without the backend.
    pub devices: Option<Vec<DeviceInfo>>,
}

/// A device as [`devices`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What [`open_device`] takes.
    pub name: String,
    /// The name that its driver gives it; for the CPU the threads and [`instruction_sets`]. `None`: it does not start.
    pub description: Option<String>,
    /// Whether it computes in bf16.
    pub bf16: bool,
}

/// All backends with their devices, the CPU first. Each device is started to ask what it is.
///
/// ```
/// let backends = layer_runtime::devices();
/// assert_eq!(backends[0].devices.as_ref().map(|devices| devices[0].name.as_str()), Some("cpu"));
/// ```
#[must_use]
pub fn devices() -> Vec<Backend> {
    let threads = format!("threads: {}", rayon::current_num_threads());
    let mut description = vec![threads];
    description.extend(instruction_sets().into_iter().map(str::to_owned));
    description.extend(limit());
    let cpu = DeviceInfo {
        name: "cpu".to_owned(),
        description: Some(description.join(", ")),
        bf16: Device::flex().supports_dtype(DType::BF16),
    };
    let gpus = GpuBackend::ALL.map(|backend| Backend {
        name: backend.name(),
        devices: backend.devices().map(|devices| described(backend, devices)),
    });
    std::iter::once(Backend { name: "cpu", devices: Some(vec![cpu]) }).chain(gpus).collect()
}

/// A backend whose devices have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GpuBackend {
    Cuda,
    Wgpu,
}

impl GpuBackend {
    const ALL: [Self; 2] = [Self::Cuda, Self::Wgpu];

    /// What names of devices begin with; also the cargo feature that brings the backend.
    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// Its devices in the order of their numbers, none of them started; without a driver there are none. `None`: this
    /// binary was built without the backend.
    fn devices(self) -> Option<Vec<Device>> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()),
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            _ => None,
        }
    }
}

/// What limits the instruction sets, if anything does.
fn limit() -> Option<String> {
    let (used, best) = (tailor_simd::instruction_set().ok()?, InstructionSet::available().pop()?);
    (used < best).then(|| format!("limited by TAILOR_CPU={} (without it: {})", used.name(), best.name()))
}

/// The instruction sets of this CPU that the kernels use beyond the architecture's oldest: `NEON`, or `AVX2`,
/// `AVX-512`, `AVX512-BF16`, `AMX-BF16`, in this order. Those above the limit that `TAILOR_CPU` sets are left out.
#[must_use]
pub fn instruction_sets() -> Vec<&'static str> {
    let mut sets = vectors();
    sets.extend(cpu::instruction_sets());
    sets
}

/// The registers of the kernels that are written for any width, and of those that they contain.
fn vectors() -> Vec<&'static str> {
    let used = tailor_simd::instruction_set().unwrap_or(InstructionSet::Plain);
    let name = |set: InstructionSet| match set {
        InstructionSet::Neon => Some("NEON"),
        InstructionSet::Avx2 => Some("AVX2"),
        InstructionSet::Avx512 => Some("AVX-512"),
        InstructionSet::Plain | InstructionSet::Amx => None,
    };
    InstructionSet::available().into_iter().filter(|set| *set <= used).filter_map(name).collect()
}

/// Opens `cpu`, `cuda`, `cuda:INDEX`, `wgpu` or `wgpu:INDEX`; the last four need the cargo feature of their name.
///
/// A device other than the CPU computes something once, so that what is wrong with it shows here.
///
/// # Errors
/// - [`Error::UnknownDevice`]: the name is not of this form.
/// - [`Error::DeviceNotBuilt`]: this binary was built without the feature.
/// - [`Error::NoDriver`], [`Error::NoSuchDevice`]: there is no device of this kind, or none of this number.
/// - [`Error::DeviceFailed`]: the device's first operation failed.
///
/// ```
/// let device = layer_runtime::open_device("cpu")?;
/// assert!(matches!(layer_runtime::open_device("gpu"), Err(layer_runtime::Error::UnknownDevice { .. })));
/// # Ok::<(), layer_runtime::Error>(())
/// ```
pub fn open_device(name: &str) -> Result<Device, Error> {
    if name == "cpu" {
        return Ok(Device::flex());
    }
    let unknown = || Error::UnknownDevice { name: name.to_owned() };
    let (backend, index) = match name.split_once(':') {
        None => (name, 0),
        Some((backend, index)) => (backend, index.parse().map_err(|_| unknown())?),
    };
    let backend = GpuBackend::ALL.into_iter().find(|known| known.name() == backend).ok_or_else(unknown)?;
    let not_built = || Error::DeviceNotBuilt { name: name.to_owned(), feature: backend.name() };
    started(backend.devices().ok_or_else(not_built)?, name, index)
}

/// Opens several devices, their names separated by commas: `cuda:0,cuda:1`.
///
/// # Errors
/// As of [`open_device`], for the first device that does not open.
pub fn open_devices(names: &str) -> Result<Vec<Device>, Error> {
    names.split(',').map(|name| open_device(name.trim())).collect()
}

/// The device of a number, which must answer a first operation.
///
/// Devices are counted before one is used: the constructors accept any index, and the first operation panics.
fn started(devices: Vec<Device>, name: &str, index: usize) -> Result<Device, Error> {
    let missing = match devices.len() {
        0 => Error::NoDriver { name: name.to_owned() },
        found => Error::NoSuchDevice { name: name.to_owned(), found },
    };
    let device = devices.into_iter().nth(index).ok_or(missing)?;
    let probe = device.clone();
    // The driver's start is a row of unwraps in the backend.
    let sum = std::panic::catch_unwind(move || Tensor::<1>::ones([4], &probe).sum().try_into_scalar::<f32>());
    match sum {
        Ok(Ok(4.0)) => Ok(device),
        _ => Err(Error::DeviceFailed { name: name.to_owned() }),
    }
}

/// What the devices of a backend say of themselves, each started to ask it.
fn described(backend: GpuBackend, devices: Vec<Device>) -> Vec<DeviceInfo> {
    let info = |(index, device): (usize, Device)| {
        // As in `started`.
        let asked = std::panic::catch_unwind(move || (driver_name(&device), device.supports_dtype(DType::BF16)));
        let (description, bf16) = match asked {
            Ok((name, bf16)) => (Some(name.unwrap_or_else(|| "a device without a name".to_owned())), bf16),
            Err(_) => (None, false),
        };
        DeviceInfo { name: format!("{}:{index}", backend.name()), description, bf16 }
    };
    devices.into_iter().enumerate().map(info).collect()
}

/// The name that its driver gives a device. burn asks no driver where it is built without one.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn driver_name(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn driver_name(_: &Device) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_names_are_refused() {
        for name in ["gpu", "", "cpu:0", "cuda:x", "wgpu:-1"] {
            let error = open_device(name).err();
            assert!(matches!(error, Some(Error::UnknownDevice { .. })), "{name}: {error:?}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_was_not_built_says_its_feature() {
        let error = open_device("cuda:1").map_err(|error| error.to_string());
        assert_eq!(
            error.err().as_deref(),
            Some("device `cuda:1` is not in this binary; build it with `--features cuda`")
        );
    }

    #[test]
    fn every_device_listed_opens_and_no_other() {
        for Backend { name: backend, devices } in devices() {
            let Some(devices) = devices else {
                assert!(matches!(open_device(backend), Err(Error::DeviceNotBuilt { .. })), "{backend}");
                continue;
            };
            for device in devices.iter().filter(|device| device.description.is_some()) {
                assert!(open_device(&device.name).is_ok(), "{device:?}");
            }
            let beyond = open_device(&format!("{backend}:{}", devices.len())).err();
            match (backend, devices.len()) {
                ("cpu", _) => assert!(matches!(beyond, Some(Error::UnknownDevice { .. })), "{beyond:?}"),
                (_, 0) => assert!(matches!(beyond, Some(Error::NoDriver { .. })), "{beyond:?}"),
                (_, count) => {
                    assert!(matches!(beyond, Some(Error::NoSuchDevice { found, .. }) if found == count), "{beyond:?}");
                }
            }
        }
    }
}
