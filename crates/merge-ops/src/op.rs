//! The seam for merge methods.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use layer_ir::Dtype;
use rayon::prelude::*;

use crate::{Error, Lanes, Numbers, Operand, Settings};

/// How several tensors of one role become one.
///
/// Laws: (1) equal tensors give that tensor, if weights are normalised and no scale is set; (2) cutting them into pieces changes
/// nothing; (3) shape in = shape out. [`Self::check`] comes first, then [`Self::know`] once for a tensor, then
/// [`Self::merge`] for its pieces in any order, on several threads. An error means that the tensor cannot be made.
///
/// The formula is written once, for any [`Numbers`]: an export runs it on the CPU, on runs that fit the innermost cache, so that a chain
/// of operations is one pass over memory; a search runs it on its device, on whole tensors.
/// ```
/// use layer_ir::Parameters;
/// use merge_ops::{Error, Inputs, MergeOp, Numbers, Operand, Piece, Registry, merge_on_cpu};
///
/// /// The elementwise largest.
/// struct Largest;
///
/// impl MergeOp for Largest {
///     type Known = ();
///
///     fn know(&self, _: &Inputs<'_>) -> Result<(), Error> {
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
/// registry.register("largest", Largest);
///
/// let parameters = Parameters::default();
/// let sources = vec![Operand::from_values("a", &[1.0, 5.0]), Operand::from_values("b", &[2.0, 3.0])];
/// let inputs = Inputs::of("largest", &parameters, None, sources);
/// assert_eq!(merge_on_cpu(registry.get("largest")?, &inputs, 1)?, [2.0, 5.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait MergeOp: Send + Sync {
    /// What is known before the first number is merged: parameters, and what depends on the whole tensors (norms, k-th values).
    type Known: Send + Sync;

    /// Whether the parameters, the base and the number of sources are right, for one tensor. Default: all are.
    ///
    /// # Errors
    /// What is wrong; [`Settings::expect`] says most of it.
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let _ = settings;
        Ok(())
    }

    /// What must be known first.
    ///
    /// # Errors
    /// The method's own.
    fn know(&self, inputs: &Inputs<'_>) -> Result<Self::Known, Error>;

    /// One flat piece: base and sources of one length, in f32; so has the result.
    ///
    /// # Errors
    /// The method's own.
    fn merge<N: Numbers>(&self, piece: Piece<'_, N>, known: &Self::Known) -> Result<N, Error>;
}

/// A method whose type is not known.
pub(crate) trait AnyOp: Send + Sync {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error>;
    fn know(self: Arc<Self>, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error>;
}

/// A method with what it knows of one merge.
pub(crate) trait AnyMerge: Send + Sync {
    fn lanes<'n>(&self, piece: Piece<'_, Lanes<'n>>) -> Result<Lanes<'n>, Error>;
    fn tensor(&self, piece: Piece<'_, Tensor<1>>) -> Result<Tensor<1>, Error>;
}

struct Known<O: MergeOp> {
    op: Arc<O>,
    known: O::Known,
}

impl<O: MergeOp + 'static> AnyOp for O {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        MergeOp::check(self, settings)
    }

    fn know(self: Arc<Self>, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error> {
        let known = MergeOp::know(self.as_ref(), inputs)?;
        Ok(Box::new(Known { op: self, known }))
    }
}

impl<O: MergeOp> AnyMerge for Known<O> {
    fn lanes<'n>(&self, piece: Piece<'_, Lanes<'n>>) -> Result<Lanes<'n>, Error> {
        self.op.merge(piece, &self.known)
    }

    fn tensor(&self, piece: Piece<'_, Tensor<1>>) -> Result<Tensor<1>, Error> {
        self.op.merge(piece, &self.known)
    }
}

/// The whole tensors of one merge, as they are stored.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The parameters.
    pub settings: Settings<'a>,
    /// The base, if there is one.
    pub base: Option<Operand>,
    /// The sources, in order.
    pub sources: Vec<Operand>,
    /// The format that every elementary operation rounds to; f32 unless the recipe says otherwise.
    pub precision: Dtype,
}

/// Pieces of the tensors of one merge, at the same place in each.
#[derive(Debug, Clone)]
pub struct Piece<'a, N> {
    /// The parameters.
    pub settings: &'a Settings<'a>,
    /// The base, if there is one.
    pub base: Option<N>,
    /// The sources, in order.
    pub sources: Vec<N>,
    /// Where in the whole tensor the piece begins.
    pub start: usize,
    /// The format that every elementary operation rounds to.
    pub precision: Dtype,
}

/// A block of the numbers of all tensors, on the CPU.
#[derive(Debug, Clone)]
pub struct Block {
    /// The base's; empty if there is none.
    pub base: Vec<f32>,
    /// The sources'.
    pub sources: Vec<Vec<f32>>,
}

/// Numbers of a block: small enough for the cache, fixed so that sums do not depend on the number of threads.
pub(crate) const BLOCK: usize = 1 << 16;

impl<'a> Inputs<'a> {
    /// The inputs of a merge whose sources have no parameters of their own, in f32.
    #[must_use]
    pub fn of(method: &'a str, shared: &'a layer_ir::Parameters, base: Option<Operand>, sources: Vec<Operand>) -> Self {
        let own = |source: &Operand| crate::SourceSettings { tensor: source.view().name.clone(), own: None };
        let tensor = sources.first().map_or_else(String::new, |source| source.view().name.clone());
        let settings =
            Settings { method, tensor, shared, sources: sources.iter().map(own).collect(), base: base.is_some() };
        Self { settings, base, sources, precision: Dtype::F32 }
    }

    /// How many numbers each tensor has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.sources.first().or(self.base.as_ref()).map_or(0, Operand::elements)
    }

    /// The shape of each tensor.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.sources.first().or(self.base.as_ref()).map_or(&[], Operand::shape)
    }

    /// The base, if there is one, then the sources.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.base.iter().chain(&self.sources)
    }

    /// Sums over all blocks, in f64 and in a fixed order.
    pub fn sums<const N: usize>(&self, of: impl Fn(&Block) -> [f64; N] + Sync) -> [f64; N] {
        let read = |range: Range<usize>| {
            let base = self.base.as_ref().map_or_else(Vec::new, |base| base.values(range.clone()));
            Block { base, sources: self.sources.iter().map(|source| source.values(range.clone())).collect() }
        };
        let blocks: Vec<[f64; N]> = blocks(self.elements()).map(|range| of(&read(range))).collect();
        blocks.into_iter().fold([0.0; N], |sum, block| std::array::from_fn(|i| sum[i] + block[i]))
    }

    /// Differences of a source to the base, as [`Piece::differences`] makes them.
    pub(crate) fn difference(&self, source: usize, range: Range<usize>) -> Vec<f32> {
        match &self.base {
            Some(base) => {
                let difference = self.sources[source].lanes(range.clone()).sub(&base.lanes(range));
                difference.round(self.precision).into()
            }
            None => self.sources[source].lanes(range).into(),
        }
    }
}

/// The blocks of a tensor, in order, in parallel.
pub(crate) fn blocks(elements: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    spans(elements, BLOCK)
}

/// Runs of so many numbers of a tensor, in order, in parallel.
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
    /// [`Error::MissingBase`].
    pub fn base(&self) -> Result<N, Error> {
        self.base.clone().ok_or_else(|| self.settings.no_base())
    }

    /// The first source, which is no longer among the sources then.
    ///
    /// # Errors
    /// [`Error::SourceCount`].
    pub fn first(&mut self) -> Result<N, Error> {
        if self.sources.is_empty() {
            return Err(self.settings.no_sources());
        }
        Ok(self.sources.remove(0))
    }

    /// The base and the sources' differences to it.
    ///
    /// # Errors
    /// [`Error::MissingBase`].
    pub fn differences(&mut self) -> Result<(N, Vec<N>), Error> {
        let base = self.base()?;
        let sources = std::mem::take(&mut self.sources);
        let differences = sources.into_iter().map(|source| self.round(source.sub(&base))).collect();
        Ok((base, differences))
    }

    /// The sum in order, in f32, rounded once.
    ///
    /// # Errors
    /// [`Error::SourceCount`] where there is nothing.
    pub fn sum(&self, all: impl IntoIterator<Item = N>) -> Result<N, Error> {
        let sum = all.into_iter().reduce(|sum, next| sum.add(&next)).ok_or_else(|| self.settings.no_sources())?;
        Ok(self.round(sum))
    }

    /// The sum in order of numbers times their weights: products rounded, the sum in f32 and rounded once.
    ///
    /// # Errors
    /// [`Error::SourceCount`] where there is nothing.
    pub fn weighted_sum(&self, all: impl IntoIterator<Item = (N, f32)>) -> Result<N, Error> {
        let mut all = all.into_iter();
        let (first, weight) = all.next().ok_or_else(|| self.settings.no_sources())?;
        let first = self.round(first.mul_scalar(weight));
        let add = |sum: N, (next, weight): (N, f32)| sum.add_rounded_product(&next, weight, self.precision);
        Ok(self.round(all.fold(first, add)))
    }
}
