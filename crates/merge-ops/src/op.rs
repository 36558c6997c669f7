//! The seam for merge methods.

use std::ops::Range;

use burn::tensor::Tensor;
use layer_ir::Dtype;
use rayon::prelude::*;

use crate::{Cut, Error, Operand, Settings, precision, round};

/// How several tensors of one role become one.
///
/// Laws: (1) equal tensors give that tensor, if weights are normalised and no scale is set; (2) cutting them into pieces changes
/// nothing; (3) shape in = shape out. [`Self::check`] comes first, then [`Self::statistics`] once for a tensor, then
/// [`Self::merge`] for its pieces in any order, on several threads. An error means that the tensor cannot be made.
/// ```
/// use burn::tensor::{Device, Tensor};
/// use layer_ir::Parameters;
/// use merge_ops::{Error, Inputs, MergeOp, Operand, Piece, Registry, Statistics, merge_in_pieces};
///
/// /// The elementwise largest.
/// struct Largest;
///
/// impl MergeOp for Largest {
///     fn merge(&self, piece: Piece<'_>, _: &Statistics) -> Result<Tensor<1>, Error> {
///         let largest = piece.sources.into_iter().reduce(Tensor::max_pair);
///         largest.ok_or(Error::SourceCount { method: "largest".into(), found: 0, expected: "at least 1 source".into() })
///     }
/// }
///
/// let mut registry = Registry::standard();
/// registry.register("largest", std::sync::Arc::new(Largest));
///
/// let parameters = Parameters::default();
/// let sources = vec![Operand::from_values("a", &[1.0, 5.0]), Operand::from_values("b", &[2.0, 3.0])];
/// let inputs = Inputs::of("largest", &parameters, None, sources);
/// let merged = merge_in_pieces(registry.get("largest")?.as_ref(), &inputs, 1, &Device::flex())?;
/// assert_eq!(merged.try_into_vec_as::<f32>().unwrap(), [2.0, 5.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait MergeOp: Send + Sync {
    /// Whether the parameters, the base and the number of sources are right, for one tensor. Default: all are.
    ///
    /// # Errors
    /// What is wrong; [`Settings::expect`] says most of it.
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let _ = settings;
        Ok(())
    }

    /// What must be known of the whole tensors first (norms, k-th values). Default: nothing.
    ///
    /// # Errors
    /// The method's own.
    fn statistics(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let _ = inputs;
        Ok(Statistics::none())
    }

    /// One flat piece: base and sources of one length `[n]`, in f32; so has the result.
    ///
    /// # Errors
    /// The method's own.
    fn merge(&self, piece: Piece<'_>, known: &Statistics) -> Result<Tensor<1>, Error>;
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
pub struct Piece<'a> {
    /// The parameters.
    pub settings: &'a Settings<'a>,
    /// The base, if there is one.
    pub base: Option<Tensor<1>>,
    /// The sources, in order.
    pub sources: Vec<Tensor<1>>,
    /// Where in the whole tensor the piece begins.
    pub start: usize,
    /// The format that every elementary operation rounds to.
    pub precision: Dtype,
}

/// What a method knows of the whole tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Numbers of the method's own.
    pub numbers: Vec<f64>,
    /// For each source which of its differences to the base stay; `None`: all.
    pub cuts: Vec<Option<Cut>>,
}

impl Statistics {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Numbers alone.
    #[must_use]
    pub fn numbers(numbers: impl Into<Vec<f64>>) -> Self {
        Self { numbers: numbers.into(), cuts: Vec::new() }
    }
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
const BLOCK: usize = 1 << 16;

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
        let mut values = self.sources[source].values(range.clone());
        if let Some(base) = &self.base {
            values.iter_mut().zip(base.values(range)).for_each(|(value, base)| *value -= base);
        }
        precision::round_all(&mut values, self.precision);
        values
    }
}

/// The blocks of a tensor, in order, in parallel.
pub(crate) fn blocks(elements: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    (0..elements.div_ceil(BLOCK)).into_par_iter().map(move |block| {
        let start = block * BLOCK;
        start..elements.min(start + BLOCK)
    })
}

impl Piece<'_> {
    /// Rounds to the format in which the merge computes; to be called after every operation that is one there.
    #[must_use]
    pub fn round(&self, tensor: Tensor<1>) -> Tensor<1> {
        round(tensor, self.precision)
    }

    /// The base.
    ///
    /// # Errors
    /// [`Error::MissingBase`].
    pub fn base(&self) -> Result<Tensor<1>, Error> {
        self.base.clone().ok_or_else(|| self.settings.no_base())
    }

    /// The base and the sources' differences to it.
    ///
    /// # Errors
    /// [`Error::MissingBase`].
    pub fn differences(&mut self) -> Result<(Tensor<1>, Vec<Tensor<1>>), Error> {
        let base = self.base()?;
        let sources = std::mem::take(&mut self.sources);
        let differences = sources.into_iter().map(|source| self.round(source - base.clone())).collect();
        Ok((base, differences))
    }
}
