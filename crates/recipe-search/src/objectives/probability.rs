//! The right answer's probability together with the metric, beside the best parent's.

use tailor_registry::{Entry, Error, Parameter, Settings};

use super::{DocumentLoss, Objective, Observation, TaskReference};

/// `1 − Σ_t w_t · (a · s_t / b_t + (1 − a) · p_t / q_t)`: weights `w`, mean metrics `s` and those of the best parent
/// `b`, mean probabilities `p` of the right choice among the choices and the highest of a parent `q`; `a` is 0.5 unless
/// `metric_share` says otherwise. A document with the loss `l` has the probability `exp(−l)`. A task that gives no
/// loss, such as one that generates text, goes by its metric alone.
///
/// The probability moves with every weight, as a loss does, but lies between 0 and 1, as a metric does: a document that
/// is quite lost counts no more than one that is lost. So it has less noise than either
/// (`benches/src/bin/objectives.rs`).
pub(super) struct Probability {
    metric_share: f64,
}

const PARAMETERS: &[Parameter] =
    &[Parameter::number("metric_share", 0.0, 1.0, "How much of it is the metric; the rest is the probability.")
        .with_default_number(0.5)];

impl Default for Probability {
    fn default() -> Self {
        Self { metric_share: 0.5 }
    }
}

impl Entry for Probability {
    fn name(&self) -> &str {
        "probability"
    }

    fn summary(&self) -> &str {
        "Half retention, half the right choice's probability / best parent's: less noise, and near what is reported."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl Objective for Probability {
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::TaskIfGiven
    }

    fn document(&self, observed: Observation, best: TaskReference) -> f64 {
        let metric = observed.metric / best.metric;
        if best.probability.is_nan() {
            return metric;
        }
        self.metric_share * metric + (1.0 - self.metric_share) * ((-observed.loss).exp() / best.probability)
    }

    fn relative(&self, mean: f64, _: TaskReference) -> f64 {
        -mean
    }

    fn offset(&self) -> f64 {
        1.0
    }

    fn configured(&self, settings: &Settings) -> Result<Option<Box<dyn Objective>>, Error> {
        Ok(Some(Box::new(Self { metric_share: settings.number("metric_share")? })))
    }
}
