//! Which search a result comes from.

use super::{dis, lfs, prune};

/// A search of auto-merge-llm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Layers are removed; each other one is the base's, a candidate's or a merge (GPTailor).
    Prune,
    /// Groups of layers are merged, each by a method and parameters of its own (layer-wise fusion).
    Lfs,
    /// At each place layers of several models are stacked (depth-wise integration).
    Dis,
}

/// What only the keys of results have, for telling a damaged one.
const PIECES: [&str; 6] = [
    "\"remove_idx_",
    "_candidate_0\"",
    "_merge_scale_factor\"",
    "\"layer_selection_method_",
    "_paramset_",
    "_block_0_selection\"",
];

impl Kind {
    const ALL: [Self; 3] = [Self::Prune, Self::Lfs, Self::Dis];

    /// The name of the search in auto-merge-llm.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prune => "prune",
            Self::Lfs => "lfs",
            Self::Dis => "dis",
        }
    }

    /// Whether a text has keys as results have, be it damaged or not.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        PIECES.iter().any(|piece| text.contains(piece))
    }

    /// The search that most of the keys belong to.
    pub(super) fn of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut counts = [0_usize; Self::ALL.len()];
        for key in keys {
            for (count, kind) in counts.iter_mut().zip(Self::ALL) {
                *count += usize::from(kind.has(key));
            }
        }
        let (kind, count) = Self::ALL.into_iter().zip(counts).max_by_key(|(_, count)| *count)?;
        (count > 0).then_some(kind)
    }

    /// Whether the search has such a parameter.
    fn has(self, key: &str) -> bool {
        match self {
            Self::Prune => prune::Key::read(key).is_some(),
            Self::Lfs => lfs::Key::read(key).is_some(),
            Self::Dis => dis::Key::read(key).is_some(),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prune => "the pruning search (prune)",
            Self::Lfs => "the layer-wise fusion search (lfs)",
            Self::Dis => "the search over stacked layers (dis)",
        })
    }
}
