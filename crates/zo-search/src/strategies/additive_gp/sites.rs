//! A space seen as a row of sites: each item of a subset is removed or has a bundle of values; all else stands beside
//! the row. In a space without subsets the dimensions' own bundles are the row, and nothing is removed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::space::coding::{Code, Shape};
use crate::space::{Condition, Constraint, Dimension, Domain};
use crate::strategies::structure::Embedding;
use crate::{Point, Space, TrialId, Value};

/// The values of a bundle's dimensions in the order of their declaration; none where one is inactive.
pub(super) type Bundle = Vec<Option<Value>>;

/// How a space falls into sites.
#[derive(Clone)]
pub(super) struct Sites {
    /// The subset whose items are removed or kept.
    pub(super) subset: Option<Dimension>,
    /// For each item, the dimensions that are active where it is kept.
    pub(super) items: Vec<Vec<Dimension>>,
    /// Every other dimension.
    pub(super) others: Vec<Dimension>,
    /// What the choices of the items may cost in all, in a space without subsets.
    pub(super) limit: Option<Limit>,
    embedding: Option<Arc<Embedding>>,
    /// Where each dimension stands, by name.
    places: BTreeMap<String, Place>,
}

/// The space's limit on the sum of what the items' choices cost ([`Constraint::AtMost`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Of each item, the place in its bundle of the dimension that costs something.
    costly: Vec<Option<usize>>,
    /// The cost of each of its choices.
    costs: Vec<usize>,
    /// The largest sum.
    pub(super) most: usize,
}

/// Where a dimension stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// It is the subset.
    Subset,
    /// In the bundle of an item, at a place.
    Item(usize, usize),
    /// Beside the row, at a place.
    Other(usize),
}

/// A point as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coded {
    /// Of each item, the embedding of its bundle; none where it is removed.
    pub(super) items: Vec<Option<Vec<f64>>>,
    /// Of each other dimension, its value; none where it is inactive.
    pub(super) others: Vec<Option<Vec<f64>>>,
    /// Removals and embeddings, summed under overlapping windows along the row.
    pub(super) profile: Vec<f64>,
    /// The removed items, rising.
    pub(super) removed: Vec<usize>,
}

/// How many windows the profile has.
const WINDOWS: usize = 4;

impl Sites {
    /// The first subset on whose items other dimensions depend, or else the first one, makes the row; without subsets,
    /// the bundles in the order of their declaration do.
    pub(super) fn of(space: &Space, embedding: Option<Arc<Embedding>>) -> Self {
        let subsets = || space.dimensions().iter().filter(|d| matches!(d.domain, Domain::Subset { .. }));
        let has_children =
            |subset: &&Dimension| space.dimensions().iter().any(|d| kept_item(d, &subset.name).is_some());
        let subset = subsets().find(has_children).or_else(|| subsets().next()).cloned();
        let n = subset.as_ref().map_or(0, |subset| if let Domain::Subset { n, .. } = subset.domain { n } else { 0 });
        let (mut items, mut others) = (vec![Vec::new(); n], Vec::new());
        let mut bundles: Vec<&str> = Vec::new();
        for dimension in space.dimensions() {
            let Some(subset) = &subset else {
                match &dimension.bundle {
                    Some(bundle) => {
                        let item = bundles.iter().position(|known| known == bundle).unwrap_or_else(|| {
                            bundles.push(bundle);
                            items.push(Vec::new());
                            items.len() - 1
                        });
                        items[item].push(dimension.clone());
                    }
                    None => others.push(dimension.clone()),
                }
                continue;
            };
            if dimension.name == subset.name {
                continue;
            }
            match item_of(dimension, &subset.name, &items) {
                Some(item) if item < n => items[item].push(dimension.clone()),
                _ => others.push(dimension.clone()),
            }
        }
        let places = places(subset.as_ref(), &items, &others);
        let limit = space.constraints().iter().find_map(|constraint| Limit::of(constraint, items.len(), &places));
        let limit = limit.filter(|_| subset.is_none());
        Self { subset, items, others, limit, embedding, places }
    }

    /// These sites with one of the sizes that the subset may have, each in turn; none where there is but one.
    pub(super) fn aimed_at(&self, id: TrialId) -> Option<(Self, usize)> {
        let mut aimed = self.clone();
        let sizes = aimed.subset.as_ref()?.domain.sizes();
        let Some(Domain::Subset { k, least, .. }) = aimed.subset.as_mut().map(|subset| &mut subset.domain) else {
            return None;
        };
        let count = (sizes.end() - sizes.start() + 1) as u64;
        let size = sizes.start() + usize::try_from(id.0 % count).ok()?;
        (*k, *least) = (size, None);
        (count > 1).then_some((aimed, size))
    }

    /// Whether as many items of a point are removed as may be.
    pub(super) fn has_size(&self, point: &Point) -> bool {
        self.subset.as_ref().is_none_or(|subset| subset.domain.sizes().contains(&self.removed(point).len()))
    }

    /// The removed items of a point, rising.
    pub(super) fn removed<'p>(&self, point: &'p Point) -> &'p [usize] {
        let value = self.subset.as_ref().and_then(|subset| point.get(&subset.name));
        if let Some(Value::Subset(items)) = value { items } else { &[] }
    }

    /// The bundle of a kept item.
    pub(super) fn bundle(&self, point: &Point, item: usize) -> Bundle {
        self.items[item].iter().map(|dimension| point.get(&dimension.name).cloned()).collect()
    }

    /// Whether two items have bundles of the same domains, so that what is good at one may be tried at the other.
    pub(super) fn alike(&self, a: usize, b: usize) -> bool {
        let domains = |item: usize| self.items[item].iter().map(|dimension| &dimension.domain);
        domains(a).eq(domains(b))
    }

    /// Where a dimension of the space stands.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// A bundle as a vector.
    pub(super) fn embed(&self, item: usize, bundle: &[Option<Value>]) -> Vec<f64> {
        match &self.embedding {
            Some(own) => own(bundle),
            None => {
                self.items[item].iter().zip(bundle).flat_map(|(d, value)| numbers(&d.domain, value.as_ref())).collect()
            }
        }
    }

    /// A value of another dimension as a vector.
    pub(super) fn embed_other(dimension: &Dimension, value: &Value) -> Vec<f64> {
        numbers(&dimension.domain, Some(value))
    }

    /// A point as the model sees it.
    pub(super) fn code(&self, point: &Point) -> Coded {
        let removed = self.removed(point).to_vec();
        let items: Vec<Option<Vec<f64>>> = (0..self.items.len())
            .map(|item| (!removed.contains(&item)).then(|| self.embed(item, &self.bundle(point, item))))
            .collect();
        let others = self
            .others
            .iter()
            .map(|dimension| point.get(&dimension.name).map(|value| numbers(&dimension.domain, Some(value))))
            .collect();
        let profile = profile(&items);
        Coded { items, others, profile, removed }
    }
}

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sites")
            .field("items", &self.items.len())
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}

impl Limit {
    /// A limit on the costs of dimensions that are all in different items.
    fn of(constraint: &Constraint, items: usize, places: &BTreeMap<String, Place>) -> Option<Self> {
        let Constraint::AtMost { dimensions, costs, most } = constraint else { return None };
        let mut costly = vec![None; items];
        for name in dimensions {
            let Some(Place::Item(item, at)) = places.get(name) else { return None };
            if costly[*item].replace(*at).is_some() {
                return None;
            }
        }
        Some(Self { costly, costs: costs.clone(), most: *most })
    }

    /// Of an item with a bundle, the same bundle with each choice whose cost stands so to its own, by the choice's
    /// name: what means nearly the same comes first.
    pub(super) fn others(
        &self,
        sites: &Sites,
        item: usize,
        bundle: Option<&Bundle>,
        order: Ordering,
    ) -> Vec<(String, Bundle)> {
        let (Some(at), Some(bundle)) = (self.costly[item], bundle) else { return Vec::new() };
        let Domain::Categorical { choices } = &sites.items[item][at].domain else { return Vec::new() };
        let (own, cost) = (sites.embed(item, bundle), self.cost(sites, item, bundle));
        let wanted = choices.iter().zip(&self.costs).filter(|(_, other)| (**other).cmp(&cost) == order);
        let mut found: Vec<(f64, String, Bundle)> = wanted
            .map(|(choice, _)| {
                let mut other = bundle.clone();
                other[at] = Some(Value::Categorical(choice.clone()));
                let pairs = sites.embed(item, &other).into_iter().zip(&own).map(|(a, b)| (a - b) * (a - b));
                (pairs.sum(), choice.clone(), other)
            })
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.into_iter().map(|(_, choice, bundle)| (choice, bundle)).collect()
    }

    /// What a bundle of an item costs.
    pub(super) fn cost(&self, sites: &Sites, item: usize, bundle: &[Option<Value>]) -> usize {
        let Some(at) = self.costly[item] else { return 0 };
        let value = bundle.get(at).and_then(Option::as_ref);
        match value.and_then(|value| sites.items[item][at].domain.encode(value)) {
            Some(Code::Choice(choice)) => self.costs.get(choice).copied().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Where each dimension stands, by name.
fn places(subset: Option<&Dimension>, items: &[Vec<Dimension>], others: &[Dimension]) -> BTreeMap<String, Place> {
    let of_items = items.iter().enumerate().flat_map(|(item, bundle)| {
        bundle.iter().enumerate().map(move |(at, dimension)| (dimension.name.clone(), Place::Item(item, at)))
    });
    let of_others = others.iter().enumerate().map(|(at, dimension)| (dimension.name.clone(), Place::Other(at)));
    subset.map(|subset| (subset.name.clone(), Place::Subset)).into_iter().chain(of_items).chain(of_others).collect()
}

/// The item that must be kept for a dimension to be active.
fn kept_item(dimension: &Dimension, subset: &str) -> Option<usize> {
    dimension.when.iter().find_map(|condition| match condition {
        Condition::Outside { parent, item } if parent == subset => Some(*item),
        _ => None,
    })
}

/// The item whose bundle a dimension belongs to: by its own condition, or by that of its parent.
fn item_of(dimension: &Dimension, subset: &str, items: &[Vec<Dimension>]) -> Option<usize> {
    kept_item(dimension, subset).or_else(|| {
        let parents = || dimension.when.iter().map(Condition::parent);
        items.iter().position(|bundle| bundle.iter().any(|known| parents().any(|parent| parent == known.name)))
    })
}

/// A value as numbers between 0 and 1; an inactive one lies in the middle.
fn numbers(domain: &Domain, value: Option<&Value>) -> Vec<f64> {
    let code = value.and_then(|value| domain.encode(value));
    match (domain.shape(), code) {
        (Shape::Unit, Some(Code::Unit(place))) => vec![place],
        (Shape::Levels { first, last }, Some(Code::Level(level))) => {
            let x = (i128::from(first) + level) as f64;
            vec![(x - first as f64) / (last as f64 - first as f64).max(1.0)]
        }
        (Shape::Unit | Shape::Levels { .. }, _) => vec![0.5],
        (Shape::Choices(n), code) => (0..n).map(|other| f64::from(code == Some(Code::Choice(other)))).collect(),
        (Shape::Bits(_), Some(Code::Bits(bits))) => bits.iter().map(|bit| f64::from(*bit)).collect(),
        (Shape::Items(all), Some(Code::Items(items))) => {
            (0..all.n).map(|item| f64::from(items.contains(&item))).collect()
        }
        (Shape::Order(n), Some(Code::Order(items))) => {
            (0..n).map(|i| items.iter().position(|item| *item == i).unwrap_or(0) as f64 / (n as f64)).collect()
        }
        (Shape::Bits(n) | Shape::Order(n), _) => vec![0.5; n],
        (Shape::Items(all), _) => vec![0.5; all.n],
    }
}

/// Removals and embeddings under triangular windows along the row: what is true of neighbouring items alike.
fn profile(items: &[Option<Vec<f64>>]) -> Vec<f64> {
    let width = items.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let mut profile = vec![0.0; WINDOWS * (width + 1)];
    for (item, kept) in items.iter().enumerate() {
        for (sum, x) in profile.iter_mut().zip(profile_share(item, items.len(), kept.as_deref(), width)) {
            *sum += x;
        }
    }
    profile
}

/// What one of `n` items adds to the profile: kept with an embedding of up to `width` numbers, or removed.
pub(super) fn profile_share(item: usize, n: usize, kept: Option<&[f64]>, width: usize) -> Vec<f64> {
    let mut share = vec![0.0; WINDOWS * (width + 1)];
    let place = item as f64 / n.saturating_sub(1).max(1) as f64 * (WINDOWS - 1) as f64;
    for (window, slots) in share.chunks_mut(width + 1).enumerate() {
        let weight = (1.0 - libm::fabs(place - window as f64)).max(0.0) / libm::sqrt(n as f64);
        match kept {
            None => slots[0] = weight,
            Some(embedding) => {
                for (slot, x) in slots[1..].iter_mut().zip(embedding) {
                    *slot = weight * x;
                }
            }
        }
    }
    share
}
