//! Which numbers of a difference stay, for the methods of [`delta`](super::delta).

use std::ops::Range;

use layer_ir::{MergeSettings, MethodError};
use rayon::prelude::*;

use crate::bits::Bits;
use crate::draws::Draws;
use crate::op::{BLOCK, blocks};
use crate::precision::round_number;
use crate::select::{Band, Edge};
use crate::tools::Cut;
use crate::{Error, Inputs, Numbers};

/// How a method chooses. A `density` of 1 or more keeps all, without a cut or a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sparsifier {
    /// All stay; `density` means nothing.
    None,
    /// The `density` share of largest magnitudes, at least one.
    Magnitude,
    /// As many of largest magnitude but for the `gamma` share of the very largest, as far as so many are left.
    Inner,
    /// Each with the probability `density`.
    Random,
    /// Each with a probability that rises with its magnitude's rank in its row, from `density - epsilon` to
    /// `density + epsilon`.
    Ranked,
}

/// What stays of one difference.
pub(super) enum Kept {
    /// All numbers.
    All,
    /// The largest magnitudes.
    Cut(Cut),
    /// What lies between two ranks.
    Band(Band),
    /// Each with a probability.
    Drawn(Draws, f32),
    /// A choice that was made for each number.
    Bits(Bits),
}

impl Sparsifier {
    /// Whether it draws random numbers.
    pub const fn draws(self) -> bool {
        matches!(self, Self::Random | Self::Ranked)
    }

    /// What the descriptions of its parameters cannot say.
    pub fn check(self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        if self != Self::Ranked {
            return Ok(());
        }
        for (density, epsilon) in settings.each("density")?.into_iter().zip(settings.each("epsilon")?) {
            let fits = density <= 0.0 || density >= 1.0 || density - epsilon > 0.0 && density + epsilon < 1.0;
            if !fits {
                return Err(settings.wrong("epsilon", epsilon, "less than the density, and less than 1 - density"));
            }
        }
        Ok(())
    }

    /// What stays of each source's difference.
    pub fn kept(self, inputs: &Inputs<'_>) -> Result<Vec<Kept>, Error> {
        let settings = &inputs.settings;
        let densities = settings.each("density")?.into_iter().enumerate();
        let more = match self {
            Self::Inner => settings.each("gamma")?,
            Self::Ranked => settings.each("epsilon")?,
            _ => vec![0.0; inputs.sources.len()],
        };
        let seed = if self.draws() { settings.number("seed")? as u64 } else { 0 };
        let kept = |((source, density), more): ((usize, f64), f64)| {
            if density >= 1.0 || self == Self::None {
                return Kept::All;
            }
            self.of(inputs, source, density, more, Draws::new(seed, &settings.sources[source].tensor, source))
        };
        Ok(densities.zip(more).map(kept).collect())
    }

    /// What stays of one source's difference. `more` is `gamma` or `epsilon`.
    fn of(self, inputs: &Inputs<'_>, source: usize, density: f64, more: f64, draws: Draws) -> Kept {
        let n = inputs.elements();
        let read = |range: Range<usize>| inputs.difference(source, range);
        let count = |share: f64| ((share * n as f64) as usize).min(n);
        match self {
            Self::None => Kept::All,
            Self::Inner => {
                let (kept, top) = (count(density), count(more));
                let bottom = n.saturating_sub(kept + top);
                Kept::Band(Band { from: Edge::behind(n, bottom, &read), to: Edge::behind(n, bottom + kept, &read) })
            }
            _ if density <= 0.0 => Kept::Cut(Cut::NOTHING),
            Self::Magnitude => Cut::largest(n, count(density).max(1), &read).map_or(Kept::All, Kept::Cut),
            Self::Random => Kept::Drawn(draws, density as f32),
            Self::Ranked => Kept::Bits(ranked(inputs, source, density, more, draws)),
        }
    }
}

impl Kept {
    /// Whether a number at an index stays.
    pub fn keeps(&self, number: f32, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Cut(cut) => cut.keeps(number, index),
            Self::Band(band) => band.keeps(number, index),
            Self::Drawn(draws, probability) => draws.happens(index, *probability),
            Self::Bits(bits) => bits.get(index),
        }
    }

    /// Puts 0 for what does not stay of a piece that begins at `start`.
    pub fn apply<N: Numbers>(&self, piece: N, start: usize) -> N {
        match self {
            Self::All => piece,
            Self::Cut(cut) => cut.apply(piece, start),
            Self::Band(band) => band.apply(piece, start),
            Self::Drawn(draws, probability) => {
                let gone = piece.mask_like(|place| !draws.happens(start + place, *probability));
                piece.mask_fill(&gone, 0.0)
            }
            Self::Bits(bits) => bits.apply(piece, start),
        }
    }

    /// By what the kept magnitudes sum to less than all; 1 where there is next to nothing of either.
    pub fn ratio(&self, inputs: &Inputs<'_>, source: usize) -> f64 {
        let of = |range: Range<usize>| {
            let start = range.start;
            let add = |(all, kept): (f64, f64), (at, number): (usize, f32)| {
                let magnitude = f64::from(number.abs());
                (all + magnitude, kept + if self.keeps(number, start + at) { magnitude } else { 0.0 })
            };
            inputs.difference(source, range).into_iter().enumerate().fold((0.0, 0.0), add)
        };
        let blocks: Vec<(f64, f64)> = blocks(inputs.elements()).map(of).collect();
        let (all, kept) = blocks.into_iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
        let round = |number: f64| round_number(number as f32, inputs.precision);
        let (all, kept) = (round(all), round(kept));
        if all < 1e-7 || kept < 1e-7 { 1.0 } else { f64::from(round(f64::from(all / kept))) }
    }
}

/// What is drawn by rank: along the second axis, or of all numbers where there is one axis.
fn ranked(inputs: &Inputs<'_>, source: usize, density: f64, epsilon: f64, draws: Draws) -> Bits {
    let n = inputs.elements();
    let (row, stride) = match inputs.shape() {
        [_, row, behind @ ..] => (*row, behind.iter().product::<usize>()),
        _ => (n, 1),
    };
    let least = density - epsilon;
    let probability = |rank: usize| match row {
        // mergekit has no number here.
        1 => density as f32,
        _ => (least + 2.0 * epsilon * (rank as f64 / (row - 1) as f64)) as f32,
    };
    let table = row * stride;
    let of = |range: Range<usize>| {
        let start = range.start;
        let values = inputs.difference(source, range);
        let mut stays = vec![false; values.len()];
        for (first, values) in (0..values.len()).step_by(table.max(1)).zip(values.chunks(table.max(1))) {
            for within in 0..stride {
                let key = |(place, value): (usize, &f32)| u64::from(value.abs().to_bits()) << 32 | place as u64;
                let mut order: Vec<u64> = values[within..].iter().step_by(stride).enumerate().map(key).collect();
                order.sort_unstable();
                for (rank, key) in order.into_iter().enumerate() {
                    let at = first + within + (key & u64::from(u32::MAX)) as usize * stride;
                    stays[at] = draws.happens(start + at, probability(rank));
                }
            }
        }
        stays
    };
    // So many whole tables, 64 or a multiple, that spans end where words do.
    Bits::new(n, table * (BLOCK / 64 / table.max(1)).max(1), of)
}
