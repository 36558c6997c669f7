//! What is to be written, before any of it is computed.

use std::cmp::Reverse;
use std::ops::Range;

use layer_ir::{Dtype, End, Family, LayerTensor, Role, ValidRecipe};

use crate::Error;

/// The tensors of an export in their order, and the files that they go to.
#[derive(Debug)]
pub(super) struct Plan {
    pub tensors: Vec<Planned>,
    /// Which tensors go into each file.
    pub shards: Vec<Range<usize>>,
    /// The format of all tensors; absent: that of each in the base.
    pub dtype: Option<Dtype>,
}

/// One tensor to be written.
#[derive(Debug)]
pub(super) struct Planned {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// What its numbers are divided by, for the output scales of the layers before.
    pub divisor: f64,
    pub origin: Origin,
}

/// Where a tensor comes from.
#[derive(Debug)]
pub(super) enum Origin {
    Layer {
        output: usize,
        suffix: String,
    },
    End(End),
    /// Of the base, as it is.
    Other,
}

/// A tensor to be written, before it is known what the base has of it.
struct Listed {
    /// The name of one of its shape in the base.
    stored: String,
    name: String,
    divisor: f64,
    origin: Origin,
}

impl Listed {
    fn same(name: &str, origin: Origin) -> Self {
        Self { stored: name.to_owned(), name: name.to_owned(), divisor: 1.0, origin }
    }
}

impl Plan {
    pub fn new(
        family: &Family,
        recipe: &ValidRecipe,
        dtype: Option<Dtype>,
        max_shard_bytes: u64,
    ) -> Result<Self, Error> {
        let base = family.base();
        let writers = base.architecture().spec().map_or(&[] as &[Role], |spec| spec.residual_writers);
        let writes_to_stream = |tensor: &LayerTensor| tensor.role.is_some_and(|role| writers.contains(&role));
        let end = |end| base.end_name(end).map(|name| Listed::same(name, Origin::End(end)));
        let mut listed: Vec<Listed> = end(End::Embedding).into_iter().collect();
        for (output, divisor) in recipe.scale_divisors().into_iter().enumerate() {
            listed.extend(base.layer_tensors().iter().map(|tensor| Listed {
                stored: base.layer_tensor_name(0, &tensor.suffix),
                name: base.layer_tensor_name(output, &tensor.suffix),
                divisor: if writes_to_stream(tensor) { divisor } else { 1.0 },
                origin: Origin::Layer { output, suffix: tensor.suffix.clone() },
            }));
        }
        listed.extend([End::FinalNorm, End::Head].into_iter().filter_map(end));
        listed.extend(base.other_tensors().map(|name| Listed::same(name, Origin::Other)));
        let plan = |Listed { stored, name, divisor, origin }| {
            let layer_ir::TensorView { mut shape, dtype: stored, .. } = base.tensor(&stored)?;
            let with_tokens = matches!(origin, Origin::End(end) if End::WITH_TOKENS.contains(&end));
            if let Some((alignment, rows)) = recipe.alignment().filter(|_| with_tokens).zip(shape.first_mut()) {
                *rows = alignment.rows();
            }
            Ok(Planned { name, shape, dtype: dtype.unwrap_or(stored), divisor, origin })
        };
        let mut tensors = listed.into_iter().map(plan).collect::<Result<Vec<_>, Error>>()?;
        let shards = shards(&tensors, max_shard_bytes);
        for shard in &shards {
            // The wider first, so that each is aligned.
            tensors[shard.clone()].sort_by_key(|tensor| Reverse(tensor.dtype.size_in_bytes()));
        }
        Ok(Self { tensors, shards, dtype })
    }

    /// The name of a file of weights.
    pub fn file_name(&self, index: usize) -> String {
        match self.shards.len() {
            1 => "model.safetensors".to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", index + 1),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(Planned::bytes).sum()
    }

    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.elements() as u64).sum()
    }
}

impl Planned {
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> u64 {
        (self.elements() * self.dtype.size_in_bytes()) as u64
    }
}

fn shards(tensors: &[Planned], max_bytes: u64) -> Vec<Range<usize>> {
    let (mut shards, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        if index > start && bytes + tensor.bytes() > max_bytes {
            shards.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += tensor.bytes();
    }
    shards.push(start..tensors.len());
    shards
}
