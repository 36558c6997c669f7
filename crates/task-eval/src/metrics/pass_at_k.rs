//! `pass_at_1`, `pass_at_k`: do the programs that a model writes pass their tests? (Chen et al., *Evaluating large
//! language models trained on code*, 2021, equation 1.)
//!
//! ```text
//! pass@k = 1 - C(n - c, k) / C(n, k)       n programs of a document, of which c pass; k of them are tried
//! ```
//!
//! This is the unbiased estimate. From 0 to 1; more is better; the task's number is the mean. A program is an answer, a
//! line feed and the right answer, which is the tests. The harness's metrics of MBPP and HumanEval, which it names
//! `pass_at_1` and `pass@k`. Answers are written greedily, so the n programs of a document are the same one.

use serde_json::Value;
use tailor_registry::{Parameter, Settings};

use super::{AnswerKind, Answers, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;
use crate::error::{MetricError, SetupError};

/// What both metrics observe.
const OBSERVES: &[(AnswerKind, ObservationKind)] = &[(AnswerKind::Text, ObservationKind::Number)];

/// MBPP's.
#[derive(Debug)]
pub(super) struct PassAtOne;

entry!(
    PassAtOne,
    "pass_at_1",
    "Does the program that is written pass its tests? Runs it in a sandbox, if that is allowed."
);

impl Metric for PassAtOne {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        OBSERVES
    }

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        Ok(observer(1))
    }

    fn runs_programs(&self) -> bool {
        true
    }
}

/// HumanEval's, for one k; results call it `pass@k`.
#[derive(Debug)]
pub(super) struct PassAtK;

entry!(
    PassAtK,
    "pass_at_k",
    "Of the repeats' programs, does one of k pass its tests? Runs them in a sandbox, if that is allowed.",
    &[Parameter::any("k", "The number of programs that are tried: a number, or a list of one.")]
);

impl Metric for PassAtK {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        OBSERVES
    }

    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
        Ok(observer(tried(settings)?))
    }

    fn runs_programs(&self) -> bool {
        true
    }

    fn reported_as(&self, settings: &Settings) -> String {
        tried(settings).map_or_else(|_| "pass_at_k".to_owned(), |k| format!("pass@{k}"))
    }
}

/// The parameter `k`.
fn tried(settings: &Settings) -> Result<usize, SetupError> {
    let given = settings.value("k");
    let one = match given {
        Some(Value::Array(items)) if items.len() == 1 => items.first(),
        other => other,
    };
    let k = one.and_then(Value::as_u64).and_then(|k| usize::try_from(k).ok()).filter(|&k| k > 0);
    k.ok_or_else(|| settings.wrong("k", "a whole number from 1, or a list of one; several are several metrics").into())
}

/// Observes pass@k.
fn observer(k: usize) -> Observer {
    Box::new(move |answers| match answers {
        Answers::Text { passed, .. } if !passed.is_empty() => {
            let (n, right) = (passed.len(), passed.iter().filter(|&&passed| passed).count());
            if n < k {
                return Err(MetricError::TooFewAnswers { needed: k, found: n });
            }
            Ok(Observation::Number(pass_at_k(n, right, k)))
        }
        other => Err(other.wrong()),
    })
}

/// The probability that of `k` programs out of `n` one is among the `right` ones: `k <= n`.
///
/// `1 - product of (1 - k / i)`, for i from `n - right + 1` to n, which is the formula above without large numbers.
fn pass_at_k(n: usize, right: usize, k: usize) -> f64 {
    if n - right < k {
        return 1.0;
    }
    1.0 - (n - right + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    /// Counted out: of all ways to take k of n, those with a right one.
    fn counted(n: usize, right: usize, k: usize) -> f64 {
        let sets = (0_u32..1 << n).filter(|set| set.count_ones() as usize == k);
        let (mut all, mut hits) = (0.0, 0.0);
        for set in sets {
            all += 1.0;
            hits += f64::from(u8::from(set & ((1 << right) - 1) != 0));
        }
        hits / all
    }

    #[test]
    fn the_estimate_is_the_share_of_draws_with_a_right_one() {
        for n in 1..9 {
            for right in 0..=n {
                for k in 1..=n {
                    let (ours, expected) = (pass_at_k(n, right, k), counted(n, right, k));
                    assert!((ours - expected).abs() < 1e-12, "{n} {right} {k}: {ours} instead of {expected}");
                }
            }
        }
    }

    #[test]
    fn k_is_a_number_or_a_list_of_one() -> Result<(), Box<dyn std::error::Error>> {
        let of = |k: Value| {
            let given = Map::from_iter([("k".to_owned(), k)]);
            Settings::check("k".to_owned(), tailor_registry::Entry::parameters(&PassAtK), &given)
        };
        assert_eq!(PassAtK.reported_as(&of(json!([10]))?), "pass@10");
        assert_eq!(PassAtK.reported_as(&of(json!(1))?), "pass@1");
        assert!(PassAtK.observer(&of(json!([1, 10]))?).is_err());
        assert!(PassAtK.observer(&of(json!(0))?).is_err());
        Ok(())
    }
}
