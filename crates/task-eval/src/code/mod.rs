//! Programs that a model wrote, run with the tests of a task: in a sandbox, or not at all.
//!
//! ```text
//! answer + tests ──program──► script (driver.py) ──sandbox: bubblewrap or a container──► passed, or why not
//! ```
//!
//! | limit | by bubblewrap | by a container command |
//! |---|---|---|
//! | network | none but the loopback of its own namespace | the command's; tried before any model runs |
//! | files | `/usr` and libraries, read-only; `/tmp` of [`FILES_BYTES`] | the command's; tried, too |
//! | environment | `PATH`, `HOME`, `LANG` | the command's |
//! | time | [`WALL_SECONDS`], and [`CPU_SECONDS`] of each process | a minute with its start, and the same |
//! | memory of each process | [`MEMORY_BYTES`] | the same, and the command's |
//! | processes | [`PROCESSES`] | the same, unless its user is root, and the command's |
//! | output | what a program prints is dropped; beyond [`OUTPUT_BYTES`] it is killed | the same |
//!
//! A program shares its process with its tests, as with every harness: one that is made to deceive can say that it has
//! passed. It cannot reach anything outside.

mod error;
mod process;
mod program;
mod sandbox;

pub use error::CodeError;
pub(crate) use sandbox::Sandbox;

/// Seconds after which a program is killed, whatever it does.
const WALL_SECONDS: u64 = 10;
/// Seconds that it may compute: the limit of Hugging Face's `code_eval` is 3 seconds of any kind.
const CPU_SECONDS: u64 = 3;
/// Bytes that each of its processes may map.
const MEMORY_BYTES: u64 = 1 << 30;
/// Processes and threads that it may have at once.
const PROCESSES: u64 = 16;
/// Bytes of the files in `/tmp`, together and each.
const FILES_BYTES: u64 = 64 << 20;
/// Bytes that may come out of a sandbox.
const OUTPUT_BYTES: u64 = 64 << 10;

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ran to its end, tests included.
    Passed,
    /// It did not; why.
    Failed(String),
}
