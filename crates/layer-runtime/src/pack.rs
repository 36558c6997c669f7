//! Which sequences are computed together.
//!
//! Sequences that begin alike become neighbours by sorting, so that a pack of neighbours shares most. A pack's size
//! is counted in tokens that are computed, not in those asked for.

use crate::attention::AttentionPlan;
use crate::batch::Batch;
use crate::rope::RopeTables;
use crate::trie::{Trie, common_prefix};

/// Sequences that are computed together, what they share only once.
#[derive(Debug)]
pub(crate) struct Pack {
    /// Its tokens, shared beginnings once.
    pub trie: Trie,
    /// For each sequence of the trie, its index in the call.
    pub members: Vec<usize>,
    /// The [`RopeTables::class`] of its sequences' lengths.
    class: usize,
}

/// Packs sequences, none of them empty, into batches of about `budget` tokens.
///
/// Sequences of a pack are of one `class` ([`RopeTables::class`]). With `share`, sequences that begin alike are
/// neighbours and share their first tokens; without it, sequences of like length are neighbours.
pub(crate) fn pack(sequences: &[&[u32]], class: impl Fn(usize) -> usize, budget: usize, share: bool) -> Vec<Pack> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (sequences[a], sequences[b]);
        let within = if share { a.cmp(b) } else { a.len().cmp(&b.len()) };
        class(a.len()).cmp(&class(b.len())).then(within)
    });
    let mut packs = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for end in 0..order.len() {
        let sequence = sequences[order[end]];
        let mut new = sequence.len();
        if end > start {
            let last = sequences[order[end - 1]];
            if share {
                new -= common_prefix(last, sequence);
            }
            if tokens + new > budget || class(last.len()) != class(sequence.len()) {
                packs.push(Pack::new(sequences, &order[start..end], class(last.len()), share));
                (start, tokens, new) = (end, 0, sequence.len());
            }
        }
        tokens += new;
    }
    if let Some(&last) = order.last() {
        packs.push(Pack::new(sequences, &order[start..], class(sequences[last].len()), share));
    }
    packs
}

impl Pack {
    /// The pack of some sequences of a call.
    fn new(sequences: &[&[u32]], members: &[usize], class: usize, share: bool) -> Self {
        let chosen: Vec<&[u32]> = members.iter().map(|&member| sequences[member]).collect();
        let trie = if share { Trie::of_sorted(&chosen) } else { Trie::of_unshared(&chosen) };
        Self { trie, members: members.to_vec(), class }
    }

    /// The pack as the batch of a pass, for `threads` threads; `wanted` are the rows asked for after the last layer.
    pub fn batch(&self, ropes: &RopeTables, wanted: Option<Vec<u32>>, threads: usize) -> Batch {
        let places = self.trie.positions.iter().map(|&position| (position, self.class));
        Batch {
            tokens: self.trie.tokens.clone(),
            rotations: ropes.rows(places),
            attention: AttentionPlan::of_trie(&self.trie),
            wanted,
            threads,
        }
    }

    /// A hash of tokens, their order and rotations: packs of one hash compute the same.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        hash.update(&(self.class as u64).to_le_bytes());
        let mut add = |number: u32| _ = hash.update(&number.to_le_bytes());
        for segment in &self.trie.segments {
            add(segment.parent.map_or(u32::MAX, |parent| parent as u32));
            add(segment.rows.len() as u32);
        }
        self.trie.tokens.iter().copied().for_each(add);
        *hash.finalize().as_bytes()
    }

    /// Appends the rows of `values`, `[rows, width]`, to the answers of the sequences that they belong to, in the
    /// order of positions.
    pub fn scatter(&self, values: &[f32], width: usize, answers: &mut [Vec<f32>]) {
        for (index, &member) in self.members.iter().enumerate() {
            for row in self.trie.sequence(index) {
                let start = row as usize * width;
                answers[member].extend_from_slice(&values[start..start + width]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_hold_the_budget_and_count_shared_tokens_once() {
        let sequences: [&[u32]; 4] = [&[1, 2, 3, 4], &[9, 9, 9], &[1, 2, 3, 5], &[1, 2, 3]];
        let packs = pack(&sequences, |_| 0, 5, true);
        let members: Vec<&[usize]> = packs.iter().map(|pack| pack.members.as_slice()).collect();
        assert_eq!(members, [&[3, 0, 2][..], &[1]]);
        let unshared: Vec<usize> = pack(&sequences, |_| 0, 8, false).iter().map(|p| p.trie.tokens.len()).collect();
        assert_eq!(unshared, [6, 8]);
    }

    #[test]
    fn sequences_that_turn_differently_are_apart() {
        let sequences: [&[u32]; 3] = [&[1, 2], &[1, 2, 3], &[1]];
        let packs = pack(&sequences, |length| if length > 2 { length } else { 0 }, 100, true);
        let members: Vec<&[usize]> = packs.iter().map(|pack| pack.members.as_slice()).collect();
        assert_eq!(members, [&[2, 0][..], &[1]]);
    }
}
