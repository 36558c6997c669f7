//! The folder that transformers loads: safetensors, `config.json`, the tokenizer's files, a model card.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use layer_ir::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;
use tailor_registry::Entry;

use super::writer::DEFAULT_FORMAT;
use super::{CheckpointWriter, ExportModel, FileLayout, PlacedTensor, PlannedTensor, card, write, write_json};
use crate::Error;

/// A Hugging Face model folder.
pub(super) struct HuggingFace;

impl Entry for HuggingFace {
    fn name(&self) -> &str {
        DEFAULT_FORMAT
    }

    fn summary(&self) -> &str {
        "A Hugging Face folder: safetensors, config.json, the tokenizer's files and a model card."
    }

    fn aliases(&self) -> &[&str] {
        &["huggingface"]
    }
}

impl CheckpointWriter for HuggingFace {
    fn weight_files(&self, model: &ExportModel<'_>, max_file_bytes: u64) -> Result<Vec<FileLayout>, Error> {
        let shards = shards(model.tensors(), max_file_bytes);
        let count = shards.len();
        let file = |(index, shard): (usize, Range<usize>)| layout(file_name(index, count), model.tensors(), shard);
        shards.into_iter().enumerate().map(file).collect()
    }

    fn write_companions(&self, model: &ExportModel<'_>, files: &[FileLayout], folder: &Path) -> Result<(), Error> {
        if files.len() > 1 {
            write_index(model, files, folder)?;
        }
        write_json(&folder.join("config.json"), &model.config())?;
        for (name, content) in model.tokenizer_files()? {
            write(&folder.join(name), &content)?;
        }
        let recipe = model.recipe_yaml()?;
        write(&folder.join("tailor_recipe.yaml"), recipe.as_bytes())?;
        write(&folder.join("README.md"), card::card(model, &recipe).as_bytes())
    }
}

/// The name of a file of weights, as transformers names them.
fn file_name(index: usize, count: usize) -> String {
    match count {
        1 => "model.safetensors".to_owned(),
        count => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
    }
}

/// Which tensors go into each file: in their order, as many as fit. One that is larger than `max_bytes` is alone in its
/// file.
fn shards(tensors: &[PlannedTensor], max_bytes: u64) -> Vec<Range<usize>> {
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

/// A file of some tensors: a header that says where each lies, with its own length before it, then the numbers.
fn layout(name: String, tensors: &[PlannedTensor], shard: Range<usize>) -> Result<FileLayout, Error> {
    let mut order: Vec<usize> = shard.collect();
    // The wider first, so that each is aligned.
    order.sort_by_key(|tensor| Reverse(tensors[*tensor].dtype.size_in_bytes()));
    let header = header(order.iter().map(|tensor| &tensors[*tensor]), Path::new(&name))?;
    let mut offset = header.len() as u64;
    let place = |tensor: usize| {
        let planned = &tensors[tensor];
        let placed = PlacedTensor { tensor, elements: 0..planned.elements(), offset, dtype: planned.dtype };
        offset += planned.bytes();
        placed
    };
    let tensors = order.into_iter().map(place).collect();
    Ok(FileLayout { name, header, tensors })
}

/// The header of a file: its length as 8 bytes, then JSON with the place of each tensor, filled up with spaces until
/// the numbers begin at a multiple of 8.
fn header<'a>(tensors: impl Iterator<Item = &'a PlannedTensor>, path: &Path) -> Result<Vec<u8>, Error> {
    let mut end = 0;
    let info = |tensor: &PlannedTensor| {
        let start = end;
        end += tensor.elements() * tensor.dtype.size_in_bytes();
        let dtype = match tensor.dtype {
            Dtype::BF16 => safetensors::Dtype::BF16,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::F32 => safetensors::Dtype::F32,
        };
        (tensor.name.clone(), TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (start, end) })
    };
    // Without it transformers refuses the file.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), tensors.map(info).collect());
    let metadata = metadata.map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
    let mut json = serde_json::to_vec(&metadata).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat())
}

/// `model.safetensors.index.json`: which file holds which tensor.
fn write_index(model: &ExportModel<'_>, files: &[FileLayout], folder: &Path) -> Result<(), Error> {
    let names = |file: &FileLayout| {
        let name = |placed: &PlacedTensor| (model.tensors()[placed.tensor].name.clone(), json!(file.name));
        file.tensors.iter().map(name).collect::<Vec<_>>()
    };
    let map: serde_json::Map<_, _> = files.iter().flat_map(names).collect();
    let metadata = json!({"total_parameters": model.parameters(), "total_size": model.bytes()});
    let index = json!({"metadata": metadata, "weight_map": map});
    write_json(&folder.join("model.safetensors.index.json"), &index)
}
