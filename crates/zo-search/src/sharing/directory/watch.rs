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
    /// When the beat was looked at last.
    looked: Instant,
    lease: Duration,
}

/// Between these, a quarter of a lease is the time after which a beat is looked at again.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

impl Watch {
    /// Takes a beat down that was just read. Returns how long it has been the same.
    pub(super) fn note(&self, who: &str, beat: &str, lease: Duration) -> Duration {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(who) {
            Some(known) if known.beat == beat => {
                (known.looked, known.lease) = (now, lease);
                now.saturating_duration_since(known.since)
            }
            _ => {
                seen.insert(who.to_owned(), Seen { beat: beat.to_owned(), since: now, looked: now, lease });
                Duration::ZERO
            }
        }
    }

    /// Whether somebody's beat should be read again: it was not for a while, or it was silent for too long then.
    pub(super) fn is_due(&self, who: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(who).is_none_or(|known| {
            known.looked.elapsed() >= (known.lease / 4).clamp(LOOKS.0, LOOKS.1) || known.since.elapsed() >= known.lease
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_when_a_beat_is_seen_and_ends_with_another() {
        let (watch, lease) = (Watch::default(), Duration::from_secs(60));
        assert!(watch.is_due("a"));
        assert_eq!(watch.note("a", "1", lease), Duration::ZERO);
        assert!(!watch.is_due("a"), "it was just looked at");
        std::thread::sleep(Duration::from_millis(20));
        assert!(watch.note("a", "1", lease) >= Duration::from_millis(20));
        assert_eq!(watch.note("a", "2", Duration::from_millis(1)), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(watch.is_due("a"), "its lease has run out");
    }
}
