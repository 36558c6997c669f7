//! A program as the script that a sandbox runs, and what the script says of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::process::Finished;
use super::{CPU_SECONDS, FILES_BYTES, MEMORY_BYTES, PROCESSES, Verdict};
use crate::hashes::sha256;

/// What runs a program in Python, after the constants that [`Script::new`] writes.
const DRIVER: &str = include_str!("driver.py");
/// Files that a program may have open.
const OPEN_FILES: u64 = 64;

/// A script with the word by which its own lines are known.
pub(super) struct Script {
    /// The script's text.
    pub text: String,
    nonce: String,
}

impl Script {
    /// The script that runs this program.
    pub(super) fn new(program: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let nonce = sha256(&format!("{time} {} {program}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let limits = json!([
            ["RLIMIT_CORE", 0],
            ["RLIMIT_CPU", CPU_SECONDS],
            ["RLIMIT_AS", MEMORY_BYTES],
            ["RLIMIT_FSIZE", FILES_BYTES],
            ["RLIMIT_NOFILE", OPEN_FILES],
            ["RLIMIT_NPROC", PROCESSES],
        ]);
        // A JSON text is a Python text as well.
        let program = Value::from(program);
        let text = format!("NONCE = \"{nonce}\"\nLIMITS = {limits}\nPROGRAM = {program}\n{DRIVER}");
        Self { text, nonce }
    }

    /// What became of the program; None if the sandbox never came to run the script.
    pub(super) fn verdict(&self, finished: &Finished) -> Option<Verdict> {
        let mut said = finished.stdout.lines().filter_map(|line| line.strip_prefix(&self.nonce)?.strip_prefix(' '));
        said.next().filter(|first| *first == "started")?;
        let last = said.next_back();
        Some(match (finished.killed, last) {
            (Some(why), _) => Verdict::Failed(why.to_owned()),
            (None, Some("passed")) => Verdict::Passed,
            (None, Some(failed)) => Verdict::Failed(failed.trim_start_matches("failed ").to_owned()),
            (None, None) => Verdict::Failed("it ended before its tests".to_owned()),
        })
    }
}
