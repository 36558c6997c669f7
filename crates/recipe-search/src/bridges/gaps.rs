//! Gaps of a model, and sets of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Removed layers between a kept layer and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// The kept layer before the gap, from 0.
    pub after: usize,
    /// How many layers are gone; at least 1. The layer that comes next is `after + 1 + length`; behind the last layer,
    /// it is the final norm.
    pub length: usize,
}

impl Gap {
    /// All gaps of 1 to `largest` layers of a model of so many, in their order.
    ///
    /// ```
    /// use recipe_search::bridges::Gap;
    ///
    /// let gap = |after, length| Gap { after, length };
    /// assert_eq!(Gap::up_to(2, 4).collect::<Vec<_>>(), [gap(0, 1), gap(0, 2), gap(1, 1), gap(1, 2), gap(2, 1)]);
    /// ```
    pub fn up_to(largest: usize, layers: usize) -> impl Iterator<Item = Self> {
        (0..layers)
            .flat_map(move |after| (1..=largest.min(layers - after - 1)).map(move |length| Self { after, length }))
    }

    /// The place of the residual stream that the layer before the gap is brought near to: how many layers stand before
    /// it in the whole model.
    pub(super) fn end(self) -> usize {
        self.after.saturating_add(1).saturating_add(self.length)
    }
}

/// Some gaps of a model: the lengths behind each layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GapSet(BTreeMap<usize, BTreeSet<usize>>);

impl GapSet {
    /// These gaps, each once.
    pub fn of(gaps: impl IntoIterator<Item = Gap>) -> Self {
        let mut set = BTreeMap::<usize, BTreeSet<usize>>::new();
        for Gap { after, length } in gaps {
            set.entry(after).or_default().insert(length);
        }
        Self(set)
    }

    /// The layers that stand before a gap, and the lengths of the gaps behind each.
    pub fn layers(&self) -> impl Iterator<Item = (usize, &BTreeSet<usize>)> {
        self.0.iter().map(|(after, lengths)| (*after, lengths))
    }

    /// All gaps, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Gap> {
        self.layers().flat_map(|(after, lengths)| lengths.iter().map(move |length| Gap { after, length: *length }))
    }

    /// How many gaps there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// The place behind which no gap ends.
    pub fn last_end(&self) -> usize {
        self.iter().map(Gap::end).max().unwrap_or(0)
    }

    /// The longest gap behind a layer.
    pub fn longest_after(&self, layer: usize) -> Option<usize> {
        self.0.get(&layer).and_then(|lengths| lengths.last().copied())
    }

    /// The most layers whose activations are held at the same time in a walk: those whose gaps have not ended, and the
    /// one at work.
    pub fn layers_at_once(&self) -> usize {
        let open_at = |place: usize| {
            let open = |(after, lengths): &(usize, &BTreeSet<usize>)| {
                after + 1 < place && place <= after + 1 + lengths.last().copied().unwrap_or(0)
            };
            self.layers().filter(open).count()
        };
        1 + self.iter().map(|gap| open_at(gap.end())).max().unwrap_or(0)
    }

    /// In parts of whole layers, in their order, each of as many as `fits`; `None` if some layer alone does not.
    pub fn parts(&self, fits: impl Fn(&Self) -> bool) -> Option<Vec<Self>> {
        let mut parts: Vec<Self> = Vec::new();
        for (after, lengths) in &self.0 {
            let one = Self([(*after, lengths.clone())].into());
            if !fits(&one) {
                return None;
            }
            let with =
                parts.last().map(|last| Self(last.0.iter().chain(&one.0).map(|(a, l)| (*a, l.clone())).collect()));
            match (parts.last_mut(), with.filter(&fits)) {
                (Some(last), Some(with)) => *last = with,
                _ => parts.push(one),
            }
        }
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(gaps: &[(usize, usize)]) -> GapSet {
        GapSet::of(gaps.iter().map(|&(after, length)| Gap { after, length }))
    }

    #[test]
    fn layers_with_open_gaps_are_counted() {
        for (gaps, open) in [(&[][..], 1), (&[(3, 1)], 2), (&[(3, 1), (4, 1)], 2), (&[(3, 2), (4, 1)], 3)] {
            assert_eq!(set(gaps).layers_at_once(), open, "{gaps:?}");
        }
        assert_eq!(set(&[(0, 9), (2, 1), (3, 2), (4, 1)]).layers_at_once(), 4);
        assert_eq!(GapSet::of(Gap::up_to(4, 12)).layers_at_once(), 5);
    }

    #[test]
    fn parts_hold_as_many_layers_as_fit() {
        let gaps = set(&[(1, 1), (1, 2), (4, 1), (7, 3), (9, 1)]);
        let parts = |most: usize| gaps.parts(|part| part.len() <= most);
        assert_eq!(parts(9), Some(vec![gaps.clone()]));
        assert_eq!(parts(2), Some(vec![set(&[(1, 1), (1, 2)]), set(&[(4, 1), (7, 3)]), set(&[(9, 1)])]));
        assert_eq!(parts(1), None, "two gaps behind one layer are not told apart");
    }
}
