//! Metrics of generated texts over a whole task, as sacrebleu 2.6 has them when nothing is set: the frame of BLEU,
//! chrF, chrF++ and TER.
//!
//! Each document adds to a few sums, and the score is made of the sums: it is not the mean of the documents' scores. An
//! observation is the addends of one document, an aggregation adds them up. So a bootstrap resamples addends, not
//! texts. The standard error is bootstrapped with at most 100 resamples.

use std::collections::HashMap;
use std::hash::Hash;

use serde_json::json;
use tailor_registry::Settings;

use super::{Aggregation, AnswerKind, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;

/// A metric of texts, and the only aggregation of what it observes.
#[derive(Debug, Clone, Copy)]
pub(super) struct CorpusMetric {
    /// The name of both the metric and the aggregation.
    pub name: &'static str,
    pub summary: &'static str,
    pub higher_is_better: bool,
    /// `[(Text, Sums(name))]`: no other aggregation can read the sums.
    pub observes: &'static [(AnswerKind, ObservationKind)],
    /// What an answer adds to the sums, as many numbers for each answer. The golds are other ways to say the same.
    pub counts: fn(answer: &str, golds: &[String]) -> Box<[f64]>,
    /// The score of the sums, from 0 to 100 or, of TER, to more.
    pub score: fn(sums: &[f64]) -> f64,
}

entry!(CorpusMetric);

impl Metric for CorpusMetric {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        self.observes
    }

    fn aggregation(&self) -> &str {
        self.name
    }

    fn higher_is_better(&self) -> bool {
        self.higher_is_better
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        let Self { counts, score, .. } = *self;
        Ok(Box::new(move |answers| {
            let (answer, golds) = answers.text()?;
            let sums = counts(answer, golds);
            let written = match golds {
                [gold] => json!([gold, answer]),
                golds => json!([golds, answer]),
            };
            Ok(Observation::Sums { value: score(&sums), sums, written })
        }))
    }
}

impl Aggregation for CorpusMetric {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Sums(self.name)
    }

    /// The score of all answers together, resampled as rarely as the harness does. NaN where no observation is of sums.
    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        const MOST: usize = 100;
        let mut sums: Vec<&[f64]> = Vec::with_capacity(observations.len());
        for observation in observations {
            if let Observation::Sums { sums: of_document, .. } = observation {
                sums.push(of_document);
            }
        }
        if sums.is_empty() {
            return Estimate::without_error(f64::NAN);
        }
        Estimate::bootstrapped(&sums, iterations.min(MOST), |sums| self.score_of(sums.iter().copied()))
    }
}

impl CorpusMetric {
    /// The score of several documents together.
    fn score_of<'a>(&self, documents: impl IntoIterator<Item = &'a [f64]>) -> f64 {
        let mut documents = documents.into_iter();
        let mut total = documents.next().map_or_else(Vec::new, <[f64]>::to_vec);
        for sums in documents {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        (self.score)(&total)
    }
}

/// How often each item is there.
pub(super) fn counted<T: Eq + Hash>(items: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    items.into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    use crate::metrics::{bleu, chrf, ter};

    const ALL: [(CorpusMetric, &str); 4] =
        [(bleu::BLEU, "bleu"), (chrf::CHRF, "chrf"), (chrf::CHRF_WITH_WORDS, "chrf++"), (ter::TER, "ter")];

    /// `tests/golden/text/cases.json`: corpora, one or several golds a document, and sacrebleu's scores.
    #[test]
    fn scores_are_sacrebleus() -> Result<(), Box<dyn std::error::Error>> {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/golden/text/cases.json"))?;
        for (place, case) in cases.iter().enumerate() {
            let documents: Vec<(String, Vec<String>)> = serde_json::from_value(case["documents"].clone())?;
            for (metric, name) in ALL {
                let sums: Vec<Box<[f64]>> =
                    documents.iter().map(|(answer, golds)| (metric.counts)(answer, golds)).collect();
                let (ours, theirs) =
                    (metric.score_of(sums.iter().map(AsRef::as_ref)), case[name].as_f64().ok_or("no score")?);
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
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let pairs: Vec<(String, String)> = serde_json::from_value(units["text"]["in"].clone())?;
        for (metric, name) in ALL {
            let sums: Vec<Box<[f64]>> =
                pairs.iter().map(|(gold, answer)| (metric.counts)(answer, std::slice::from_ref(gold))).collect();
            let (ours, theirs) =
                (metric.score_of(sums.iter().map(AsRef::as_ref)), units["text"][name].as_f64().ok_or("no score")?);
            assert!((ours - theirs).abs() <= 1e-11 * theirs, "{name}: {ours} for {theirs}");
        }
        Ok(())
    }
}
