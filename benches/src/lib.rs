//! Benchmarks of Tailor, and what they share: checkpoints of random weights, prompts, and memory and time as measured.
//!
//! | what is measured | by | beside |
//! |---|---|---|
//! | forward passes | `bin/forward.rs`, `bin/logits.rs`, `benches/kernels.rs` | transformers, llama.cpp
//! (`peers/forward.sh`) |
//! | bridges | `bin/bridges.rs` | numpy (`peers/bridges.sh`) |
//! | candidates | `bin/candidate.rs`, `bin/scaling.rs`, `benches/candidate.rs` | mergekit (`peers/candidate.sh`) |
//! | strategies | `bin/compare_search.rs`, `bin/ask_cost.rs`, [`search`] | SMAC3, Optuna, pycma (`peers/search.sh`) |
//! | how busy many workers are | `bin/workers.rs`, `postgres.sh` | |
//! | the machine | `bin/bandwidth.rs` | |
//!
//! What came out, on which machine and when: `docs/performance.md` and `docs/search.md`.

mod checkpoint;
mod model;

mod median;
mod resident;

pub mod search;

pub use checkpoint::Shape;
pub use median::median;
pub use model::{model, open, prompt, requests, score};
pub use resident::{Resident, Watch};

/// What goes wrong in a benchmark ends it, with the message that it came with.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
