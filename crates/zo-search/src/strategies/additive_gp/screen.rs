//! Screening: what the removal of each item does, each costlier choice for each item where choices have a limit, and
//! each choice on a stretch of items, around the best point so far.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rand::Rng;

use super::assignment::Assignment;
use super::options::Options;
use super::sites::{Bundle, Sites};
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
    let costlier = costlier(&base, sites);
    removals.chain(costlier).chain(stretches).filter(|(_, origin)| !done.contains(origin.as_str())).find_map(
        |(assignment, origin)| {
            let point = assignment.point(sites, &state.space, rng);
            (!state.ledger.knows(&point)).then_some((point, origin.into()))
        },
    )
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

/// Where the items' choices have a limit: each item with a choice that costs more, all else as it is, but for other
/// items that make room. Of each item the choice that means nearly the same comes first; then the next one of each.
fn costlier<'a>(base: &'a Assignment, sites: &'a Sites) -> impl Iterator<Item = (Assignment, String)> + 'a {
    let items = 0..base.items.len();
    let ranked: Vec<Vec<(String, Bundle)>> = match &sites.limit {
        Some(limit) => {
            items.map(|item| limit.others(sites, item, base.items[item].as_ref(), Ordering::Greater)).collect()
        }
        None => Vec::new(),
    };
    let most = ranked.iter().map(Vec::len).max().unwrap_or(0);
    (0..most).flat_map(move |rank| {
        let of_item = |(item, ranked): (usize, &Vec<(String, Bundle)>)| {
            let (name, bundle) = ranked.get(rank)?;
            let mut assignment = base.clone();
            assignment.items[item] = Some(bundle.clone());
            make_room(&mut assignment, sites, item);
            Some((assignment, format!("{SCREEN}: {name} at {item}")))
        };
        ranked.iter().enumerate().filter_map(of_item).collect::<Vec<_>>()
    })
}

/// Gives items behind `item`, and then those before it, the nearest choice that costs less, until the limit is kept.
fn make_room(assignment: &mut Assignment, sites: &Sites, item: usize) {
    let Some(limit) = &sites.limit else { return };
    let n = assignment.items.len();
    for other in (item + 1..n).chain(0..item) {
        let cost = |item: usize| assignment.items[item].as_ref().map_or(0, |bundle| limit.cost(sites, item, bundle));
        if (0..n).map(cost).sum::<usize>() <= limit.most {
            return;
        }
        let cheaper = limit.others(sites, other, assignment.items[other].as_ref(), Ordering::Less);
        if let Some((_, bundle)) = cheaper.into_iter().next() {
            assignment.items[other] = Some(bundle);
        }
    }
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
