//! One tensor of a recipe, from the checkpoints.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use layer_ir::{BaseRef, Dtype, End, Expr, Family, Merge, Place, TensorView, ValidRecipe};
use rayon::prelude::*;

use crate::{Error, Inputs, MergeOp, Operand, Piece, Registry, Settings, SourceSettings, Statistics};

/// How many numbers the CPU merges at a time: a few tensors of this length fit into a core's cache.
pub(crate) const PIECE: usize = 1 << 16;

/// One whole tensor of an output layer, flat, on `device`; output scales are not in it.
///
/// It is in f32, but in `as_stored` if it is taken from a checkpoint that stores it so: then, and if it is f32, it is the mapped file itself
/// where that is aligned.
///
/// # Errors
/// The layer or the tensor is not there, or its merge is wrong; the place is named.
pub fn build_layer_tensor(
    registry: &Registry,
    family: &Family,
    recipe: &ValidRecipe,
    output_layer: usize,
    suffix: &str,
    device: &Device,
    as_stored: Dtype,
) -> Result<Tensor<1>, Error> {
    let tensor = Prepared::of_layer(registry, family, recipe, output_layer, suffix)?;
    if let Prepared::Take(operand) = &tensor
        && operand.view().dtype == as_stored
        && let Some(stored) = operand.stored(device)
    {
        return Ok(stored);
    }
    tensor.whole(device).map_err(|error| error.at(Place::Layer(output_layer)))
}

/// One whole end of the model, flat, in f32, on `device`; `None` for the head of tied embeddings.
///
/// # Errors
/// As [`build_layer_tensor`].
pub fn build_end_tensor(
    registry: &Registry,
    family: &Family,
    recipe: &ValidRecipe,
    end: End,
    device: &Device,
) -> Result<Option<Tensor<1>>, Error> {
    let tensor = Prepared::of_end(registry, family, recipe, end)?;
    tensor.map(|tensor| tensor.whole(device).map_err(|error| error.at(Place::End(end)))).transpose()
}

/// Merges whole tensors in pieces of so many numbers; the piece changes the speed and nothing else.
///
/// # Errors
/// The method's own; [`Error::WrongLength`] if it breaks the law of shapes.
pub fn merge_in_pieces(
    op: &dyn MergeOp,
    inputs: &Inputs<'_>,
    piece: usize,
    device: &Device,
) -> Result<Tensor<1>, Error> {
    op.check(&inputs.settings)?;
    check_lengths(inputs)?;
    let known = op.statistics(inputs)?;
    merge_known(op, inputs, &known, piece, device)
}

fn merge_known(
    op: &dyn MergeOp,
    inputs: &Inputs<'_>,
    known: &Statistics,
    piece: usize,
    device: &Device,
) -> Result<Tensor<1>, Error> {
    let n = inputs.elements();
    if n <= piece {
        return merge_piece(op, inputs, known, 0..n, device);
    }
    let mut merged = vec![0.0_f32; n];
    merged.par_chunks_mut(piece.max(1)).enumerate().try_for_each(|(index, out)| {
        let start = index * piece.max(1);
        let tensor = merge_piece(op, inputs, known, start..start + out.len(), device)?;
        out.copy_from_slice(&read(tensor, &inputs.settings.tensor)?);
        Ok::<(), Error>(())
    })?;
    Ok(Tensor::from_data(TensorData::new(merged, [n]), (device, DType::F32)))
}

fn merge_piece(
    op: &dyn MergeOp,
    inputs: &Inputs<'_>,
    known: &Statistics,
    range: Range<usize>,
    device: &Device,
) -> Result<Tensor<1>, Error> {
    let (start, expected) = (range.start, range.len());
    let piece = Piece {
        settings: &inputs.settings,
        base: inputs.base.as_ref().map(|base| base.tensor(range.clone(), device)),
        sources: inputs.sources.iter().map(|source| source.tensor(range.clone(), device)).collect(),
        start,
        precision: inputs.precision,
    };
    let merged = op.merge(piece, known)?;
    let [found] = merged.dims();
    if found != expected {
        let (method, tensor) = (inputs.settings.method.to_owned(), inputs.settings.tensor.clone());
        return Err(Error::WrongLength { method, tensor, found, expected });
    }
    Ok(merged)
}

fn read(tensor: Tensor<1>, name: &str) -> Result<Vec<f32>, Error> {
    tensor.try_into_vec_as().map_err(|source| Error::Device { tensor: name.to_owned(), source: source.into() })
}

fn check_lengths(inputs: &Inputs<'_>) -> Result<(), Error> {
    let mut all = inputs.base.iter().chain(&inputs.sources);
    let Some(first) = all.next() else { return Ok(()) };
    match all.find(|other| other.view().shape != first.view().shape) {
        None => Ok(()),
        Some(other) => Err(Error::ShapeMismatch {
            file: other.view().file.clone(),
            tensor: other.view().name.clone(),
            found: other.view().shape.clone(),
            expected: first.view().shape.clone(),
        }),
    }
}

/// A tensor of a recipe of which everything is known but its numbers.
pub(crate) enum Prepared<'a> {
    Take(Operand),
    Merge { op: Arc<dyn MergeOp>, inputs: Inputs<'a>, known: Statistics },
}

impl<'a> Prepared<'a> {
    pub fn of_layer(
        registry: &Registry,
        family: &Family,
        recipe: &'a ValidRecipe,
        output: usize,
        suffix: &str,
    ) -> Result<Self, Error> {
        let layers = recipe.layers.len();
        let layer = recipe.layers.get(output).ok_or(Error::NoSuchLayer { layer: output, layers })?;
        let tensor = |model: &str, layer: usize| {
            let model = family.get(model)?;
            Ok(model.tensor(&model.layer_tensor_name(layer, suffix))?)
        };
        let base = |base: &BaseRef| tensor(&base.model, base.layer.unwrap_or(output));
        let name = family.base().layer_tensor_name(output, suffix);
        Self::of(registry, &layer.from, name, precision(recipe), |of| tensor(&of.model, of.layer), base)
            .map_err(|error| error.at(Place::Layer(output)))
    }

    pub fn of_end(
        registry: &Registry,
        family: &Family,
        recipe: &'a ValidRecipe,
        end: End,
    ) -> Result<Option<Self>, Error> {
        let Some(name) = family.base().end_name(end) else { return Ok(None) };
        let tensor = |model: &str| {
            let model = family.get(model)?;
            let missing = || layer_ir::Error::MissingEnd { folder: model.dir().to_owned(), end };
            Ok(model.tensor(model.end_name(end).ok_or_else(missing)?)?)
        };
        let expr = recipe.ends.get(end);
        let base = |base: &BaseRef| tensor(&base.model);
        Self::of(registry, expr, name.to_owned(), precision(recipe), |of| tensor(&of.model), base)
            .map(Some)
            .map_err(|error| error.at(Place::End(end)))
    }

    fn of<S>(
        registry: &Registry,
        expr: &'a Expr<S>,
        name: String,
        precision: Dtype,
        tensor: impl Fn(&S) -> Result<TensorView, Error>,
        base: impl Fn(&BaseRef) -> Result<TensorView, Error>,
    ) -> Result<Self, Error> {
        let merge = match expr {
            // Only merges compute, and only what computes is rounded.
            Expr::Take(of) => return Ok(Self::Take(Operand::new(tensor(of)?, Dtype::F32))),
            Expr::Merge(merge) => merge,
        };
        let op = Arc::clone(registry.get(&merge.method)?);
        let operand = |view| Operand::new(view, precision);
        let sources: Vec<Operand> =
            merge.sources.iter().map(|source| tensor(&source.of).map(operand)).collect::<Result<_, _>>()?;
        let names = sources.iter().map(|source| source.view().name.clone());
        let settings = settings(merge, name, names);
        op.check(&settings)?;
        let base = merge.base.as_ref().map(|of| base(of).map(operand)).transpose()?;
        let inputs = Inputs { settings, base, sources, precision };
        check_lengths(&inputs)?;
        let known = op.statistics(&inputs)?;
        Ok(Self::Merge { op, inputs, known })
    }

    /// Some of its numbers, computed on the CPU.
    pub fn values(&self, range: Range<usize>) -> Result<Vec<f32>, Error> {
        match self {
            Self::Take(operand) => Ok(operand.values(range)),
            Self::Merge { op, inputs, known } => {
                let tensor = merge_piece(op.as_ref(), inputs, known, range, &Device::flex())?;
                read(tensor, &inputs.settings.tensor)
            }
        }
    }

    /// The stored bytes, if it is taken as it is.
    pub fn raw(&self, range: Range<usize>) -> Option<(Dtype, &[u8])> {
        match self {
            Self::Take(operand) => operand.raw(range).map(|bytes| (operand.view().dtype, bytes)),
            Self::Merge { .. } => None,
        }
    }

    fn whole(&self, device: &Device) -> Result<Tensor<1>, Error> {
        let cpu = Device::flex();
        match self {
            Self::Take(operand) => Ok(operand.tensor(0..operand.elements(), device)),
            Self::Merge { op, inputs, known } if *device == cpu => merge_known(op.as_ref(), inputs, known, PIECE, &cpu),
            Self::Merge { op, inputs, known } => {
                // What a device cannot round to is merged on the CPU.
                let there = device.supports_dtype(crate::precision::burn_dtype(inputs.precision));
                let (at, piece) = if there { (device, usize::MAX) } else { (&cpu, PIECE) };
                Ok(merge_known(op.as_ref(), inputs, known, piece, at)?.to_device(device))
            }
        }
    }
}

/// The parameters of a merge for the output tensor `name`, whose sources' tensors are called `names`.
pub(crate) fn settings<S>(merge: &Merge<S>, name: String, names: impl Iterator<Item = String>) -> Settings<'_> {
    let sources = merge.sources.iter().zip(names);
    let sources = sources.map(|(source, tensor)| SourceSettings { tensor, own: Some(&source.parameters) });
    let base = merge.base.is_some();
    Settings { method: &merge.method, tensor: name, shared: &merge.parameters, sources: sources.collect(), base }
}

/// The format that the recipe's merges compute in.
fn precision(recipe: &ValidRecipe) -> Dtype {
    recipe.compute.unwrap_or(Dtype::F32)
}
