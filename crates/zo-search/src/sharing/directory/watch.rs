//! Who has been silent for how long, by the observer's own clock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an observer knows of those who say that they live by changing a text, their beat.
///
/// No two clocks are compared: silence is the time since this observer first saw the present beat. One that has just
/// begun therefore thinks that everybody has just been heard of.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    beat: String,
    /// When the beat was seen first.
    since: Instant,
}

impl Watch {
    /// Takes a beat down that was just read. Returns how long it has been the same.
    pub(super) fn note(&self, who: &str, beat: &str) -> Duration {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(who) {
            Some(known) if known.beat == beat => now.saturating_duration_since(known.since),
            _ => {
                seen.insert(who.to_owned(), Seen { beat: beat.to_owned(), since: now });
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_when_a_beat_is_seen_and_ends_with_another() {
        let watch = Watch::default();
        assert_eq!(watch.note("a", "1"), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(20));
        assert!(watch.note("a", "1") >= Duration::from_millis(20));
        assert_eq!(watch.note("b", "1"), Duration::ZERO);
        assert_eq!(watch.note("a", "2"), Duration::ZERO);
    }
}
