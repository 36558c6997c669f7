//! Benchmarks of Tailor, and what they share: checkpoints of random weights, prompts, and memory and time as measured.

mod checkpoint;
mod model;

mod median;
mod resident;

pub mod search;

pub use checkpoint::Shape;
pub use median::median;
pub use model::{model, open, prompt, requests, score};
pub use resident::{Resident, Watch};

/// What goes wrong in a benchmark ends it.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
