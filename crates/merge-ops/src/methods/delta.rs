//! What mergekit's generalised task arithmetic has in common: weighted differences to the base, with or without an election of signs.

use burn::tensor::{DType, Tensor};

use super::sum;
use crate::precision::round_number;
use crate::{Error, Piece, Settings, Signature, Statistics};

/// One method of the family.
pub(super) struct Delta {
    /// Whether only differences of the elected sign count.
    pub election: bool,
    /// Whether weights are normalised unless `normalize` says otherwise.
    pub normalize: bool,
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

    /// `out = w0 + lambda sum_i e_i k_i / sum_i c_i k_i`, with `e_i = c_i d_i` and `k_i` whether source i takes part; no division
    /// if weights are not normalised.
    pub fn merge(&self, mut piece: Piece<'_>, known: &Statistics) -> Result<Tensor<1>, Error> {
        let precision = piece.precision;
        let weights = piece.settings.each_required("weight")?;
        let weights: Vec<f32> = weights.into_iter().map(|weight| round_number(weight as f32, precision)).collect();
        let normalize = piece.settings.flag("normalize")?.unwrap_or(self.normalize);
        let (base, differences) = piece.differences()?;
        let mut weighted = Vec::with_capacity(differences.len());
        for (i, (mut difference, weight)) in differences.into_iter().zip(&weights).enumerate() {
            if let Some(cut) = known.cuts.get(i).and_then(Option::as_ref) {
                difference = cut.apply(difference, piece.start);
            }
            if let Some(ratio) = known.numbers.get(i).filter(|ratio| **ratio != 1.0) {
                difference = piece.round(difference.mul_scalar(*ratio as f32));
            }
            weighted.push(piece.round(difference.mul_scalar(*weight)));
        }
        let mut mix = if self.election {
            elected(&piece, weighted, &weights, normalize)?
        } else {
            let total = round_number(weights.iter().sum(), precision);
            let mix = sum(&piece, weighted)?;
            let divide = normalize && total.abs() >= 1e-8;
            if divide { piece.round(mix.div_scalar(total)) } else { mix }
        };
        let lambda = piece.settings.number("lambda")?.unwrap_or(1.0);
        if lambda != 1.0 {
            mix = piece.round(mix.mul_scalar(lambda as f32));
        }
        Ok(piece.round(base + mix))
    }
}

/// The mix of the differences whose sign is that of the sum of all; a sum of 0 counts as positive.
fn elected(piece: &Piece<'_>, weighted: Vec<Tensor<1>>, weights: &[f32], normalize: bool) -> Result<Tensor<1>, Error> {
    let negative = sum(piece, weighted.iter().cloned())?.lower_elem(0.0);
    let (mut kept, mut shares) = (Vec::with_capacity(weighted.len()), Vec::with_capacity(weighted.len()));
    for (weighted, weight) in weighted.into_iter().zip(weights) {
        let towards = weighted.clone().mask_where(negative.clone(), -weighted.clone());
        let against = towards.lower_equal_elem(0.0);
        if normalize {
            let share = Tensor::<1>::full(weighted.dims(), *weight, (&weighted.device(), DType::F32));
            shares.push(share.mask_fill(against.clone(), 0.0));
        }
        kept.push(weighted.mask_fill(against, 0.0));
    }
    let mix = sum(piece, kept)?;
    if !normalize {
        return Ok(mix);
    }
    let total = sum(piece, shares)?;
    let none = total.clone().equal_elem(0.0_f32);
    Ok(piece.round(mix / total.mask_fill(none, 1.0)))
}
