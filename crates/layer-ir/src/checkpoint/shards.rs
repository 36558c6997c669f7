//! The safetensors files of a checkpoint: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
//!
//! Format: <https://huggingface.co/docs/safetensors>. The index is not trusted: a shard outside of the folder, a shard
//! that is not there and a tensor that is not in its shard are errors. Where both are there, `model.safetensors`
//! counts, as in transformers.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};
use safetensors::tensor::Metadata;
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::{OpenedFile, TensorSource, TensorView, mapping};
use crate::{Dtype, Error};

/// The weights of a model that has one file.
const SINGLE: &str = "model.safetensors";
/// The list of shards of a model that has several.
const INDEX: &str = "model.safetensors.index.json";

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Entry {
    /// Which of the files.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its first byte, from the beginning of the file.
    start: usize,
    /// The byte behind its last one.
    end: usize,
}

/// The mapped files and the tensors in them, in the order of the files.
#[derive(Debug)]
pub(super) struct Shards {
    files: Vec<Mapped>,
    tensors: IndexMap<String, Entry>,
    /// Whether headers stand for files that are not there.
    outline: bool,
}

/// A file that is mapped into memory, and the file itself for large copies.
#[derive(Debug)]
struct Mapped {
    path: PathBuf,
    file: Arc<File>,
    bytes: Bytes,
    /// Whether the header is all that there is of it.
    header_only: bool,
}

/// What of the index is used: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: IndexMap<String, String>,
}

impl Shards {
    /// Maps the files of a model folder. No number is read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self { files: Vec::new(), tensors: IndexMap::new(), outline: false }.read(folder)
    }

    /// As [`Self::open`]; of a file that is not there its header is enough.
    pub fn open_outline(folder: &Path) -> Result<Self, Error> {
        Self { files: Vec::new(), tensors: IndexMap::new(), outline: true }.read(folder)
    }

    /// Adds the files of a model folder.
    fn read(mut self, folder: &Path) -> Result<Self, Error> {
        let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
        if single.exists() || self.header_of(&single).is_some() {
            self.read_file(single, None)?;
        } else if index.exists() {
            self.read_index(folder, &index)?;
        } else {
            return Err(Error::NoWeights { folder: folder.to_owned() });
        }
        Ok(self)
    }

    /// Adds the tensors of all shards, in the order in which the index first names a shard.
    fn read_index(&mut self, folder: &Path, index: &Path) -> Result<(), Error> {
        let bytes = std::fs::read(index).map_err(|source| Error::Read { file: index.to_owned(), source })?;
        let Index { weight_map } =
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { file: index.to_owned(), source })?;
        for shard in weight_map.values().collect::<IndexSet<_>>() {
            let inside = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside || shard.is_empty() {
                return Err(Error::ShardOutside { index: index.to_owned(), shard: shard.clone() });
            }
            let file = folder.join(shard);
            if !file.exists() && self.header_of(&file).is_none() {
                return Err(Error::MissingShard { index: index.to_owned(), shard: shard.clone() });
            }
            // A link of the hub's cache may lead out; a link of an unknown archive is as good as a path.
            self.read_file(file.clone(), Some(&|name: &str| weight_map.get(name) == Some(shard)))?;
            if let Some((name, _)) =
                weight_map.iter().find(|(name, at)| *at == shard && !self.tensors.contains_key(*name))
            {
                return Err(Error::NotInShard { file, name: name.clone() });
            }
        }
        Ok(())
    }

    /// Adds the tensors of a file that `wanted` says yes to.
    fn read_file(&mut self, path: PathBuf, wanted: Option<&dyn Fn(&str) -> bool>) -> Result<(), Error> {
        let instead = self.header_of(&path);
        let opened = instead.as_ref().unwrap_or(&path);
        let (file, bytes) = mapping::map(opened).map_err(|source| Error::Read { file: opened.clone(), source })?;
        let broken = |source| Error::Safetensors { file: path.clone(), source };
        let read = if instead.is_some() { read_header(&bytes) } else { SafeTensors::read_metadata(&bytes) };
        let (header, metadata) = read.map_err(broken)?;
        let data = header + size_of::<u64>();
        let mut found: Vec<_> = metadata.tensors().into_iter().collect();
        found.sort_by_key(|(_, info)| info.data_offsets);
        for (name, info) in found {
            if wanted.is_some_and(|wanted| !wanted(&name)) {
                continue;
            }
            let dtype = match info.dtype {
                safetensors::Dtype::BF16 => Dtype::BF16,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::F32 => Dtype::F32,
                other => {
                    return Err(Error::UnsupportedDtype { file: path, name, dtype: format!("{other:?}") });
                }
            };
            let (start, end) = (data + info.data_offsets.0, data + info.data_offsets.1);
            if instead.is_none() && bytes.len() < end {
                return Err(broken(SafeTensorError::MetadataIncompleteBuffer));
            }
            self.tensors.insert(name, Entry { file: self.files.len(), dtype, shape: info.shape.clone(), start, end });
        }
        self.files.push(Mapped { path, file: Arc::new(file), bytes, header_only: instead.is_some() });
        Ok(())
    }

    /// The header of a file that is not there, in an outline.
    fn header_of(&self, file: &Path) -> Option<PathBuf> {
        if !self.outline || file.exists() {
            return None;
        }
        let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
        tailor_hub::header_file(folder, name).filter(|header| header.is_file())
    }
}

/// A header without what stands behind it in a file; its length.
fn read_header(bytes: &[u8]) -> Result<(usize, Metadata), SafeTensorError> {
    let header = bytes.get(size_of::<u64>()..).ok_or(SafeTensorError::HeaderTooSmall)?;
    let metadata = serde_json::from_slice(header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    Ok((header.len(), metadata))
}

impl TensorSource for Shards {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.tensors.keys().map(String::as_str))
    }

    fn get(&self, name: &str) -> Option<TensorView> {
        let entry = self.tensors.get(name)?;
        let Mapped { path, file, bytes, header_only } = &self.files[entry.file];
        let opened = (!header_only).then(|| OpenedFile { file: Arc::clone(file), offset: entry.start as u64 });
        Some(TensorView {
            name: name.to_owned(),
            file: path.clone(),
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            data: if *header_only { Bytes::new() } else { bytes.slice(entry.start..entry.end) },
            opened,
        })
    }
}
