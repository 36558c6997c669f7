//! `tailor devices`: what `--device` may name on this machine.
//!
//! Every device is started for a moment to ask what it can do, so that a driver may say something on stderr.

use layer_runtime::{Backend, DeviceInfo, devices};
use tailor::Error;

use super::console::Console;

/// Show what can compute: the names for --device (eval) and device (in a study).
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(console: &Console) -> Result<(), Error> {
    console.say(&table(&devices()))
}

/// One line for each device, and one for each backend without any.
fn table(backends: &[Backend]) -> String {
    let mut rows = vec![row("device", "bf16", "what it is")];
    for Backend { name, devices } in backends {
        match devices.as_deref() {
            None => rows.push(row(name, "-", &format!("not in this binary: build with --features {name}"))),
            Some([]) => rows.push(row(name, "-", "none found: is its driver installed?")),
            Some(devices) => rows.extend(devices.iter().map(found)),
        }
    }
    rows.concat()
}

/// The line of a device that is there, whether it starts or not.
fn found(device: &DeviceInfo) -> String {
    match &device.description {
        Some(description) => row(&device.name, if device.bf16 { "yes" } else { "no" }, description),
        None => row(&device.name, "-", "does not start: its driver's message stands above"),
    }
}

/// A line of three columns.
fn row(device: &str, bf16: &str, description: &str) -> String {
    format!("{device:<8} {bf16:<5} {description}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_device_and_each_backend_without_one() {
        let device = |name: &str, description: Option<&str>, bf16| DeviceInfo {
            name: name.into(),
            description: description.map(str::to_owned),
            bf16,
        };
        let backends = [
            Backend { name: "cpu", devices: Some(vec![device("cpu", Some("2 threads, avx2"), true)]) },
            Backend { name: "cuda", devices: None },
            Backend {
                name: "wgpu",
                devices: Some(vec![device("wgpu:0", Some("llvmpipe"), false), device("wgpu:1", None, false)]),
            },
            Backend { name: "npu", devices: Some(vec![]) },
        ];
        let expected = "\
device   bf16  what it is
cpu      yes   2 threads, avx2
cuda     -     not in this binary: build with --features cuda
wgpu:0   no    llvmpipe
wgpu:1   -     does not start: its driver's message stands above
npu      -     none found: is its driver installed?
";
        assert_eq!(table(&backends), expected);
    }
}
