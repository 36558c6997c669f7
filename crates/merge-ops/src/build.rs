//! One tensor of a recipe, from the checkpoints: its operands are opened, its method is prepared, its numbers are made.
//!
//! A search makes whole tensors on its device ([`RecipeTensors`]), an export makes pieces on the CPU
//! ([`Prepared::encode`]). On the CPU threads share a tensor by blocks, which are read at once, and merge a block in
//! runs that fit the caches.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use layer_ir::{
    BaseRef, Dtype, Expr, Family, LayerRef, MergeSettings, ModelRef, OuterRows, OuterTensor, Place, TensorView,
    ValidRecipe,
};
use rayon::prelude::*;

use crate::block_reader::{BlockReader, Scratch};
use crate::lanes::LANES;
use crate::op::{AnyMerge, BLOCK};
use crate::precision::burn_dtype;
use crate::{Error, Inputs, Lanes, Method, Numbers, Operand, Piece, Registry};

/// What the tensors of a recipe are made of: the opened models, the recipe, and the methods.
///
/// ```no_run
/// use burn::tensor::Device;
/// use layer_ir::{Dtype, Recipe};
/// use merge_ops::{RecipeTensors, Registry};
///
/// let recipe = Recipe::read("tailored.yaml")?;
/// let family = recipe.open_family()?;
/// let registry = Registry::standard();
/// let recipe = recipe.validate(&family, &registry)?;
/// let tensors = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
/// let weight = tensors.layer(0, "mlp.up_proj.weight", &Device::flex(), Dtype::F32)?; // [rows * columns]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RecipeTensors<'a> {
    /// The opened models.
    pub family: &'a Family,
    /// The recipe.
    pub recipe: &'a ValidRecipe,
    /// The methods that the recipe was validated with.
    pub registry: &'a Registry,
}

impl<'a> RecipeTensors<'a> {
    /// One whole tensor of an output layer, from 0, flat, on `device`; the layer's bridge is in it, output scales are
    /// not. `suffix` is its name without the layer's, as in `mlp.up_proj.weight`.
    ///
    /// It is in f32, but in `as_stored` if it is taken as it is from a checkpoint that stores it so: then, and if it is
    /// f32, it is the mapped file itself where that is aligned.
    ///
    /// # Errors
    /// The layer or the tensor is not there, or it cannot be merged; the place is named.
    pub fn layer(&self, output: usize, suffix: &str, device: &Device, as_stored: Dtype) -> Result<Tensor<1>, Error> {
        let tensor = self.prepare_layer(output, suffix)?;
        if let Some(operand) = tensor.as_it_is()
            && operand.view().dtype == as_stored
            && let Some(stored) = operand.stored(device)
        {
            return Ok(stored);
        }
        tensor.whole(device).map_err(|error| error.at(Place::Layer(output)))
    }

    /// One whole [`OuterTensor`], flat, in f32, on `device`; `None` for the head of tied embeddings.
    ///
    /// # Errors
    /// As [`Self::layer`].
    pub fn outer_tensor(&self, outer: OuterTensor, device: &Device) -> Result<Option<Tensor<1>>, Error> {
        let tensor = self.prepare_outer(outer)?;
        tensor.map(|tensor| tensor.whole(device).map_err(|error| error.at(Place::Outer(outer)))).transpose()
    }

    /// A tensor of an output layer, ready to be computed: its operands are opened, its method has its statistics.
    pub(crate) fn prepare_layer(&self, output: usize, suffix: &str) -> Result<Prepared<'a>, Error> {
        let Self { family, recipe, .. } = *self;
        let layers = recipe.layers.len();
        let layer = recipe.layers.get(output).ok_or(Error::NoSuchLayer { layer: output, layers })?;
        let tensor = |model: &str, layer: usize, precision| {
            let model = family.get(model)?;
            Ok(Operand::new(model.tensor(&model.layer_tensor_name(layer, suffix))?, precision))
        };
        let base = |base: &BaseRef, precision| tensor(&base.model, base.layer.unwrap_or(output), precision);
        let name = family.base().layer_tensor_name(output, suffix);
        let source = |of: &LayerRef, precision| tensor(&of.model, of.layer, precision);
        let made = self.prepare(&layer.from, name, source, base).map_err(|error| error.at(Place::Layer(output)))?;
        let delta = recipe.bridge(output).and_then(|bridge| bridge.delta(suffix));
        Ok(Prepared { delta: delta.map(|delta| Operand::new(delta, Dtype::F32)), ..made.into() })
    }

    /// An outer tensor, ready to be computed; `None` for the head of tied embeddings.
    pub(crate) fn prepare_outer(&self, outer: OuterTensor) -> Result<Option<Prepared<'a>>, Error> {
        let Some(name) = self.family.base().outer_name(outer) else { return Ok(None) };
        let build = || {
            let tensors = OuterSources::new(self.family, self.recipe, outer)?;
            let base = |base: &BaseRef, precision| tensors.operand(&base.model, precision);
            let source = |of: &ModelRef, precision| tensors.operand(&of.model, precision);
            self.prepare(self.recipe.outer.get(outer), name.to_owned(), source, base)
        };
        build().map(|made| Some(made.into())).map_err(|error: Error| error.at(Place::Outer(outer)))
    }

    /// The output tensor `name` of an expression. `tensor` and `base` open the operands, in the format that is asked
    /// for.
    fn prepare<S>(
        &self,
        expr: &'a Expr<S>,
        name: String,
        tensor: impl Fn(&S, Dtype) -> Result<Operand, Error>,
        base: impl Fn(&BaseRef, Dtype) -> Result<Operand, Error>,
    ) -> Result<TakenOrMerged<'a>, Error> {
        let merge = match expr {
            // Only merges compute, and only what computes is rounded.
            Expr::Take(of) => return Ok(TakenOrMerged::Take(tensor(of, Dtype::F32)?)),
            Expr::Merge(merge) => merge,
        };
        let precision = self.recipe.compute.unwrap_or(Dtype::F32);
        let method = self.registry.get(&merge.method)?;
        let sources: Vec<Operand> =
            merge.sources.iter().map(|source| tensor(&source.of, precision)).collect::<Result<_, _>>()?;
        let names = sources.iter().map(|source| source.view().name.clone());
        let settings = MergeSettings::of(*method.spec(), merge, name, names);
        let base = merge.base.as_ref().map(|of| base(of, precision)).transpose()?;
        let inputs = Inputs { settings, base, sources, precision };
        Ok(TakenOrMerged::Merge { merge: prepare(method, &inputs)?, inputs })
    }
}

/// Merges whole tensors on the CPU, in runs of so many numbers: their length changes the speed and nothing else. The
/// example of [`MergeOp`](crate::MergeOp) tries a method by it.
///
/// # Errors
/// The method's own; [`Error::WrongLength`] if it breaks the law of shapes.
pub fn merge_on_cpu(method: &Method, inputs: &Inputs<'_>, run: usize) -> Result<Vec<f32>, Error> {
    let merge = prepare(method, inputs)?;
    let mut merged = vec![0.0; inputs.elements()];
    merge_all(merge.as_ref(), inputs, run.max(1), &mut merged)?;
    Ok(merged)
}

/// Merges whole tensors on a device, in pieces of so many numbers: their length changes how much memory the device
/// needs.
///
/// # Errors
/// As [`merge_on_cpu`].
pub fn merge_on_device(
    method: &Method,
    inputs: &Inputs<'_>,
    piece: usize,
    device: &Device,
) -> Result<Tensor<1>, Error> {
    let merge = prepare(method, inputs)?;
    let (n, piece) = (inputs.elements(), piece.max(1));
    let pieces = (0..n).step_by(piece).map(|start| tensor(merge.as_ref(), inputs, start..n.min(start + piece), device));
    let mut pieces = pieces.collect::<Result<Vec<_>, _>>()?;
    match pieces.len() {
        0 => Ok(Tensor::empty([0], (device, DType::F32))),
        1 => Ok(pieces.remove(0)),
        _ => Ok(Tensor::cat(pieces, 0)),
    }
}

/// Checks the inputs of a merge and finds out what its method must know of them.
fn prepare(method: &Method, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error> {
    method.check(inputs)?;
    check_lengths(inputs)?;
    method.prepare(inputs)
}

/// Makes all numbers of a merge, on all threads.
fn merge_all(merge: &dyn AnyMerge, inputs: &Inputs<'_>, run: usize, merged: &mut [f32]) -> Result<(), Error> {
    merged.par_chunks_mut(BLOCK).enumerate().try_for_each_init(Scratch::new, |scratch, (index, block)| {
        let start = index * BLOCK;
        let reader = BlockReader::read(inputs.operands(), start..start + block.len(), scratch)?;
        block.chunks_mut(run).enumerate().try_for_each(|(within, out)| {
            let start = start + within * run;
            lanes(merge, inputs, &reader, start..start + out.len())?.copy_to(out);
            Ok(())
        })
    })
}

/// A short run, on the CPU.
fn lanes<'n>(
    merge: &dyn AnyMerge,
    inputs: &Inputs<'_>,
    block: &'n BlockReader<'_>,
    range: Range<usize>,
) -> Result<Lanes<'n>, Error> {
    let (start, expected) = (range.start, range.len());
    let mut read = block.lanes(range);
    let merged = merge.lanes(Piece {
        settings: &inputs.settings,
        base: inputs.base.as_ref().and_then(|_| read.next()),
        sources: read.take(inputs.sources.len()).collect(),
        start,
        precision: inputs.precision,
    })?;
    same_length(inputs, merged.length(), expected).map(|()| merged)
}

/// A piece, on a device.
fn tensor(merge: &dyn AnyMerge, inputs: &Inputs<'_>, range: Range<usize>, device: &Device) -> Result<Tensor<1>, Error> {
    let (start, expected) = (range.start, range.len());
    let merged = merge.tensor(Piece {
        settings: &inputs.settings,
        base: inputs.base.as_ref().map(|base| base.tensor(range.clone(), device)),
        sources: inputs.sources.iter().map(|source| source.tensor(range.clone(), device)).collect(),
        start,
        precision: inputs.precision,
    })?;
    same_length(inputs, merged.length(), expected).map(|()| merged)
}

/// Holds a method to the law of shapes.
fn same_length(inputs: &Inputs<'_>, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let (method, tensor) = (inputs.settings.method.name.to_owned(), inputs.settings.tensor.clone());
    Err(Error::WrongLength { method, tensor, found, expected })
}

/// Whether all tensors of a merge have one shape.
fn check_lengths(inputs: &Inputs<'_>) -> Result<(), Error> {
    let mut all = inputs.base.iter().chain(&inputs.sources);
    let Some(first) = all.next() else { return Ok(()) };
    match all.find(|other| other.shape() != first.shape()) {
        None => Ok(()),
        Some(other) => Err(Error::ShapeMismatch {
            file: other.view().file.clone(),
            tensor: other.view().name.clone(),
            found: other.shape().to_vec(),
            expected: first.shape().to_vec(),
        }),
    }
}

/// The stored tensors that an outer tensor is made of, in the rows of their shared vocabulary if they have one.
struct OuterSources {
    /// The names of the models, in the order of the expression.
    models: Vec<String>,
    /// Their stored tensors, in that order.
    views: Arc<Vec<TensorView>>,
    /// `None` where all models have their rows in one order.
    rows: Option<Arc<OuterRows>>,
}

impl OuterSources {
    /// Opens the tensors of all models of the expression.
    fn new(family: &Family, recipe: &ValidRecipe, outer: OuterTensor) -> Result<Self, Error> {
        let view = |name: &String| {
            let model = family.get(name)?;
            let missing = || layer_ir::Error::MissingOuterTensor { folder: model.dir().to_owned(), tensor: outer };
            Ok(model.tensor(model.outer_name(outer).ok_or_else(missing)?)?)
        };
        let models: Vec<String> = recipe.outer.get(outer).models().map(str::to_owned).collect();
        let views = Arc::new(models.iter().map(view).collect::<Result<Vec<_>, Error>>()?);
        Ok(Self { models, views, rows: recipe.outer_rows(outer).cloned() })
    }

    /// The tensor of one of the models.
    fn operand(&self, model: &str, precision: Dtype) -> Result<Operand, Error> {
        // All models of the expression are in the list.
        let own = self.models.iter().position(|known| known == model).unwrap_or_default();
        match &self.rows {
            None => Ok(Operand::new(self.views[own].clone(), precision)),
            Some(rows) => Operand::aligned(rows, &self.views, own, precision),
        }
    }
}

/// A tensor of a recipe of which everything is known but its numbers.
pub(crate) struct Prepared<'a> {
    made: TakenOrMerged<'a>,
    /// What a bridge adds to it, in f32.
    delta: Option<Operand>,
}

/// How a tensor is made.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub(crate) enum TakenOrMerged<'a> {
    /// Taken as it is.
    Take(Operand),
    /// Merged, by a method that has what it must know of the whole tensors.
    Merge { merge: Box<dyn AnyMerge>, inputs: Inputs<'a> },
}

/// Without a bridge.
impl<'a> From<TakenOrMerged<'a>> for Prepared<'a> {
    fn from(made: TakenOrMerged<'a>) -> Self {
        Self { made, delta: None }
    }
}

impl Prepared<'_> {
    /// The stored tensor that it is, if nothing is to be computed.
    fn as_it_is(&self) -> Option<&Operand> {
        match self {
            Self { made: TakenOrMerged::Take(operand), delta: None } => Some(operand),
            _ => None,
        }
    }

    /// Some of its numbers divided by a divisor, as they are stored in a format, into as many bytes as that needs.
    pub fn encode(
        &self,
        range: Range<usize>,
        divisor: f64,
        dtype: Dtype,
        bytes: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        if let Some(operand) = self.as_it_is()
            && operand.view().dtype == dtype
            && divisor == 1.0
            && operand.read_raw(range.clone(), bytes)?
        {
            return Ok(());
        }
        for (start, bytes) in range.clone().step_by(BLOCK).zip(bytes.chunks_mut(BLOCK * dtype.size_in_bytes())) {
            self.encode_block(start..range.end.min(start + BLOCK), divisor, dtype, bytes, scratch)?;
        }
        Ok(())
    }

    /// [`Self::encode`] for a range that lies within one block.
    fn encode_block(
        &self,
        block: Range<usize>,
        divisor: f64,
        dtype: Dtype,
        bytes: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let reader = BlockReader::read(self.made.operands().chain(&self.delta), block.clone(), scratch)?;
        for (start, bytes) in block.clone().step_by(LANES).zip(bytes.chunks_mut(LANES * dtype.size_in_bytes())) {
            let run = start..block.end.min(start + LANES);
            let mut numbers = match &self.made {
                TakenOrMerged::Take(operand) => {
                    reader.lanes(run.clone()).next().unwrap_or_else(|| operand.lanes(run.clone()))
                }
                TakenOrMerged::Merge { merge, inputs } => lanes(merge.as_ref(), inputs, &reader, run.clone())?,
            };
            if let Some(delta) = self.delta.as_ref().and_then(|_| reader.last(run)) {
                numbers = numbers.add(&delta);
            }
            if divisor != 1.0 {
                numbers = numbers.divided(divisor);
            }
            numbers.encode(dtype, bytes);
        }
        Ok(())
    }

    /// All of its numbers on a device, in f32.
    fn whole(&self, device: &Device) -> Result<Tensor<1>, Error> {
        let made = self.made.whole(device)?;
        Ok(match &self.delta {
            Some(delta) => made + delta.tensor(0..delta.elements(), device),
            None => made,
        })
    }
}

impl TakenOrMerged<'_> {
    /// The stored tensors that it is made of, as they stand in [`Inputs::operands`].
    fn operands(&self) -> impl Iterator<Item = &Operand> {
        let (taken, merged) = match self {
            Self::Take(operand) => (Some(operand), None),
            Self::Merge { inputs, .. } => (None, Some(inputs)),
        };
        taken.into_iter().chain(merged.into_iter().flat_map(Inputs::operands))
    }

    /// All of its numbers on a device, in f32.
    fn whole(&self, device: &Device) -> Result<Tensor<1>, Error> {
        let (merge, inputs) = match self {
            Self::Take(operand) => return Ok(operand.tensor(0..operand.elements(), device)),
            Self::Merge { merge, inputs } => (merge.as_ref(), inputs),
        };
        let n = inputs.elements();
        // What a device cannot round to is merged on the CPU.
        if *device != Device::flex() && device.supports_dtype(burn_dtype(inputs.precision)) {
            return tensor(merge, inputs, 0..n, device);
        }
        let mut merged = vec![0.0; n];
        merge_all(merge, inputs, LANES, &mut merged)?;
        Ok(Tensor::from_data(TensorData::new(merged, [n]), (device, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many numbers, all different from their neighbours.
    fn operand(name: &str, n: usize, step: f32) -> Operand {
        Operand::from_values(name, &(0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>())
    }

    /// A piece may begin and end anywhere: in a run, in a block, beyond several.
    #[test]
    fn a_delta_lies_where_its_tensor_does_in_any_piece() -> Result<(), Error> {
        let n = 2 * BLOCK + 3 * LANES + 5;
        let (weight, delta) = (operand("w", n, 0.7), operand("delta", n, 0.3));
        let sums: Vec<f32> = weight.values(0..n).iter().zip(delta.values(0..n)).map(|(w, d)| w + d).collect();
        let bridged = Prepared { delta: Some(delta), ..TakenOrMerged::Take(weight).into() };
        let whole = bridged.whole(&Device::flex())?.try_into_vec_as::<f32>().unwrap_or_default();
        assert!(whole == sums, "the whole tensor differs");
        let mut scratch = Scratch::new();
        for range in [0..n, 1..LANES, LANES - 1..LANES + 1, 77..BLOCK + 78, BLOCK..2 * BLOCK, n - 9..n] {
            let mut bytes = vec![0; 4 * range.len()];
            bridged.encode(range.clone(), 4.0, Dtype::F32, &mut bytes, &mut scratch)?;
            let expected: Vec<f32> = sums[range.clone()].iter().map(|sum| sum / 4.0).collect();
            assert!(Dtype::F32.to_f32(&bytes) == expected, "{range:?} differs");
        }
        Ok(())
    }
}
