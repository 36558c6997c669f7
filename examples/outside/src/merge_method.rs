//! A merge method of TIES kind: trim each source's difference, elect a sign for each element, add the mean of what
//! agrees with it.
//!
//! Yadav et al., "TIES-Merging" (arXiv 2306.01708).

use layer_ir::{BaseRule, Identity, MethodSpec};
use merge_ops::tools::{Cut, against};
use merge_ops::{Error, Inputs, MergeOp, Numbers, Piece};
use tailor_registry::Parameter;

/// `out = w0 + c mean_i { d_i : d_i stays, and has the sign of the sum of all that stay }`, where `keep` is the share
/// of each `d_i = w_i - w0` that stays, and `coefficient` is c.
pub struct TiesLike;

impl MergeOp for TiesLike {
    /// The coefficient, and which differences of each source stay; `None`: all.
    type Statistics = (f32, Vec<Option<Cut>>);

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[
            Parameter::number("keep", 0.0, 1.0, "Share of each difference that stays.").with_default_number(0.2),
            Parameter::number("coefficient", -10.0, 10.0, "Factor of what is added.").with_default_number(1.0),
        ];
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            identity: Identity::BaseWhere("coefficient", 0.0),
            ..MethodSpec::new("ties_like", "The base plus the mean of the largest differences of one sign.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Self::Statistics, Error> {
        let n = inputs.elements();
        let k = (inputs.settings.number("keep")? * n as f64) as usize;
        let cut = |source| Cut::largest(n, k.max(1), &|range| inputs.difference(source, range));
        Ok((inputs.settings.number("coefficient")? as f32, (0..inputs.sources.len()).map(cut).collect()))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, (coefficient, cuts): &Self::Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let trim = |(difference, cut): (N, &Option<Cut>)| match cut {
            Some(cut) => cut.apply(difference, piece.start),
            None => difference,
        };
        let trimmed: Vec<N> = differences.into_iter().zip(cuts).map(trim).collect();
        let negative = piece.sum(trimmed.iter().cloned())?.lower_elem(0.0);
        let agreeing = trimmed.into_iter().map(|difference| {
            let against = against(&difference, &negative);
            (difference.full_like(1.0).mask_fill(&against, 0.0), difference.mask_fill(&against, 0.0))
        });
        let (counts, kept): (Vec<N>, Vec<N>) = agreeing.unzip();
        let mean = piece.sum(kept)?.div(&piece.sum(counts)?.clamp(1.0, f32::INFINITY));
        Ok(base.add(&mean.mul_scalar(*coefficient)))
    }
}

#[cfg(test)]
mod tests {
    use layer_ir::Parameters;
    use merge_ops::{Operand, Registry, merge_on_cpu};

    use super::*;

    #[test]
    fn it_is_the_built_in_ties_with_equal_weights() -> Result<(), Box<dyn std::error::Error>> {
        let mut registry = Registry::standard();
        registry.register(TiesLike)?;
        let number = |at: usize, of: usize| ((at * 7919 + of * 104_729) % 1009) as f32 / 504.0 - 1.0;
        let tensor = |of| Operand::from_values("w", &(0..5000).map(|at| number(at, of)).collect::<Vec<_>>());
        let merged = |name: &str, settings: &[(&str, f64)]| {
            let mut parameters = Parameters::default();
            settings.iter().for_each(|(key, value)| parameters.set(key, *value));
            let method = registry.get(name)?;
            merge_on_cpu(method, &Inputs::of(method, &parameters, Some(tensor(0)), vec![tensor(1), tensor(2)]), 512)
        };
        let ours = merged("ties_like", &[("keep", 0.3), ("coefficient", 0.7)])?;
        let theirs = merged("ties", &[("weight", 1.0), ("density", 0.3), ("lambda", 0.7)])?;
        let apart = ours.iter().zip(&theirs).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart <= 1e-6, "differs by up to {apart:e}");
        Ok(())
    }
}
