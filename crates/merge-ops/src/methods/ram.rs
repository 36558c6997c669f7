//! What one source changed is added, what several changed is averaged, as mergekit's `ram` and `ramplus_tl`.

use std::ops::Range;

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use rayon::prelude::*;
use tailor_registry::Parameter;

use super::LARGEST;
use crate::op::blocks;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = w0 + sum_i d_i z_i l_i`, with `z_i` whether `|d_i| > epsilon` (1e-5) and c how many sources have it:
/// `l_i = 1/c`, but where c is 1 with `strengthen` `l_i = 1 + r clamp(shared_i / max(unique_i, epsilon), 0, alpha)`, of
/// the numbers of elements that source i changed with others and alone. Differences up to `epsilon` are dropped.
///
/// `r` is 0.1, `alpha` 0.2. Elements are counted in each tensor ("TL"), not in the whole model. mergekit returns f32
/// from `ramplus_tl` whatever the precision; here the recipe's holds.
pub(crate) struct Ram {
    /// What a source changed alone counts more the more it shares with others: `ramplus_tl`.
    pub strengthen: bool,
}

pub(crate) struct Statistics {
    /// A difference up to this is none.
    epsilon: f32,
    /// Of each source: the factor of what it changed alone.
    alone: Vec<f32>,
}

const SHARED: &[Parameter] = &[
    Parameter::number("epsilon", 0.0, LARGEST, "A difference up to this is no change.").with_default_number(1e-5),
    Parameter::number("r", -LARGEST, LARGEST, "How much sharing strengthens.").with_default_number(0.1),
    Parameter::number("alpha", -LARGEST, LARGEST, "The largest ratio of shared to unique changes that counts.")
        .with_default_number(0.2),
];

impl MergeOp for Ram {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        let spec = MethodSpec {
            base: BaseRule::Always,
            shared: &SHARED[..1],
            mergekit: Some(Mergekit { base_alone: true, ..Mergekit::named("ram") }),
            ..MethodSpec::new("ram", "The base plus what one source changed, and the mean of what several changed.")
        };
        if !self.strengthen {
            return spec;
        }
        let summary = "`ram`, where what one source changed counts more the more it shares with others.";
        let mergekit = Some(Mergekit { base_alone: true, ..Mergekit::named("ramplus_tl") });
        MethodSpec { name: "ramplus_tl", summary, shared: SHARED, mergekit, ..spec }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let settings = &inputs.settings;
        let epsilon = settings.number("epsilon")? as f32;
        if !self.strengthen {
            return Ok(Statistics { epsilon, alone: vec![1.0; inputs.sources.len()] });
        }
        let (r, alpha) = (settings.number("r")?, settings.number("alpha")?);
        let alone = changes(inputs, epsilon).into_iter().map(|[shared, unique]| {
            let ratio = shared as f32 / (unique as f32).max(epsilon);
            1.0 + r as f32 * ratio.min(alpha as f32).max(0.0)
        });
        Ok(Statistics { epsilon, alone: alone.collect() })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let (mut kept, mut counts) = (Vec::new(), Vec::new());
        for difference in differences {
            let small = difference.clone().abs().lower_equal_elem(statistics.epsilon);
            counts.push(difference.full_like(1.0).mask_fill(&small, 0.0));
            kept.push(difference.mask_fill(&small, 0.0));
        }
        // Where there is none, nothing is kept either.
        let count = piece.sum(counts)?.clamp(1.0, f32::INFINITY);
        let alone = count.equal_elem(1.0);
        let share = piece.round(count.full_like(1.0).div(&count));
        let weighted = kept.into_iter().zip(&statistics.alone).map(|(kept, factor)| {
            let factor = if *factor == 1.0 { share.clone() } else { share.clone().mask_fill(&alone, *factor) };
            piece.round(kept.mul(&factor))
        });
        let mix = piece.sum(weighted)?;
        Ok(piece.round(base.add(&mix)))
    }
}

/// How many elements each source changed with others, and alone.
fn changes(inputs: &Inputs<'_>, epsilon: f32) -> Vec<[usize; 2]> {
    let count = inputs.sources.len();
    let of = |range: Range<usize>| {
        let changed =
            |source| inputs.difference(source, range.clone()).into_iter().map(|d| d.abs() > epsilon).collect();
        let changed: Vec<Vec<bool>> = (0..count).map(changed).collect();
        let mut found = vec![[0; 2]; count];
        for place in 0..range.len() {
            let by = changed.iter().filter(|changed| changed[place]).count();
            for (found, _) in found.iter_mut().zip(&changed).filter(|(_, changed)| changed[place]) {
                found[usize::from(by == 1)] += 1;
            }
        }
        found
    };
    let add = |mut all: Vec<[usize; 2]>, more: Vec<[usize; 2]>| {
        all.iter_mut().zip(more).for_each(|(all, more)| *all = [all[0] + more[0], all[1] + more[1]]);
        all
    };
    blocks(inputs.elements()).map(of).reduce(|| vec![[0; 2]; count], add)
}
