//! Run a layer recipe, fast: a decoder on burn that builds each layer from the checkpoints as the recipe says.

mod device;
mod error;

mod bank;
mod rope;
mod runtime;
mod weights;

mod attention;
mod batch;
mod plan;
mod trie;

mod cache;
mod cpu;
mod engine;
mod forward;
mod plain;
mod states;
mod work;

mod generate;
mod model;
mod score;
mod timings;
mod workers;

pub use burn::tensor::Device;
pub use device::{Backend, DeviceInfo, devices, instruction_sets, open_device, open_devices};
pub use error::Error;
pub use model::RecipeModel;
pub use runtime::{Runtime, RuntimeOptions};
pub use timings::Timings;
pub use work::{Explainer, WorkPlan};
