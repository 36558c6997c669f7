//! Which keys each query sees: one form for prompts, shared prefixes and generation.
//!
//! Queries, keys and values of a batch are packed matrices without padding. A [`Span`] is a run of query rows, and
//! the rows of the keys that they see, by position:
//!
//! | call | spans of a batch | rows of keys |
//! |---|---|---|
//! | sequences without shared beginnings | one per sequence | of the batch |
//! | sequences with shared beginnings | one per segment of the trie | of the segment and those before it |
//! | a step of a generation | one query per sequence | of the caches, wherever the sequence's rows are |

use std::ops::Range;

use crate::trie::Trie;

/// A run of queries and the keys that they see, as rows of packed matrices.
///
/// The keys stand in the order of their positions and end with the queries' own: query `i` is at position
/// `keys.len() - queries.len() + i` and sees the keys up to there.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// Rows of the query matrix.
    pub queries: Range<usize>,
    /// Rows of the key and value matrices.
    pub keys: Vec<u32>,
}

impl Span {
    /// The position of the first query.
    pub fn start(&self) -> usize {
        self.keys.len() - self.queries.len()
    }

    /// The rows of the queries' own keys.
    pub fn own(&self) -> &[u32] {
        &self.keys[self.start()..]
    }

    /// The positions that the query at `position` sees: with a window, at most so many, its own included.
    pub fn seen(position: usize, window: Option<usize>) -> Range<usize> {
        window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }
}

/// The spans of a batch: every query row in exactly one.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttentionPlan {
    /// In any order; a query row belongs to one span.
    pub spans: Vec<Span>,
}

impl AttentionPlan {
    /// Every segment of a trie sees itself and all segments before it.
    pub fn of_trie(trie: &Trie) -> Self {
        let span = |(index, segment): (usize, &crate::trie::Segment)| Span {
            queries: segment.rows.clone(),
            keys: trie.path(index),
        };
        Self { spans: trie.segments.iter().enumerate().map(span).collect() }
    }

    /// The number of query rows.
    pub fn queries(&self) -> usize {
        self.spans.iter().map(|span| span.queries.len()).sum()
    }

    /// Whether a window of so many positions hides nothing here.
    pub fn fits(&self, window: usize) -> bool {
        self.spans.iter().all(|span| span.keys.len() <= window)
    }
}
