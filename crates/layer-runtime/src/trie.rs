//! Sequences that share their beginnings, as a radix trie: a shared prefix is computed once.
//!
//! ```text
//!    1 2 3            segment 0, rows 0..3: [1, 2, 3]
//!    1 2 3 4          segment 1, rows 3..4: [4], after segment 0
//!    1 2 3 5 6        segment 2, rows 4..6: [5, 6], after segment 0
//! ```

use std::ops::Range;

/// Some sequences as a radix trie: one run of tokens per segment, rows numbered in depth-first order.
///
/// Sequences that share their first tokens share the segments of these tokens. Each row is computed once.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// How many tokens of its sequence stand before each row's token.
    pub positions: Vec<u32>,
    /// Parents before children.
    pub segments: Vec<Segment>,
    /// The last segment of each sequence.
    pub leaves: Vec<usize>,
}

/// Tokens that follow each other without a branch between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The rows of its tokens.
    pub rows: Range<usize>,
    /// The segment before it.
    pub parent: Option<usize>,
}

/// Sequences `of` that still have to be split; their first `depth` tokens are the same.
struct Unsplit {
    /// Indices of sequences.
    of: Range<usize>,
    /// Tokens that are in segments already.
    depth: usize,
    /// The segment that holds the last of these.
    parent: Option<usize>,
}

impl Trie {
    /// The trie of `sequences`, none of them empty. They are sorted, so that those with a common prefix are
    /// neighbours.
    pub fn of_sorted(sequences: &[&[u32]]) -> Self {
        let mut trie = Self { leaves: vec![0; sequences.len()], ..Self::default() };
        let mut open = vec![Unsplit { of: 0..sequences.len(), depth: 0, parent: None }];
        while let Some(next) = open.pop() {
            trie.split(sequences, &next, &mut open);
        }
        trie
    }

    /// One segment for each sequence by itself: nothing is shared.
    pub fn of_unshared(sequences: &[&[u32]]) -> Self {
        let mut trie = Self::default();
        for sequence in sequences {
            trie.leaves.push(trie.segments.len());
            trie.push(sequence, 0, None);
        }
        trie
    }

    /// Adds a segment of `tokens`, the first of them at position `start`.
    fn push(&mut self, tokens: &[u32], start: usize, parent: Option<usize>) {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions.extend((start..start + tokens.len()).map(|position| position as u32));
        self.segments.push(Segment { rows: first..self.tokens.len(), parent });
    }

    /// Makes a segment of what the sequences have in common, and leaves each of its continuations open.
    fn split(&mut self, sequences: &[&[u32]], next: &Unsplit, open: &mut Vec<Unsplit>) {
        let (Some(first), Some(last)) = (sequences.get(next.of.start), sequences.get(next.of.end.wrapping_sub(1)))
        else {
            return;
        };
        let common = common_prefix(first, last);
        let mut parent = next.parent;
        if common > next.depth {
            parent = Some(self.segments.len());
            self.push(&first[next.depth..common], next.depth, next.parent);
        }
        let mut start = next.of.start;
        while start < next.of.end && sequences[start].len() == common {
            self.leaves[start] = parent.unwrap_or_default();
            start += 1;
        }
        let children = open.len();
        while start < next.of.end {
            let token = sequences[start][common];
            let end = (start..next.of.end).find(|&i| sequences[i][common] != token).unwrap_or(next.of.end);
            open.push(Unsplit { of: start..end, depth: common, parent });
            start = end;
        }
        open[children..].reverse();
    }

    /// The rows of a segment and of all before it, by position.
    pub fn path(&self, segment: usize) -> Vec<u32> {
        let mut runs = vec![&self.segments[segment]];
        while let Some(parent) = runs[runs.len() - 1].parent {
            runs.push(&self.segments[parent]);
        }
        runs.iter().rev().flat_map(|run| run.rows.clone()).map(|row| row as u32).collect()
    }

    /// How many tokens each sequence has.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        let last = |leaf: &usize| self.segments[*leaf].rows.end - 1;
        self.leaves.iter().map(move |leaf| self.positions[last(leaf)] as usize + 1)
    }

    /// The rows of a sequence, by position.
    pub fn sequence(&self, index: usize) -> Vec<u32> {
        self.path(self.leaves[index])
    }
}

/// How many first tokens two sequences have in common.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn choices_share_their_context() {
        let sequences: [&[u32]; 4] = [&[1, 2, 3], &[1, 2, 3, 4], &[1, 2, 3, 5, 6], &[7]];
        let trie = Trie::of_sorted(&sequences);
        assert_eq!(trie.tokens, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(trie.positions, [0, 1, 2, 3, 3, 4, 0]);
        assert_eq!(trie.sequence(0), [0, 1, 2]);
        assert_eq!(trie.sequence(2), [0, 1, 2, 4, 5]);
        assert_eq!(trie.sequence(3), [6]);
    }

    proptest! {
        /// Each path spells its sequence, and there are as many rows as different prefixes.
        #[test]
        fn every_path_spells_its_sequence(
            mut all in prop::collection::vec(prop::collection::vec(0_u32..3, 1..7), 1..12),
        ) {
            all.sort();
            let sequences: Vec<&[u32]> = all.iter().map(Vec::as_slice).collect();
            let trie = Trie::of_sorted(&sequences);
            let mut prefixes = std::collections::HashSet::new();
            for (index, sequence) in sequences.iter().enumerate() {
                let spelt: Vec<u32> = trie.sequence(index).iter().map(|row| trie.tokens[*row as usize]).collect();
                prop_assert_eq!(&spelt, sequence);
                prefixes.extend((1..=sequence.len()).map(|end| &sequence[..end]));
            }
            prop_assert_eq!(trie.tokens.len(), prefixes.len());
        }
    }
}
