//! What is to be written, before any of it is computed.

use std::cmp::Reverse;
use std::ops::Range;

use layer_ir::{Dtype, End, Family, Role, ValidRecipe};

use crate::Error;

/// The tensors of an export in their order, and the files that they go to.
#[derive(Debug)]
pub(super) struct Plan {
    pub tensors: Vec<Planned>,
    /// Which tensors go into each file.
    pub shards: Vec<Range<usize>>,
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

impl Plan {
    pub fn new(
        family: &Family,
        recipe: &ValidRecipe,
        dtype: Option<Dtype>,
        max_shard_bytes: u64,
    ) -> Result<Self, Error> {
        let base = family.base();
        let mut tensors = Vec::new();
        let mut add = |stored: &str, name: String, divisor: f64, origin: Origin| {
            let view = base.tensor(stored)?;
            tensors.push(Planned { name, shape: view.shape, dtype: dtype.unwrap_or(view.dtype), divisor, origin });
            Ok::<(), Error>(())
        };
        let ends = |ends: &[End], add: &mut dyn FnMut(&str, String, f64, Origin) -> Result<(), Error>| {
            let stored = ends.iter().filter_map(|end| Some((*end, base.end_name(*end)?)));
            stored.into_iter().try_for_each(|(end, name)| add(name, name.to_owned(), 1.0, Origin::End(end)))
        };
        ends(&[End::Embedding], &mut add)?;
        for (output, divisor) in recipe.scale_divisors().into_iter().enumerate() {
            for tensor in base.layer_tensors() {
                let divisor = if writes_to_stream(tensor.role) { divisor } else { 1.0 };
                let suffix = tensor.suffix.clone();
                let (stored, name) = (base.layer_tensor_name(0, &suffix), base.layer_tensor_name(output, &suffix));
                add(&stored, name, divisor, Origin::Layer { output, suffix })?;
            }
        }
        ends(&[End::FinalNorm, End::Head], &mut add)?;
        base.other_tensors().try_for_each(|name| add(name, name.to_owned(), 1.0, Origin::Other))?;
        let shards = shards(&tensors, max_shard_bytes);
        for shard in &shards {
            // The wider first, so that each is aligned.
            tensors[shard.clone()].sort_by_key(|tensor| Reverse(tensor.dtype.size_in_bytes()));
        }
        Ok(Self { tensors, shards })
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

/// Whether a tensor's output is added to the residual stream.
fn writes_to_stream(role: Option<Role>) -> bool {
    matches!(role, Some(Role::OProj | Role::OBias | Role::DownProj | Role::DownBias))
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
