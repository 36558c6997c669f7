//! mergekit's generalised task arithmetic: weighted differences to the base, sparsified or not, with or without an election of signs.

use super::sparsifier::{Kept, Sparsifier, seed};
use crate::precision::round_number;
use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// One method of the family: `out = w0 + lambda sum_i e_i k_i / sum_i c_i k_i` with `e_i = c_i s(w_i - w0)`, `c_i` the `weight` of source
/// i, s what the sparsifier leaves, and `k_i` whether source i takes part.
///
/// `normalize` is the division; `rescale` multiplies what a sparsifier leaves until its magnitudes sum to what they did before. All take
/// `lambda` (1), and `int8_mask`, which is about mergekit's memory only.
pub(crate) struct Delta {
    sparsifier: Sparsifier,
    /// Whether only differences of the elected sign take part: positive ones where the weighted sum is not negative, else negative ones.
    election: bool,
    /// Whether weights are normalised unless `normalize` says otherwise.
    normalize: bool,
    /// Whether the L1 norm is kept unless `rescale` says otherwise.
    rescale: bool,
}

const PLAIN: Delta = Delta { sparsifier: Sparsifier::None, election: false, normalize: false, rescale: false };

impl Delta {
    /// `w0 + lambda sum_i c_i (w_i - w0)`. `density` and `rescale` are accepted and mean nothing, as in mergekit.
    ///
    /// Ilharco et al., "Editing models with task arithmetic" (arXiv 2212.04089).
    pub const TASK_ARITHMETIC: Self = PLAIN;

    /// Of each difference the `density` share of largest magnitudes, of the elected sign, as their weighted mean.
    ///
    /// Of equal magnitudes at the cut those of lowest index stay; torch's choice follows no simple rule. Yadav et al., "TIES-Merging"
    /// (arXiv 2306.01708) takes the plain mean of the agreeing differences, and the majority where the sum is 0.
    pub const TIES: Self = Self { sparsifier: Sparsifier::Magnitude, election: true, normalize: true, ..PLAIN };

    /// Of each difference a random `density` share, rescaled.
    ///
    /// Yu et al., "Language models are super Mario" (arXiv 2311.03099) rescales by 1/density; mergekit to the L1 norm of the whole
    /// difference. mergekit draws from torch's generator; here draws depend on `seed` (0), the source's
    /// tensor and place in the merge, and the element.
    pub const DARE_LINEAR: Self = Self { sparsifier: Sparsifier::Random, rescale: true, ..PLAIN };

    /// [`Self::DARE_LINEAR`] with the elected sign, not normalised.
    pub const DARE_TIES: Self = Self { election: true, ..Self::DARE_LINEAR };

    /// Of each difference the `density` share of largest magnitudes but for the `gamma` (0.01) share of the very largest.
    ///
    /// Davari and Belilovsky, "Model Breadcrumbs" (arXiv 2312.06795). Equal magnitudes at the cuts as in [`Self::TIES`].
    pub const BREADCRUMBS: Self = Self { sparsifier: Sparsifier::Inner, ..PLAIN };

    /// [`Self::BREADCRUMBS`] with the elected sign, not normalised.
    pub const BREADCRUMBS_TIES: Self = Self { election: true, ..Self::BREADCRUMBS };

    /// Of each difference a random share, larger magnitudes more likely, rescaled: see [`Self::DELLA_LINEAR`]; of the elected sign, as
    /// their weighted mean.
    pub const DELLA: Self = Self { election: true, normalize: true, ..Self::DELLA_LINEAR };

    /// Of each difference a random share, rescaled; within a row the probability rises with the magnitude's rank from
    /// `density - epsilon` to `density + epsilon` (0.15).
    ///
    /// Deep et al., "DELLA-Merging" (arXiv 2406.11617) rescales each number by 1/probability; mergekit to the L1 norm of the whole
    /// difference. Draws as in [`Self::DARE_LINEAR`].
    pub const DELLA_LINEAR: Self = Self { sparsifier: Sparsifier::Ranked, rescale: true, ..PLAIN };
}

/// What is known before the first number.
pub(crate) struct Known {
    sources: Vec<Sparse>,
    election: bool,
    normalize: bool,
    lambda: f32,
    /// The sum of the weights.
    total: f32,
}

/// What becomes of a source's differences first.
struct Sparse {
    weight: f32,
    kept: Kept,
    /// By what they are multiplied then.
    ratio: f32,
}

const SHARED: &[&str] = &["normalize", "rescale", "lambda", "int8_mask", "seed"];

impl MergeOp for Delta {
    type Known = Known;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let shared = if self.sparsifier.draws() { SHARED } else { &SHARED[..4] };
        settings.expect(&Signature { base: true, sources: 1..=usize::MAX, shared, own: self.sparsifier.own() })?;
        for flag in ["normalize", "rescale", "int8_mask"] {
            settings.flag(flag)?;
        }
        settings.number("lambda")?;
        seed(settings)?;
        self.sparsifier.check(settings)?;
        settings.each_required("weight").map(|_| ())
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<Known, Error> {
        let (settings, precision) = (&inputs.settings, inputs.precision);
        let rescale = settings.flag("rescale")?.unwrap_or(self.rescale);
        let kept = self.sparsifier.know(inputs)?.into_iter().enumerate();
        let sparse = |(weight, (source, kept)): (f64, (usize, Kept))| Sparse {
            weight: round_number(weight as f32, precision),
            ratio: if rescale && !matches!(kept, Kept::All) { kept.ratio(inputs, source) as f32 } else { 1.0 },
            kept,
        };
        let sources: Vec<Sparse> = settings.each_required("weight")?.into_iter().zip(kept).map(sparse).collect();
        Ok(Known {
            total: round_number(sources.iter().map(|source| source.weight).sum(), precision),
            sources,
            election: self.election,
            normalize: settings.flag("normalize")?.unwrap_or(self.normalize),
            lambda: settings.number("lambda")?.unwrap_or(1.0) as f32,
        })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, known: &Known) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let kept = differences.into_iter().zip(&known.sources).map(|(difference, source)| {
            let mut kept = source.kept.apply(difference, piece.start);
            if source.ratio != 1.0 {
                kept = piece.round(kept.mul_scalar(source.ratio));
            }
            (kept, source.weight)
        });
        let mut mix = if known.election {
            let weighted = kept.map(|(kept, weight)| piece.round(kept.mul_scalar(weight)));
            elected(&piece, weighted.collect(), known)?
        } else {
            let mix = piece.weighted_sum(kept)?;
            let divide = known.normalize && known.total.abs() >= 1e-8;
            if divide { piece.round(mix.div_scalar(known.total)) } else { mix }
        };
        if known.lambda != 1.0 {
            mix = piece.round(mix.mul_scalar(known.lambda));
        }
        Ok(piece.round(mix.add(&base)))
    }
}

/// The mix of the differences whose sign is that of the sum of all; a sum of 0 counts as positive.
fn elected<N: Numbers>(piece: &Piece<'_, N>, weighted: Vec<N>, known: &Known) -> Result<N, Error> {
    let negative = piece.sum(weighted.iter().cloned())?.lower_elem(0.0);
    let (mut kept, mut shares) = (Vec::with_capacity(weighted.len()), Vec::with_capacity(weighted.len()));
    for (weighted, source) in weighted.into_iter().zip(&known.sources) {
        let against = against(&weighted, &negative);
        if known.normalize {
            shares.push(weighted.full_like(source.weight).mask_fill(&against, 0.0));
        }
        kept.push(weighted.mask_fill(&against, 0.0));
    }
    let mix = piece.sum(kept)?;
    if !known.normalize {
        return Ok(mix);
    }
    let total = piece.sum(shares)?;
    let none = total.equal_elem(0.0);
    Ok(piece.round(mix.div(&total.mask_fill(&none, 1.0))))
}

/// Where numbers are 0 or not of the elected sign.
pub(super) fn against<N: Numbers>(numbers: &N, negative: &N::Mask) -> N::Mask {
    let opposite = numbers.clone().mul_scalar(-1.0);
    numbers.clone().mask_where(negative, &opposite).lower_equal_elem(0.0)
}
