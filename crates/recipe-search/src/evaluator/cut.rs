//! Where the documents of a task or group are cut: at the rungs, and before those that are kept for the confirmation.

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// So many documents are looked at when the least number is searched that can be cut.
const MOST: usize = 1 << 20;

/// Where documents are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutAt<'a> {
    /// Rising fractions of the documents that are not kept, the last of which is 1; or, where the last one is above 1,
    /// rising numbers of documents of each member.
    pub rungs: &'a [f64],
    /// The share of the documents that is kept for the confirmation.
    pub confirm_share: f64,
}

/// Document numbers in the order in which they are scored, each slice by members.
#[derive(Debug)]
pub(super) struct Cut {
    /// The documents of each rung beyond those of the rung before it.
    pub slices: Vec<Vec<usize>>,
    /// The documents kept for the confirmation.
    pub confirm: Vec<usize>,
}

/// Shuffles documents by the seed and the task's position, and cuts them at the rungs: those of all members together,
/// or where the rungs are numbers those of each member. `sizes` are the numbers of documents of the members, which are
/// numbered one member after the other.
///
/// # Errors
/// The least larger number of documents that can be cut so, if a rung or the confirmation would be empty; a rung that
/// is a number may ask for more than there are.
pub(super) fn cut(sizes: &[usize], seed: u64, position: u64, at: CutAt<'_>) -> Result<Cut, usize> {
    let documents = sizes.iter().sum();
    if !at.fits(documents) {
        return Err((documents + 1..MOST).find(|more| at.fits(*more)).unwrap_or(MOST));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position);
    let mut all = Cut { slices: vec![Vec::new(); at.rungs.len()], confirm: Vec::new() };
    let parts: Vec<usize> = if at.counts() { sizes.to_vec() } else { vec![documents] };
    let mut start = 0;
    for size in parts {
        let mut order: Vec<usize> = (start..start + size).collect();
        start += size;
        order.shuffle(&mut random);
        all.confirm.extend(order.split_off(at.searched(size)));
        let ends = at.ends(order.len());
        let starts = std::iter::once(0).chain(ends.iter().copied());
        for (slice, (start, end)) in all.slices.iter_mut().zip(starts.zip(&ends)) {
            slice.extend_from_slice(&order[start..*end]);
        }
    }
    // A member's documents are scored together. Of one member they stay in their order.
    let starts = starts(sizes);
    for slice in all.slices.iter_mut().chain([&mut all.confirm]) {
        slice.sort_by_key(|document| member_of(&starts, *document));
    }
    Ok(all)
}

/// Where each member's documents begin among those of all, and where the last one's end.
pub(super) fn starts(sizes: &[usize]) -> Vec<usize> {
    let ends = sizes.iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// The place of the member that has a document.
pub(super) fn member_of(starts: &[usize], document: usize) -> usize {
    starts.partition_point(|start| *start <= document).saturating_sub(1)
}

impl CutAt<'_> {
    /// Whether the rungs are numbers of documents.
    fn counts(&self) -> bool {
        self.rungs.last().is_some_and(|last| *last > 1.0)
    }

    /// How many of the documents the search may see.
    fn searched(&self, documents: usize) -> usize {
        documents - (documents as f64 * self.confirm_share).round() as usize
    }

    /// Where each rung ends.
    fn ends(&self, searched: usize) -> Vec<usize> {
        let share = if self.counts() { 1.0 } else { searched as f64 };
        self.rungs.iter().map(|rung| ((share * rung).ceil() as usize).min(searched)).collect()
    }

    /// Whether every rung has documents of its own, or where rungs are numbers the first one some, and the
    /// confirmation has some.
    fn fits(&self, documents: usize) -> bool {
        let searched = self.searched(documents);
        let ends = self.ends(searched);
        let rising = std::iter::once(&0).chain(&ends).zip(&ends).all(|(before, end)| before < end);
        (rising || self.counts() && searched > 0) && (self.confirm_share == 0.0 || searched < documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(documents: usize, rungs: &[f64], confirm_share: f64) -> Result<(Vec<usize>, usize), usize> {
        let cut = cut(&[documents], 7, 0, CutAt { rungs, confirm_share })?;
        Ok((cut.slices.iter().map(Vec::len).collect(), cut.confirm.len()))
    }

    #[test]
    fn documents_are_cut_at_the_rungs_and_before_the_confirmation() {
        assert_eq!(sizes(100, &[0.25, 1.0], 0.3), Ok((vec![18, 52], 30)));
        assert_eq!(sizes(5, &[1.0], 0.0), Ok((vec![5], 0)));
        assert_eq!(sizes(1000, &[111.0, 333.0, 1000.0], 0.3), Ok((vec![111, 222, 367], 300)));
        assert_eq!(sizes(100, &[111.0, 333.0], 0.0), Ok((vec![100, 0], 0)), "there are no more");
    }

    #[test]
    fn the_least_number_of_documents_is_the_next_one_that_can_be_cut() {
        // 20 documents and five per cent: 19 for the search, 1 for the confirmation, and no document between 0.95
        // and 0.96.
        let rungs = [0.95, 0.96, 1.0];
        let needed = sizes(20, &rungs, 0.05).unwrap_err();
        assert!(needed > 20 && sizes(needed, &rungs, 0.05).is_ok());
        assert!((21..needed).all(|fewer| sizes(fewer, &rungs, 0.05).is_err()));
        assert_eq!(sizes(0, &[0.25, 1.0], 0.3).unwrap_err(), 3);
        assert_eq!(sizes(1, &[1.0], 0.3).unwrap_err(), 2);
    }

    #[test]
    fn the_documents_of_a_group_are_cut_together_or_by_member() -> Result<(), usize> {
        let members = [8, 40, 2];
        let member = |document: &usize| [8, 48, 50].iter().position(|end| document < end);
        let counted = |slice: &[usize]| {
            let count = |place| slice.iter().filter(|document| member(document) == Some(place)).count();
            [0, 1, 2].map(count)
        };
        let whole = cut(&members, 7, 0, CutAt { rungs: &[0.5, 1.0], confirm_share: 0.2 })?;
        assert_eq!(whole.slices.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20]);
        let by_member = cut(&members, 7, 0, CutAt { rungs: &[5.0, 10.0], confirm_share: 0.0 })?;
        assert_eq!([0, 1].map(|rung| counted(&by_member.slices[rung])), [[5, 5, 2], [3, 5, 0]]);
        for cut in [whole, by_member] {
            let parts = || cut.slices.iter().chain([&cut.confirm]);
            assert!(parts().all(|slice| slice.is_sorted_by_key(member)), "each slice by members");
            let mut all: Vec<usize> = parts().flatten().copied().collect();
            let (count, _) = (all.len(), all.sort_unstable());
            all.dedup();
            assert_eq!(all.len(), count, "no document twice");
        }
        Ok(())
    }
}
