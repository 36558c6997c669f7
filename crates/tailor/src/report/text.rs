//! The table of tasks for a terminal, and what it says in a sentence.
//!
//! Tables are Markdown, so that they can be copied into a page as they are.

use std::fmt::Write as _;

use super::rows::{Group, Row, groups, percent};
use recipe_search::{Scores, TestScores};

/// With more tasks than these, a table has a line for each task in place of a column.
pub const MANY_TASKS: usize = 8;

/// The table of a finished study as Markdown: scores with their standard errors, retention against the best parent and
/// the base, and of the average against the best single model's. The rows and their order are those of [`groups`]. With
/// more than [`MANY_TASKS`] tasks there are two tables: one of the models, which are given letters, and one with a line
/// for each task and a column for each letter.
///
/// Parents have `layers` layers, the others `kept`.
///
/// ```
/// use recipe_search::{ModelScores, Reference, TaskScore, TestScores};
///
/// let scores = |right: &[f32]| vec![TaskScore::of("sums", right.to_vec(), &[])];
/// let named = |name: &str, right| ModelScores { name: name.into(), layers: None, scores: scores(right) };
/// let test = TestScores {
///     recipe: String::new(),
///     documents: String::new(),
///     models: vec![named("base", &[1.0, 0.0, 1.0, 0.0])],
///     baselines: vec![],
///     tailored: scores(&[1.0, 0.0, 0.0, 0.0]),
///     steps: vec![],
///     written: None,
///     front: vec![],
///     trained: vec![],
///     reference: Reference {
///         best: vec![0.5],
///         base: vec![0.5],
///         loss: vec![None],
///         probability: vec![None],
///         weights: vec![1.0],
///     },
/// };
/// let table = tailor::report::task_table(&test, 12, 9);
/// let row = "| tailored |      9 | 0.250 ± 0.250 |   0.250 |          50.0% |   50.0% |         50.0% |";
/// assert!(table.contains(row), "{table}");
/// ```
#[must_use]
pub fn task_table(test: &TestScores, layers: usize, kept: usize) -> String {
    let groups = groups(test, layers, kept);
    let rows: Vec<&Row> = groups.iter().flat_map(|group: &Group| &group.rows).collect();
    let tasks: Vec<String> = test.tailored.iter().map(|score| score.task.clone()).collect();
    if tasks.len() <= MANY_TASKS {
        let cells = |row: &Row| row.cells.iter().map(|cell| format!("{} ± {}", cell.score, cell.error)).collect();
        return models_table(&tasks, rows.into_iter().map(|row| (row.name.clone(), row, cells(row))));
    }
    let lettered =
        rows.iter().enumerate().map(|(place, row)| (format!("{} {}", letter(place), row.name), *row, vec![]));
    let mut text = models_table(&[], lettered);
    let mut lines = vec![std::iter::once("task".to_owned()).chain((0..rows.len()).map(letter)).collect::<Vec<_>>()];
    for (place, task) in tasks.into_iter().enumerate() {
        let score = |row: &&Row| row.cells.get(place).map_or_else(String::new, |cell| cell.score.clone());
        lines.push(std::iter::once(task).chain(rows.iter().map(score)).collect());
    }
    let _ = write!(text, "\n{}", lay_out(&lines));
    text
}

/// A line for each model: its name, layers, cells of tasks, average and retention.
fn models_table<'a>(tasks: &[String], rows: impl Iterator<Item = (String, &'a Row, Vec<String>)>) -> String {
    let last = ["average", "of best parent", "of base", "of best model"].map(str::to_owned);
    let head: Vec<String> =
        ["model", "layers"].map(str::to_owned).into_iter().chain(tasks.iter().cloned()).chain(last).collect();
    let body = rows.map(|(name, row, cells)| {
        let last = [&row.average, &row.retention, &row.retention_base, &row.retention_model].map(String::clone);
        [name, row.layers.to_string()].into_iter().chain(cells).chain(last).collect()
    });
    lay_out(&std::iter::once(head).chain(body).collect::<Vec<_>>())
}

/// The scores of the tasks of each group as Markdown, a line for each task and a column for each model of the family
/// and the tailored model; empty for a study without groups.
#[must_use]
pub fn subject_table(test: &TestScores) -> String {
    let models = test.models.iter().map(|model| (model.name.as_str(), &model.scores));
    let models: Vec<(&str, &Scores)> = models.chain([("tailored", test.delivered())]).collect();
    let mut text = String::new();
    for (place, group) in test.tailored.iter().enumerate().filter(|(_, score)| !score.subjects.is_empty()) {
        let head = [&group.task, "documents"].map(String::from);
        let mut lines = vec![head.into_iter().chain(models.iter().map(|(name, _)| (*name).to_owned())).collect()];
        for (subject, own) in group.subjects.iter().enumerate() {
            let score = |scores: &Scores| {
                let found = scores.get(place).and_then(|score| score.subjects.get(subject));
                found.map_or_else(String::new, |subject| format!("{:.3}", subject.score))
            };
            let first = [own.task.clone(), own.documents.to_string()];
            lines.push(first.into_iter().chain(models.iter().map(|(_, scores)| score(scores))).collect::<Vec<_>>());
        }
        let _ = writeln!(text, "{}", lay_out(&lines));
    }
    text
}

/// The name of a column: A, B, ..., Z, AA and so on.
fn letter(place: usize) -> String {
    let last = char::from(b'A' + (place % 26) as u8).to_string();
    if place < 26 { last } else { letter(place / 26 - 1) + &last }
}

/// What the tailored model keeps, and by how much it beats the best baseline, in sentences; ± is a standard error, of
/// the difference that of the documents' paired differences.
///
/// Parents have `layers` layers, the tailored model `kept`.
#[must_use]
pub fn summary(test: &TestScores, layers: usize, kept: usize) -> String {
    let (reference, delivered) = (&test.reference, test.delivered());
    let mut text = format!(
        "The tailored model has {kept} of {layers} layers ({}). Mean retention on the test split: {} ± {} of the \
         best parent of each task, {} ± {} of the base.",
        layer_change(layers, kept),
        percent(reference.retention(delivered)),
        percent(reference.retention_error(delivered)),
        percent(reference.retention_of_base(delivered)),
        percent(reference.retention_of_base_error(delivered)),
    );
    if let Some(best) = test.best_baseline() {
        let (margin, error) = reference.difference(delivered, &best.scores);
        let _ = write!(
            text,
            "\nThe best single-model baseline ({}{}) keeps {} of the best parent: {:+.1} ± {:.1} points for the \
             tailored model.",
            best.name,
            best.layers.filter(|own| *own != kept).map_or_else(String::new, |own| format!(", {own} layers")),
            percent(reference.retention(&best.scores)),
            100.0 * margin,
            100.0 * error
        );
    }
    text
}

/// How many of the parents' layers a model lacks, or has beyond them.
pub(super) fn layer_change(layers: usize, kept: usize) -> String {
    let share = |count: usize| percent(count as f64 / layers.max(1) as f64);
    if kept > layers { format!("{} more", share(kept - layers)) } else { format!("{} gone", share(layers - kept)) }
}

/// Rows of equally many cells as a Markdown table, the first row its head. The first column is flush left, all others
/// are flush right; widths count characters, not bytes.
pub(super) fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
        if place == 0 {
            for (column, width) in widths.iter().enumerate() {
                let _ = write!(text, "|{}{}", "-".repeat(width + 1), if column == 0 { '-' } else { ':' });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use recipe_search::ModelScores;
    use recipe_search::{Reference, Scores, TaskScore};

    fn scores(values: &[f32]) -> Scores {
        vec![TaskScore::of("sums", values.to_vec(), &[1.0])]
    }

    fn test_scores() -> TestScores {
        let named =
            |name: &str, values: &[f32]| ModelScores { name: name.into(), layers: None, scores: scores(values) };
        TestScores {
            recipe: String::new(),
            documents: String::new(),
            models: vec![named("base", &[1.0, 0.0, 1.0, 0.0]), named("math", &[1.0, 1.0, 1.0, 1.0])],
            baselines: vec![
                named("random removal 1, base", &[0.0, 0.0, 0.0, 1.0]),
                named("greedy, math", &[1.0, 0.0, 0.0, 1.0]),
            ],
            tailored: scores(&[1.0, 1.0, 0.0, 1.0]),
            steps: Vec::new(),
            written: None,
            front: Vec::new(),
            trained: Vec::new(),
            reference: Reference {
                best: vec![1.0],
                base: vec![0.5],
                loss: vec![Some(1.0)],
                probability: vec![None],
                weights: vec![1.0],
            },
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_model_and_the_best_baseline_first() {
        let table = task_table(&test_scores(), 12, 9);
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].starts_with("| model ")
                && lines[0].ends_with("| average | of best parent | of base | of best model |")
        );
        assert!(lines[2].starts_with("| base ") && lines[2].contains("|     12 | 0.500 ± 0.289 |"));
        assert!(lines[4].starts_with("| greedy, math"));
        assert!(
            lines[6].starts_with("| tailored ")
                && lines[6].ends_with("|   0.750 |          75.0% |  150.0% |         75.0% |")
        );
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn many_tasks_have_a_line_each() {
        let mut test = test_scores();
        for scores in
            test.models.iter_mut().chain(&mut test.baselines).map(|model| &mut model.scores).chain([&mut test.tailored])
        {
            *scores = (0..20).map(|task| TaskScore { task: format!("task {task}"), ..scores[0].clone() }).collect();
        }
        let twenty = vec![0.05; 20];
        test.reference = Reference { best: vec![1.0; 20], base: vec![0.5; 20], weights: twenty, ..test.reference };
        let table = task_table(&test, 12, 9);
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        assert!(table.contains("| E tailored "), "{table}");
        let line = table.lines().find(|line| line.starts_with("| task 19 ")).unwrap_or_default();
        assert_eq!(line, "| task 19 | 0.500 | 1.000 | 0.500 | 0.250 | 0.750 |");
        assert_eq!([0, 25, 26, 27, 51, 52, 701, 702].map(letter), ["A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn the_subjects_of_a_group_have_a_line_each() {
        let mut test = test_scores();
        assert_eq!(subject_table(&test), "");
        let subject =
            |task: &str, score| recipe_search::SubjectScore { task: task.into(), documents: 2, score, stderr: None };
        for scores in test.models.iter_mut().map(|model| &mut model.scores).chain([&mut test.tailored]) {
            scores[0].subjects = vec![subject("law", 0.5), subject("art", 1.0)];
        }
        let table = subject_table(&test);
        assert!(table.contains("| art  |         2 | 1.000 | 1.000 |    1.000 |"), "{table}");
    }

    #[test]
    fn the_summary_says_by_how_much_the_best_baseline_is_beaten() {
        let summary = summary(&test_scores(), 12, 9);
        assert!(summary.contains("9 of 12 layers (25.0% gone)"));
        assert!(summary.contains("75.0% ± 25.0% of the best parent of each task, 150.0% ± 50.0% of the base"));
        assert!(summary.contains("(greedy, math) keeps 50.0% of the best parent: +25.0 ± 25.0 points"));
    }
}
