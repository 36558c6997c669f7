//! The search curve: every trial's objective and the incumbent's, as an SVG.

use std::fmt::Write as _;

/// A finished trial on the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The objective, smaller is better.
    pub objective: f64,
    /// Whether it was scored on all search documents; only such trials can be the incumbent.
    pub full: bool,
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 34.0;

/// The curve of the trials in their order. Objectives far above the others are drawn at the upper edge.
#[must_use]
pub fn search_curve(points: &[CurvePoint]) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Search curve" font-family="system-ui, sans-serif" font-size="11">"#
    );
    let (low, high) = range(points);
    let x = |trial: usize| LEFT + (trial as f64 + 0.5) / points.len().max(1) as f64 * (WIDTH - LEFT - 8.0);
    let y = |value: f64| 8.0 + (high - value.clamp(low, high)) / (high - low) * (HEIGHT - BOTTOM - 8.0);
    for step in 0..=4 {
        let value = low + (high - low) * f64::from(step) / 4.0;
        let _ = write!(
            svg,
            r##"<path d="M{LEFT} {0:.1}H{WIDTH}" stroke="#e6e9ef"/><text x="{1}" y="{2:.1}" text-anchor="end" fill="#5d6679">{value:.3}</text>"##,
            y(value),
            LEFT - 8.0,
            y(value) + 4.0
        );
    }
    let mut line = String::new();
    let mut incumbent = f64::INFINITY;
    for (trial, point) in points.iter().enumerate() {
        let radius = if point.full { 3.2 } else { 1.7 };
        let _ = write!(
            svg,
            r##"<circle cx="{:.1}" cy="{:.1}" r="{radius}" fill="#9bb7d4"><title>trial {trial}: {:.4}</title></circle>"##,
            x(trial),
            y(point.objective),
            point.objective
        );
        if point.full && point.objective < incumbent {
            let from = if line.is_empty() { format!("M{:.1} ", x(trial)) } else { format!("H{:.1}V", x(trial)) };
            let _ = write!(line, "{from}{:.1}", y(point.objective));
            incumbent = point.objective;
        }
    }
    let _ = write!(
        svg,
        r##"<path d="{line}{}" fill="none" stroke="#0072b2" stroke-width="2"/><text x="{}" y="{}" text-anchor="middle" fill="#5d6679">trial</text></svg>"##,
        if line.is_empty() { String::new() } else { format!("H{WIDTH}") },
        (WIDTH + LEFT) / 2.0,
        HEIGHT - 8.0
    );
    svg
}

/// From the best to the worst objective, the worst tenth cut off so that broken models do not flatten the picture.
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
