//! What mergekit's generalised task arithmetic has in common: weighted differences to the base, with or without an election of signs.

use crate::precision::round_number;
use crate::{Cut, Error, Inputs, Numbers, Piece, Settings, Signature};

/// One method of the family.
pub(super) struct Delta {
    /// Whether only differences of the elected sign count.
    pub election: bool,
    /// Whether weights are normalised unless `normalize` says otherwise.
    pub normalize: bool,
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
pub(super) struct Sparse {
    weight: f32,
    /// Which stay; none: all.
    cut: Option<Cut>,
    /// By what they are multiplied then.
    ratio: f32,
}

/// `rescale` and `density` are parameters of the whole family; `int8_mask` is about mergekit's memory only.
const SIGNATURE: Signature<'static> = Signature {
    base: true,
    sources: 1..=usize::MAX,
    shared: &["normalize", "rescale", "lambda", "int8_mask"],
    own: &["weight", "density"],
};

impl Delta {
    pub fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&SIGNATURE)?;
        for flag in ["normalize", "rescale", "int8_mask"] {
            settings.flag(flag)?;
        }
        settings.number("lambda")?;
        settings.each("density")?;
        settings.each_required("weight").map(|_| ())
    }

    /// With what stays of each source, and by how much that is rescaled; all of it where nothing is said.
    pub fn know(&self, inputs: &Inputs<'_>, cuts: Vec<(Option<Cut>, f64)>) -> Result<Known, Error> {
        let (settings, precision) = (&inputs.settings, inputs.precision);
        let cuts = cuts.into_iter().chain(std::iter::repeat((None, 1.0)));
        let sparse = |(weight, (cut, ratio)): (f64, (Option<Cut>, f64))| Sparse {
            weight: round_number(weight as f32, precision),
            cut,
            ratio: ratio as f32,
        };
        let sources: Vec<Sparse> = settings.each_required("weight")?.into_iter().zip(cuts).map(sparse).collect();
        Ok(Known {
            total: round_number(sources.iter().map(|source| source.weight).sum(), precision),
            sources,
            election: self.election,
            normalize: settings.flag("normalize")?.unwrap_or(self.normalize),
            lambda: settings.number("lambda")?.unwrap_or(1.0) as f32,
        })
    }
}

/// `out = w0 + lambda sum_i e_i k_i / sum_i c_i k_i`, with `e_i = c_i d_i` and `k_i` whether source i takes part; no division
/// if weights are not normalised.
pub(super) fn merge<N: Numbers>(mut piece: Piece<'_, N>, known: &Known) -> Result<N, Error> {
    let (base, differences) = piece.differences()?;
    let weighted = differences.into_iter().zip(&known.sources).map(|(mut difference, source)| {
        if let Some(cut) = &source.cut {
            difference = cut.apply(difference, piece.start);
        }
        if source.ratio != 1.0 {
            difference = piece.round(difference.mul_scalar(source.ratio));
        }
        piece.round(difference.mul_scalar(source.weight))
    });
    let mut mix = if known.election {
        elected(&piece, weighted.collect(), known)?
    } else {
        let mix = piece.sum(weighted)?;
        let divide = known.normalize && known.total.abs() >= 1e-8;
        if divide { piece.round(mix.div_scalar(known.total)) } else { mix }
    };
    if known.lambda != 1.0 {
        mix = piece.round(mix.mul_scalar(known.lambda));
    }
    Ok(piece.round(base.add(&mix)))
}

/// The mix of the differences whose sign is that of the sum of all; a sum of 0 counts as positive.
fn elected<N: Numbers>(piece: &Piece<'_, N>, weighted: Vec<N>, known: &Known) -> Result<N, Error> {
    let negative = piece.sum(weighted.iter().cloned())?.lower_elem(0.0);
    let (mut kept, mut shares) = (Vec::with_capacity(weighted.len()), Vec::with_capacity(weighted.len()));
    for (weighted, source) in weighted.into_iter().zip(&known.sources) {
        let opposite = weighted.clone().mul_scalar(-1.0);
        let against = weighted.clone().mask_where(&negative, &opposite).lower_equal_elem(0.0);
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
