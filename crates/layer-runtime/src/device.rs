//! From a name on the command line to a device that works.

use burn::tensor::Device;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use burn::tensor::{DeviceType, Tensor};

use crate::Error;

/// Opens `cpu`, `cuda`, `cuda:INDEX`, `wgpu` or `wgpu:INDEX`; the last four need the cargo feature of their name.
///
/// A device other than the CPU computes something once, so that what is wrong with it shows here.
///
/// # Errors
/// The name is unknown, the binary was built without the device, there is none, or it does not work.
///
/// ```
/// let device = layer_runtime::open_device("cpu")?;
/// assert!(matches!(layer_runtime::open_device("gpu"), Err(layer_runtime::Error::UnknownDevice { .. })));
/// # Ok::<(), layer_runtime::Error>(())
/// ```
pub fn open_device(name: &str) -> Result<Device, Error> {
    let unknown = || Error::UnknownDevice { name: name.to_owned() };
    let (kind, index) = match name.split_once(':') {
        None => (name, 0),
        Some((kind, index)) => (kind, index.parse().map_err(|_| unknown())?),
    };
    match kind {
        "cpu" if name == "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => found(DeviceType::Cuda, name, index),
        #[cfg(not(feature = "cuda"))]
        "cuda" => not_built(name, "cuda", index),
        #[cfg(feature = "wgpu")]
        "wgpu" => found(DeviceType::Wgpu, name, index),
        #[cfg(not(feature = "wgpu"))]
        "wgpu" => not_built(name, "wgpu", index),
        _ => Err(unknown()),
    }
}

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn not_built(name: &str, feature: &'static str, _index: usize) -> Result<Device, Error> {
    Err(Error::DeviceNotBuilt { name: name.to_owned(), feature })
}

/// Devices are counted before one is used: the constructors accept any index, and the first operation panics.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn found(kind: DeviceType, name: &str, index: usize) -> Result<Device, Error> {
    let devices = Device::enumerate(kind).into_vec();
    let missing = Error::NoSuchDevice { name: name.to_owned(), found: devices.len() };
    let device = devices.into_iter().nth(index).ok_or(missing)?;
    let probe = device.clone();
    // The driver's start is a row of unwraps in the backend.
    let sum = std::panic::catch_unwind(move || Tensor::<1>::ones([4], &probe).sum().try_into_scalar::<f32>());
    match sum {
        Ok(Ok(4.0)) => Ok(device),
        _ => Err(Error::DeviceFailed { name: name.to_owned() }),
    }
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
}
