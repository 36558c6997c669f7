//! How much memory does this process hold? Linux only; zeros elsewhere.
//!
//! A model whose weights are memory-mapped looks large by its resident memory alone: what counts is what the kernel
//! could not take back, [`Resident::anonymous`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Resident memory in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// The most of it all at once, as the kernel counted (`VmHWM`).
    pub peak: u64,
    /// What only this process has (`RssAnon`): the heap.
    pub anonymous: u64,
    /// Pages of mapped files (`RssFile`): the kernel takes them back when it needs them.
    pub file: u64,
    /// What went out to swap (`VmSwap`).
    pub swapped: u64,
}

impl Resident {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Self { peak: field("VmHWM"), anonymous: field("RssAnon"), file: field("RssFile"), swapped: field("VmSwap") }
    }

    /// The larger of each.
    fn max(self, other: Self) -> Self {
        Self {
            peak: self.peak.max(other.peak),
            anonymous: self.anonymous.max(other.anonymous),
            file: self.file.max(other.file),
            swapped: self.swapped.max(other.swapped),
        }
    }
}

/// Looks every five milliseconds at [`Resident`], as the kernel keeps a peak of the sum alone. What comes and goes in
/// between is not seen.
pub struct Watch {
    /// Set when nobody wants to know more.
    done: Arc<AtomicBool>,
    thread: JoinHandle<Resident>,
}

impl Watch {
    /// Begins to look.
    #[must_use]
    pub fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let mut most = Resident::now();
            while !stop.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                most = most.max(Resident::now());
            }
            most
        });
        Self { done, thread }
    }

    /// The most that was seen of each.
    #[must_use]
    pub fn peak(self) -> Resident {
        self.done.store(true, Relaxed);
        self.thread.join().unwrap_or_default().max(Resident::now())
    }
}
