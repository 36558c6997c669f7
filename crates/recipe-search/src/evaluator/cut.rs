//! Where the documents of a task are cut: at the rungs, and before those that are kept for the confirmation.

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// So many documents are looked at when the least number is searched that can be cut.
const MOST: usize = 1 << 20;

/// Document numbers in the order in which they are scored.
pub(super) struct Cut {
    /// The documents of each rung beyond those of the rung before it.
    pub slices: Vec<Vec<usize>>,
    /// The documents kept for the confirmation.
    pub confirm: Vec<usize>,
}

/// Shuffles `documents` documents by the seed and the task's position, and cuts them at the rungs.
///
/// # Errors
/// The least larger number of documents that can be cut so, if a rung or the confirmation would be empty.
pub(super) fn cut(documents: usize, seed: u64, position: u64, rungs: &[f64], share: f64) -> Result<Cut, usize> {
    if !fits(documents, rungs, share) {
        return Err((documents + 1..MOST).find(|more| fits(*more, rungs, share)).unwrap_or(MOST));
    }
    let mut order: Vec<usize> = (0..documents).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position);
    order.shuffle(&mut random);
    let confirm = order.split_off(searched(documents, share));
    let ends = ends(order.len(), rungs);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let slices = starts.zip(&ends).map(|(start, end)| order[start..*end].to_vec()).collect();
    Ok(Cut { slices, confirm })
}

/// How many of the documents the search sees.
fn searched(documents: usize, share: f64) -> usize {
    documents - (documents as f64 * share).round() as usize
}

/// Where each rung ends.
fn ends(searched: usize, rungs: &[f64]) -> Vec<usize> {
    rungs.iter().map(|rung| (searched as f64 * rung).ceil() as usize).collect()
}

/// Whether every rung has documents of its own, and the confirmation has some.
fn fits(documents: usize, rungs: &[f64], share: f64) -> bool {
    let searched = searched(documents, share);
    let ends = ends(searched, rungs);
    let rising = std::iter::once(&0).chain(&ends).zip(&ends).all(|(before, end)| before < end);
    rising && (share == 0.0 || searched < documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(documents: usize, rungs: &[f64], share: f64) -> Result<(Vec<usize>, usize), usize> {
        let cut = cut(documents, 7, 0, rungs, share)?;
        Ok((cut.slices.iter().map(Vec::len).collect(), cut.confirm.len()))
    }

    #[test]
    fn documents_are_cut_at_the_rungs_and_before_the_confirmation() {
        assert_eq!(sizes(100, &[0.25, 1.0], 0.3), Ok((vec![18, 52], 30)));
        assert_eq!(sizes(5, &[1.0], 0.0), Ok((vec![5], 0)));
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
}
