//! Brackets: groups of points that climb together, rung by rung, the worst of them left behind at each.

use std::ops::Range;

use super::rung_table::RungTable;

/// How many points of a bracket are asked at a rung, and at those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bracket {
    /// The rung that its points begin at.
    pub(crate) first: usize,
    /// How many points begin (at least 1), then how many reach each rung above.
    pub(crate) sizes: Vec<usize>,
}

/// Brackets that are filled one after the other. The next rung waits until all trials of a bracket at the one below
/// are told; while it waits, points of the next bracket are asked, so that no worker waits.
#[derive(Debug, Clone)]
pub(crate) struct Brackets {
    /// Brackets in turn, over and over.
    program: Vec<Bracket>,
}

impl Brackets {
    /// Brackets after this program, over and over.
    pub(crate) fn new(program: Vec<Bracket>) -> Self {
        Self { program }
    }

    /// How many points the first bracket begins with.
    pub(crate) fn size(&self) -> usize {
        self.bracket(0).sizes[0]
    }

    /// The rung that the next new point begins at.
    pub(crate) fn first_rung(&self, table: &RungTable) -> usize {
        let begun = self.begun(table.len());
        match begun.last() {
            Some((bracket, members)) if members.len() < bracket.sizes[0] => bracket.first,
            _ => self.bracket(begun.len()).first,
        }
    }

    /// The candidate to ask again now. With `closed`, the last bracket does not wait for more points.
    pub(crate) fn promotable(&self, table: &RungTable, closed: bool) -> Option<usize> {
        self.begun(table.len()).into_iter().find_map(|(bracket, members)| {
            let full = members.len() >= bracket.sizes[0];
            if full || closed { promotable_of(table, bracket, members) } else { None }
        })
    }

    fn bracket(&self, number: usize) -> &Bracket {
        &self.program[number % self.program.len()]
    }

    /// The brackets that so many candidates fill, each with its members.
    fn begun(&self, candidates: usize) -> Vec<(&Bracket, Range<usize>)> {
        let mut begun = Vec::new();
        let mut first = 0;
        while first < candidates {
            let bracket = self.bracket(begun.len());
            let end = candidates.min(first + bracket.sizes[0]);
            begun.push((bracket, first..end));
            first = end;
        }
        begun
    }
}

/// The candidate of one bracket to ask again: the best one that was not asked again yet, of the lowest rung that is
/// finished and has such a one.
fn promotable_of(table: &RungTable, bracket: &Bracket, members: Range<usize>) -> Option<usize> {
    let mut members: Vec<usize> = members.collect();
    for (rung, size) in (bracket.first..).zip(&bracket.sizes[1..]) {
        members = best(table, members, rung, *size)?;
        if let Some(next) = members.iter().find(|candidate| table.rung(**candidate) == rung) {
            return Some(*next);
        }
    }
    None
}

/// The best members at a rung, once all of them are told there.
fn best(table: &RungTable, members: Vec<usize>, rung: usize, size: usize) -> Option<Vec<usize>> {
    let entries = members.into_iter().map(|member| Some((member, table.entry(member, rung)?)));
    let mut entries = entries.collect::<Option<Vec<_>>>()?;
    if entries.iter().any(|(_, entry)| entry.outcome.is_none()) {
        return None;
    }
    entries.retain(|(_, entry)| entry.result().is_some());
    entries.sort_by(|a, b| a.1.rank(b.1));
    entries.truncate(size);
    Some(entries.into_iter().map(|(member, _)| member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Origin, Outcome, Point, TrialId};

    #[test]
    fn a_rung_waits_for_the_one_below_while_the_next_bracket_begins() -> Result<(), Error> {
        let brackets =
            Brackets::new(vec![Bracket { first: 0, sizes: vec![3, 1] }, Bracket { first: 1, sizes: vec![2] }]);
        let mut table = RungTable::new("test", [0.5, 1.0])?;
        let mut begin = |x| {
            let rung = brackets.first_rung(&table);
            table.begin(Point::new().with_int("x", x), rung, "test".into()).fidelity.fraction()
        };
        let rungs: Vec<f64> = (0..6).map(&mut begin).collect();
        assert_eq!(rungs, [0.5, 0.5, 0.5, 1.0, 1.0, 0.5]);
        for (id, score) in [(2, 1.0), (0, f64::NAN), (5, 0.0)] {
            table.tell(TrialId(id), Outcome::score(score))?;
            assert_eq!(brackets.promotable(&table, false), None);
        }
        assert_eq!(brackets.promotable(&table, true), Some(5), "the last bracket is closed, the first one waits");
        table.tell(TrialId(1), Outcome::score(2.0))?;
        assert_eq!(brackets.promotable(&table, false), Some(2));
        assert_eq!(table.promote(2)?.origin, Origin::Promotion(TrialId(2)));
        assert_eq!(brackets.promotable(&table, false), None);
        Ok(())
    }
}
