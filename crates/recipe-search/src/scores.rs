//! What a model is worth to a study: its tasks' scores, and its retention against the parents.

use serde::{Deserialize, Serialize};

use crate::Error;

/// What is known of one document after a model was scored on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The task's metric on this document; more is better.
    pub metric: f64,
    /// Its loss, as [`Objective::loss`](crate::Objective::loss) says, in nats; NaN where there is none.
    pub loss: f64,
}

/// What the parents reach on a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskReference {
    /// The highest mean metric of a parent, above 0.
    pub metric: f64,
    /// The smallest mean loss of a parent, at least 1e-6; NaN where the task gives none.
    pub loss: f64,
    /// The highest mean of exp(-loss) of a parent, at least 1e-6; NaN where the task gives no loss. Where the loss is
    /// the task's, this is the probability of the right choice among the choices.
    pub probability: f64,
}

/// A model's result on one task over some of its documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The task's or group's name.
    pub task: String,
    /// The metric's mean over the documents.
    pub score: f64,
    /// Its standard error; absent for a single document.
    pub stderr: Option<f64>,
    /// The mean dense loss of the documents, in nats, or what the objective has in its place; absent where the task
    /// gives none.
    pub loss: Option<f64>,
    /// The metric of each document, in the study's order of documents: what paired comparisons need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<f32>,
    /// Of a group the score of each of its tasks that has documents here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectScore>,
    /// The dense loss of each document, in nats, not kept in files; NaN where the task gives none.
    #[serde(skip)]
    pub losses: Vec<f32>,
}

/// The score of one task of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectScore {
    /// The task's name.
    pub task: String,
    /// How many documents were scored, at least 1.
    pub documents: usize,
    /// The metric's mean over them.
    pub score: f64,
    /// Its standard error; absent for a single document.
    pub stderr: Option<f64>,
}

impl SubjectScore {
    /// The score of the documents' values.
    pub(crate) fn of(task: &str, documents: &[f32]) -> Self {
        let (score, stderr) = mean_and_error(documents.iter().map(|value| f64::from(*value)));
        Self { task: task.to_owned(), documents: documents.len(), score, stderr }
    }
}

impl TaskScore {
    /// The score of the documents' values.
    #[must_use]
    pub fn of(task: &str, documents: Vec<f32>, losses: &[f32]) -> Self {
        let (score, stderr) = mean_and_error(documents.iter().map(|value| f64::from(*value)));
        let (loss, _) = mean_and_error(losses.iter().map(|value| f64::from(*value)));
        let (loss, losses) = (Some(loss).filter(|loss| loss.is_finite()), losses.to_vec());
        Self { task: task.to_string(), score, stderr, loss, documents, subjects: Vec::new(), losses }
    }

    /// The mean of exp(-loss) over the documents; absent where the task gives no loss.
    #[must_use]
    pub fn probability(&self) -> Option<f64> {
        let (mean, _) = mean_and_error(self.losses.iter().map(|loss| f64::from(-loss).exp()));
        Some(mean).filter(|mean| mean.is_finite())
    }

    /// Metric and loss of each document, in the order of the documents.
    pub fn observations(&self) -> impl Iterator<Item = Observation> + '_ {
        let loss = |document: usize| self.losses.get(document).map_or(f64::NAN, |loss| f64::from(*loss));
        let documents = self.documents.iter().enumerate();
        documents.map(move |(document, metric)| Observation { metric: f64::from(*metric), loss: loss(document) })
    }
}

/// The mean and its standard error, sample deviation / sqrt(n).
pub(crate) fn mean_and_error(values: impl Iterator<Item = f64> + Clone) -> (f64, Option<f64>) {
    let n = values.clone().count();
    if n == 0 {
        return (f64::NAN, None);
    }
    let mean = values.clone().sum::<f64>() / n as f64;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (n > 1).then(|| (squares / (n - 1) as f64 / n as f64).sqrt()))
}

/// A model's scores on all tasks of a study, in the study's order.
pub type Scores = Vec<TaskScore>;

/// What a tailored model is compared with: for each task the best parent's score, the base's score, and the best
/// parent's loss.
///
/// **Retention**, as Tailor reports it everywhere: the weighted mean over the tasks of `score / reference score`.
/// Against the best parent, the reference of a task is the highest score that any single model of the family, base
/// or fine-tune, reaches on it; against the base, it is the base's score. A retention of 1 against the best parents
/// is as good as all the fine-tunes together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Best parent's score, for each task.
    pub best: Vec<f64>,
    /// Base model's score, for each task.
    pub base: Vec<f64>,
    /// Smallest loss of a parent, for each task that gives one.
    pub loss: Vec<Option<f64>>,
    /// Highest mean probability of the right answer of a parent, for each task that gives a loss.
    #[serde(default)]
    pub probability: Vec<Option<f64>>,
    /// The tasks' weights, of sum 1.
    pub weights: Vec<f64>,
}

impl Reference {
    /// The reference that `parents` give, the base first.
    ///
    /// # Errors
    /// [`Error::NothingToRetain`] if no parent scores above 0 on a task.
    pub fn new(parents: &[&Scores], weights: &[f64]) -> Result<Self, Error> {
        let total: f64 = weights.iter().sum();
        let mut reference = Self {
            best: Vec::new(),
            base: Vec::new(),
            loss: Vec::new(),
            probability: Vec::new(),
            weights: weights.iter().map(|weight| weight / total).collect(),
        };
        for task in 0..weights.len() {
            let scores = || parents.iter().filter_map(move |scores| scores.get(task));
            let best = scores().map(|score| score.score).fold(0.0, f64::max);
            let base = scores().next().map_or(0.0, |score| score.score);
            if best <= 0.0 {
                let task = scores().next().map_or_else(String::new, |score| score.task.clone());
                return Err(Error::NothingToRetain { task });
            }
            reference.best.push(best);
            reference.base.push(base);
            reference.loss.push(scores().filter_map(|score| score.loss).reduce(f64::min).map(|loss| loss.max(1e-6)));
            let probability = scores().filter_map(TaskScore::probability).reduce(f64::max);
            reference.probability.push(probability.map(|mean| mean.max(1e-6)));
        }
        Ok(reference)
    }

    /// The standard error of a model's retention of the base, this taken as given; NaN or infinite where the base
    /// scores 0 on a task.
    #[must_use]
    pub fn retention_of_base_error(&self, scores: &Scores) -> f64 {
        mean_error(&self.weights, &self.base, scores.iter().map(|score| score.stderr.unwrap_or(f64::NAN)))
    }

    /// The weighted mean over the tasks of a value of each.
    fn mean(&self, scores: &Scores, value: impl Fn(usize, &TaskScore) -> f64) -> f64 {
        self.weights.iter().zip(scores).enumerate().map(|(task, (weight, score))| weight * value(task, score)).sum()
    }

    /// Mean retention against the best parent of each task.
    #[must_use]
    pub fn retention(&self, scores: &Scores) -> f64 {
        self.mean(scores, |task, score| score.score / self.best[task])
    }

    /// Mean retention against the base; NaN or infinite where the base scores 0 on a task.
    #[must_use]
    pub fn retention_of_base(&self, scores: &Scores) -> f64 {
        self.mean(scores, |task, score| score.score / self.base[task])
    }

    /// What the parents reach on the task at this position; NaN for a task that is not there.
    #[must_use]
    pub fn task(&self, task: usize) -> TaskReference {
        let of_parents = |values: &[Option<f64>]| values.get(task).copied().flatten().unwrap_or(f64::NAN);
        TaskReference {
            metric: self.best.get(task).copied().unwrap_or(f64::NAN),
            loss: of_parents(&self.loss),
            probability: of_parents(&self.probability),
        }
    }

    /// The standard error of a model's retention against the best parents, these taken as given.
    #[must_use]
    pub fn retention_error(&self, scores: &Scores) -> f64 {
        self.mean_error(scores.iter().map(|score| score.stderr.unwrap_or(f64::NAN)))
    }

    /// By how much `a` retains more than `b`, and the standard error of that, from the documents' paired differences.
    #[must_use]
    pub fn difference(&self, a: &Scores, b: &Scores) -> (f64, f64) {
        let errors = a.iter().zip(b).map(|(a, b)| {
            let paired = a.documents.iter().zip(&b.documents).map(|(a, b)| f64::from(*a) - f64::from(*b));
            mean_and_error(paired).1.unwrap_or(f64::NAN)
        });
        (self.retention(a) - self.retention(b), self.mean_error(errors))
    }

    /// The standard error of a retention whose scores have these.
    fn mean_error(&self, errors: impl Iterator<Item = f64>) -> f64 {
        mean_error(&self.weights, &self.best, errors)
    }
}

/// The error of a weighted mean of independent ratios: `sqrt(Σ_t (w_t · e_t / b_t)²)` with weights `w`, references `b`
/// and the scores' errors `e`.
fn mean_error(weights: &[f64], references: &[f64], errors: impl Iterator<Item = f64>) -> f64 {
    let terms = weights.iter().zip(references).zip(errors);
    terms.map(|((weight, reference), error)| (weight * error / reference).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objectives::standard_objectives;

    fn scores(values: [&[f32]; 2]) -> Scores {
        values.iter().zip(["a", "b"]).map(|(values, name)| TaskScore::of(name, values.to_vec(), &[1.0])).collect()
    }

    fn objective(name: &str, scores: &Scores, reference: &Reference) -> Result<f64, tailor_registry::Error> {
        Ok(standard_objectives().get(name)?.value(scores, reference))
    }

    #[test]
    fn retention_is_the_mean_of_the_ratios_to_the_best_parent_of_each_task() -> Result<(), Box<dyn std::error::Error>> {
        let base = scores([&[1.0, 0.0, 0.0, 0.0], &[1.0, 1.0, 0.0, 0.0]]);
        let tuned = scores([&[1.0, 1.0, 0.0, 0.0], &[1.0, 0.0, 0.0, 0.0]]);
        let reference = Reference::new(&[&base, &tuned], &[1.0, 1.0])?;
        assert_eq!(reference.best, [0.5, 0.5]);
        assert!((reference.retention(&base) - 0.75).abs() < 1e-12);
        assert!((reference.retention_of_base(&tuned) - 1.25).abs() < 1e-12);
        assert!((objective("retention", &base, &reference)? - 0.25).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn probability_is_half_metric_and_half_the_right_answers_probability() -> Result<(), Box<dyn std::error::Error>> {
        let half = std::f32::consts::LN_2;
        // A task with choices, on which the probability is 1/2 and then 1/4; and one that generates text.
        let scores = |metric: &[f32], loss: f32| {
            vec![TaskScore::of("a", metric.to_vec(), &[loss; 2]), TaskScore::of("b", metric.to_vec(), &[f32::NAN; 2])]
        };
        let parent = scores(&[1.0, 1.0], half);
        let reference = Reference::new(&[&parent], &[1.0, 1.0])?;
        assert!((reference.task(0).probability - 0.5).abs() < 1e-6);
        assert!(reference.task(1).probability.is_nan());
        let own = scores(&[1.0, 0.0], 2.0 * half);
        let kept = 0.5 * (0.5 * 0.5 + 0.5 * 0.25 / 0.5) + 0.5 * 0.5;
        assert!((objective("probability", &own, &reference)? - (1.0 - kept)).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn the_worst_task_is_all_of_its_objective() -> Result<(), Box<dyn std::error::Error>> {
        let parent = scores([&[1.0, 1.0], &[1.0, 0.0]]);
        let reference = Reference::new(&[&parent], &[3.0, 1.0])?;
        let own = scores([&[1.0, 0.0], &[0.0, 0.0]]);
        let objectives = standard_objectives();
        assert_eq!(objectives.get("worst")?.contributions(&own, &reference), [[0.0, 0.0], [1.0, 1.0]]);
        assert_eq!(objective("worst", &own, &reference)?, 1.0);
        assert_eq!(objective("retention", &own, &reference)?, 0.75 * 0.5 + 0.25);
        Ok(())
    }

    #[test]
    fn the_error_of_a_difference_is_that_of_the_paired_documents() -> Result<(), Error> {
        let a = scores([&[1.0, 1.0, 0.0, 1.0], &[1.0, 1.0, 1.0, 0.0]]);
        let b = scores([&[1.0, 0.0, 0.0, 1.0], &[1.0, 1.0, 1.0, 0.0]]);
        let reference = Reference::new(&[&a, &b], &[1.0, 1.0])?;
        let (difference, error) = reference.difference(&a, &b);
        assert!((difference - 0.5 * 0.25 / 0.75).abs() < 1e-12);
        assert!((error - 0.5 * 0.25 / 0.75).abs() < 1e-12, "sd 0.5 / sqrt 4 = 0.25 on one task, 0 on the other");
        let (none, no_error) = reference.difference(&a, &a);
        assert_eq!((none, no_error), (0.0, 0.0));
        Ok(())
    }

    #[test]
    fn a_task_that_no_parent_solves_is_refused() {
        let zero = scores([&[0.0, 0.0], &[1.0, 1.0]]);
        assert!(
            matches!(Reference::new(&[&zero], &[1.0, 1.0]), Err(Error::NothingToRetain { task, .. }) if task == "a")
        );
    }
}
