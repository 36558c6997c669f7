//! One objective of the values of several tasks.

use serde::{Deserialize, Serialize};

use super::error::ObjectiveError;
use crate::metrics::mean;

/// How the values of several tasks become one number that a search makes small. Each task counts by the mean of its
/// examples, however many these are.
///
/// ```
/// use task_eval::TaskAggregation;
///
/// let tasks = [vec![0.1, 0.3], vec![0.6]];
/// assert!((TaskAggregation::Mean.objective(&tasks)? - 0.4).abs() < 1e-12);
/// assert!((TaskAggregation::Weighted(vec![3.0, 1.0]).objective(&tasks)? - 0.3).abs() < 1e-12);
/// assert_eq!(TaskAggregation::Worst.objective(&tasks)?, 0.6);
///
/// // The same as values of examples, for a race: their mean is the objective.
/// let examples = TaskAggregation::Mean.examples(&tasks)?.concat();
/// assert!((examples.iter().sum::<f64>() / 3.0 - 0.4).abs() < 1e-12);
/// # Ok::<(), task_eval::ObjectiveError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskAggregation {
    /// The mean of the tasks.
    Mean,
    /// The mean of the tasks with these weights, of any sum above 0.
    Weighted(Vec<f64>),
    /// The task of the largest value; of equal ones the first.
    Worst,
}

impl TaskAggregation {
    /// The objective, of each task's examples.
    ///
    /// # Errors
    /// [`ObjectiveError::NoValues`] without a task or for a task without examples; [`ObjectiveError::BadWeights`] for
    /// weights that are negative, all 0, or of another number.
    pub fn objective<T: AsRef<[f64]>>(&self, tasks: &[T]) -> Result<f64, ObjectiveError> {
        let means = means(tasks)?;
        Ok(self
            .shares(&means)?
            .iter()
            .zip(&means)
            .filter(|(share, _)| **share > 0.0)
            .map(|(share, mean)| share * mean)
            .sum())
    }

    /// What each example adds, task by task: values whose mean over all examples is [`TaskAggregation::objective`].
    ///
    /// The difference of two models' values, example by example, so has the difference of their objectives as its
    /// mean, and a paired test of it races them. Of [`TaskAggregation::Worst`] only the examples of the model's own
    /// worst task are not 0: a race between models whose worst tasks differ is right in its mean, but sees less of
    /// what they have in common.
    ///
    /// # Errors
    /// As [`TaskAggregation::objective`].
    pub fn examples<T: AsRef<[f64]>>(&self, tasks: &[T]) -> Result<Vec<Vec<f64>>, ObjectiveError> {
        let shares = self.shares(&means(tasks)?)?;
        let all: usize = tasks.iter().map(|task| task.as_ref().len()).sum();
        let scaled = |(share, task): (f64, &T)| {
            let values = task.as_ref();
            let factor = share * all as f64 / values.len() as f64;
            values.iter().map(|value| if share > 0.0 { factor * value } else { 0.0 }).collect()
        };
        Ok(shares.into_iter().zip(tasks).map(scaled).collect())
    }

    /// The share of each task in the objective, of sum 1.
    fn shares(&self, means: &[f64]) -> Result<Vec<f64>, ObjectiveError> {
        match self {
            Self::Mean => Ok(vec![1.0 / means.len() as f64; means.len()]),
            Self::Weighted(weights) => normalised(weights, means.len()),
            Self::Worst => {
                let worst = worst(means);
                Ok((0..means.len()).map(|task| f64::from(u8::from(task == worst))).collect())
            }
        }
    }
}

fn means<T: AsRef<[f64]>>(tasks: &[T]) -> Result<Vec<f64>, ObjectiveError> {
    if tasks.is_empty() {
        return Err(ObjectiveError::NoValues { task: None });
    }
    match tasks.iter().position(|task| task.as_ref().is_empty()) {
        Some(task) => Err(ObjectiveError::NoValues { task: Some(task) }),
        None => Ok(tasks.iter().map(|task| mean(task.as_ref())).collect()),
    }
}

fn normalised(weights: &[f64], tasks: usize) -> Result<Vec<f64>, ObjectiveError> {
    let sum: f64 = weights.iter().sum();
    if weights.len() != tasks || weights.iter().any(|weight| *weight < 0.0) || !(sum.is_finite() && sum > 0.0) {
        return Err(ObjectiveError::BadWeights { weights: weights.to_vec(), tasks });
    }
    Ok(weights.iter().map(|weight| weight / sum).collect())
}

/// The place of the largest number; NaN, a task that broke down, is worse than any.
fn worst(means: &[f64]) -> usize {
    let rank = |place: usize| if means[place].is_nan() { f64::INFINITY } else { means[place] };
    (0..means.len()).fold(0, |worst, place| if rank(place) > rank(worst) { place } else { worst })
}
