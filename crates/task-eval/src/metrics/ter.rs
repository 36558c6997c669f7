//! TER (Snover et al., *A study of translation edit rate with targeted human annotation*, 2006): 100 edits / words of the gold;
//! 0 for equal texts, and above 100 for an answer that is farther from the gold than nothing would be.
//!
//! Translation edit rate (Snover et al. 2006): words to insert, delete, replace, and runs of them to move, per word of
//! the gold. As sacrebleu follows Tercom, whose limits and preferences decide which of equals is taken.

use std::ops::Range;

use super::corpus::CorpusMetric;
use super::{AnswerKind, ObservationKind};
use crate::python::text::{rstrip, split};

const LONGEST_MOVE: usize = 10;
const FARTHEST_MOVE: usize = 50;
/// Cells to both sides of the diagonal.
const BEAM: usize = 25;
/// Moves that are tried for an answer.
const MOVES: usize = 1000;

pub(super) const TER: CorpusMetric = CorpusMetric {
    name: "ter",
    summary: "Edits from the answer to the right one, per hundred of the right one's words.",
    higher_is_better: false,
    observes: &[(AnswerKind::Text, ObservationKind::Sums("ter"))],
    counts,
    score,
};

/// Edits; words of the gold.
fn counts(answer: &str, golds: &[String]) -> Box<[f64]> {
    let lower = |text: &str| rstrip(text).to_lowercase();
    let answer = lower(answer);
    let answer: Vec<&str> = split(&answer).collect();
    let (mut fewest, mut length) = (None::<usize>, 0);
    for gold in golds {
        let gold = lower(gold);
        let gold: Vec<&str> = split(&gold).collect();
        let edits = edits(&answer, &gold);
        fewest = Some(fewest.map_or(edits, |fewest| fewest.min(edits)));
        length += gold.len();
    }
    Box::new([fewest.unwrap_or(0) as f64, length as f64 / golds.len().max(1) as f64])
}

fn score(sums: &[f64]) -> f64 {
    match (sums[0], sums[1]) {
        (edits, length) if length > 0.0 => 100.0 * (edits / length),
        (edits, _) if edits > 0.0 => 100.0,
        _ => 0.0,
    }
}

/// Moves while that saves edits, then edits.
fn edits(answer: &[&str], gold: &[&str]) -> usize {
    if gold.is_empty() {
        return answer.len();
    }
    let (mut answer, mut moves, mut tried) = (answer.to_vec(), 0, 0);
    loop {
        let (distance, best) = best_move(&answer, gold, &mut tried);
        match best {
            Some(best) if tried < MOVES && best.saved > 0 => {
                answer = best.answer;
                moves += 1;
            }
            _ => return moves + distance,
        }
    }
}

/// A run of words moved.
struct Move<'a> {
    /// Edits that it saves; fewer than none if it costs some.
    saved: isize,
    length: usize,
    start: usize,
    target: usize,
    answer: Vec<&'a str>,
}

impl Move<'_> {
    /// Tercom's order: what saves most, the longest, the first, to the first place.
    fn rank(&self) -> (isize, usize, std::cmp::Reverse<usize>, std::cmp::Reverse<usize>) {
        (self.saved, self.length, std::cmp::Reverse(self.start), std::cmp::Reverse(self.target))
    }
}

/// The edit distance, and the best move of words that are wrong where they are to where the gold has them and the
/// answer has not.
fn best_move<'a>(answer: &[&'a str], gold: &[&str], tried: &mut usize) -> (usize, Option<Move<'a>>) {
    let (before, trace) = distance(answer, gold);
    let alignment = Alignment::new(&trace);
    let mut best: Option<Move<'a>> = None;
    for (start, gold_start, length) in runs_in_both(answer, gold) {
        let wrong = |errors: &[bool], start: usize| errors[start..start + length].contains(&true);
        let within = |place: isize| place >= start as isize && place < (start + length) as isize;
        if !wrong(&alignment.answer_errors, start)
            || !wrong(&alignment.gold_errors, gold_start)
            || within(alignment.places[gold_start])
        {
            continue;
        }
        let mut last = None;
        // Before the run's place, then behind each of its words.
        for behind in (gold_start..=gold_start + length).map(|place| place.checked_sub(1)) {
            let target = match behind {
                None => 0,
                Some(place) => match alignment.places.get(place) {
                    Some(place) => (place + 1) as usize,
                    None => break,
                },
            };
            if last.replace(target) == Some(target) {
                continue;
            }
            let moved = moved(answer, start, length, target);
            let saved = before as isize - distance(&moved, gold).0 as isize;
            *tried += 1;
            let candidate = Move { saved, length, start, target, answer: moved };
            if best.as_ref().is_none_or(|best| candidate.rank() > best.rank()) {
                best = Some(candidate);
            }
        }
        if *tried >= MOVES {
            break;
        }
    }
    (before, best)
}

/// Runs of words that both have, in different places or not: where they start in each, and how long they are.
fn runs_in_both<'a>(answer: &'a [&str], gold: &'a [&str]) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
    let starts = (0..answer.len()).flat_map(|start| (0..gold.len()).map(move |gold_start| (start, gold_start)));
    starts.filter(|(start, gold_start)| start.abs_diff(*gold_start) <= FARTHEST_MOVE).flat_map(|(start, gold_start)| {
        let same = answer[start..].iter().zip(&gold[gold_start..]).take_while(|(a, b)| a == b).count();
        (1..=same.min(LONGEST_MOVE)).map(move |length| (start, gold_start, length))
    })
}

/// The words with a run of them moved before a place; a place within the run means as far behind it.
fn moved<'a>(words: &[&'a str], start: usize, length: usize, target: usize) -> Vec<&'a str> {
    let run = &words[start..start + length];
    let rest = [&words[..start], &words[start + length..]].concat();
    let place = if target > start + length { target - length } else { target };
    let (head, tail) = rest.split_at(place.min(rest.len()));
    [head, run, tail].concat()
}

/// What becomes of a word on the way from the answer to the gold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Replace,
    /// Of the answer.
    Delete,
    /// Of the gold.
    Insert,
}

/// Where words of the gold stand in the answer, and which words of both are not as they should be.
struct Alignment {
    /// Of each word of the gold; of one that is missing, that of the word before it, -1 at the beginning.
    places: Vec<isize>,
    gold_errors: Vec<bool>,
    answer_errors: Vec<bool>,
}

impl Alignment {
    fn new(trace: &[Edit]) -> Self {
        let mut alignment = Self { places: Vec::new(), gold_errors: Vec::new(), answer_errors: Vec::new() };
        for edit in trace {
            let wrong = *edit != Edit::Keep;
            if *edit != Edit::Insert {
                alignment.answer_errors.push(wrong);
            }
            if *edit != Edit::Delete {
                alignment.gold_errors.push(wrong);
                alignment.places.push(alignment.answer_errors.len() as isize - 1);
            }
        }
        alignment
    }
}

/// Edits up to a place in both, and the last of them.
type Cell = (usize, Edit);
/// That of a place which is too far from the diagonal.
const FAR: Cell = (usize::MAX / 2, Edit::Keep);

/// The cells near the diagonal.
struct Row {
    first: usize,
    cells: Vec<Cell>,
}

impl Row {
    fn at(&self, place: usize) -> Cell {
        self.cells.get(place.wrapping_sub(self.first)).copied().unwrap_or(FAR)
    }
}

/// The edit distance (Levenshtein) near the diagonal, and the edits.
fn distance(answer: &[&str], gold: &[&str]) -> (usize, Vec<Edit>) {
    let ratio = if answer.is_empty() { 1.0 } else { gold.len() as f64 / answer.len() as f64 };
    // Where lengths differ much, so that one row reaches the next.
    let beam = if (BEAM as f64) < ratio / 2.0 { (ratio / 2.0 + BEAM as f64).ceil() as usize } else { BEAM };
    let insertions = (0..=gold.len()).map(|insertions| (insertions, Edit::Insert)).collect();
    let mut rows = vec![Row { first: 0, cells: insertions }];
    for (i, word) in answer.iter().enumerate() {
        let diagonal = ((i + 1) as f64 * ratio).floor() as usize;
        let end = if i + 1 == answer.len() { usize::MAX } else { diagonal + beam };
        rows.push(next_row(&rows[i], word, gold, diagonal.saturating_sub(beam)..end.min(gold.len() + 1)));
    }
    let (mut i, mut j, mut trace) = (answer.len(), gold.len(), Vec::new());
    while i > 0 || j > 0 {
        let edit = match (i, j) {
            (0, _) => Edit::Insert,
            (_, 0) => Edit::Delete,
            _ => rows[i].at(j).1,
        };
        trace.push(edit);
        i -= usize::from(edit != Edit::Insert);
        j -= usize::from(edit != Edit::Delete);
    }
    trace.reverse();
    (rows[answer.len()].at(gold.len()).0, trace)
}

/// The cells of a range for one more word of the answer.
fn next_row(before: &Row, word: &str, gold: &[&str], range: Range<usize>) -> Row {
    let mut row = Row { first: range.start, cells: Vec::with_capacity(range.len()) };
    for j in range {
        let deleted = (before.at(j).0 + 1, Edit::Delete);
        let cell = match j.checked_sub(1) {
            None => deleted,
            Some(left) => {
                let replaced = if word == gold[left] {
                    (before.at(left).0, Edit::Keep)
                } else {
                    (before.at(left).0 + 1, Edit::Replace)
                };
                let inserted = (row.at(left).0 + 1, Edit::Insert);
                // Of equals the first.
                [deleted, inserted].into_iter().fold(replaced, |best, cell| if cell.0 < best.0 { cell } else { best })
            }
        };
        row.cells.push(cell);
    }
    row
}
