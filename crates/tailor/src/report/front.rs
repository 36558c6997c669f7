//! The Pareto front: what is kept over how many layers are gone, as a table and as an SVG.

use std::fmt::Write as _;

use super::millions;
use super::rows::percent;
use super::text::lay_out;
use recipe_search::{SearchResult, TestScores};

/// A trial of the front as it is shown: shares of the best parents' scores.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontRow {
    /// How many layers are gone.
    pub removed: usize,
    /// How many weights are left.
    pub parameters: u64,
    /// The trial.
    pub trial: u64,
    /// The file of its recipe.
    pub file: String,
    /// Retention on the search documents.
    pub search: f64,
    /// Retention on the documents kept for the confirmation.
    pub confirmed: Option<f64>,
    /// Retention on the test split.
    pub test: f64,
    /// Its standard error.
    pub error: f64,
}

/// The front of a result with its scores on the test split, the fewest removed layers first; empty without several objectives.
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

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 48.0;

/// Retention over removed layers: the front on the test split with its standard errors, on the search documents, and the baselines
/// (removed layers, retention), of which those far below are drawn at the lower edge.
#[must_use]
pub fn front_curve(rows: &[FrontRow], baselines: &[(usize, f64)]) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Retention over removed layers" font-family="system-ui, sans-serif" font-size="11">"#
    );
    let scale = Scale::of(rows, baselines);
    scale.grid(&mut svg);
    for (removed, retention) in baselines {
        dot(
            &mut svg,
            scale.x(*removed),
            scale.y(*retention),
            "fill=\"#c3cad6\"",
            &format!("baseline: {}", percent(*retention)),
        );
    }
    let mut line = String::new();
    for row in rows {
        let (x, y) = (scale.x(row.removed), scale.y(row.test));
        let _ = write!(line, "{}{x:.1} {y:.1}", if line.is_empty() { "M" } else { "L" });
        if row.error.is_finite() {
            let (low, high) = (scale.y(row.test - row.error), scale.y(row.test + row.error));
            let _ = write!(svg, r##"<path d="M{x:.1} {low:.1}V{high:.1}" stroke="#0072b2" stroke-width="1.2"/>"##);
        }
        let search = format!("trial {}, search documents: {}", row.trial, percent(row.search));
        dot(&mut svg, x, scale.y(row.search), "fill=\"none\" stroke=\"#0072b2\"", &search);
        let test = format!("trial {}, {} left: {}", row.trial, millions(row.parameters), percent(row.test));
        dot(&mut svg, x, y, "fill=\"#0072b2\"", &test);
    }
    let _ = write!(
        svg,
        r##"<path d="{line}" fill="none" stroke="#0072b2" stroke-width="2"/><text x="{}" y="{}" text-anchor="middle" fill="#5d6679">layers removed</text></svg>"##,
        (WIDTH + LEFT) / 2.0,
        HEIGHT - 8.0
    );
    svg
}

fn dot(svg: &mut String, x: f64, y: f64, paint: &str, title: &str) {
    let _ = write!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.6" {paint}><title>{title}</title></circle>"#);
}

/// Where a number of layers and a retention lie on the picture.
struct Scale {
    removed: (usize, usize),
    retention: (f64, f64),
}

impl Scale {
    fn of(rows: &[FrontRow], baselines: &[(usize, f64)]) -> Self {
        let sizes = || rows.iter().map(|row| row.removed).chain(baselines.iter().map(|(removed, _)| *removed));
        let ends = rows.iter().flat_map(|row| [row.test - row.error, row.test + row.error, row.test, row.search]);
        // Of the baselines the best of each size: the broken ones would flatten the picture, and are drawn at the lower edge.
        let better =
            |(removed, share): &(usize, f64)| baselines.iter().any(|(own, best)| own == removed && best > share);
        let best = baselines.iter().filter(|baseline| !better(baseline)).map(|(_, share)| *share);
        let shares = || ends.clone().chain(best.clone()).filter(|share| share.is_finite());
        let (low, high) = (shares().fold(f64::INFINITY, f64::min), shares().fold(f64::NEG_INFINITY, f64::max));
        let retention = if low < high { (low - 0.3 * (high - low), high) } else { (0.0, 1.0) };
        Self { removed: (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0)), retention }
    }

    fn x(&self, removed: usize) -> f64 {
        let (low, high) = self.removed;
        let place = (removed.saturating_sub(low) as f64 + 0.5) / ((high - low) as f64 + 1.0);
        LEFT + place * (WIDTH - LEFT - 8.0)
    }

    fn y(&self, retention: f64) -> f64 {
        let (low, high) = self.retention;
        8.0 + (high - retention.clamp(low, high)) / (high - low) * (HEIGHT - BOTTOM - 8.0)
    }

    fn grid(&self, svg: &mut String) {
        let (low, high) = self.retention;
        for step in 0..=4 {
            let value = low + (high - low) * f64::from(step) / 4.0;
            let _ = write!(
                svg,
                r##"<path d="M{LEFT} {0:.1}H{WIDTH}" stroke="#e6e9ef"/><text x="{1}" y="{2:.1}" text-anchor="end" fill="#5d6679">{3}</text>"##,
                self.y(value),
                LEFT - 8.0,
                self.y(value) + 4.0,
                percent(value)
            );
        }
        for removed in self.removed.0..=self.removed.1 {
            let _ = write!(
                svg,
                r##"<text x="{:.1}" y="{}" text-anchor="middle" fill="#5d6679">{removed}</text>"##,
                self.x(removed),
                HEIGHT - BOTTOM + 18.0
            );
        }
    }
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
