//! Screening: what the removal of each item does, and each choice on a stretch of items, around the best point so
//! far.

use std::collections::BTreeSet;

use rand::Rng;

use super::assignment::Assignment;
use super::options::Options;
use super::sites::Sites;
use crate::space::Domain;
use crate::{Origin, Point, StrategyState};

/// The next probe of the screening, with its origin; none when it is done or the budget spent.
pub(super) fn next(
    state: &StrategyState,
    sites: &Sites,
    options: &Options,
    best: &Point,
    budget: usize,
    rng: &mut impl Rng,
) -> Option<(Point, Origin)> {
    let done: BTreeSet<&str> = state
        .ledger
        .entries()
        .iter()
        .filter_map(|entry| entry.trial.origin.proposed())
        .filter(|origin| origin.starts_with(SCREEN))
        .collect();
    if done.len() >= budget {
        return None;
    }
    let base = Assignment::of(sites, best);
    let removals = removals(&base, sites, options);
    let stretches = stretches(&base, sites, options, budget.saturating_sub(sites.items.len()));
    removals.chain(stretches).filter(|(_, origin)| !done.contains(origin.as_str())).find_map(|(assignment, origin)| {
        let point = assignment.point(sites, &state.space, rng);
        (!state.ledger.knows(&point)).then_some((point, origin.into()))
    })
}

/// How the origins of probes begin.
const SCREEN: &str = "screening";

/// Each kept item removed in the place of one that is removed, these taken in turn.
fn removals<'a>(
    base: &'a Assignment,
    sites: &'a Sites,
    options: &'a Options,
) -> impl Iterator<Item = (Assignment, String)> + 'a {
    let (always, never) = match sites.subset.as_ref().map(|subset| &subset.domain) {
        Some(Domain::Subset { always, never, .. }) => (always.as_slice(), never.as_slice()),
        _ => (&[][..], &[][..]),
    };
    let gone: Vec<usize> = (0..base.items.len()).filter(|i| base.items[*i].is_none() && !always.contains(i)).collect();
    let kept = (0..base.items.len()).filter(|item| base.items[*item].is_some() && !never.contains(item));
    kept.filter_map(move |item| {
        let back = *gone.get(item % gone.len().max(1))?;
        let near = (0..base.items.len()).filter(|other| base.items[*other].is_some() && sites.alike(back, *other));
        let nearest = near.min_by_key(|other| other.abs_diff(back)).and_then(|other| base.items[other].clone());
        let mut assignment = base.clone();
        assignment.items[back] = nearest.or_else(|| options.bundles[back].first().cloned());
        assignment.items[item] = None;
        assignment.items[back].is_some().then(|| (assignment, format!("{SCREEN}: without {item}")))
    })
}

/// Each option of the grid on each stretch of the row; as many stretches as the budget allows.
fn stretches<'a>(
    base: &'a Assignment,
    sites: &'a Sites,
    options: &'a Options,
    budget: usize,
) -> impl Iterator<Item = (Assignment, String)> + 'a {
    let n = sites.items.len();
    let choices = options.bundles.first().map_or(0, Vec::len);
    let count = (budget / choices.max(1)).clamp(1, n.max(1));
    (0..count).flat_map(move |stretch| {
        let range = stretch * n / count..(stretch + 1) * n / count;
        (0..choices).map(move |choice| {
            let mut assignment = base.clone();
            for item in range.clone().filter(|item| base.items[*item].is_some()) {
                if let Some(bundle) = options.bundles[item].get(choice) {
                    assignment.items[item] = Some(bundle.clone());
                }
            }
            (assignment, format!("{SCREEN}: choice {choice} on {} to {}", range.start, range.end.saturating_sub(1)))
        })
    })
}
