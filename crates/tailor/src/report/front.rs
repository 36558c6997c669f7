//! The Pareto front: what is kept over how many layers are gone, as a table and as an SVG.
//!
//! Only a study with several objectives has one. Its members were found on the search documents; the table and the
//! picture show beside that what they keep on documents that the search has not seen, which mostly is less.

use recipe_search::{SearchResult, TestScores};

use super::millions;
use super::rows::percent;
use super::svg::{ACCENT, Chart, dot, line};
use super::text::lay_out;

/// A trial of the front as it is shown. Retentions are shares of the best parents' scores: 1 keeps all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontRow {
    /// How many layers are gone.
    pub removed: usize,
    /// How many weights are left, embedding and head counted in.
    pub parameters: u64,
    /// The trial.
    pub trial: u64,
    /// The file of its recipe in the study's folder, such as `front/3.yaml`.
    pub file: String,
    /// Retention on the search documents.
    pub search: f64,
    /// Retention on the documents kept for the confirmation; absent when the study keeps none.
    pub confirmed: Option<f64>,
    /// Retention on the test split.
    pub test: f64,
    /// The standard error of [`Self::test`]; NaN where a task has a single document.
    pub error: f64,
}

/// The front of a result with its scores on the test split, the fewest removed layers first; empty without several
/// objectives. A member without test scores, which [`Search::test`](recipe_search::Search::test) does not leave, is
/// left out.
#[must_use]
pub fn front_rows(result: &SearchResult, test: &TestScores) -> Vec<FrontRow> {
    let rows = result.front.iter().filter_map(|member| {
        let scored = test.front.iter().find(|scored| scored.trial == member.trial)?;
        Some(FrontRow {
            removed: member.removed,
            parameters: member.parameters,
            trial: member.trial,
            file: member.file.clone(),
            search: member.retention,
            confirmed: member.confirmed,
            test: test.reference.retention(&scored.scores),
            error: test.reference.retention_error(&scored.scores),
        })
    });
    rows.collect()
}

/// The front as Markdown between blank lines; empty without one.
///
/// ```
/// use tailor::report::{FrontRow, front_table};
///
/// let row = FrontRow {
///     removed: 3, parameters: 1_250_000, trial: 17, file: "front/3.yaml".into(),
///     search: 0.91, confirmed: None, test: 0.9, error: 0.02,
/// };
/// let table = front_table(&[row]);
/// assert!(table.contains("1.25 M") && table.contains("90.0% ± 2.0%") && table.contains("not scored"));
/// ```
#[must_use]
pub fn front_table(rows: &[FrontRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head =
        ["layers removed", "parameters", "trial", "search documents", "unseen documents", "test split", "recipe"];
    let body = rows.iter().map(|row| {
        vec![
            row.removed.to_string(),
            millions(row.parameters),
            row.trial.to_string(),
            percent(row.search),
            row.confirmed.map_or_else(|| "not scored".to_string(), percent),
            format!("{} ± {}", percent(row.test), percent(row.error)),
            row.file.clone(),
        ]
    });
    let lines: Vec<Vec<String>> = std::iter::once(head.map(str::to_string).to_vec()).chain(body).collect();
    format!("\nThe front, mean retention of the best parent of each task:\n\n{}\n", lay_out(&lines))
}

/// Retention over removed layers: the front on the test split with its standard errors, on the search documents, and
/// the baselines (removed layers, retention), of which those far below are drawn at the lower edge.
///
/// Every number of layers between the least and the most of them has a step, also one that nothing has.
#[must_use]
pub fn front_curve(rows: &[FrontRow], baselines: &[(usize, f64)]) -> String {
    let sizes = || rows.iter().map(|row| row.removed).chain(baselines.iter().map(|(removed, _)| *removed));
    let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    let range = range(rows, baselines);
    let chart = Chart { height: 300.0, left: 62.0, bottom: 48.0, steps: most - least + 1, range };
    let mut content = chart.grid("layers removed", percent);
    for removed in least..=most {
        content += &chart.step_name(removed - least, &removed.to_string());
    }
    for (removed, retention) in baselines {
        let title = format!("baseline: {}", percent(*retention));
        content += &dot(chart.x(removed - least), chart.y(*retention), RADIUS, "fill=\"#c3cad6\"", &title);
    }
    let mut path = String::new();
    for row in rows {
        let (x, y) = (chart.x(row.removed - least), chart.y(row.test));
        path += &format!("{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        content += &member(row, x, &chart);
    }
    content += &line(&path);
    chart.picture("Retention over removed layers", &content)
}

/// Radius of a dot in pixels.
const RADIUS: f64 = 3.6;

/// A member of the front: its standard error, its retention on the search documents and on the test split.
fn member(row: &FrontRow, x: f64, chart: &Chart) -> String {
    let mut marks = String::new();
    if row.error.is_finite() {
        let (low, high) = (chart.y(row.test - row.error), chart.y(row.test + row.error));
        marks += &format!(r#"<path d="M{x:.1} {low:.1}V{high:.1}" stroke="{ACCENT}" stroke-width="1.2"/>"#);
    }
    let search = format!("trial {}, search documents: {}", row.trial, percent(row.search));
    marks += &dot(x, chart.y(row.search), RADIUS, &format!("fill=\"none\" stroke=\"{ACCENT}\""), &search);
    let test = format!("trial {}, {} left: {}", row.trial, millions(row.parameters), percent(row.test));
    marks + &dot(x, chart.y(row.test), RADIUS, &format!("fill=\"{ACCENT}\""), &test)
}

/// The retentions to be shown: those of the front with their errors, and of the baselines the best of each size. The
/// broken ones would flatten the picture. Below the lowest is room for these, three tenths of the range.
fn range(rows: &[FrontRow], baselines: &[(usize, f64)]) -> (f64, f64) {
    let ends = rows.iter().flat_map(|row| [row.test - row.error, row.test + row.error, row.test, row.search]);
    let better = |(removed, share): &(usize, f64)| baselines.iter().any(|(own, best)| own == removed && best > share);
    let best = baselines.iter().filter(|baseline| !better(baseline)).map(|(_, share)| *share);
    let shares = || ends.clone().chain(best.clone()).filter(|share| share.is_finite());
    let (low, high) = (shares().fold(f64::INFINITY, f64::min), shares().fold(f64::NEG_INFINITY, f64::max));
    if low < high { (low - 0.3 * (high - low), high) } else { (0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(removed: usize, test: f64) -> FrontRow {
        let file = format!("front/{removed}.yaml");
        FrontRow { removed, parameters: 1_250_000, trial: 7, file, search: test, confirmed: None, test, error: 0.01 }
    }

    #[test]
    fn the_curve_goes_through_the_front_and_shows_the_baselines() {
        let svg = front_curve(&[row(1, 0.95), row(3, 0.8)], &[(1, 0.9), (3, 0.5), (3, f64::NAN)]);
        assert_eq!(svg.matches("baseline: ").count(), 3);
        let line = svg.rsplit("<path d=\"").next().unwrap_or_default();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (1, 1));
        assert!(!front_curve(&[], &[]).contains("<circle"));
    }

    #[test]
    fn the_table_has_a_line_for_each_member() {
        let table = front_table(&[row(1, 0.95), row(3, 0.8)]);
        assert!(table.contains("| 1 ") && table.contains("1.25 M") && table.contains("80.0% ± 1.0%"), "{table}");
        assert_eq!(front_table(&[]), "");
    }
}
