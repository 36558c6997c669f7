//! What matters, read off the trials: what removing a layer does to the objective, and how much of the objective's
//! variance each parameter explains by itself.
//!
//! Both are first-order (main) effects over the results on all search documents, in the sense of a functional ANOVA
//! (Hutter, Hoos and Leyton-Brown 2014), but of the trials themselves and not of a model of them. A search does not
//! draw at random: what it tries together cannot be told apart, and what it avoids is known little.

use std::collections::BTreeMap;

use zo_search::{Domain, History, Point, Value};

use super::svg::{ACCENT, Chart, SOFT, dot};

/// Fewer trials than these say nothing of a parameter.
const LEAST: usize = 20;

/// What choosing an item of a subset does, such as removing a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemEffect {
    /// The item, such as a layer of the parents.
    pub item: usize,
    /// The mean objective of the trials that have it less that of the others: above 0, it does harm.
    pub difference: f64,
    /// The standard error of that, of two samples with their own variances (Welch).
    pub error: f64,
    /// How many trials have it.
    pub chosen: usize,
}

/// What the items of a study's first subset do, one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemEffects {
    /// The dimension, `remove` for the layers that go.
    pub dimension: String,
    /// How many items there are.
    pub items: usize,
    /// Those that at least two trials have and two have not.
    pub effects: Vec<ItemEffect>,
}

impl ItemEffects {
    /// By the trials of a study; none where it has no subset, or too few results on all search documents.
    #[must_use]
    pub fn of(history: &History) -> Option<Self> {
        let dimensions = history.header().space().dimensions();
        let (dimension, items) = dimensions.iter().find_map(|dimension| match dimension.domain {
            Domain::Subset { n, .. } => Some((dimension.name.clone(), n)),
            _ => None,
        })?;
        let results = results(history);
        let chosen: Vec<(&[usize], f64)> = results
            .iter()
            .filter_map(|(point, objective)| Some((point.subset(&dimension).ok()?, *objective)))
            .collect();
        let effect = |item: usize| {
            let (with, without): (Vec<_>, Vec<_>) = chosen.iter().partition(|(items, _)| items.contains(&item));
            let (with, without) = (Sample::of(with), Sample::of(without));
            let error = (with.variance()? / with.count as f64 + without.variance()? / without.count as f64).sqrt();
            Some(ItemEffect { item, difference: with.mean - without.mean, error, chosen: with.count })
        };
        let effects: Vec<ItemEffect> = (0..items).filter_map(effect).collect();
        (!effects.is_empty()).then_some(Self { dimension, items, effects })
    }

    /// What the picture shows, in a sentence for the page.
    #[must_use]
    pub fn note(&self) -> String {
        let what = if self.dimension == "remove" { "each layer removed" } else { "each item chosen" };
        format!(
            "Mean objective of the trials with {what} less that of the others, with its standard error, over the \
             results on all search documents: above the line it does harm. The search chose these trials, not chance; \
             the worst tenth counts as the best of it.",
        )
    }

    /// The differences over the items, with their standard errors and the line of no difference.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let ends = self.effects.iter().flat_map(|of| [of.difference - of.error, of.difference + of.error]);
        let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
        let range = if low < high { (low, high) } else { (-1.0, 1.0) };
        let chart = Chart { height: 220.0, left: 62.0, bottom: 48.0, steps: self.items, range };
        let removed = self.dimension == "remove";
        let mut content =
            chart.grid(if removed { "layer removed" } else { "item chosen" }, |value| format!("{value:+.3}"));
        let (left, right, zero) = (chart.x_of_share(0.0), chart.right(), chart.y(0.0));
        content += &format!(r#"<path d="M{left:.1} {zero:.1}H{right}" stroke="{SOFT}"/>"#);
        let every = self.items.div_ceil(40).max(1);
        for item in (0..self.items).step_by(every) {
            content += &chart.step_name(item, &item.to_string());
        }
        for of in &self.effects {
            let x = chart.x(of.item);
            let (low, high) = (chart.y(of.difference - of.error), chart.y(of.difference + of.error));
            content += &format!(r#"<path d="M{x:.1} {low:.1}V{high:.1}" stroke="{ACCENT}" stroke-width="1.2"/>"#);
            let title = format!("{}: {:+.4} ± {:.4}, {} trials", of.item, of.difference, of.error, of.chosen);
            content += &dot(x, chart.y(of.difference), 3.6, &format!("fill=\"{ACCENT}\""), &title);
        }
        chart.picture("What each item does to the objective", &content)
    }
}

/// How much a parameter explains.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterShare {
    /// The parameter: a dimension, or an item of a subset, `remove 3`.
    pub name: String,
    /// The share of the objective's variance between its values, from 0 to 1, corrected for what chance alone would
    /// give (Kelley's ε²). The shares of dependent parameters overlap, so they need not add up to 1.
    pub share: f64,
    /// Over how many trials: those in which it means something.
    pub trials: usize,
}

/// The parameters of a study, the most important first; those without a share are left out. Numbers are cut into four
/// parts of about equally many trials, masks count as a whole, permutations by their first item.
#[must_use]
pub fn parameter_shares(history: &History) -> Vec<ParameterShare> {
    let results = results(history);
    let mut shares: Vec<ParameterShare> = Vec::new();
    for dimension in history.header().space().dimensions() {
        let name = &dimension.name;
        if let Domain::Subset { n, .. } = dimension.domain {
            let chosen: Vec<(&[usize], f64)> =
                results.iter().filter_map(|(point, y)| Some((point.subset(name).ok()?, *y))).collect();
            for item in 0..n {
                let labelled = chosen.iter().map(|(items, y)| (items.contains(&item), *y));
                shares.extend(share(format!("{name} {item}"), labelled.collect()));
            }
        } else {
            let active: Vec<(&Value, f64)> =
                results.iter().filter_map(|(point, y)| Some((point.get(name)?, *y))).collect();
            shares.extend(match dimension.domain {
                Domain::Float { .. } | Domain::Int { .. } => share(name.clone(), quarters(&active)),
                _ => share(name.clone(), active.iter().map(|(value, y)| (label(value), *y)).collect()),
            });
        }
    }
    shares.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
    shares
}

/// The points and objectives of the results on all instances. The worst tenth counts as the best of it, as broken
/// models would hide everything else.
fn results(history: &History) -> Vec<(&Point, f64)> {
    let full = history.trials().iter().filter_map(|record| Some((&record.trial.point, record.full_objective()?)));
    let mut results: Vec<(&Point, f64)> = full.collect();
    let mut sorted: Vec<f64> = results.iter().map(|(_, objective)| *objective).collect();
    sorted.sort_by(f64::total_cmp);
    if let Some(limit) = sorted.get(sorted.len().saturating_sub(1) * 9 / 10) {
        results.iter_mut().for_each(|(_, objective)| *objective = objective.min(*limit));
    }
    results
}

/// What a value that has no order counts as.
fn label(value: &Value) -> String {
    match value {
        Value::Permutation(items) => items.first().map_or_else(String::new, usize::to_string),
        other => other.to_string(),
    }
}

/// Which quarter of the values each number lies in; equal numbers lie in one.
fn quarters(values: &[(&Value, f64)]) -> Vec<(usize, f64)> {
    let number = |value: &Value| match value {
        Value::Float(x) => *x,
        Value::Int(x) => *x as f64,
        _ => f64::NAN,
    };
    let mut sorted: Vec<f64> = values.iter().map(|(value, _)| number(value)).collect();
    sorted.sort_by(f64::total_cmp);
    let cuts: Vec<f64> = (1..4).filter_map(|quarter| sorted.get(sorted.len() * quarter / 4).copied()).collect();
    values.iter().map(|(value, y)| (cuts.iter().filter(|cut| number(value) >= **cut).count(), *y)).collect()
}

/// The share of the variance between groups of equal labels: ε² = (between − (groups − 1) · within / (n − groups)) /
/// total, of sums of squares. None of too few trials, or where nothing is explained.
fn share<L: Ord>(name: String, labelled: Vec<(L, f64)>) -> Option<ParameterShare> {
    let trials = labelled.len();
    let all = Sample::of(labelled.iter().map(|(_, y)| ((), *y)));
    let mut groups: BTreeMap<L, Vec<((), f64)>> = BTreeMap::new();
    for (label, y) in labelled {
        groups.entry(label).or_default().push(((), y));
    }
    let k = groups.len();
    if trials < LEAST || k < 2 || trials <= k || all.squares <= 0.0 {
        return None;
    }
    let within: f64 = groups.into_values().map(|group| Sample::of(group).squares).sum();
    let chance = (k - 1) as f64 * within / (trials - k) as f64;
    let share = (all.squares - within - chance) / all.squares;
    (share > 0.0).then_some(ParameterShare { name, share, trials })
}

/// A sample's size, mean and sum of squared deviations.
struct Sample {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn of<'a, T: 'a>(values: impl IntoIterator<Item = (T, f64)>) -> Self {
        let mut sample = Self { count: 0, mean: 0.0, squares: 0.0 };
        for (_, value) in values {
            sample.count += 1;
            let off = value - sample.mean;
            sample.mean += off / sample.count as f64;
            sample.squares += off * (value - sample.mean);
        }
        sample
    }

    /// None of fewer than two.
    fn variance(&self) -> Option<f64> {
        (self.count >= 2).then(|| self.squares / (self.count - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zo_search::{Header, Outcome, RandomSearch, Space, Study};

    /// Trials of a random search, whose objective is 1 where layer 2 goes, and half that where `head` is `math`, with a
    /// little noise.
    fn history(trials: usize) -> Result<History, zo_search::Error> {
        let space =
            Space::new().subset("remove", 5, 2).categorical("head", ["base", "math"]).float("nothing", 0.0..=1.0);
        let mut study = Study::in_memory(Header::new("effects", 1), RandomSearch::new(space, 1))?;
        for number in 0..trials {
            let trial = study.ask()?;
            let removed = f64::from(u8::from(trial.point.subset("remove")?.contains(&2)));
            let math = f64::from(u8::from(trial.point.get("head") == Some(&Value::from("math"))));
            study.tell(trial.id, Outcome::score(removed + 0.5 * math + 0.01 * (number % 3) as f64))?;
        }
        Ok(study.history().clone())
    }

    #[test]
    fn a_layer_that_does_harm_stands_out_and_the_error_covers_the_truth() -> Result<(), zo_search::Error> {
        let effects = ItemEffects::of(&history(300)?).expect("there are trials");
        let worst = effects.effects.iter().max_by(|a, b| a.difference.total_cmp(&b.difference)).expect("five layers");
        assert_eq!((worst.item, effects.effects.len()), (2, 5));
        assert!((worst.difference - 1.0).abs() < 3.0 * worst.error && worst.error < 0.05, "{worst:?}");
        assert_eq!(effects.to_svg().matches("<circle").count(), 5);
        Ok(())
    }

    #[test]
    fn the_shares_are_those_of_the_variance() -> Result<(), zo_search::Error> {
        let shares = parameter_shares(&history(400)?);
        // Two of five layers go: the variances are 0.4 · 0.6 and 0.5² · 0.25.
        let expected = [("remove 2", 0.24 / (0.24 + 0.0625)), ("head", 0.0625 / (0.24 + 0.0625))];
        for (name, expected) in expected {
            let found = shares.iter().find(|of| of.name == name).expect("a share");
            assert!((found.share - expected).abs() < 0.08, "{name}: {} and not {expected}", found.share);
        }
        assert!(shares[0].name == "remove 2" && shares.iter().all(|of| of.name != "nothing" || of.share < 0.03));
        Ok(())
    }

    #[test]
    fn few_trials_say_nothing() -> Result<(), zo_search::Error> {
        assert_eq!(parameter_shares(&history(4)?), []);
        assert_eq!(ItemEffects::of(&history(0)?), None);
        Ok(())
    }
}
