//! A metric: whether a right choice is among those that the model finds most likely.

use tailor_registry::{Entry, Parameter, Settings};
use task_eval::{AnswerKind, Metric, Observation, ObservationKind, Observer, SetupError};

/// `metric_list: [{metric: hit_at, k: 2}]`: 1 when fewer than `k` choices are more likely than the likeliest right one.
#[derive(Debug)]
pub struct HitAt;

const PARAMETERS: &[Parameter] =
    &[Parameter::integer("k", 1, 1000, "So many of the likeliest choices count.").with_default_integer(2)];

impl Entry for HitAt {
    fn name(&self) -> &str { "hit_at" }
    fn summary(&self) -> &str { "Is a right choice among the likeliest?" }
    fn parameters(&self) -> &[Parameter] { PARAMETERS }
}

impl Metric for HitAt {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number)]
    }

    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
        let k = settings.count("k")?;
        Ok(Box::new(move |answers| {
            let choices = answers.choices()?;
            let chances = choices.log_likelihoods;
            let right = (0..chances.len()).filter(|place| choices.is_gold(*place)).map(|place| chances[place]);
            let best = right.fold(f64::NEG_INFINITY, f64::max);
            Ok(Observation::of_truth(chances.iter().filter(|chance| **chance > best).count() < k))
        }))
    }
}
