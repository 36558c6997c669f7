//! `chrf`: chrF (Popović, *chrF: character n-gram F-score for automatic MT evaluation*, 2015); `chrf++`: chrF++
//! (Popović, *chrF++: words helping character n-grams*, 2017).
//!
//! ```text
//! 100 (1 + b^2) P R / (b^2 P + R)           b = 2, so recall R counts twice as much as precision P
//! P = mean over the orders of  runs in both / runs in the answers
//! R = mean over the orders of  runs in both / runs in the golds
//! ```
//!
//! From 0 to 100; more is better. sacrebleu's `corpus_chrf` with its defaults; the harness's metrics of these names.
//!
//! - The orders of chrF are runs of 1 to 6 characters, whitespace left out; chrF++ adds runs of 1 and 2 words.
//! - Of several golds a document counts with the one that it reaches the highest score on.
//! - An order that the answers or the golds have no run of is left out of the means.

use std::collections::HashMap;
use std::hash::Hash;

use super::corpus::{CorpusMetric, counted};
use super::{AnswerKind, ObservationKind};
use crate::python::text::split;

/// The longest run of characters that counts.
const CHARACTERS: usize = 6;
/// The longest run of words that chrF++ counts.
const WORDS: usize = 2;

/// Of each order, first those of characters, then those of words: in the answer, in the gold that agrees best, in
/// both.
type Counts = [f64; 3 * (CHARACTERS + WORDS)];

pub(super) const CHRF: CorpusMetric = CorpusMetric {
    name: "chrf",
    summary: "The F score of up to six characters in a row of the answers and the right ones, from 0 to 100.",
    higher_is_better: true,
    observes: &[(AnswerKind::Text, ObservationKind::Sums("chrf"))],
    counts: |answer, golds| Box::new(best_counts(answer, golds, false)),
    score,
};

pub(super) const CHRF_WITH_WORDS: CorpusMetric = CorpusMetric {
    name: "chrf++",
    summary: "As chrf, with single words and pairs of them.",
    higher_is_better: true,
    observes: &[(AnswerKind::Text, ObservationKind::Sums("chrf++"))],
    counts: |answer, golds| Box::new(best_counts(answer, golds, true)),
    score,
};

/// The counts against the gold that agrees best.
fn best_counts(answer: &str, golds: &[String], with_words: bool) -> Counts {
    let mut best: Option<(f64, Counts)> = None;
    for gold in golds {
        let counts = against(answer, gold, with_words);
        let score = score(&counts);
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, counts));
        }
    }
    best.map_or(Counts::default(), |(_, counts)| counts)
}

/// The counts against one gold; those of words stay 0 unless `with_words`.
fn against(answer: &str, gold: &str, with_words: bool) -> Counts {
    let mut counts = Counts::default();
    let (characters, words) = counts.split_at_mut(3 * CHARACTERS);
    let solid = |text| split(text).flat_map(str::chars).collect::<Vec<_>>();
    agreement(&solid(answer), &solid(gold), characters);
    if with_words {
        agreement(&without_punctuation(answer), &without_punctuation(gold), words);
    }
    counts
}

/// Fills three numbers for each order that `counts` has room for: runs of the answer, runs of the gold, runs of both.
/// An order that the gold is too short for leaves all of them 0.
fn agreement<T: Eq + Hash>(answer: &[T], gold: &[T], counts: &mut [f64]) {
    for (order, counts) in counts.chunks_exact_mut(3).enumerate() {
        let [in_answer, in_gold] = [answer, gold].map(|items| counted(items.windows(order + 1)));
        let all = |of: &HashMap<&[T], usize>| of.values().sum::<usize>() as f64;
        let both = in_answer.iter().map(|(ngram, count)| in_gold.get(ngram).map_or(0, |other| *count.min(other)));
        counts[2] = both.sum::<usize>() as f64;
        // What a gold cannot have is no fault.
        counts[0] = if in_gold.is_empty() { 0.0 } else { all(&in_answer) };
        counts[1] = all(&in_gold);
    }
}

/// Words, their last mark of punctuation, or else their first, by itself.
fn without_punctuation(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for word in split(text) {
        let (first, last) = (word.chars().next(), word.chars().next_back());
        let width = |c: Option<char>| c.filter(char::is_ascii_punctuation).map_or(0, char::len_utf8);
        let (begin, end) = match (word.chars().nth(1), width(last)) {
            (None, _) => (0, 0),
            (_, 0) => (width(first), 0),
            (_, end) => (0, end),
        };
        let (head, tail) = if begin > 0 { word.split_at(begin) } else { word.split_at(word.len() - end) };
        parts.extend([head, tail].into_iter().filter(|part| !part.is_empty()));
    }
    parts
}

/// The F score of the mean precision and the mean recall of the orders that both sides have, from 0 to 100.
fn score(counts: &[f64]) -> f64 {
    /// b^2
    const RECALL: f64 = 4.0;
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for counts in counts.chunks_exact(3).filter(|counts| counts[0] > 0.0 && counts[1] > 0.0) {
        precision += counts[2] / counts[0];
        recall += counts[2] / counts[1];
        orders += 1.0;
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    100.0 * ((1.0 + RECALL) * precision * recall / (RECALL * precision + recall))
}
