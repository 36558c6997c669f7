//! Tables of many runs: medians and quartiles over the seeds.
//!
//! Quartiles, as a few runs say little of a mean's error, and costs are far from normal: a run that got stuck would
//! hide all others.

use std::fmt::Write;

use super::run::{CHECKPOINTS, Checkpoint, Run};

/// Tables in Markdown: per problem a row for each strategy and a column for each number of evaluations, `median
/// (quartiles)` over the seeds; costs above the optimum where that is known, and a second table of the costs on data
/// that no search sees.
#[must_use]
pub fn summary(runs: &[Run]) -> String {
    let mut text = String::new();
    for problem in distinct(runs.iter().map(|run| run.problem.as_str())) {
        let of: Vec<&Run> = runs.iter().filter(|run| run.problem == problem).collect();
        let known = of.iter().all(|run| run.optimum.is_some());
        let cost = |run: &Run, at: &Checkpoint| Some(at.cost - run.optimum.filter(|_| known).unwrap_or(0.0));
        table(&mut text, problem, if known { "cost above the optimum" } else { "cost" }, &of, cost);
        if of.iter().any(|run| run.checkpoints.iter().any(|at| at.test.is_some())) {
            table(&mut text, problem, "cost on the test split", &of, |_, at| at.test);
        }
    }
    text
}

/// One table: of each strategy's runs the `value` at each checkpoint; it leaves out what `value` does not know.
fn table(
    text: &mut String,
    problem: &str,
    what: &str,
    runs: &[&Run],
    value: impl Fn(&Run, &Checkpoint) -> Option<f64>,
) {
    let head: String = CHECKPOINTS.iter().map(|at| format!(" {at} |")).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "### {problem}: {what}\n\n| strategy | seeds |{head} ms per ask |");
    let _ = writeln!(text, "|---|--:|{}--:|", "--:|".repeat(CHECKPOINTS.len()));
    for strategy in distinct(runs.iter().map(|run| run.strategy.as_str())) {
        let of: Vec<&&Run> = longest(runs.iter().filter(|run| run.strategy == strategy));
        let cells: String = CHECKPOINTS.iter().map(|at| cell(&of, *at, &value)).collect();
        let milliseconds = |run: &&&Run| 1e3 * run.strategy_seconds / run.evaluations.max(1) as f64;
        let asks = quantile(&of.iter().map(milliseconds).collect::<Vec<_>>(), 0.5);
        let _ = writeln!(text, "| {strategy} | {} |{cells} {asks:.1} |", of.len());
    }
    text.push('\n');
}

/// Of each seed the longest run.
fn longest<'a>(runs: impl Iterator<Item = &'a &'a Run>) -> Vec<&'a &'a Run> {
    let mut kept: Vec<&&Run> = Vec::new();
    for run in runs {
        match kept.iter_mut().find(|known| known.seed == run.seed) {
            Some(known) if known.evaluations < run.evaluations => *known = run,
            Some(_) => {}
            None => kept.push(run),
        }
    }
    kept
}

/// `median (low, high)` of the runs that came to this number of evaluations.
fn cell(runs: &[&&Run], at: usize, value: &impl Fn(&Run, &Checkpoint) -> Option<f64>) -> String {
    let of = |run: &&&Run| value(run, run.checkpoints.iter().find(|checkpoint| checkpoint.evaluations == at)?);
    let values: Vec<f64> = runs.iter().filter_map(of).collect();
    if values.is_empty() {
        return " - |".into();
    }
    let [low, median, high] = [0.25, 0.5, 0.75].map(|q| number(quantile(&values, q)));
    format!(" {median} ({low}, {high}) |")
}

/// A cost with four decimals, or as a power of ten where these say little.
fn number(x: f64) -> String {
    if x != 0.0 && !(1e-3..1e4).contains(&x.abs()) { format!("{x:.1e}") } else { format!("{x:.4}") }
}

/// The `q` quantile, linear between the order statistics, as numpy's default; NaN of nothing.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let (a, b) = (sorted.get(low).copied().unwrap_or(f64::NAN), sorted.get(high).copied().unwrap_or(f64::NAN));
    a + (b - a) * (place - low as f64)
}

/// Each name once, in the order in which they come first.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    names.for_each(|name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
    });
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_order_statistics() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| quantile(&values, q)), [1.0, 1.75, 2.5, 4.0]);
    }
}
