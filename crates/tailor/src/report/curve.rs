//! The search curve: every trial's objective and the incumbent's, as an SVG.
//!
//! It shows whether a search was still finding something when it ended. The page of a study has it; see `mod.rs`.

use std::collections::BTreeMap;

use zo_search::{History, Record};

use super::svg::{Chart, dot, line};

/// A finished trial on the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Its number.
    pub trial: u64,
    /// The objective, smaller is better.
    pub objective: f64,
    /// Whether it was scored on all search documents; only such trials can be the incumbent.
    pub full: bool,
}

impl CurvePoint {
    /// The trials of a study that have a result, in their order.
    #[must_use]
    pub fn all(history: &History) -> Vec<Self> {
        let point = |record: &Record| {
            let objective = record.outcome.as_ref()?.objective()?;
            Some(Self { trial: record.trial.id.0, objective, full: record.full_objective().is_some() })
        };
        history.trials().iter().filter_map(point).collect()
    }
}

/// More points than these are thinned.
const MANY: usize = 2000;
/// Into how many columns thinned points are sorted.
const COLUMNS: u64 = 120;

/// The curve of the trials in their order: a dot for each, a large one if it is full, and a line along the best full
/// one so far. Objectives far above the others are drawn at the upper edge. Of more than 2000 trials not every dot is
/// drawn: of neighbours, a 120th part of the trials, the lowest, the middle and the highest
/// stay. The line is always exact.
///
/// ```
/// use tailor::report::{CurvePoint, search_curve};
///
/// let points = [(0, 0.31), (1, 0.24), (2, 0.28)];
/// let points = points.map(|(trial, objective)| CurvePoint { trial, objective, full: true });
/// let svg = search_curve(&points);
/// assert!(svg.starts_with("<svg") && svg.matches("<circle").count() == 3);
/// ```
#[must_use]
pub fn search_curve(points: &[CurvePoint]) -> String {
    let steps = points.last().map_or(0, |last| last.trial as usize + 1);
    let chart = Chart { height: 260.0, left: 52.0, bottom: 34.0, steps, range: range(points) };
    let at = |point: &CurvePoint| (chart.x(point.trial as usize), chart.y(point.objective));
    let mut content = chart.grid("trial", |value| format!("{value:.3}"));
    for point in &thinned(points) {
        let ((x, y), radius) = (at(point), if point.full { 3.2 } else { 1.7 });
        let title = format!("trial {}: {:.4}", point.trial, point.objective);
        content += &dot(x, y, radius, "fill=\"#9bb7d4\"", &title);
    }
    let mut path = String::new();
    let mut incumbent = f64::INFINITY;
    for point in points.iter().filter(|point| point.full) {
        if point.objective < incumbent {
            let (x, y) = at(point);
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

/// Of many points those that show where the others lie: of each column's full points, and of its others, the lowest,
/// the middle and the highest.
fn thinned(points: &[CurvePoint]) -> Vec<CurvePoint> {
    let Some(last) = points.last().filter(|_| points.len() > MANY) else { return points.to_vec() };
    let mut columns: BTreeMap<(u64, bool), Vec<CurvePoint>> = BTreeMap::new();
    for point in points {
        columns.entry((point.trial * COLUMNS / (last.trial + 1), point.full)).or_default().push(*point);
    }
    let mut kept = Vec::new();
    for mut column in columns.into_values() {
        column.sort_by(|a, b| a.objective.total_cmp(&b.objective));
        kept.extend([0, column.len() / 2, column.len() - 1].map(|place| column[place]));
    }
    kept.sort_by_key(|point| point.trial);
    kept.dedup_by_key(|point| point.trial);
    kept
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

    fn curve(points: impl IntoIterator<Item = (f64, bool)>) -> Vec<CurvePoint> {
        (0..).zip(points).map(|(trial, (objective, full))| CurvePoint { trial, objective, full }).collect()
    }

    #[test]
    fn the_line_falls_only_at_full_trials() {
        let points = [(0.5, true), (0.1, false), (0.4, true), (0.45, true)];
        let svg = search_curve(&curve(points));
        let path = svg.rsplit("<path d=\"").next().unwrap_or_default();
        assert_eq!(path.split('"').next().unwrap_or_default().matches('V').count(), 1);
        assert_eq!(svg.matches("<circle").count(), 4);
    }

    #[test]
    fn a_study_without_trials_has_an_empty_curve() {
        assert!(!search_curve(&[]).contains("<circle"));
    }

    #[test]
    fn many_trials_are_thinned_and_the_line_is_not() {
        // Falls slowly, with noise that comes again after seven trials.
        let objective = |trial: u32| 1.0 - f64::from(trial) * 1e-5 + f64::from(trial * 3 % 7) * 1e-3;
        let points = curve((0..10_000).map(|trial| (objective(trial), trial % 4 != 0)));
        let svg = search_curve(&points);
        let dots = svg.matches("<circle").count();
        assert!((500..=720).contains(&dots), "{dots}");
        let mut best = f64::INFINITY;
        let better = |point: &&CurvePoint| {
            point.full && point.objective < best && {
                best = point.objective;
                true
            }
        };
        let steps = points.iter().filter(better).count();
        let path = svg.rsplit("<path d=\"").next().unwrap_or_default();
        assert_eq!(path.split('"').next().unwrap_or_default().matches('V').count() + 1, steps);
        assert!(svg.contains(&format!("{best:.4}<")), "the best is among the dots");
    }
}
