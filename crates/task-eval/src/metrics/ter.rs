//! `ter`: TER (Snover et al., *A study of translation edit rate with targeted human annotation*, 2006).
//!
//! ```text
//! 100 edits / words of the gold       edits: words to insert, delete and replace, and runs of words to move
//! ```
//!
//! From 0; less is better. It exceeds 100 where an answer is much longer than its gold. Without a word in the golds it
//! is 100 if there are edits, else 0. The harness's metric of this name: sacrebleu's `corpus_ter` with its
//! defaults.
//!
//! - Words are lower-cased and stand between whitespace. Punctuation stays with its word.
//! - A document counts with the gold that takes the fewest edits, and with the mean of its golds' words.
//! - The fewest edits with moves are hard to find (the problem is NP-complete), so Tercom searches greedily: the move
//!   that saves most is made as long as one saves something. sacrebleu follows Tercom, this file sacrebleu: the limits
//!   below and the order of equals decide the number.

use std::ops::Range;

use super::corpus::CorpusMetric;
use super::{AnswerKind, ObservationKind};
use crate::python::text::{rstrip, split};

/// The most words that move at once.
const LONGEST_MOVE: usize = 10;
/// How far a run may stand in the answer from where it stands in the gold, in words.
const FARTHEST_MOVE: usize = 50;
/// Cells of the table of edit distances that are computed to both sides of its diagonal.
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

/// The two sums of a document: the fewest edits to one of the golds, and the mean of the golds' words.
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

/// `100 edits / words`; 100 for edits without a word, 0 for neither.
fn score(sums: &[f64]) -> f64 {
    match (sums[0], sums[1]) {
        (edits, length) if length > 0.0 => 100.0 * (edits / length),
        (edits, _) if edits > 0.0 => 100.0,
        _ => 0.0,
    }
}

/// The number of edits from the answer to the gold: moves as long as one saves edits, then the edit distance that is
/// left.
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
    /// Words that it moves.
    length: usize,
    /// Where they begin in the answer.
    start: usize,
    /// The place before which they come to stand.
    target: usize,
    /// The answer after the move.
    answer: Vec<&'a str>,
}

impl Move<'_> {
    /// Tercom's order: what saves most, the longest, the first, to the first place.
    fn rank(&self) -> (isize, usize, std::cmp::Reverse<usize>, std::cmp::Reverse<usize>) {
        (self.saved, self.length, std::cmp::Reverse(self.start), std::cmp::Reverse(self.target))
    }
}

/// The edit distance without a move, and the best move of words that are wrong where they are to where the gold has
/// them and the answer has not. `tried` counts the moves of all calls, of which there may be [`MOVES`].
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
    /// The same word in both.
    Keep,
    /// A word of the answer for one of the gold.
    Replace,
    /// A word of the answer that the gold has not.
    Delete,
    /// A word of the gold that the answer has not.
    Insert,
}

/// Where words of the gold stand in the answer, and which words of both are not as they should be.
struct Alignment {
    /// Of each word of the gold; of one that is missing, that of the word before it, -1 at the beginning.
    places: Vec<isize>,
    /// Of each word of the gold, whether it is not kept.
    gold_errors: Vec<bool>,
    /// Of each word of the answer, whether it is not kept.
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

/// The cells near the diagonal of the words of the gold, for one number of the answer's words.
struct Row {
    /// The number of the gold's words at the first cell.
    first: usize,
    cells: Vec<Cell>,
}

impl Row {
    /// The cell of so many words of the gold; [`FAR`] outside of the row.
    fn at(&self, place: usize) -> Cell {
        self.cells.get(place.wrapping_sub(self.first)).copied().unwrap_or(FAR)
    }
}

/// The edit distance (Levenshtein), and the edits from the first word to the last.
///
/// Of the table `[answer + 1, gold + 1]` only the cells near the diagonal are computed, so it costs time and memory in
/// proportion to the answer's words. Texts that differ more than the beam is wide get a distance above the true one, as
/// Tercom's do.
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
