//! What is kept of logits: the largest, the sum of the exponentials, those that are asked for.
//!
//! Logits come in chunks of the vocabulary. Each chunk leaves the logarithm's parts by themselves, so that the sum over
//! all chunks is the same to the bit, however chunks and rows were shared out to threads.

use std::ops::Range;

use tailor_simd::{Simd, WithSimd, exp_sum, run};

/// A logit and its token.
#[derive(Debug, Clone, Copy)]
struct Best {
    logit: f32,
    token: u32,
}

/// Of one row and chunk: the largest logit, and the sum of `e^(logit - largest)`.
#[derive(Debug, Clone, Copy)]
struct ChunkSum {
    largest: f32,
    sum: f32,
}

/// What is left of the logits of some rows.
#[derive(Debug)]
pub(super) struct Summary {
    /// The lowest token of the largest logits of each row.
    best: Vec<Best>,
    /// `[chunks][rows]`
    sums: Vec<ChunkSum>,
    /// The logits that are asked for, as far as their chunks were read.
    wanted: Vec<Option<f32>>,
}

impl Summary {
    /// Of `rows` rows, `wanted` of whose logits are asked for.
    pub fn new(rows: usize, wanted: usize) -> Self {
        let none = Best { logit: f32::NEG_INFINITY, token: 0 };
        Self { best: vec![none; rows], sums: Vec::new(), wanted: vec![None; wanted] }
    }

    /// Reads a chunk, `[rows, tokens]`: the chunks come by their tokens. `asked` has the row and the token of each
    /// logit that is asked for.
    pub fn read(&mut self, logits: &[f32], tokens: Range<usize>, asked: impl Iterator<Item = (usize, usize)>) {
        run(Reduce { logits, tokens: tokens.clone(), best: &mut self.best, sums: &mut self.sums });
        for (wanted, (row, token)) in self.wanted.iter_mut().zip(asked) {
            if tokens.contains(&token) {
                *wanted = Some(logits[row * tokens.len() + token - tokens.start]);
            }
        }
    }

    /// Adds what is left of later chunks of the same rows.
    pub fn append(&mut self, later: Self) {
        for (best, later) in self.best.iter_mut().zip(later.best) {
            if later.logit > best.logit {
                *best = later;
            }
        }
        self.sums.extend(later.sums);
        self.wanted.iter_mut().zip(later.wanted).for_each(|(wanted, later)| *wanted = wanted.or(later));
    }

    /// The most likely token of each row; of equally likely ones the lowest.
    pub fn most_likely(&self) -> impl Iterator<Item = u32> {
        self.best.iter().map(|best| best.token)
    }

    /// The logits that were asked for.
    pub fn wanted(&self) -> impl Iterator<Item = f32> {
        self.wanted.iter().map(|logit| logit.unwrap_or(f32::NAN))
    }

    /// `ln(sum of e^logit)` of each row.
    pub fn normalisers(&self) -> impl Iterator<Item = f32> {
        let rows = self.best.len();
        (0..rows).map(move |row| {
            let chunks = || self.sums.iter().skip(row).step_by(rows);
            let largest = chunks().map(|chunk| chunk.largest).fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = chunks().map(|chunk| chunk.sum * (chunk.largest - largest).exp()).sum();
            sum.ln() + largest
        })
    }
}

/// Reduces the rows of a chunk.
struct Reduce<'a> {
    /// `[rows, tokens]`
    logits: &'a [f32],
    tokens: Range<usize>,
    /// Of each row.
    best: &'a mut [Best],
    /// Gets one for each row.
    sums: &'a mut Vec<ChunkSum>,
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (row, best) in self.logits.chunks_exact(self.tokens.len()).zip(self.best) {
            let (largest, sum) = exp_sum(simd, row);
            self.sums.push(ChunkSum { largest, sum });
            if largest > best.logit {
                let place = row.iter().position(|logit| *logit == largest).unwrap_or(0);
                *best = Best { logit: largest, token: (self.tokens.start + place) as u32 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A row read in chunks that begin at the cuts.
    fn read(row: &[f32], cuts: &[usize], asked: usize) -> Summary {
        let mut summary = Summary::new(1, 1);
        for cut in cuts.windows(2) {
            summary.read(&row[cut[0]..cut[1]], cut[0]..cut[1], std::iter::once((0, asked)));
        }
        summary
    }

    proptest! {
        #[test]
        fn a_summary_is_that_of_the_whole_row(
            row in prop::collection::vec((-40_i16..40).prop_map(|x| f32::from(x) / 4.0), 2..200),
            cut in any::<prop::sample::Index>(),
            asked in any::<prop::sample::Index>(),
        ) {
            let (cut, asked) = (cut.index(row.len() - 1) + 1, asked.index(row.len()));
            let whole = read(&row, &[0, row.len()], asked);
            let cuts = read(&row, &[0, cut, row.len()], asked);
            let highest = row.iter().copied().fold(f32::MIN, f32::max);
            let expected = row.iter().map(|x| f64::from(*x - highest).exp()).sum::<f64>().ln() + f64::from(highest);
            for summary in [&whole, &cuts] {
                prop_assert_eq!(summary.wanted().collect::<Vec<_>>(), [row[asked]]);
                let first = row.iter().position(|x| *x == highest);
                prop_assert_eq!(summary.most_likely().next().map(|token| token as usize), first);
                let normaliser = summary.normalisers().next().map_or(f64::NAN, f64::from);
                let off = (normaliser - expected).abs();
                prop_assert!(off < 2e-6 * (1.0 + expected.abs()), "{normaliser} for {expected}");
            }
            // Two parts of the chunks, read by two threads.
            let mut first = read(&row, &[0, cut], asked);
            first.append(read(&row, &[cut, row.len()], asked));
            prop_assert_eq!(first.normalisers().next(), cuts.normalisers().next());
            prop_assert_eq!(first.most_likely().next(), cuts.most_likely().next());
            prop_assert_eq!(first.wanted().next(), cuts.wanted().next());
        }
    }
}
