//! A point taken apart into what becomes of each site, and what can be changed about it.

use rand::{Rng, RngExt};

use super::sites::{Bundle, Place, Sites};
use crate::random::{pick, sample_items};
use crate::space::Domain;
use crate::space::coding::Shape;
use crate::{Point, Space, Value};

/// A point taken apart.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    /// Of each item, its bundle; none where it is removed.
    pub(super) items: Vec<Option<Bundle>>,
    /// Of each other dimension, its value.
    pub(super) others: Vec<Option<Value>>,
}

impl Assignment {
    /// Takes a point of the space apart.
    pub(super) fn of(sites: &Sites, point: &Point) -> Self {
        let removed = sites.removed(point);
        let kept = |item: usize| (!removed.contains(&item)).then(|| sites.bundle(point, item));
        Self {
            items: (0..sites.items.len()).map(kept).collect(),
            others: sites.others.iter().map(|dimension| point.get(&dimension.name).cloned()).collect(),
        }
    }

    /// The point, with values drawn for dimensions that have none and turn out active.
    pub(super) fn point(&self, sites: &Sites, space: &Space, rng: &mut impl Rng) -> Point {
        let removed = || (0..self.items.len()).filter(|item| self.items[*item].is_none()).collect();
        space.assemble(|dimension, _| {
            let known = match sites.place(&dimension.name) {
                Some(Place::Subset) => Some(Value::Subset(removed())),
                Some(Place::Item(item, at)) => self.items[item].as_ref().and_then(|bundle| bundle.get(at)?.clone()),
                Some(Place::Other(at)) => self.others[at].clone(),
                None => None,
            };
            known.unwrap_or_else(|| dimension.domain.sample(rng))
        })
    }

    /// Every assignment that differs from this one at one site: an item removed in the place of another (or more, or
    /// fewer, where the size is free), a choice for a kept item, another value of another dimension. At most `limit`
    /// of them, drawn evenly.
    pub(super) fn moves(&self, sites: &Sites, options: &[Vec<Bundle>], limit: usize, rng: &mut impl Rng) -> Vec<Self> {
        let mut edits = self.removals(sites);
        for (item, options) in options.iter().enumerate() {
            if self.items[item].is_some() {
                edits.extend((0..options.len()).map(|option| Edit::Choice { item, option }));
                let varies = sites.items[item].iter().any(|d| is_number(&d.domain));
                edits.extend(varies.then_some(Edit::Shift { item }));
            }
        }
        let per_other = if self.items.is_empty() { 24 } else { 4 };
        edits.extend(
            (0..self.others.len()).flat_map(|dimension| (0..per_other).map(move |_| Edit::Other { dimension })),
        );
        let chosen = sample_items((0..edits.len()).collect(), limit, rng);
        chosen.into_iter().map(|edit| self.with(&edits[edit], sites, options, rng)).collect()
    }

    /// The same choices with other items removed, drawn evenly: as far from here as removals go. None where there are
    /// no items.
    pub(super) fn move_removals(&self, sites: &Sites, options: &[Vec<Bundle>], rng: &mut impl Rng) -> Option<Self> {
        let Value::Subset(removed) = sites.subset.as_ref()?.domain.sample(rng) else { return None };
        let mut assignment = self.clone();
        for item in (0..self.items.len()).filter(|item| self.items[*item].is_none() && !removed.contains(item)) {
            assignment.items[item] = Some(self.returning(item, sites, options, rng));
        }
        removed.into_iter().for_each(|item| assignment.items[item] = None);
        Some(assignment)
    }

    /// Every removal that leaves an allowed size: one item for another, one more, or one fewer.
    fn removals(&self, sites: &Sites) -> Vec<Edit> {
        let Some(Domain::Subset { always, never, .. }) = sites.subset.as_ref().map(|subset| &subset.domain) else {
            return Vec::new();
        };
        let sizes = sites.subset.as_ref().map_or(0..=0, |subset| subset.domain.sizes());
        let (gone, kept): (Vec<usize>, Vec<usize>) =
            (0..self.items.len()).partition(|item| self.items[*item].is_none());
        let may_return = || gone.iter().copied().filter(|item| !always.contains(item));
        let may_go = || kept.iter().copied().filter(|item| !never.contains(item));
        let mut edits: Vec<Edit> = may_return()
            .flat_map(|back| may_go().map(move |out| Edit::Removal { back: Some(back), out: Some(out) }))
            .collect();
        if sizes.contains(&(gone.len() + 1)) {
            edits.extend(may_go().map(|out| Edit::Removal { back: None, out: Some(out) }));
        }
        if !gone.is_empty() && sizes.contains(&(gone.len() - 1)) {
            edits.extend(may_return().map(|back| Edit::Removal { back: Some(back), out: None }));
        }
        edits
    }

    /// The assignment after one change.
    fn with(&self, edit: &Edit, sites: &Sites, options: &[Vec<Bundle>], rng: &mut impl Rng) -> Self {
        let mut assignment = self.clone();
        match edit {
            Edit::Removal { back, out } => {
                if let Some(back) = *back {
                    assignment.items[back] = Some(self.returning(back, sites, options, rng));
                }
                if let Some(out) = *out {
                    assignment.items[out] = None;
                }
            }
            Edit::Choice { item, option } => assignment.items[*item] = Some(options[*item][*option].clone()),
            Edit::Shift { item } => {
                if let Some(bundle) = &mut assignment.items[*item] {
                    shift(bundle, &sites.items[*item], rng);
                }
            }
            Edit::Other { dimension } => {
                if let Some(value) = &mut assignment.others[*dimension] {
                    *value = sites.others[*dimension].domain.mutate(value, rng);
                }
            }
        }
        assignment
    }

    /// A bundle for an item that comes back: that of the nearest kept item like it, or one of its options.
    fn returning(&self, item: usize, sites: &Sites, options: &[Vec<Bundle>], rng: &mut impl Rng) -> Bundle {
        let kept = (0..self.items.len()).filter(|other| self.items[*other].is_some() && sites.alike(item, *other));
        let nearest = kept.min_by_key(|other| other.abs_diff(item)).and_then(|other| self.items[other].clone());
        let option = pick(&options[item], rng).cloned();
        let preferred = if rng.random::<f64>() < 0.7 { nearest.or(option) } else { option.or(nearest) };
        preferred.unwrap_or_else(|| vec![None; sites.items[item].len()])
    }
}

/// One change.
enum Edit {
    /// An item comes back, an item goes, or both.
    Removal { back: Option<usize>, out: Option<usize> },
    /// A kept item gets the option at this place.
    Choice { item: usize, option: usize },
    /// The numbers of a kept item are shifted a little.
    Shift { item: usize },
    /// The dimension at this place beside the row gets another value.
    Other { dimension: usize },
}

/// Shifts the numbers of a bundle a little.
fn shift(bundle: &mut Bundle, dimensions: &[crate::Dimension], rng: &mut impl Rng) {
    for (value, dimension) in bundle.iter_mut().zip(dimensions) {
        if let Some(value) = value.as_mut().filter(|_| is_number(&dimension.domain)) {
            *value = dimension.domain.mutate(value, rng);
        }
    }
}

/// Whether the values are numbers, so that one can be near another.
pub(super) fn is_number(domain: &Domain) -> bool {
    matches!(domain.shape(), Shape::Unit | Shape::Levels { .. })
}
