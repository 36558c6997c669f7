//! Bridges: deltas in a file of their own, added to a layer's tensors after it is taken or merged.
//!
//! The last layer before removed ones is changed so that what comes behind them sees about what it saw before. A fit
//! gives the change; a recipe names the file that holds it. The file's hash is part of the recipe: the recipe says
//! which model it is although the numbers are not in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use indexmap::IndexMap;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView as StoredView;
use serde::{Deserialize, Serialize};

use super::BridgeError;
use crate::checkpoint::mapping;
use crate::{Dtype, Error, LayerTensor, OpenedFile, TensorView};

/// The bridge of an output layer, as a recipe names it.
///
/// ```
/// use layer_ir::{BridgeRef, Recipe};
///
/// # let folder = std::env::temp_dir().join("tailor-bridge-ref");
/// # std::fs::create_dir_all(&folder).unwrap();
/// let (shape, delta) = ([8, 12], [0.5; 8 * 12]);
/// let bridge = BridgeRef::write(&folder, &[("mlp.down_proj.weight", (&shape[..], &delta[..]))].into())?;
/// let mut recipe = Recipe::of_base([].into(), "base", 3);
/// recipe.layers[1].bridge = Some(bridge);
/// assert!(recipe.to_yaml()?.contains("bridge:"));
/// # Ok::<(), layer_ir::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeRef {
    /// A safetensors file of deltas in f32, each named and shaped as a tensor of the layer, such as
    /// `mlp.down_proj.weight`. In a recipe's file the path is relative to the recipe's folder.
    pub file: PathBuf,
    /// The BLAKE3 hash of the file's bytes, as 64 lower-case hexadecimal digits.
    pub hash: String,
}

impl BridgeRef {
    /// Writes deltas, each as its shape and its values, row-major, under the name of its tensor, into a file in
    /// `folder` that is named by its hash. Equal deltas make one file. It gets its name when it is whole.
    ///
    /// # Errors
    /// [`Error::Write`]; [`Error::BridgeTensors`] for a shape of another number of values.
    pub fn write(folder: &Path, deltas: &BTreeMap<&str, (&[usize], &[f32])>) -> Result<Self, Error> {
        let content = encode(deltas).map_err(|source| Error::BridgeTensors { folder: folder.to_owned(), source })?;
        let hash = blake3::hash(&content).to_hex().to_string();
        let name = format!("bridge-{}.safetensors", &hash[..16]);
        // Threads may write one bridge at the same time.
        let unique = (std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
        let (file, partial) = (folder.join(&name), folder.join(format!(".{name}.{}-{}", unique.0, unique.1)));
        let written = std::fs::write(&partial, content).and_then(|()| std::fs::rename(&partial, &file));
        written.map_err(|source| {
            // Of a file that could not be written nothing may be there to remove.
            let _ = std::fs::remove_file(&partial);
            Error::Write { file: file.clone(), source }
        })?;
        Ok(Self { file, hash })
    }
}

/// How many files this process has begun to write.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The bytes of a safetensors file.
fn encode(deltas: &BTreeMap<&str, (&[usize], &[f32])>) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = deltas.values().map(|(_, values)| bytes(values)).collect();
    let mut views = Vec::new();
    for ((name, (shape, _)), data) in deltas.iter().zip(&data) {
        views.push((name, StoredView::new(safetensors::Dtype::F32, shape.to_vec(), data)?));
    }
    safetensors::serialize(views, None)
}

/// How many bytes of a file are checked at a time.
const CHUNK: usize = 1 << 20;

/// An opened bridge, which holds what its recipe says and fits the layers of its family. Its numbers stay in the file.
#[derive(Debug)]
pub struct Bridge {
    path: PathBuf,
    hash: String,
    identity: FileIdentity,
    /// By the names of the layer's tensors; each with the place of its first byte in the file.
    deltas: IndexMap<String, (TensorView, u64)>,
}

/// Bridges of equal contents are equal, wherever they lie.
impl PartialEq for Bridge {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Bridge {
    /// Maps the file, and reads it once, in pieces: its hash must be that of the recipe, and its numbers finite.
    /// `layer` are the tensors that every layer of the family has.
    pub(crate) fn open(bridge: &BridgeRef, layer: &[LayerTensor]) -> Result<Self, BridgeError> {
        let (file, bytes) = mapping::map(&bridge.file).map_err(BridgeError::Read)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(BridgeError::Safetensors)?;
        let identity = FileIdentity::of(&file).map_err(BridgeError::Read)?;
        let mut hasher = blake3::Hasher::new();
        let found = hasher.update_reader(&file).map_err(BridgeError::Read)?.finalize().to_hex().to_string();
        if found != bridge.hash {
            return Err(BridgeError::OtherContent { found, expected: bridge.hash.clone() });
        }
        let mut stored = tensors.tensors();
        stored.sort_by(|(one, _), (other, _)| one.cmp(other));
        if stored.is_empty() {
            return Err(BridgeError::Empty);
        }
        let file = Arc::new(file);
        let delta = |(name, stored): (String, StoredView<'_>)| {
            check_kind(&name, &stored, layer)?;
            let data = bytes.slice_ref(stored.data());
            let offset = (data.as_ptr().addr() - bytes.as_ptr().addr()) as u64;
            let (path, shape) = (bridge.file.clone(), stored.shape().to_vec());
            let view = TensorView { name, file: path, dtype: Dtype::F32, shape, data, opened: None };
            check_numbers(&TensorView {
                opened: Some(OpenedFile { file: Arc::clone(&file), offset }),
                ..view.clone()
            })?;
            Ok((view.name.clone(), (view, offset)))
        };
        let deltas = stored.into_iter().map(delta).collect::<Result<_, BridgeError>>()?;
        Ok(Self { path: bridge.file.clone(), hash: bridge.hash.clone(), identity, deltas })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// The hash of the file's bytes: 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The deltas, in the order of the names of their tensors.
    pub fn deltas(&self) -> impl Iterator<Item = &TensorView> {
        self.deltas.values().map(|(view, _)| view)
    }

    /// Whether something is added to a tensor of the layer, by its name within the layer.
    #[must_use]
    pub fn changes(&self, suffix: &str) -> bool {
        self.deltas.contains_key(suffix)
    }

    /// What is added to a tensor of the layer, of its shape, in f32; `None` where nothing is. `suffix` is the tensor's
    /// name within the layer, such as `mlp.down_proj.weight`.
    ///
    /// The file is opened for it again, and closed with the last copy of the view: a search knows more bridges than a
    /// process may have open files. Where another file has its name by now, only the mapped bytes are there.
    #[must_use]
    pub fn delta(&self, suffix: &str) -> Option<TensorView> {
        let (view, offset) = self.deltas.get(suffix)?;
        let same = |file: &File| FileIdentity::of(file).is_ok_and(|identity| identity == self.identity);
        let file = File::open(&self.path).ok().filter(same).map(Arc::new);
        Some(TensorView { opened: file.map(|file| OpenedFile { file, offset: *offset }), ..view.clone() })
    }
}

/// What tells a file from one that has taken its name.
#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    length: u64,
    modified: SystemTime,
    /// Device and number of the file.
    #[cfg(unix)]
    number: (u64, u64),
}

impl FileIdentity {
    /// Of an open file.
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified()?,
            #[cfg(unix)]
            number: (std::os::unix::fs::MetadataExt::dev(&metadata), std::os::unix::fs::MetadataExt::ino(&metadata)),
        })
    }
}

/// Whether a stored delta is for a tensor of the layer, of its shape, in f32.
fn check_kind(name: &str, stored: &StoredView<'_>, layer: &[LayerTensor]) -> Result<(), BridgeError> {
    let tensor = name.to_owned();
    let Some(of) = layer.iter().find(|of| of.suffix == name) else {
        let known = layer.iter().map(|of| of.suffix.as_str()).collect::<Vec<_>>().join(", ");
        return Err(BridgeError::NoSuchTensor { tensor, known });
    };
    if stored.dtype() != safetensors::Dtype::F32 {
        return Err(BridgeError::Dtype { tensor, found: format!("{:?}", stored.dtype()) });
    }
    if stored.shape() != of.shape {
        return Err(BridgeError::Shape { tensor, found: stored.shape().to_vec(), expected: of.shape.clone() });
    }
    Ok(())
}

/// Whether all numbers of a delta are finite.
fn check_numbers(view: &TensorView) -> Result<(), BridgeError> {
    let mut chunk = vec![0; CHUNK.min(view.data.len())];
    for start in (0..view.data.len()).step_by(CHUNK) {
        let bytes = &mut chunk[..CHUNK.min(view.data.len() - start)];
        view.read_bytes(start, bytes).map_err(BridgeError::Read)?;
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        if let Some(within) = numbers.position(|number| !number.is_finite()) {
            return Err(BridgeError::NotFinite { tensor: view.name.clone(), element: start / 4 + within });
        }
    }
    Ok(())
}
