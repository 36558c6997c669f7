//! Between what is lost of the scores and the loss.

use tailor_registry::{Entry, Error, Parameter, Settings};

use super::{DocumentLoss, Objective, Observation, TaskReference};

/// `(1 − a) · retention + a · loss`, the two objectives of these names; `a` is 0.5 unless `loss_share` says otherwise.
pub(super) struct Mixed {
    loss_share: f64,
}

const PARAMETERS: &[Parameter] =
    &[Parameter::number("loss_share", 0.0, 1.0, "How much of it is the loss; the rest is retention.")
        .with_default_number(0.5)];

impl Default for Mixed {
    fn default() -> Self {
        Self { loss_share: 0.5 }
    }
}

impl Entry for Mixed {
    fn name(&self) -> &str {
        "mixed"
    }

    fn summary(&self) -> &str {
        "The mean of retention and loss."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl Objective for Mixed {
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::Task
    }

    fn document(&self, observed: Observation, best: TaskReference) -> f64 {
        self.loss_share * (observed.loss / best.loss) - (1.0 - self.loss_share) * (observed.metric / best.metric)
    }

    fn offset(&self) -> f64 {
        1.0 - self.loss_share
    }

    fn configured(&self, settings: &Settings) -> Result<Option<Box<dyn Objective>>, Error> {
        Ok(Some(Box::new(Self { loss_share: settings.number("loss_share")? })))
    }
}
