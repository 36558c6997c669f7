//! The table of tasks: each parent, each baseline, the tailored model.
//!
//! What the page shows as HTML and the terminal as Markdown (`text.rs`) is the same rows, rounded once, here.

use std::path::Path;

use recipe_search::{Scores, TestScores};

/// Rows under one heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The heading.
    pub name: &'static str,
    /// The rows' class in the page's stylesheet: `parent`, `baseline` or `tailored`.
    pub class: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The model's name.
    pub name: String,
    /// Its layers.
    pub layers: usize,
    /// One cell for each task, in the study's order.
    pub cells: Vec<Cell>,
    /// The mean score over the tasks, as text.
    pub average: String,
    /// Retention against the best parent of each task, as text.
    pub retention: String,
    /// Retention against the base, as text.
    pub retention_base: String,
    /// The mean score as a share of the best single model's, as text: retention in GPTailor's paper.
    pub retention_model: String,
}

/// A model's score on a task, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The score.
    pub score: String,
    /// Its standard error.
    pub error: String,
    /// Whether no model has a higher one on this task; several may be best.
    pub best: bool,
}

/// The table of a finished study: the family, the baselines by falling retention, the tailored model before its bridges
/// if it has some, as it runs from its recipe and, if it was written, as it was loaded back; and the models that were
/// healed.
///
/// Parents have `layers` layers, the others `kept`, unless [`ModelScores::layers`](recipe_search::ModelScores::layers)
/// says more.
#[must_use]
pub fn groups(test: &TestScores, layers: usize, kept: usize) -> Vec<Group> {
    let best = best_scores(test);
    let row = |name: &str, layers: usize, scores: &Scores| row(test, &best, name, layers, scores);
    let mut baselines: Vec<_> = test.baselines.iter().collect();
    baselines.sort_by(|a, b| test.reference.retention(&b.scores).total_cmp(&test.reference.retention(&a.scores)));
    let mut tailored: Vec<Row> = test.steps.iter().map(|step| row(&step.name, kept, &step.scores)).collect();
    tailored.push(row("tailored", kept, &test.tailored));
    if let Some(written) = &test.written {
        tailored.push(row("tailored, written and loaded back", kept, &written.scores));
    }
    for healed in &test.trained {
        tailored.push(row(&format!("healed: {}", short_name(&healed.path)), healed.layers, &healed.scores));
    }
    vec![
        Group {
            name: "models of the family",
            class: "parent",
            rows: test
                .models
                .iter()
                .map(|model| row(&model.name, model.layers.unwrap_or(layers), &model.scores))
                .collect(),
        },
        Group {
            name: "baselines: layers removed from one model",
            class: "baseline",
            rows: baselines
                .into_iter()
                .map(|model| row(&model.name, model.layers.unwrap_or(kept), &model.scores))
                .collect(),
        },
        Group { name: "tailored", class: "tailored", rows: tailored },
    ]
}

/// The highest score of each task.
fn best_scores(test: &TestScores) -> Vec<f64> {
    let named = test.models.iter().chain(&test.baselines).map(|named| &named.scores);
    let healed = test.trained.iter().map(|healed| &healed.scores);
    let all: Vec<&Scores> = named.chain([&test.tailored]).chain(healed).collect();
    let best = |task: usize| all.iter().filter_map(|scores| scores.get(task)).map(|s| s.score).fold(f64::MIN, f64::max);
    (0..test.tailored.len()).map(best).collect()
}

/// The name of a model's folder.
pub(super) fn short_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A model's row; `best` is the highest score of each task.
fn row(test: &TestScores, best: &[f64], name: &str, layers: usize, scores: &Scores) -> Row {
    let cells = scores.iter().zip(best).map(|(score, best)| Cell {
        score: format!("{:.3}", score.score),
        error: score.stderr.map_or_else(|| "n/a".into(), |error| format!("{error:.3}")),
        best: score.score >= *best,
    });
    Row {
        name: name.to_string(),
        layers,
        cells: cells.collect(),
        average: format!("{:.3}", test.average(scores)),
        retention: percent(test.reference.retention(scores)),
        retention_base: percent(test.reference.retention_of_base(scores)),
        retention_model: percent(test.of_best_model(scores)),
    }
}

/// A share as a percentage with one decimal; `n/a` for what is no number.
///
/// ```
/// assert_eq!(tailor::report::percent(0.9173), "91.7%");
/// assert_eq!(tailor::report::percent(1.0 / 0.0), "n/a");
/// ```
#[must_use]
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}%", 100.0 * share) } else { "n/a".to_owned() }
}
