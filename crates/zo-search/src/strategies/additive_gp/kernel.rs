//! The kernel: how alike two points are, site by site, pair by pair and as wholes.
//!
//! For points `x`, `y` with removed items `R(x)`, `R(y)`, and of a kept item the embedding `e_i`:
//!
//! ```text
//! removal(x, y)  = |R(x) and R(y)|
//! choice(x, y)   = sum over items kept in both of exp(-|e_i(x) - e_i(y)|^2 / (2 WIDTH^2))
//! pairs(x, y)    = sum over pairs i < j in R(x) and R(y), j - i <= REACH, of 2^-(j - i - 1)
//! profile(x, y)  = <profile(x), profile(y)>
//! others(x, y)   = sum over the other dimensions of the same bell, 1 where both are inactive
//! residual(x, y) = exp(-d(x, y) / (RESIDUAL_WIDTH sites))
//! ```
//!
//! `d(x, y)` is the number of sites that differ; a site that is removed in one and kept in the other counts twice.
//!
//! Each part has a variance of its own, which is fitted; their sum is the kernel.
//!
//! A point is compared with all points seen at once, one row of numbers for each of its sites, and a row that was
//! worked out is kept: most candidates share most of their sites.

use std::collections::BTreeMap;

use super::sites::Coded;
use super::triangle::dot;

/// How near two items must be for their joint removal to have an effect of its own.
const REACH: usize = 3;
/// The parts of the kernel, by place.
pub(super) const PARTS: usize = 6;
/// Removed items that both have.
pub(super) const REMOVAL: usize = 0;
/// Likeness of the profiles along the row.
pub(super) const PROFILE: usize = 1;
/// Near pairs of removed items that both have.
pub(super) const PAIRS: usize = 2;
/// Likeness of the choices of items that both keep.
pub(super) const CHOICE: usize = 3;
/// Likeness of the other dimensions.
pub(super) const OTHERS: usize = 4;
/// Likeness of the whole points.
pub(super) const RESIDUAL: usize = 5;
/// Width of a choice's bell, in units of the embedding.
const WIDTH: f64 = 0.5;
/// Width of the residual's bell: this fraction of the sites.
const RESIDUAL_WIDTH: f64 = 0.2;

/// The points seen, ready to be compared with.
pub(super) struct Kernel {
    seen: Vec<Coded>,
    /// Of each item, which points have it removed: 1 or 0.
    gone: Vec<Vec<f64>>,
    /// How alike each point is at a site to a value of it: by site, items first, and the value's bits.
    rows: BTreeMap<(usize, Option<Vec<u64>>), Vec<f64>>,
}

impl Kernel {
    /// Ready to compare with these points, `[seen]`.
    pub(super) fn new(seen: Vec<Coded>) -> Self {
        let items = seen.first().map_or(0, |coded| coded.items.len());
        let of_item = |item: usize| seen.iter().map(|coded| f64::from(coded.items[item].is_none())).collect();
        Self { gone: (0..items).map(of_item).collect(), rows: BTreeMap::new(), seen }
    }

    /// The kernel's parts between a point and each of the points seen.
    pub(super) fn against(&mut self, point: &Coded) -> [Vec<f64>; PARTS] {
        let mut parts: [Vec<f64>; PARTS] = std::array::from_fn(|_| vec![0.0; self.seen.len()]);
        let mut apart = vec![0.0; self.seen.len()];
        for (item, own) in point.items.iter().enumerate() {
            let alike = own.is_some().then(|| self.row(item, own.as_deref()).to_vec());
            let gone = &self.gone[item];
            match alike {
                None => {
                    for ((removal, apart), gone) in parts[REMOVAL].iter_mut().zip(&mut apart).zip(gone) {
                        *removal += gone;
                        *apart += 2.0 * (1.0 - gone);
                    }
                }
                Some(alike) => {
                    let sums = parts[CHOICE].iter_mut().zip(&mut apart);
                    for ((choice, apart), (alike, gone)) in sums.zip(alike.iter().zip(gone)) {
                        *choice += alike;
                        *apart += 1.0 - alike + gone;
                    }
                }
            }
        }
        for (other, own) in point.others.iter().enumerate() {
            let alike = self.row(point.items.len() + other, own.as_deref());
            for ((others, apart), alike) in parts[OTHERS].iter_mut().zip(&mut apart).zip(alike) {
                *others += alike;
                *apart += 1.0 - alike;
            }
        }
        for (first, second, weight) in pairs(point) {
            let both = self.gone[first].iter().zip(&self.gone[second]);
            parts[PAIRS].iter_mut().zip(both).for_each(|(sum, (first, second))| *sum += weight * first * second);
        }
        parts[PROFILE] = self.profiles(&point.profile);
        for (whole, apart) in parts[RESIDUAL].iter_mut().zip(apart) {
            *whole = residual(apart, point);
        }
        parts
    }

    /// How many items there are; the other dimensions' sites come behind them.
    pub(super) fn items(&self) -> usize {
        self.gone.len()
    }

    /// Of each point, whether an item is removed: 1 or 0.
    pub(super) fn gone(&self, item: usize) -> &[f64] {
        &self.gone[item]
    }

    /// The products of a profile with that of each point.
    pub(super) fn profiles(&self, profile: &[f64]) -> Vec<f64> {
        self.seen.iter().map(|seen| dot(profile, &seen.profile)).collect()
    }

    /// How alike the points are to a value of a site. A removed item is like none that is kept, what is inactive like
    /// what is inactive.
    pub(super) fn row(&mut self, site: usize, own: Option<&[f64]>) -> &[f64] {
        let key = (site, own.map(|own| own.iter().map(|x| x.to_bits()).collect()));
        let (seen, items) = (&self.seen, self.gone.len());
        self.rows.entry(key).or_insert_with(|| {
            let alike = |coded: &Coded| {
                let other = if site < items { &coded.items[site] } else { &coded.others[site - items] };
                match (own, other) {
                    (Some(own), Some(other)) => bell(own, other),
                    (None, None) => 1.0,
                    _ => 0.0,
                }
            };
            seen.iter().map(alike).collect()
        })
    }
}

/// The kernel's parts of a point with itself.
pub(super) fn of_itself(point: &Coded) -> [f64; PARTS] {
    let mut parts = [0.0; PARTS];
    parts[REMOVAL] = point.removed.len() as f64;
    parts[CHOICE] = (point.items.len() - point.removed.len()) as f64;
    parts[PROFILE] = dot(&point.profile, &point.profile);
    parts[PAIRS] = pairs(point).map(|(_, _, weight)| weight).sum();
    parts[OTHERS] = point.others.len() as f64;
    parts[RESIDUAL] = 1.0;
    parts
}

/// The pairs of removed items within reach, with what a pair counts: less, the further apart.
fn pairs(point: &Coded) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
    point.removed.iter().enumerate().flat_map(|(place, first)| {
        let near = point.removed[place + 1..].iter().take_while(move |second| *second - first <= REACH);
        near.map(move |second| (*first, *second, 1.0 / (1_u64 << (second - first - 1)) as f64))
    })
}

/// The residual's bell at a distance, in sites that differ.
pub(super) fn residual(apart: f64, point: &Coded) -> f64 {
    let sites = (point.items.len() + point.others.len()) as f64;
    libm::exp(-apart / (RESIDUAL_WIDTH * sites).max(1.0))
}

/// How alike two embeddings are: 1 where they are equal.
pub(super) fn bell(a: &[f64], b: &[f64]) -> f64 {
    let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    if distance == 0.0 { 1.0 } else { libm::exp(-distance / (2.0 * WIDTH * WIDTH)) }
}
