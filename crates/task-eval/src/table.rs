//! The results as a table for people.

use crate::group::GroupResult;
use crate::result::{MetricValue, TaskResult};

/// A Markdown table: one line per task and metric, then one per group and metric. The arrow says whether more (↑) or
/// less (↓) is better; `-` stands for an error that is not known.
///
/// ```
/// # use task_eval::{MetricValue, TaskResult, table};
/// # let acc = MetricValue { value: 0.5, stderr: Some(0.05), higher_is_better: true };
/// # let metrics = [("acc,none".to_owned(), acc)].into_iter().collect();
/// # let result = TaskResult { task: "sums".to_owned(), documents: vec![], metrics };
/// assert_eq!(
///     table(&[result], &[]),
///     "\
/// | task | filter | metric |    | value  | ± stderr |
/// |------|--------|--------|----|-------:|---------:|
/// | sums | none   | acc    | ↑  | 0.5000 |   0.0500 |
/// "
/// );
/// ```
pub fn table(results: &[TaskResult], groups: &[GroupResult]) -> String {
    let mut rows = vec![["task", "filter", "metric", "", "value", "± stderr"].map(str::to_owned)];
    for result in results {
        add(&mut rows, &result.task, &result.metrics);
    }
    for group in groups {
        add(&mut rows, &group.group, &group.metrics);
    }
    layout(&rows)
}

/// Adds a line for each metric of a task or group; only the first has its name.
fn add(rows: &mut Vec<[String; 6]>, name: &str, metrics: &indexmap::IndexMap<String, MetricValue>) {
    let first = rows.len();
    for (key, metric) in metrics {
        let (metric_name, filter) = key.split_once(',').unwrap_or((key, "none"));
        rows.push([
            if rows.len() == first { name.to_owned() } else { String::new() },
            filter.to_owned(),
            metric_name.to_owned(),
            if metric.higher_is_better { "↑" } else { "↓" }.to_owned(),
            format!("{:.4}", metric.value),
            metric.stderr.map_or_else(|| "-".to_owned(), |error| format!("{error:.4}")),
        ]);
    }
}

/// Lines of cells, as wide as the widest of their column; the first line is the head.
fn layout(rows: &[[String; 6]]) -> String {
    /// From this column on, numbers stand to the right.
    const FIRST_NUMBER: usize = 4;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(2);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    for (place, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let number = column >= FIRST_NUMBER && place > 0;
            out += &if number { format!("| {cell:>width$} ") } else { format!("| {cell:<width$} ") };
        }
        out += "|\n";
        if place == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                out += &format!("|{dashes}{}", if column >= FIRST_NUMBER { ":" } else { "-" });
            }
            out += "|\n";
        }
    }
    out
}
