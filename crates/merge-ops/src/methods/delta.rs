//! mergekit's generalised task arithmetic: weighted differences to the base, sparsified or not, with or without an
//! election of signs.

use layer_ir::{BaseRule, DrawsBy, Identity, MergeSettings, Mergekit, MethodError, MethodSpec};
use tailor_registry::Parameter;

use super::sparsifier::{Kept, Sparsifier};
use super::{INT8_MASK, LARGEST, WEIGHT};
use crate::precision::round_number;
use crate::tools::against;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// One method of the family: `out = w0 + lambda sum_i e_i k_i / sum_i c_i k_i` with `e_i = c_i s(w_i - w0)`, `c_i` the
/// `weight` of source i, s what the sparsifier leaves, and `k_i` whether source i takes part.
///
/// `normalize` is the division; `rescale` multiplies what a sparsifier leaves until its magnitudes sum to what they did
/// before. All take `lambda` (1), and `int8_mask`, which is about mergekit's memory only.
pub(crate) struct Delta {
    spec: MethodSpec,
    /// What it leaves of each difference.
    sparsifier: Sparsifier,
    /// Whether only differences of the elected sign take part: positive ones where the weighted sum is not negative,
    /// else negative ones.
    election: bool,
}

impl Delta {
    /// `w0 + lambda sum_i c_i (w_i - w0)`. `density` and `rescale` are accepted and mean nothing, as in mergekit.
    ///
    /// Ilharco et al., "Editing models with task arithmetic" (arXiv 2212.04089).
    pub const TASK_ARITHMETIC: Self = Self::new("task_arithmetic", "The base plus weighted differences.");

    /// Of each difference the `density` share of largest magnitudes, of the elected sign, as their weighted mean.
    ///
    /// Of equal magnitudes at the cut those of lowest index stay; torch's choice follows no simple rule. Yadav et al.,
    /// "TIES-Merging" (arXiv 2306.01708) takes the plain mean of the agreeing differences, and the majority where the
    /// sum is 0.
    pub const TIES: Self = Self::new("ties", "The base plus the weighted mean of the largest differences of one sign.")
        .sparse(Sparsifier::Magnitude, TIES_SHARED, SOURCES)
        .elected();

    /// Of each difference a random `density` share, rescaled.
    ///
    /// Yu et al., "Language models are super Mario" (arXiv 2311.03099) rescales by 1/density; mergekit to the L1 norm
    /// of the whole difference. mergekit draws from torch's generator; here draws depend on `seed` (0), the source's
    /// tensor and place in the merge, and the element.
    pub const DARE_LINEAR: Self = Self::new("dare_linear", "The base plus weighted random differences, rescaled.")
        .sparse(Sparsifier::Random, DRAWN_SHARED, SOURCES);

    /// [`Self::DARE_LINEAR`] with the elected sign, not normalised.
    pub const DARE_TIES: Self = Self::new("dare_ties", "`dare_linear` of one sign.")
        .sparse(Sparsifier::Random, DRAWN_SHARED, SOURCES)
        .elected();

    /// Of each difference the `density` share of largest magnitudes but for the `gamma` (0.01) share of the very
    /// largest.
    ///
    /// Davari and Belilovsky, "Model Breadcrumbs" (arXiv 2312.06795). Equal magnitudes at the cuts as in
    /// [`Self::TIES`].
    pub const BREADCRUMBS: Self = Self::new(
        "breadcrumbs",
        "The base plus the weighted largest differences but for the very largest.",
    )
    .sparse(Sparsifier::Inner, PLAIN_SHARED, SOURCES_BREADCRUMBS);

    /// [`Self::BREADCRUMBS`] with the elected sign, not normalised.
    pub const BREADCRUMBS_TIES: Self = Self::new("breadcrumbs_ties", "`breadcrumbs` of one sign.")
        .sparse(Sparsifier::Inner, PLAIN_SHARED, SOURCES_BREADCRUMBS)
        .elected();

    /// Of each difference a random share, larger magnitudes more likely, rescaled: see [`Self::DELLA_LINEAR`]; of the
    /// elected sign, as their weighted mean.
    pub const DELLA: Self = Self::new("della", "`della_linear` of one sign, as the weighted mean.")
        .sparse(Sparsifier::Ranked, DELLA_SHARED, SOURCES_DELLA)
        .elected();

    /// Of each difference a random share, rescaled; within a row the probability rises with the magnitude's rank from
    /// `density - epsilon` to `density + epsilon` (0.15).
    ///
    /// Deep et al., "DELLA-Merging" (arXiv 2406.11617) rescales each number by 1/probability; mergekit to the L1 norm
    /// of the whole difference. Draws as in [`Self::DARE_LINEAR`].
    pub const DELLA_LINEAR: Self =
        Self::new("della_linear", "The base plus weighted random differences, larger ones more likely, rescaled.")
            .sparse(Sparsifier::Ranked, DRAWN_SHARED, SOURCES_DELLA);

    /// Task arithmetic under this name, which the two functions below make more of.
    const fn new(name: &'static str, summary: &'static str) -> Self {
        let spec = MethodSpec {
            base: BaseRule::Always,
            shared: PLAIN_SHARED,
            per_source: SOURCES,
            identity: Identity::BaseWhere("lambda", 0.0),
            mergekit: Some(Mergekit {
                base_alone: true,
                ours: &["seed"],
                silent: &["int8_mask"],
                ..Mergekit::named(name)
            }),
            ..MethodSpec::new(name, summary)
        };
        Self { spec, sparsifier: Sparsifier::None, election: false }
    }

    /// With a sparsifier, and the parameters that it brings.
    const fn sparse(
        self,
        sparsifier: Sparsifier,
        shared: &'static [Parameter],
        per_source: &'static [Parameter],
    ) -> Self {
        let draws = if sparsifier.draws() { Some(DrawsBy::Source) } else { None };
        Self { spec: MethodSpec { shared, per_source, draws, ..self.spec }, sparsifier, ..self }
    }

    /// With an election of signs.
    const fn elected(self) -> Self {
        Self { election: true, ..self }
    }
}

/// What is known before the first number.
pub(crate) struct Statistics {
    /// One for each source.
    sources: Vec<Sparse>,
    /// As [`Delta::election`].
    election: bool,
    /// Whether the mix is divided by the weights that take part.
    normalize: bool,
    /// What the mix is multiplied by.
    lambda: f32,
    /// The sum of the weights.
    total: f32,
}

/// What becomes of a source's differences first.
struct Sparse {
    /// Its `weight`, rounded to the precision of the merge.
    weight: f32,
    /// Which of them stay.
    kept: Kept,
    /// By what they are multiplied then.
    ratio: f32,
}

/// The parameter `normalize`, whose default differs from method to method.
const fn normalize(default: bool) -> Parameter {
    Parameter::flag("normalize", default, "Whether the mix is divided by the sum of the weights that take part.")
}

/// The parameter `rescale`, whose default differs likewise.
const fn rescale(default: bool) -> Parameter {
    Parameter::flag("rescale", default, "Whether what stays is multiplied until its magnitudes sum to those of all.")
}

const LAMBDA: Parameter = Parameter::number("lambda", -LARGEST, LARGEST, "Factor of the mix.").with_default_number(1.0);
/// The largest whole number that a parameter holds exactly.
const SEED: Parameter = Parameter::integer("seed", 0, 1 << 53, "Seed of the draws.").with_default_integer(0);

// Of the merge, by method: what is drawn has a seed and is rescaled by default, what is elected is normalised.
const PLAIN_SHARED: &[Parameter] = &[LAMBDA, normalize(false), rescale(false), INT8_MASK];
const TIES_SHARED: &[Parameter] = &[LAMBDA, normalize(true), rescale(false), INT8_MASK];
const DRAWN_SHARED: &[Parameter] = &[LAMBDA, normalize(false), rescale(true), INT8_MASK, SEED];
const DELLA_SHARED: &[Parameter] = &[LAMBDA, normalize(true), rescale(true), INT8_MASK, SEED];

const DENSITY: Parameter =
    Parameter::number("density", -LARGEST, LARGEST, "Share of the differences that stays; 1 or more: all.")
        .with_default_number(1.0);
const GAMMA: Parameter =
    Parameter::number("gamma", -LARGEST, LARGEST, "Share of the very largest differences that goes.")
        .with_default_number(0.01);
const EPSILON: Parameter =
    Parameter::number("epsilon", -LARGEST, LARGEST, "How far the probability lies from the density at most.")
        .with_default_number(0.15);

// Of each source, by what the sparsifier needs.
const SOURCES: &[Parameter] = &[WEIGHT, DENSITY];
const SOURCES_BREADCRUMBS: &[Parameter] = &[WEIGHT, DENSITY, GAMMA];
const SOURCES_DELLA: &[Parameter] = &[WEIGHT, DENSITY, EPSILON];

impl MergeOp for Delta {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        self.spec
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        self.sparsifier.check(settings)
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let (settings, precision) = (&inputs.settings, inputs.precision);
        let rescale = settings.flag("rescale")?;
        let kept = self.sparsifier.kept(inputs)?.into_iter().enumerate();
        let sparse = |(weight, (source, kept)): (f64, (usize, Kept))| Sparse {
            weight: round_number(weight as f32, precision),
            ratio: if rescale && !matches!(kept, Kept::All) { kept.ratio(inputs, source) as f32 } else { 1.0 },
            kept,
        };
        let sources: Vec<Sparse> = settings.each("weight")?.into_iter().zip(kept).map(sparse).collect();
        Ok(Statistics {
            total: round_number(sources.iter().map(|source| source.weight).sum(), precision),
            sources,
            election: self.election,
            normalize: settings.flag("normalize")?,
            lambda: settings.number("lambda")? as f32,
        })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let kept = differences.into_iter().zip(&statistics.sources).map(|(difference, source)| {
            let mut kept = source.kept.apply(difference, piece.start);
            if source.ratio != 1.0 {
                kept = piece.round(kept.mul_scalar(source.ratio));
            }
            (kept, source.weight)
        });
        let mut mix = if statistics.election {
            let weighted = kept.map(|(kept, weight)| piece.round(kept.mul_scalar(weight)));
            elected(&piece, weighted.collect(), statistics)?
        } else {
            let mix = piece.weighted_sum(kept)?;
            let divide = statistics.normalize && statistics.total.abs() >= 1e-8;
            if divide { piece.round(mix.div_scalar(statistics.total)) } else { mix }
        };
        if statistics.lambda != 1.0 {
            mix = piece.round(mix.mul_scalar(statistics.lambda));
        }
        Ok(piece.round(mix.add(&base)))
    }
}

/// The mix of the differences whose sign is that of the sum of all; a sum of 0 counts as positive.
fn elected<N: Numbers>(piece: &Piece<'_, N>, weighted: Vec<N>, statistics: &Statistics) -> Result<N, Error> {
    let negative = piece.sum(weighted.iter().cloned())?.lower_elem(0.0);
    let (mut kept, mut shares) = (Vec::with_capacity(weighted.len()), Vec::with_capacity(weighted.len()));
    for (weighted, source) in weighted.into_iter().zip(&statistics.sources) {
        let against = against(&weighted, &negative);
        if statistics.normalize {
            shares.push(weighted.full_like(source.weight).mask_fill(&against, 0.0));
        }
        kept.push(weighted.mask_fill(&against, 0.0));
    }
    let mix = piece.sum(kept)?;
    if !statistics.normalize {
        return Ok(mix);
    }
    let total = piece.sum(shares)?;
    let none = total.equal_elem(0.0);
    Ok(piece.round(mix.div(&total.mask_fill(&none, 1.0))))
}
