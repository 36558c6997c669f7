//! The search curve: every trial's objective and the incumbent's, as an SVG.
//!
//! It shows whether a search was still finding something when it ended. The page of a study has it; see `mod.rs`.

use super::svg::{Chart, dot, line};

/// A finished trial on the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The objective, smaller is better.
    pub objective: f64,
    /// Whether it was scored on all search documents; only such trials can be the incumbent.
    pub full: bool,
}

/// The curve of the trials in their order: a dot for each, a large one if it is full, and a line along the best full
/// one so far. Objectives far above the others are drawn at the upper edge.
///
/// ```
/// use tailor::report::{CurvePoint, search_curve};
///
/// let points = [0.31, 0.24, 0.28].map(|objective| CurvePoint { objective, full: true });
/// let svg = search_curve(&points);
/// assert!(svg.starts_with("<svg") && svg.matches("<circle").count() == 3);
/// ```
#[must_use]
pub fn search_curve(points: &[CurvePoint]) -> String {
    let chart = Chart { height: 260.0, left: 52.0, bottom: 34.0, steps: points.len(), range: range(points) };
    let mut content = chart.grid("trial", |value| format!("{value:.3}"));
    let mut path = String::new();
    let mut incumbent = f64::INFINITY;
    for (trial, point) in points.iter().enumerate() {
        let (x, y) = (chart.x(trial), chart.y(point.objective));
        let radius = if point.full { 3.2 } else { 1.7 };
        content += &dot(x, y, radius, "fill=\"#9bb7d4\"", &format!("trial {trial}: {:.4}", point.objective));
        if point.full && point.objective < incumbent {
            let from = if path.is_empty() { format!("M{x:.1} ") } else { format!("H{x:.1}V") };
            path += &format!("{from}{y:.1}");
            incumbent = point.objective;
        }
    }
    if !path.is_empty() {
        path += &format!("H{}", chart.right());
    }
    content += &line(&path);
    chart.picture("Search curve", &content)
}

/// From the best to the worst objective, the worst tenth cut off so that broken models do not flatten the picture.
/// Never empty: a single value has a range of 0.001 above it, no value at all that from 0 to 1.
fn range(points: &[CurvePoint]) -> (f64, f64) {
    let mut sorted: Vec<f64> = points.iter().map(|point| point.objective).filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.as_slice() {
        [] => (0.0, 1.0),
        [first, ..] => {
            let high = sorted[(sorted.len() - 1) * 9 / 10];
            (*first, if high > *first { high } else { first + 1e-3 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_falls_only_at_full_trials() {
        let point = |objective, full| CurvePoint { objective, full };
        let svg = search_curve(&[point(0.5, true), point(0.1, false), point(0.4, true), point(0.45, true)]);
        let path = svg.rsplit("<path d=\"").next().unwrap_or_default();
        assert_eq!(path.split('"').next().unwrap_or_default().matches('V').count(), 1);
        assert_eq!(svg.matches("<circle").count(), 4);
    }

    #[test]
    fn a_study_without_trials_has_an_empty_curve() {
        assert!(!search_curve(&[]).contains("<circle"));
    }
}
