//! `bleu`: BLEU (Papineni et al., *BLEU: a method for automatic evaluation of machine translation*, 2002).
//!
//! ```text
//! 100 brevity (P_1 P_2 P_3 P_4)^(1/4)       P_n: share of the answers' runs of n words that a gold has too
//! brevity = min(1, exp(1 - gold words / answer words))
//! ```
//!
//! From 0 to 100; more is better. The harness's metric of this name: sacrebleu's `corpus_bleu` with its defaults.
//!
//! - Runs are counted over all answers together, each at most as often as the gold with most of them has it.
//! - Gold words are those of the gold whose length is nearest to the answer's; of two as near the shorter.
//! - Words are those of the tokenizer of mteval-v13a.
//! - A P_n of 0 counts as 1 / (2^k N), where N is the number of runs and k = 1, 2, ... counts such orders (NIST's
//!   smoothing, sacrebleu's `exp`).
//! - The score is 0 where no word agrees, and where no answer has four words.

use std::collections::HashMap;

use super::corpus::{CorpusMetric, counted};
use super::{AnswerKind, ObservationKind};
use crate::python::text::{rstrip, split};

/// The longest run of words that counts.
const ORDERS: usize = 4;
/// The length of the sums: words of answers, of golds; what agrees of each order, what there is.
const SUMS: usize = 2 + 2 * ORDERS;
/// sacrebleu's logarithm of nothing.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

pub(super) const BLEU: CorpusMetric = CorpusMetric {
    name: "bleu",
    summary: "How many of the answers' words, and of up to four in a row, a right answer has too, from 0 to 100.",
    higher_is_better: true,
    observes: &[(AnswerKind::Text, ObservationKind::Sums("bleu"))],
    counts,
    score,
};

/// The [`SUMS`] that one answer adds: its words, those of the nearest gold, and for each order the runs that agree and
/// all runs.
fn counts(answer: &str, golds: &[String]) -> Box<[f64]> {
    let golds: Vec<String> = golds.iter().map(|gold| tokenized(gold)).collect();
    let golds: Vec<Vec<&str>> = golds.iter().map(|gold| split(gold).collect()).collect();
    let answer = tokenized(answer);
    let answer: Vec<&str> = split(&answer).collect();
    let mut allowed: HashMap<&[&str], usize> = HashMap::new();
    for gold in &golds {
        for (ngram, count) in counted(ngrams(gold)) {
            let most = allowed.entry(ngram).or_default();
            *most = count.max(*most);
        }
    }
    let closest = golds.iter().map(Vec::len).min_by_key(|&length| (length.abs_diff(answer.len()), length));
    let mut sums = [0.0; SUMS];
    sums[0] = answer.len() as f64;
    sums[1] = closest.unwrap_or(0) as f64;
    for (ngram, count) in counted(ngrams(&answer)) {
        let order = ngram.len() - 1;
        sums[2 + order] += count.min(allowed.get(ngram).copied().unwrap_or(0)) as f64;
        sums[2 + ORDERS + order] += count as f64;
    }
    Box::new(sums)
}

/// BLEU of the sums over one or more answers, from 0 to 100.
fn score(sums: &[f64]) -> f64 {
    let (length, gold_length) = (sums[0], sums[1]);
    let (right, all) = (&sums[2..2 + ORDERS], &sums[2 + ORDERS..SUMS]);
    if right.iter().all(|&count| count == 0.0) {
        return 0.0;
    }
    let brevity = if length < gold_length { (1.0 - gold_length / length).exp() } else { 1.0 };
    let (mut logs, mut smoothing) = ([LOG_OF_ZERO; ORDERS], 1.0);
    for (log, (&right, &all)) in logs.iter_mut().zip(right.iter().zip(all)) {
        if all == 0.0 {
            break;
        }
        let precision = if right == 0.0 {
            smoothing *= 2.0;
            100.0 / (smoothing * all)
        } else {
            100.0 * right / all
        };
        *log = precision.ln();
    }
    brevity * (logs.iter().sum::<f64>() / ORDERS as f64).exp()
}

/// All runs of one to [`ORDERS`] words.
fn ngrams<'a, 'b>(words: &'a [&'b str]) -> impl Iterator<Item = &'a [&'b str]> {
    (1..=ORDERS).flat_map(|order| words.windows(order))
}

/// mteval-v13a's tokens, between spaces.
fn tokenized(text: &str) -> String {
    let mut text = rstrip(text).replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (escaped, plain) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(escaped, plain);
    }
    let mut spaced = String::with_capacity(2 * text.len());
    for c in format!(" {text} ").chars() {
        if stands_alone(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    let is_point = |c: char| matches!(c, '.' | ',');
    let is_digit = |c: char| c.is_ascii_digit();
    let spaced = pairs(&spaced, |a, b| !is_digit(a) && is_point(b), |a, b| [a, ' ', b, ' ']);
    let spaced = pairs(&spaced, |a, b| is_point(a) && !is_digit(b), |a, b| [' ', a, ' ', b]);
    pairs(&spaced, |a, b| is_digit(a) && b == '-', |a, b| [a, ' ', b, ' '])
}

/// ASCII's punctuation, but for `'`, `,`, `-` and `.`
fn stands_alone(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

/// Replaces pairs of neighbours from left to right, none of which is in two pairs.
fn pairs(text: &str, is: impl Fn(char, char) -> bool, with: impl Fn(char, char) -> [char; 4]) -> String {
    let mut out = String::with_capacity(2 * text.len());
    let mut chars = text.chars().peekable();
    while let Some(a) = chars.next() {
        match chars.next_if(|&b| is(a, b)) {
            Some(b) => out.extend(with(a, b)),
            None => out.push(a),
        }
    }
    out
}
