//! How the documents' observations become a task's number: the seam, and the aggregations of plain numbers.
//!
//! Those that belong to one metric stand in its file. All of them, by the kind of observation that they put together:
//!
//! | aggregation | of | number | error |
//! |---|---|---|---|
//! | `mean` | numbers | (1/n) sum of x_i | sample deviation / sqrt(n) |
//! | `median` | numbers | the upper median | bootstrapped |
//! | `nanmean` | numbers | the mean of those that are not NaN | bootstrapped |
//! | `perplexity` | numbers | exp(-mean) | bootstrapped |
//! | `weighted_perplexity` | log-likelihoods with counts | exp(-sum / sum of counts) | none |
//! | `bits_per_byte` | log-likelihoods with counts | -sum / sum of counts / ln 2 | none |
//! | `f1`, `mcc` | classes | see [`f1`](super::f1), [`mcc`](super::mcc) | bootstrapped |
//! | `macro_f1` | classes | the mean of three F1 | none |
//! | `brier_score` | distributions | the mean squared distance | none |
//! | `bleu`, `chrf`, `chrf++`, `ter` | the sums of the metric of that name | the score of all sums | bootstrapped |
//!
//! A task is refused whose `aggregation` cannot put together what its metric observes.

use tailor_registry::Entry;

use super::statistics::{Estimate, mean, median};
use super::{Observation, ObservationKind};
use crate::entry::entry;

/// How the observations of a task's documents become one number.
///
/// A task file names it as `aggregation`; a metric names the one that it has when the file says none.
///
/// Laws: (1) the order of the observations changes nothing but the last digits and the bootstrapped error; (2) one
/// document has a value, if no error.
///
/// ```
/// use tailor_registry::Entry;
/// use task_eval::{Aggregation, Components, Estimate, Observation, ObservationKind};
///
/// /// The worst document's number.
/// #[derive(Debug)]
/// struct Worst;
///
/// impl Entry for Worst {
///     fn name(&self) -> &str { "worst" }
///     fn summary(&self) -> &str { "The lowest of the documents' numbers." }
/// }
///
/// impl Aggregation for Worst {
///     fn accepts(&self) -> ObservationKind { ObservationKind::Number }
///     fn aggregate(&self, observations: &[&Observation], _iterations: usize) -> Estimate {
///         Estimate::without_error(observations.iter().map(|one| one.value()).fold(f64::INFINITY, f64::min))
///     }
/// }
///
/// let mut components = Components::default();
/// components.aggregations.register(Box::new(Worst))?;
/// let two = [Observation::Number(0.5), Observation::Number(0.25)];
/// let worst = components.aggregations.get("worst")?.aggregate(&[&two[0], &two[1]], 0);
/// assert_eq!(worst.value, 0.25);
/// # Ok::<(), tailor_registry::Error>(())
/// ```
pub trait Aggregation: Entry + std::fmt::Debug + Send + Sync {
    /// The observations that it can put together.
    fn accepts(&self) -> ObservationKind;

    /// The task's number and its standard error, of observations of the accepted kind, at least one. `iterations` is
    /// the number of resamples of an error that has no formula; 0 leaves such an error out.
    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate;
}

/// One number for each document.
pub(super) fn numbers(observations: &[&Observation]) -> Vec<f64> {
    observations.iter().map(|observation| observation.value()).collect()
}

/// `(1/n) sum of x_i`; its error is the sample's deviation (n - 1) over the root of n.
#[derive(Debug)]
pub(super) struct Mean;

entry!(Mean, "mean", "The sum of the documents' numbers over their count.");

impl Aggregation for Mean {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Number
    }

    fn aggregate(&self, observations: &[&Observation], _: usize) -> Estimate {
        Estimate::mean(&numbers(observations))
    }
}

/// The upper median: of an even count the greater of the two in the middle. Its error is bootstrapped.
#[derive(Debug)]
pub(super) struct Median;

entry!(Median, "median", "The upper median of the documents' numbers.");

impl Aggregation for Median {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Number
    }

    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        Estimate::bootstrapped(&numbers(observations), iterations, median)
    }
}

/// The mean of the numbers that are not NaN; NaN if there is none. Its error is bootstrapped.
#[derive(Debug)]
pub(super) struct NanMean;

entry!(NanMean, "nanmean", "The mean of the documents' numbers without those that are NaN.");

impl Aggregation for NanMean {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Number
    }

    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        Estimate::bootstrapped(&numbers(observations), iterations, |numbers| {
            let present: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
            mean(&present)
        })
    }
}
