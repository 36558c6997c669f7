//! The seam for merge methods: the trait that a method implements, and what it gets to read.
//!
//! [`Inputs`] are whole tensors, as they lie in their checkpoints; a [`Piece`] is the same part of each of them, in
//! f32. [`build`](crate::build) calls a method through [`AnyOp`] and [`AnyMerge`], which know nothing of its types.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use layer_ir::{Dtype, MergeSettings, MethodError, MethodSpec, Parameters, SourceSettings};
use rayon::prelude::*;

use crate::{Error, Lanes, Method, Numbers, Operand};

/// How several tensors of one role become one.
///
/// A method says what it is in its description ([`Self::spec`]): its name, whether it has a base, how many sources,
/// which parameters with which ranges and defaults, when it changes nothing, whether it draws random numbers. Recipes
/// are checked, brought into canonical form, keyed and exchanged with mergekit by that, so that a method of your own is
/// equal to ours.
///
/// Laws: (1) equal tensors give that tensor, if weights are normalised and no scale is set; (2) cutting them into
/// pieces changes nothing; (3) shape in = shape out. [`Self::check`] comes first, then [`Self::prepare`] once for a
/// tensor, then [`Self::merge`] for its pieces in any order, on several threads. An error means that the tensor cannot
/// be made.
///
/// The formula is written once, for any [`Numbers`]: an export runs it on the CPU, on runs that fit the innermost
/// cache, so that a chain of operations is one pass over memory; a search runs it on its device, on whole tensors.
/// ```
/// use layer_ir::{MethodSpec, Parameters};
/// use merge_ops::{Error, Inputs, MergeOp, Numbers, Operand, Piece, Registry, merge_on_cpu};
///
/// /// The elementwise largest.
/// struct Largest;
///
/// impl MergeOp for Largest {
///     type Statistics = ();
///
///     fn spec(&self) -> MethodSpec {
///         MethodSpec::new("largest", "The elementwise largest.")
///     }
///
///     fn prepare(&self, _: &Inputs<'_>) -> Result<(), Error> {
///         Ok(())
///     }
///
///     fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, (): &()) -> Result<N, Error> {
///         let largest = piece.first()?;
///         Ok(piece.sources.iter().fold(largest, |largest, next| {
///             let lower = largest.clone().sub(next).lower_elem(0.0);
///             largest.mask_where(&lower, next)
///         }))
///     }
/// }
///
/// let mut registry = Registry::standard();
/// registry.register(Largest)?;
///
/// let parameters = Parameters::default();
/// let sources = vec![Operand::from_values("a", &[1.0, 5.0]), Operand::from_values("b", &[2.0, 3.0])];
/// let largest = registry.get("largest")?;
/// assert_eq!(merge_on_cpu(largest, &Inputs::of(largest, &parameters, None, sources), 1)?, [2.0, 5.0]);
/// # Ok::<(), Error>(())
/// ```
/// What methods like TIES or DARE are made of stands in [`tools`](crate::tools).
pub trait MergeOp: Send + Sync {
    /// What is found out before the first number is merged: parameters, and what depends on the whole tensors (norms,
    /// k-th values).
    type Statistics: Send + Sync;

    /// What the method is. It must be the same at every call.
    fn spec(&self) -> MethodSpec;

    /// Checks for one tensor what the description cannot say, such as two parameters that exclude each other. The
    /// description has been checked before. Default: nothing more.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        let _ = settings;
        Ok(())
    }

    /// Reads the parameters, and of the whole tensors what the formula needs.
    ///
    /// # Errors
    /// The method's own.
    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Self::Statistics, Error>;

    /// Merges one flat piece: base and sources are of one length `[n]`, in f32; so is the result.
    ///
    /// # Errors
    /// The method's own.
    fn merge<N: Numbers>(&self, piece: Piece<'_, N>, statistics: &Self::Statistics) -> Result<N, Error>;
}

/// A method whose type is not known: what a [`Method`] holds of a [`MergeOp`], which is no object itself, since its
/// formula is generic.
pub(crate) trait AnyOp: Send + Sync {
    /// As [`MergeOp::check`].
    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError>;
    /// As [`MergeOp::prepare`]; the statistics stay with the method.
    fn prepare(self: Arc<Self>, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error>;
}

/// A method with the statistics of one merge: [`MergeOp::merge`] for the two kinds of numbers that there are.
pub(crate) trait AnyMerge: Send + Sync {
    /// A short run, on the CPU.
    fn lanes<'n>(&self, piece: Piece<'_, Lanes<'n>>) -> Result<Lanes<'n>, Error>;
    /// A piece or all of it, on a device.
    fn tensor(&self, piece: Piece<'_, Tensor<1>>) -> Result<Tensor<1>, Error>;
}

/// What stands behind an [`AnyMerge`].
struct PreparedMerge<O: MergeOp> {
    op: Arc<O>,
    statistics: O::Statistics,
}

impl<O: MergeOp + 'static> AnyOp for O {
    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        MergeOp::check(self, settings)
    }

    fn prepare(self: Arc<Self>, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error> {
        let statistics = MergeOp::prepare(self.as_ref(), inputs)?;
        Ok(Box::new(PreparedMerge { op: self, statistics }))
    }
}

impl<O: MergeOp> AnyMerge for PreparedMerge<O> {
    fn lanes<'n>(&self, piece: Piece<'_, Lanes<'n>>) -> Result<Lanes<'n>, Error> {
        self.op.merge(piece, &self.statistics)
    }

    fn tensor(&self, piece: Piece<'_, Tensor<1>>) -> Result<Tensor<1>, Error> {
        self.op.merge(piece, &self.statistics)
    }
}

/// The whole tensors of one merge, as they are stored. All have one shape, which is checked before a method sees them.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The parameters.
    pub settings: MergeSettings<'a>,
    /// The base, if there is one.
    pub base: Option<Operand>,
    /// The sources, in order.
    pub sources: Vec<Operand>,
    /// The format that every elementary operation rounds to; f32 unless the recipe says otherwise.
    pub precision: Dtype,
}

/// Pieces of the tensors of one merge, at the same place in each and of one length.
#[derive(Debug, Clone)]
pub struct Piece<'a, N> {
    /// The parameters.
    pub settings: &'a MergeSettings<'a>,
    /// The base, if there is one.
    pub base: Option<N>,
    /// The sources, in order.
    pub sources: Vec<N>,
    /// Where in the whole tensor the piece begins.
    pub start: usize,
    /// The format that every elementary operation rounds to.
    pub precision: Dtype,
}

/// A block of the numbers of all tensors, on the CPU: at most [`BLOCK`] of each, rounded to the merge's precision.
#[derive(Debug, Clone)]
pub struct Block {
    /// The base's; empty if there is none.
    pub base: Vec<f32>,
    /// The sources'.
    pub sources: Vec<Vec<f32>>,
}

/// How many numbers a block has: few enough for the cache, and always as many, so that sums do not depend on the number
/// of threads.
pub const BLOCK: usize = 1 << 16;

impl<'a> Inputs<'a> {
    /// The inputs of a merge whose sources have no parameters of their own, in f32: for trying a method, as the example
    /// of [`MergeOp`] does.
    #[must_use]
    pub fn of(method: &Method, shared: &'a Parameters, base: Option<Operand>, sources: Vec<Operand>) -> Self {
        let own = |source: &Operand| SourceSettings { tensor: source.view().name.clone(), own: None };
        let tensor = sources.first().map_or_else(String::new, |source| source.view().name.clone());
        let of_sources = sources.iter().map(own).collect();
        let settings =
            MergeSettings { method: *method.spec(), tensor, shared, sources: of_sources, base: base.is_some() };
        Self { settings, base, sources, precision: Dtype::F32 }
    }

    /// How many numbers each tensor has; 0 without a tensor.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.sources.first().or(self.base.as_ref()).map_or(0, Operand::elements)
    }

    /// The shape of each tensor, `[out, in]` for a matrix; empty without a tensor.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.sources.first().or(self.base.as_ref()).map_or(&[], Operand::shape)
    }

    /// The base, if there is one, then the sources.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.base.iter().chain(&self.sources)
    }

    /// Sums over all blocks, in f64 and in a fixed order. `of` gives the terms of one block. Reads each tensor once.
    ///
    /// ```
    /// use layer_ir::Parameters;
    /// use merge_ops::{Inputs, Operand, Registry};
    ///
    /// let sources = vec![Operand::from_values("w", &[3.0, -4.0])];
    /// let (registry, none) = (Registry::standard(), Parameters::default());
    /// let inputs = Inputs::of(registry.get("linear")?, &none, None, sources);
    /// let squares = |numbers: &[f32]| numbers.iter().map(|number| f64::from(number * number)).sum::<f64>();
    /// assert_eq!(inputs.sums(|block| [squares(&block.sources[0])]), [25.0]);
    /// # Ok::<(), layer_ir::MethodError>(())
    /// ```
    pub fn sums<const N: usize>(&self, of: impl Fn(&Block) -> [f64; N] + Sync) -> [f64; N] {
        let read = |range: Range<usize>| {
            let base = self.base.as_ref().map_or_else(Vec::new, |base| base.values(range.clone()));
            Block { base, sources: self.sources.iter().map(|source| source.values(range.clone())).collect() }
        };
        let blocks: Vec<[f64; N]> = blocks(self.elements()).map(|range| of(&read(range))).collect();
        blocks.into_iter().fold([0.0; N], |sum, block| std::array::from_fn(|i| sum[i] + block[i]))
    }

    /// Some of the differences of a source to the base, as [`Piece::differences`] makes them; of its numbers where
    /// there is no base.
    ///
    /// # Panics
    /// If there is no such source.
    #[must_use]
    pub fn difference(&self, source: usize, range: Range<usize>) -> Vec<f32> {
        match &self.base {
            Some(base) => {
                let difference = self.sources[source].lanes(range.clone()).sub(&base.lanes(range));
                difference.round(self.precision).into()
            }
            None => self.sources[source].lanes(range).into(),
        }
    }
}

/// The ranges of the blocks of a tensor of so many elements, in order, as a parallel iterator of rayon.
pub fn blocks(elements: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    spans(elements, BLOCK)
}

/// Ranges of `length` numbers of a tensor, in order, in parallel.
pub(crate) fn spans(elements: usize, length: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    (0..elements.div_ceil(length)).into_par_iter().map(move |span| {
        let start = span * length;
        start..elements.min(start + length)
    })
}

impl<N: Numbers> Piece<'_, N> {
    /// Rounds to the format in which the merge computes; to be called after every operation that is one there.
    #[must_use]
    pub fn round(&self, numbers: N) -> N {
        numbers.round(self.precision)
    }

    /// The base.
    ///
    /// # Errors
    /// [`MethodError::MissingBase`].
    pub fn base(&self) -> Result<N, Error> {
        self.base.clone().ok_or_else(|| self.settings.missing_base().into())
    }

    /// The first source, which is no longer among the sources then.
    ///
    /// # Errors
    /// [`MethodError::SourceCount`].
    pub fn first(&mut self) -> Result<N, Error> {
        if self.sources.is_empty() {
            return Err(self.settings.source_count().into());
        }
        Ok(self.sources.remove(0))
    }

    /// The base and the sources' differences to it.
    ///
    /// # Errors
    /// [`MethodError::MissingBase`].
    pub fn differences(&mut self) -> Result<(N, Vec<N>), Error> {
        let base = self.base()?;
        let sources = std::mem::take(&mut self.sources);
        let differences = sources.into_iter().map(|source| self.round(source.sub(&base))).collect();
        Ok((base, differences))
    }

    /// The sum in order, in f32, rounded once.
    ///
    /// # Errors
    /// [`MethodError::SourceCount`] where there is nothing.
    pub fn sum(&self, all: impl IntoIterator<Item = N>) -> Result<N, Error> {
        let sum = all.into_iter().reduce(|sum, next| sum.add(&next)).ok_or_else(|| self.settings.source_count())?;
        Ok(self.round(sum))
    }

    /// The sum in order of numbers times their weights: products rounded, the sum in f32 and rounded once.
    ///
    /// # Errors
    /// [`MethodError::SourceCount`] where there is nothing.
    pub fn weighted_sum(&self, all: impl IntoIterator<Item = (N, f32)>) -> Result<N, Error> {
        let mut all = all.into_iter();
        let (first, weight) = all.next().ok_or_else(|| self.settings.source_count())?;
        let first = self.round(first.mul_scalar(weight));
        let add = |sum: N, (next, weight): (N, f32)| sum.add_rounded_product(&next, weight, self.precision);
        Ok(self.round(all.fold(first, add)))
    }
}
