//! Heats: groups of points that climb together, rung by rung, the worst of them left behind at each.

use std::ops::Range;

use crate::schedulers::ladder::Ladder;
use crate::{Error, Point, Trial};

/// How many of a heat are asked at a rung, and at those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heat {
    /// The rung that its points begin at.
    pub(crate) first: usize,
    /// How many points begin, then how many reach each rung above.
    pub(crate) sizes: Vec<usize>,
}

/// A ladder that is climbed in heats: the next rung waits until all trials of a heat at the one below are told.
///
/// While it waits, points of the next heat are asked, so that no worker waits.
#[derive(Debug, Clone)]
pub(crate) struct Heats {
    pub(crate) ladder: Ladder,
    /// Heats in turn.
    program: Vec<Heat>,
    /// The candidates of each heat begun so far.
    begun: Vec<Range<usize>>,
}

impl Heats {
    /// Heats after this program, over and over.
    pub(crate) fn new(ladder: Ladder, program: Vec<Heat>) -> Self {
        Self { ladder, program, begun: Vec::new() }
    }

    fn heat(&self, number: usize) -> &Heat {
        &self.program[number % self.program.len()]
    }

    /// How many points the first heat begins with.
    pub(crate) fn size(&self) -> usize {
        self.heat(0).sizes[0]
    }

    /// The candidate to ask again now. With `closed`, the last heat does not wait for more points.
    pub(crate) fn promotable(&self, closed: bool) -> Option<usize> {
        (0..self.begun.len()).find_map(|number| {
            let full = self.begun[number].len() >= self.heat(number).sizes[0];
            if full || closed { self.promotable_of(number) } else { None }
        })
    }

    fn promotable_of(&self, number: usize) -> Option<usize> {
        let heat = self.heat(number);
        let mut members: Vec<usize> = self.begun[number].clone().collect();
        for (rung, size) in (heat.first..).zip(&heat.sizes[1..]) {
            members = self.best(members, rung, *size)?;
            if let Some(next) = members.iter().find(|candidate| self.ladder.rung(**candidate) == rung) {
                return Some(*next);
            }
        }
        None
    }

    /// The best members at a rung, once all of them are told there.
    fn best(&self, members: Vec<usize>, rung: usize, size: usize) -> Option<Vec<usize>> {
        let entries = members.into_iter().map(|member| Some((member, self.ladder.entry(member, rung)?)));
        let mut entries = entries.collect::<Option<Vec<_>>>()?;
        if entries.iter().any(|(_, entry)| entry.outcome.is_none()) {
            return None;
        }
        entries.retain(|(_, entry)| entry.result().is_some());
        entries.sort_by(|a, b| a.1.rank(b.1));
        entries.truncate(size);
        Some(entries.into_iter().map(|(member, _)| member).collect())
    }

    /// Asks a new point, at the lowest rung of the heat that it belongs to.
    pub(crate) fn begin(&mut self, point: Point, origin: String) -> Trial {
        let rung = self.next_rung();
        let trial = self.ladder.begin(point, rung, origin);
        self.count_in();
        trial
    }

    /// Takes a trial from a journal; `new` is called with one that is no promotion.
    pub(crate) fn restore(&mut self, trial: &Trial, new: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let Some(rung) = self.ladder.restore_promotion(trial)? else { return Ok(()) };
        if rung != self.next_rung() || trial.id != self.ladder.ledger.next_id() {
            return Err(Error::Diverged { id: trial.id });
        }
        new()?;
        self.ladder.restore_new(trial, rung)?;
        self.count_in();
        Ok(())
    }

    /// The rung that the next new point begins at.
    fn next_rung(&self) -> usize {
        match self.begun.len().checked_sub(1).map(|number| (self.heat(number), &self.begun[number])) {
            Some((heat, candidates)) if candidates.len() < heat.sizes[0] => heat.first,
            _ => self.heat(self.begun.len()).first,
        }
    }

    /// Counts the last candidate to its heat.
    fn count_in(&mut self) {
        let (end, last) = (self.ladder.len(), self.begun.len().checked_sub(1));
        match last {
            Some(last) if self.begun[last].len() < self.heat(last).sizes[0] => self.begun[last].end = end,
            _ => self.begun.push(end - 1..end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, TrialId};

    #[test]
    fn a_rung_waits_for_the_one_below_while_the_next_heat_begins() -> Result<(), Error> {
        let program = vec![Heat { first: 0, sizes: vec![3, 1] }, Heat { first: 1, sizes: vec![2] }];
        let mut heats = Heats::new(Ladder::new("test", [0.5, 1.0])?, program);
        let mut begin = |x| heats.begin(Point::new().with_int("x", x), "test".into()).fidelity.fraction();
        let rungs: Vec<f64> = (0..6).map(&mut begin).collect();
        assert_eq!(rungs, [0.5, 0.5, 0.5, 1.0, 1.0, 0.5]);
        for (id, score) in [(2, 1.0), (0, f64::NAN), (5, 0.0)] {
            heats.ladder.tell(TrialId(id), Outcome::score(score))?;
            assert_eq!(heats.promotable(false), None);
        }
        assert_eq!(heats.promotable(true), Some(5), "the last heat is closed, the first one waits");
        heats.ladder.tell(TrialId(1), Outcome::score(2.0))?;
        assert_eq!(heats.promotable(false), Some(2));
        assert_eq!(heats.ladder.promote(2)?.origin, "promotion of 2");
        assert_eq!(heats.promotable(false), None);
        Ok(())
    }
}
