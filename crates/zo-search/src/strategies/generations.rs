//! Generations: blocks of trials by their numbers, so that it does not matter in which order they are told.

use crate::Entry;

/// How many trials belong to generations of this size that are over, that is told to the last one.
///
/// A trial that still runs holds up its generation only until a later one is over. Children that are asked while it
/// does belong to the next generations, as their numbers say.
pub(crate) fn finished(entries: &[Entry], size: usize) -> usize {
    let size = size.max(1);
    let over = |generation: &[Entry]| generation.iter().all(|entry| entry.outcome.is_some());
    let last = entries.chunks_exact(size).rposition(over);
    last.map_or(0, |last| (last + 1) * size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fidelity, Ledger, Outcome, Point, TrialId};

    #[test]
    fn a_straggler_holds_up_its_own_generation_alone() -> Result<(), crate::Error> {
        let mut ledger = Ledger::new();
        for x in 0..9 {
            ledger.issue(Point::new().with_int("x", x), Fidelity::FULL, "test");
        }
        for id in [0, 2, 3, 4] {
            ledger.tell(TrialId(id), Outcome::score(1.0))?;
        }
        assert_eq!(finished(ledger.entries(), 3), 0);
        ledger.tell(TrialId(5), Outcome::score(f64::NAN))?;
        assert_eq!(finished(ledger.entries(), 3), 6);
        assert_eq!(finished(ledger.entries(), 10), 0);
        Ok(())
    }
}
