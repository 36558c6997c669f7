//! The weight files of a checkpoint: one, or the shards that an index lists; safetensors, or pickles of `torch.save`.
//!
//! Format of safetensors: <https://huggingface.co/docs/safetensors>; of pickles: [`pickle`]. The index is not trusted:
//! a shard outside of the folder, a shard that is not there and a tensor that is not in its shard are errors. Where
//! several forms are there, the first of [`FORMS`] counts, as in transformers.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};
use safetensors::tensor::Metadata;
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::stored::{Place, StoredTensor};
use super::{OpenedFile, TensorSource, TensorView, mapping, pickle};
use crate::{Dtype, Error};

/// Where the weights of a model are, in the order in which they are looked for.
const FORMS: [Form; 4] = [
    Form { file: "model.safetensors", format: Format::Safetensors, index: false },
    Form { file: "model.safetensors.index.json", format: Format::Safetensors, index: true },
    Form { file: "pytorch_model.bin", format: Format::Pickle, index: false },
    Form { file: "pytorch_model.bin.index.json", format: Format::Pickle, index: true },
];

/// The file by which a form of weights is known.
struct Form {
    file: &'static str,
    format: Format,
    /// Whether it lists shards.
    index: bool,
}

/// How a weight file is written.
#[derive(Debug, Clone, Copy)]
enum Format {
    Safetensors,
    Pickle,
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Entry {
    /// Which of the files.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its numbers, in the file or in memory.
    place: Place,
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

    /// As [`Self::open`]; of a safetensors file that is not there its header is enough.
    pub fn open_outline(folder: &Path) -> Result<Self, Error> {
        Self { files: Vec::new(), tensors: IndexMap::new(), outline: true }.read(folder)
    }

    /// Adds the files of a model folder.
    fn read(mut self, folder: &Path) -> Result<Self, Error> {
        let is_there = |file: &Path| file.exists() || self.header_of(file).is_some();
        let form = FORMS.iter().find(|form| is_there(&folder.join(form.file)));
        let form = form.ok_or_else(|| Error::NoWeights { folder: folder.to_owned(), found: other_weights(folder) })?;
        let path = folder.join(form.file);
        if form.index {
            self.read_index(folder, &path, form.format)?;
        } else {
            self.read_file(path, form.format, &|_| true)?;
        }
        Ok(self)
    }

    /// Adds the tensors of all shards, in the order in which the index first names a shard.
    fn read_index(&mut self, folder: &Path, index: &Path, format: Format) -> Result<(), Error> {
        let weight_map = weight_map(index)?;
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
            self.read_file(file.clone(), format, &|name: &str| weight_map.get(name) == Some(shard))?;
            if let Some((name, _)) =
                weight_map.iter().find(|(name, at)| *at == shard && !self.tensors.contains_key(*name))
            {
                return Err(Error::NotInShard { file, name: name.clone() });
            }
        }
        Ok(())
    }

    /// Adds the tensors of a file that `wanted` says yes to.
    fn read_file(&mut self, path: PathBuf, format: Format, wanted: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        let instead = self.header_of(&path);
        let (header_only, opened) = (instead.is_some(), instead.as_ref().unwrap_or(&path));
        let (file, bytes) = mapping::map(opened).map_err(|source| Error::Read { file: opened.clone(), source })?;
        let found = match format {
            Format::Safetensors => safetensors(&path, &bytes, header_only, wanted)?,
            Format::Pickle => {
                let failed = |source| Error::Pickle { file: path.clone(), source: Box::new(source) };
                pickle::tensors(&bytes, wanted).map_err(failed)?
            }
        };
        for StoredTensor { name, dtype, shape, place } in found {
            let file = self.files.len();
            let dtype = match dtype {
                Ok(dtype) => dtype,
                Err(dtype) => return Err(Error::UnsupportedDtype { file: path, name, dtype }),
            };
            self.tensors.insert(name, Entry { file, dtype, shape, place });
        }
        self.files.push(Mapped { path, file: Arc::new(file), bytes, header_only });
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

/// The file of each tensor that an index lists.
pub(super) fn weight_map(index: &Path) -> Result<IndexMap<String, String>, Error> {
    let bytes = std::fs::read(index).map_err(|source| Error::Read { file: index.to_owned(), source })?;
    let parsed = serde_json::from_slice(&bytes).map_err(|source| Error::Json { file: index.to_owned(), source });
    parsed.map(|Index { weight_map }| weight_map)
}

/// A header without what stands behind it in a file; its length.
fn read_header(bytes: &[u8]) -> Result<(usize, Metadata), SafeTensorError> {
    let header = bytes.get(size_of::<u64>()..).ok_or(SafeTensorError::HeaderTooSmall)?;
    let metadata = serde_json::from_slice(header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    Ok((header.len(), metadata))
}

/// The tensors of a safetensors file, or of its header alone, whose names `wanted` says yes to, in the order in which
/// they are stored.
fn safetensors(
    path: &Path,
    bytes: &Bytes,
    header_only: bool,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<StoredTensor>, Error> {
    let broken = |source| Error::Safetensors { file: path.to_owned(), source };
    let read = if header_only { read_header(bytes) } else { SafeTensors::read_metadata(bytes) };
    let (header, metadata) = read.map_err(broken)?;
    let data = header + size_of::<u64>();
    let mut found: Vec<_> = metadata.tensors().into_iter().filter(|(name, _)| wanted(name)).collect();
    found.sort_by_key(|(_, info)| info.data_offsets);
    let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let dtype = match info.dtype {
            safetensors::Dtype::BF16 => Ok(Dtype::BF16),
            safetensors::Dtype::F16 => Ok(Dtype::F16),
            safetensors::Dtype::F32 => Ok(Dtype::F32),
            other => Err(format!("{other:?}")),
        };
        let (start, end) = (data + info.data_offsets.0, data + info.data_offsets.1);
        if !header_only && bytes.len() < end {
            return Err(broken(SafeTensorError::MetadataIncompleteBuffer));
        }
        Ok(StoredTensor { name, dtype, shape: info.shape.clone(), place: Place::File(start..end) })
    };
    found.into_iter().map(stored).collect()
}

/// Files of a folder that look like weights of a form that is not read, by name.
fn other_weights(folder: &Path) -> Vec<String> {
    const ENDINGS: [&str; 9] = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf", "h5", "msgpack", "index.json"];
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}")))).collect();
    names.sort_unstable();
    names
}

impl TensorSource for Shards {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.tensors.keys().map(String::as_str))
    }

    fn get(&self, name: &str) -> Option<TensorView> {
        let entry = self.tensors.get(name)?;
        let Mapped { path, file, bytes, header_only } = &self.files[entry.file];
        let (data, opened) = match &entry.place {
            Place::File(_) if *header_only => (Bytes::new(), None),
            Place::File(range) => {
                let opened = OpenedFile { file: Arc::clone(file), offset: range.start as u64 };
                (bytes.slice(range.clone()), Some(opened))
            }
            Place::Memory(numbers) => (numbers.clone(), None),
        };
        let (name, file, shape) = (name.to_owned(), path.clone(), entry.shape.clone());
        Some(TensorView { name, file, dtype: entry.dtype, shape, data, opened })
    }
}
