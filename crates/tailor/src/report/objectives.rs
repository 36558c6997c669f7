//! The trials of a study with two objectives, one over the other, and the Pareto front among them.

use super::svg::{ACCENT, Chart, dot, line};

/// A result of a trial on all search documents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectivePair {
    /// The trial.
    pub trial: u64,
    /// Both objectives, smaller is better.
    pub objectives: [f64; 2],
    /// Whether no other trial is as good in both and better in one.
    pub on_front: bool,
}

/// More trials behind the front than these are not drawn, but for the newest.
const MANY: usize = 600;

/// The first objective (upwards) over the second one (to the right): the front as a line of large dots, the other
/// trials small. Trials far from the front are drawn at the edge; of more than 600 behind the front, the newest.
///
/// ```
/// use tailor::report::{ObjectivePair, objective_pairs};
///
/// let pair = |trial, objectives, on_front| ObjectivePair { trial, objectives, on_front };
/// let pairs = [pair(0, [0.1, 0.9], true), pair(1, [0.3, 0.6], true), pair(2, [0.4, 0.9], false)];
/// let svg = objective_pairs(&pairs, ["retention", "parameters"]);
/// assert_eq!(svg.matches("<circle").count(), 3);
/// ```
#[must_use]
pub fn objective_pairs(pairs: &[ObjectivePair], names: [&str; 2]) -> String {
    let [upwards, right] = [0, 1].map(|objective| range(pairs, objective));
    let chart = Chart { height: 300.0, left: 62.0, bottom: 48.0, steps: 1, range: upwards };
    let share = |value: f64| (value.clamp(right.0, right.1) - right.0) / (right.1 - right.0);
    let at = |pair: &ObjectivePair| (chart.x_of_share(share(pair.objectives[1])), chart.y(pair.objectives[0]));
    let mut content = chart.grid(&super::svg::escape(&format!("{} over {}", names[0], names[1])), short);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        content += &chart.number(share, &short(right.0 + share * (right.1 - right.0)));
    }
    let title =
        |pair: &ObjectivePair| format!("trial {}: {:.4} and {:.4}", pair.trial, pair.objectives[0], pair.objectives[1]);
    for pair in pairs.iter().rev().filter(|pair| !pair.on_front).take(MANY) {
        let (x, y) = at(pair);
        content += &dot(x, y, 1.7, "fill=\"#9bb7d4\"", &title(pair));
    }
    let mut front: Vec<&ObjectivePair> = pairs.iter().filter(|pair| pair.on_front).collect();
    front.sort_by(|a, b| a.objectives[1].total_cmp(&b.objectives[1]));
    let mut path = String::new();
    for pair in front {
        let (x, y) = at(pair);
        path += &format!("{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        content += &dot(x, y, 3.6, &format!("fill=\"{ACCENT}\""), &title(pair));
    }
    content += &line(&path);
    chart.picture("Pareto front", &content)
}

/// What is drawn of an objective: the front, and beyond it once more as much; never empty.
fn range(pairs: &[ObjectivePair], objective: usize) -> (f64, f64) {
    let all =
        |front: bool| pairs.iter().filter(move |pair| pair.on_front == front).map(|pair| pair.objectives[objective]);
    let (low, high) = all(true).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let behind = all(false).fold(high, f64::max).min(high + (high - low));
    match (low < behind, low.is_finite()) {
        (true, _) => (low, behind),
        (false, true) => (low - 1e-3, low + 1e-3),
        (false, false) => (0.0, 1.0),
    }
}

/// A number of the axes.
fn short(value: f64) -> String {
    format!("{value:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_a_line_and_names_are_escaped() {
        let pair = |trial, first, second, on_front| ObjectivePair { trial, objectives: [first, second], on_front };
        let pairs = [pair(0, 0.1, 0.9, true), pair(1, 0.3, 0.6, true), pair(2, 7.0, 9.0, false)];
        let svg = objective_pairs(&pairs, ["<script>", "b"]);
        let line = svg.rsplit("<path d=\"").next().unwrap_or_default();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (1, 1));
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"));
    }

    #[test]
    fn one_trial_or_none_has_a_picture_without_a_number_that_is_none() {
        for pairs in [vec![], vec![ObjectivePair { trial: 0, objectives: [0.5, 0.5], on_front: true }]] {
            assert!(!objective_pairs(&pairs, ["a", "b"]).contains("NaN"));
        }
    }
}
