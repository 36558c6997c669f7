//! Which documents make up which step, known before the first one: so that a training can go on from any step.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// The documents of each step, by their places.
///
/// All documents are read once in random order before any is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub steps: Vec<Vec<usize>>,
}

impl Plan {
    /// Steps of at least `batch` tokens each, until there are `tokens` together.
    pub fn new(lengths: &[usize], tokens: usize, batch: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut order, mut next) = ((0..lengths.len()).collect::<Vec<_>>(), lengths.len());
        let (mut steps, mut all) = (Vec::new(), 0);
        while all < tokens && !lengths.is_empty() {
            let (mut step, mut here) = (Vec::new(), 0);
            while here < batch.max(1) && all < tokens {
                if next == order.len() {
                    order.shuffle(&mut random);
                    next = 0;
                }
                let document = order[next];
                next += 1;
                step.push(document);
                here += lengths[document].max(1);
                all += lengths[document].max(1);
            }
            steps.push(step);
        }
        Self { steps }
    }
}

/// Documents in packs of at most `most` tokens each, or one document, the longest first: documents of like length share
/// a pack.
pub(crate) fn packs(documents: &[usize], lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut sorted = documents.to_vec();
    sorted.sort_by_key(|&document| (std::cmp::Reverse(lengths[document]), document));
    let (mut packs, mut tokens) = (Vec::<Vec<usize>>::new(), 0);
    for document in sorted {
        match packs.last_mut() {
            Some(pack) if tokens + lengths[document] <= most => {
                pack.push(document);
                tokens += lengths[document];
            }
            _ => {
                packs.push(vec![document]);
                tokens = lengths[document];
            }
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every document is read before one is read again, and steps hold as many tokens as they should.
        #[test]
        fn plans_read_all_documents(lengths in prop::collection::vec(1_usize..60, 1..40), batch in 1_usize..200) {
            let all: usize = lengths.iter().sum();
            let plan = Plan::new(&lengths, 2 * all, batch, 7);
            prop_assert_eq!(&plan, &Plan::new(&lengths, 2 * all, batch, 7));
            let read: Vec<usize> = plan.steps.concat();
            for round in read.chunks(lengths.len()) {
                let mut round = round.to_vec();
                round.sort_unstable();
                round.dedup();
                prop_assert_eq!(round.len(), lengths.len());
            }
            let tokens = |step: &Vec<usize>| step.iter().map(|document| lengths[*document]).sum::<usize>();
            let whole = plan.steps.split_last().map_or(&[][..], |(_, whole)| whole);
            prop_assert!(whole.iter().all(|step| tokens(step) >= batch));
            for pack in packs(&plan.steps[0], &lengths, 50) {
                prop_assert!(pack.len() == 1 || tokens(&pack) <= 50);
            }
        }
    }
}
