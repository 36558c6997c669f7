//! What is searched: a space, what its points cost, and what is known beside that.

use std::path::Path;

use serde_json::Value;
use zo_search::{AdditiveGpSearch, Point, Space, Trial};

use super::{RecipeProblem, synthetic};
use crate::Outcome;

/// What an evaluation gives.
#[derive(Debug, Clone, Default)]
pub struct Evaluated {
    /// What is to be small.
    pub cost: f64,
    /// One cost per instance, where the problem has instances, those of smaller fractions first: for racing on pairs.
    /// Empty where it has none.
    pub instances: Vec<f64>,
}

/// Points to begin with, and what the bridge must know of them besides.
#[derive(Debug, Clone)]
pub struct Start {
    /// The points.
    pub points: Vec<Point>,
    /// Options for `bridge.py`.
    pub options: Value,
}

impl Start {
    /// None: the strategy begins as it likes.
    #[must_use]
    pub fn none() -> Self {
        Self { points: Vec::new(), options: serde_json::json!({}) }
    }
}

/// A space, and what its points cost.
pub trait Problem {
    /// The dimensions.
    fn space(&self) -> &Space;
    /// The cost of a trial, on the trial's fraction of the instances. The same trial always costs the same.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn evaluate(&mut self, trial: &Trial) -> Outcome<Evaluated>;
    /// [`AdditiveGpSearch`], told what is known of the space. By default that is nothing.
    fn tailor_search(&self, seed: u64) -> AdditiveGpSearch {
        AdditiveGpSearch::new(self.space().clone(), seed)
    }
    /// The smallest cost, where it is known. By default it is not.
    fn optimum(&self) -> Option<f64> {
        None
    }
    /// What a point costs on data that no search sees; none where there are no data.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn test(&mut self, _point: &Point) -> Outcome<Option<f64>> {
        Ok(None)
    }
    /// The points that `name` stands for: `reference` are those that the Python reference begins with, `designs` ours,
    /// an empty name none. By default a problem has no others.
    ///
    /// # Errors
    /// When the problem has no such points.
    fn start(&self, name: &str) -> Outcome<Start> {
        if name.is_empty() { Ok(Start::none()) } else { Err(format!("{name}: the problem has no such start").into()) }
    }
}

/// The names of all problems.
#[must_use]
pub fn problem_names() -> Vec<&'static str> {
    synthetic::names().chain([RecipeProblem::OURS, RecipeProblem::REFERENCE]).collect()
}

/// The problem of a name; of the synthetic ones the instance of this number, so that no strategy wins by the luck of
/// one. Recipes are those of the `study`, their results kept in the file `table`.
///
/// ```
/// // The paths are for recipes alone.
/// let sphere = tailor_benches::search::problem("sphere-5", 0, "study.toml".as_ref(), "table.jsonl".as_ref())?;
/// assert_eq!((sphere.space().dimensions().len(), sphere.optimum()), (5, Some(0.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// For an unknown name; when the family cannot be read.
pub fn problem(name: &str, instance: u64, study: &Path, table: &Path) -> Outcome<Box<dyn Problem>> {
    if name == RecipeProblem::OURS || name == RecipeProblem::REFERENCE {
        return Ok(Box::new(RecipeProblem::open(study, table, name == RecipeProblem::REFERENCE)?));
    }
    synthetic::problem(name, instance).ok_or_else(|| format!("{name}: one of {}", problem_names().join(", ")).into())
}
