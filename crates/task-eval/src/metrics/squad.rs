//! How far two answers agree, as the evaluation of SQuAD says (Rajpurkar et al., *SQuAD: 100,000+ questions for machine
//! comprehension of text*, 2016): by their words, without case, punctuation and articles.
//!
//! ```text
//! F1 = 2 P R / (P + R)      P: shared words / words of the one; R: shared words / words of the other
//! ```
//!
//! A word is shared as often as both answers have it. It is not a metric by itself: the built-in function of ReCoRD
//! grades its choices by it, and [`f1` and `em`](super::f1) read the grades.

use crate::python::text::split;

/// How far an answer agrees with the right one, or with the nearest of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// F1 of their words, from 0 to 1.
    pub f1: f64,
    /// Whether they are the same.
    pub exact: bool,
}

/// The best that `answer` reaches on any of `golds`; nothing agrees with none.
pub(crate) fn agreement(answer: &str, golds: &[String]) -> Agreement {
    let answer = words(answer);
    golds.iter().map(|gold| words(gold)).fold(Agreement { f1: 0.0, exact: false }, |best, gold| Agreement {
        f1: best.f1.max(word_f1(&answer, &gold)),
        exact: best.exact || answer == gold,
    })
}

/// `normalize_answer(text).split()` of SQuAD's script: lower case, no ASCII punctuation, no articles.
fn words(text: &str) -> Vec<String> {
    let text: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    split(&without_articles(&text)).map(str::to_owned).collect()
}

/// `re.sub(r"\b(a|an|the)\b", " ", text)`: an apostrophe of another script, say, ends a word as whitespace does.
fn without_articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        let other = after.find(char::is_alphanumeric).unwrap_or(after.len());
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
    out
}

/// F1 of two lists of words, from 0 to 1. Of two empty lists it is 1, of one 0. Cost: the product of the lengths.
fn word_f1(answer: &[String], gold: &[String]) -> f64 {
    if answer.is_empty() || gold.is_empty() {
        return f64::from(u8::from(answer == gold));
    }
    let mut left: Vec<&String> = gold.iter().collect();
    let mut same = 0;
    for word in answer {
        if let Some(place) = left.iter().position(|other| *other == word) {
            left.swap_remove(place);
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let (precision, recall) = (f64::from(same) / gold.len() as f64, f64::from(same) / answer.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `compute_f1` and `compute_exact` of transformers 4.57's `squad_metrics`.
    #[test]
    fn answers_agree_as_squad_says() {
        for (answer, gold, f1, exact) in [
            ("The U.S.", "us", 1.0, true),
            ("New York City", "the new  york", 0.8, false),
            ("a, an the", "", 1.0, true),
            ("a", "b", 0.0, false),
            ("the theatre’a x x", "theatre’ x", 0.8, false),
        ] {
            let found = agreement(answer, &["zzz".to_owned(), gold.to_owned()]);
            assert_eq!((found.f1, found.exact), (f1, exact), "{answer} and {gold}");
        }
    }
}
