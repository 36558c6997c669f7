//! The best whole by the additive costs, exactly: a dynamic program over the row of items.

/// What each part of a whole adds to the objective by itself: each item removed, each of its choices, and the removal
/// of an item together with the next one.
pub(super) struct AdditiveCosts {
    /// Of each item, what removing it costs; infinite where it must stay.
    pub(super) removal: Vec<f64>,
    /// Of each item, what each of its choices costs; none where it must go.
    pub(super) choices: Vec<Vec<f64>>,
    /// Of each item, how many removals each of its choices counts as; a number that is missing is 0.
    pub(super) counts: Vec<Vec<usize>>,
    /// Of each item but the last, what it costs beyond both removals to remove it and the next.
    pub(super) together: Vec<f64>,
}

/// What becomes of an item: removed, or kept with the choice of this number.
pub(super) type SiteChoice = Option<usize>;

/// What becomes of the items before some place, and what that costs.
#[derive(Clone)]
struct Partial {
    cost: f64,
    choices: Vec<SiteChoice>,
}

/// The `count` assemblies of least cost with a number of removed items in `sizes`, the best first. With
/// [`AdditiveCosts::counts`] choices count as removals, too.
///
/// `best(i, r, last)` is the least cost of items `0..i` of which `r` are removed, the last one or not:
///
/// ```text
/// best(i + 1, r, kept)        = min over choices c of cost(i, c) + min(best(i, r, kept), best(i, r, removed))
/// best(i + 1, r + 1, removed) = removal(i) + min(best(i, r, kept), best(i, r, removed) + together(i - 1))
/// ```
///
/// Exact: state = (how many are removed, whether the last one is), and of each state the best `count`. `O(n k count
/// (choices + log))`.
pub(super) fn assemble(
    additive_costs: &AdditiveCosts,
    sizes: std::ops::RangeInclusive<usize>,
    count: usize,
) -> Vec<Vec<SiteChoice>> {
    let most = *sizes.end();
    let mut states: Vec<[Vec<Partial>; 2]> = vec![[Vec::new(), Vec::new()]; most + 1];
    states[0][0].push(Partial { cost: 0.0, choices: Vec::new() });
    for item in 0..additive_costs.removal.len() {
        let counts = additive_costs.counts.get(item).map_or(&[][..], Vec::as_slice);
        let best = best_choices(&additive_costs.choices[item], counts, count);
        let mut next: Vec<[Vec<Partial>; 2]> = vec![[Vec::new(), Vec::new()]; most + 1];
        for (removed, pair) in states.iter().enumerate() {
            for (after_removal, partials) in pair.iter().enumerate() {
                for partial in partials {
                    for (choice, cost) in &best {
                        let after = removed + counts.get(*choice).copied().unwrap_or(0);
                        if after <= most {
                            next[after][0].push(partial.with(Some(*choice), *cost));
                        }
                    }
                    let joint = if after_removal == 1 { additive_costs.together[item - 1] } else { 0.0 };
                    let cost = additive_costs.removal[item] + joint;
                    if removed < most && cost.is_finite() {
                        next[removed + 1][1].push(partial.with(None, cost));
                    }
                }
            }
        }
        for partials in next.iter_mut().flatten() {
            keep_best(partials, count);
        }
        states = next;
    }
    let mut whole: Vec<Partial> = states.into_iter().skip(*sizes.start()).flatten().flatten().collect();
    keep_best(&mut whole, count);
    whole.into_iter().map(|partial| partial.choices).collect()
}

impl Partial {
    /// The same with the next item's choice, which adds `cost`.
    fn with(&self, choice: SiteChoice, cost: f64) -> Self {
        let mut choices = self.choices.clone();
        choices.push(choice);
        Self { cost: self.cost + cost, choices }
    }
}

/// Of the choices that count alike the `count` of least cost, each with its cost; the first of equals first.
fn best_choices(costs: &[f64], counts: &[usize], count: usize) -> Vec<(usize, f64)> {
    let mut choices: Vec<(usize, f64)> =
        costs.iter().copied().enumerate().filter(|(_, cost)| cost.is_finite()).collect();
    choices.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let mut taken = vec![0; counts.iter().max().map_or(1, |most| most + 1)];
    choices.retain(|(choice, _)| {
        let taken = &mut taken[counts.get(*choice).copied().unwrap_or(0)];
        *taken += 1;
        *taken <= count
    });
    choices
}

/// Drops all but the `count` of least cost.
fn keep_best(partials: &mut Vec<Partial>, count: usize) {
    partials.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    partials.truncate(count);
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::{TrialId, generator};

    fn cost(additive_costs: &AdditiveCosts, choices: &[SiteChoice]) -> f64 {
        let alone = choices.iter().enumerate().map(|(item, choice)| match choice {
            None => additive_costs.removal[item],
            Some(choice) => additive_costs.choices[item][*choice],
        });
        let pairs = choices.windows(2).enumerate().filter(|(_, pair)| pair[0].is_none() && pair[1].is_none());
        alone.sum::<f64>() + pairs.map(|(item, _)| additive_costs.together[item]).sum::<f64>()
    }

    /// All assemblies of `n` items with `count` choices each.
    fn all(n: usize, count: usize) -> Vec<Vec<SiteChoice>> {
        (0..n).fold(vec![Vec::new()], |rows, _| {
            let choices = || (0..count).map(Some).chain([None]);
            rows.iter().flat_map(|row| choices().map(|choice| [row.as_slice(), &[choice]].concat())).collect()
        })
    }

    #[test]
    fn the_program_finds_what_trying_all_finds() {
        for seed in 0..20 {
            let mut rng = generator(seed, "assembly", TrialId(0));
            let mut draw = |count: usize| (0..count).map(|_| rng.random::<f64>() - 0.3).collect::<Vec<f64>>();
            let mut additive_costs = AdditiveCosts {
                removal: draw(7),
                choices: (0..7).map(|_| draw(2)).collect(),
                counts: Vec::new(),
                together: draw(6),
            };
            additive_costs.removal[3] = f64::INFINITY;
            for sizes in [2..=2, 1..=4, 0..=0] {
                let allowed = |choices: &Vec<SiteChoice>| {
                    choices[3].is_some() && sizes.contains(&choices.iter().filter(|choice| choice.is_none()).count())
                };
                let mut costs: Vec<f64> =
                    all(7, 2).iter().filter(|f| allowed(f)).map(|f| cost(&additive_costs, f)).collect();
                costs.sort_by(f64::total_cmp);
                let found = assemble(&additive_costs, sizes.clone(), 5);
                assert_eq!(found.len(), 5);
                for (choices, expected) in found.iter().zip(&costs) {
                    assert!(
                        allowed(choices) && (cost(&additive_costs, choices) - expected).abs() < 1e-12,
                        "{sizes:?} {choices:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn choices_that_count_are_limited() {
        for seed in 0..20 {
            let mut rng = generator(seed, "assembly", TrialId(1));
            let mut draw = |count: usize| (0..count).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<f64>>();
            let additive_costs = AdditiveCosts {
                removal: vec![f64::INFINITY; 6],
                choices: (0..6).map(|_| draw(3)).collect(),
                counts: vec![vec![0, 1, 2]; 6],
                together: draw(5),
            };
            let count = |choices: &[SiteChoice]| choices.iter().flatten().sum::<usize>();
            let kept = |choices: &Vec<SiteChoice>| choices.iter().all(Option::is_some) && count(choices) <= 4;
            let mut costs: Vec<f64> =
                all(6, 3).iter().filter(|whole| kept(whole)).map(|whole| cost(&additive_costs, whole)).collect();
            costs.sort_by(f64::total_cmp);
            let found = assemble(&additive_costs, 0..=4, 5);
            for (choices, expected) in found.iter().zip(&costs) {
                assert!(kept(choices) && (cost(&additive_costs, choices) - expected).abs() < 1e-12, "{choices:?}");
            }
            assert_eq!(found.len(), 5);
        }
    }
}
