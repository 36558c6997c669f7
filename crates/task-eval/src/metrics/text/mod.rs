//! Metrics of generated texts over a whole task: BLEU, chrF, chrF++ and TER, as sacrebleu 2.6 has them when nothing is set.
//!
//! Each document adds to a few sums, and the score is made of the sums.

mod bleu;
mod chrf;
mod ter;

use std::collections::HashMap;
use std::hash::Hash;

use super::{Aggregation, MetricKind};

/// What a document adds to the sums; a metric uses the first so many.
pub(crate) type Counts = [f64; 24];

/// A metric of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextMetric {
    Bleu,
    Chrf,
    /// chrF++: n-grams of words besides those of characters.
    ChrfWords,
    Ter,
}

impl TextMetric {
    /// The metric, if it is one of texts.
    pub fn of(kind: MetricKind) -> Option<Self> {
        match kind {
            MetricKind::Bleu => Some(Self::Bleu),
            MetricKind::Chrf => Some(Self::Chrf),
            MetricKind::ChrfWords => Some(Self::ChrfWords),
            MetricKind::Ter => Some(Self::Ter),
            _ => None,
        }
    }

    /// The only way in which its observations become a score.
    pub fn aggregation(self) -> Aggregation {
        match self {
            Self::Bleu => Aggregation::Bleu,
            Self::Chrf => Aggregation::Chrf,
            Self::ChrfWords => Aggregation::ChrfWords,
            Self::Ter => Aggregation::Ter,
        }
    }

    /// What an answer adds. The golds are other ways to say the same.
    pub fn counts(self, answer: &str, golds: &[String]) -> Counts {
        let mut counts = Counts::default();
        match self {
            Self::Bleu => counts[..bleu::SUMS].copy_from_slice(&bleu::counts(answer, golds)),
            Self::Chrf => counts = chrf::counts(answer, golds, false),
            Self::ChrfWords => counts = chrf::counts(answer, golds, true),
            Self::Ter => counts[..ter::SUMS].copy_from_slice(&ter::counts(answer, golds)),
        }
        counts
    }

    /// The score, from 0 to 100 or, of TER, to more.
    pub fn score<'a>(self, counts: impl IntoIterator<Item = &'a Counts>) -> f64 {
        let mut sums = Counts::default();
        for counts in counts {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        match self {
            Self::Bleu => bleu::score(&sums),
            Self::Chrf | Self::ChrfWords => chrf::score(&sums),
            Self::Ter => ter::score(&sums),
        }
    }
}

/// How often each item is there.
fn counted<T: Eq + Hash>(items: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    items.into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const ALL: [(TextMetric, &str); 4] = [
        (TextMetric::Bleu, "bleu"),
        (TextMetric::Chrf, "chrf"),
        (TextMetric::ChrfWords, "chrf++"),
        (TextMetric::Ter, "ter"),
    ];

    /// `tests/golden/text/cases.json`: corpora, one or several golds a document, and sacrebleu's scores.
    #[test]
    fn scores_are_sacrebleus() -> Result<(), Box<dyn std::error::Error>> {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../../tests/golden/text/cases.json"))?;
        for (place, case) in cases.iter().enumerate() {
            let documents: Vec<(String, Vec<String>)> = serde_json::from_value(case["documents"].clone())?;
            for (metric, name) in ALL {
                let counts: Vec<Counts> =
                    documents.iter().map(|(answer, golds)| metric.counts(answer, golds)).collect();
                let (ours, theirs) = (metric.score(&counts), case[name].as_f64().ok_or("no score")?);
                assert!(
                    (ours - theirs).abs() <= 1e-11 * theirs.max(1.0),
                    "{name} of case {place}: {ours} for {theirs}"
                );
            }
        }
        Ok(())
    }

    /// `tests/golden/units.json`: the harness's own, through its functions.
    #[test]
    fn scores_are_the_harnesss() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../../tests/golden/units.json"))?;
        let pairs: Vec<(String, String)> = serde_json::from_value(units["text"]["in"].clone())?;
        for (metric, name) in ALL {
            let counts: Vec<Counts> =
                pairs.iter().map(|(gold, answer)| metric.counts(answer, std::slice::from_ref(gold))).collect();
            let (ours, theirs) = (metric.score(&counts), units["text"][name].as_f64().ok_or("no score")?);
            assert!((ours - theirs).abs() <= 1e-11 * theirs, "{name}: {ours} for {theirs}");
        }
        Ok(())
    }
}
