//! Weights that `torch.save` wrote as a pickle, `pytorch_model.bin`: where each tensor lies in the file.
//!
//! A pickle is a program that makes Python objects, and may call any function. Here only a dictionary of tensors can be
//! made: `machine.rs` runs the program with what tensors need and refuses every other name. The numbers stay in the
//! mapped file: `archive.rs` finds them in the zip archives of torch 1.6 and later, `legacy.rs` in the older form, and
//! `tensor.rs` checks that each tensor lies within its storage.
//!
//! Own code, as no crate gives what is needed: places in the file, to map it, and a refusal of unknown names.
//! `pytorch-reader` (of burn) and `candle-core` copy each tensor and skip names that they do not know; both bring many
//! more crates. `serde-pickle` has no persistent ids. The zip archive is read by `rawzip`.

mod archive;
mod error;
mod legacy;
mod machine;
mod tensor;

use bytes::Bytes;
use indexmap::IndexMap;

pub use error::PickleError;
use machine::{Loaded, Storage, Value};
use tensor::View;

use super::stored::StoredTensor;

/// The tensors of a file whose names `wanted` says yes to, in the order of its dictionary. Of the numbers only those
/// are read that lie in another order than row-major.
pub(super) fn tensors(file: &Bytes, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<StoredTensor>, PickleError> {
    if file.starts_with(archive::SIGNATURE) {
        let zip = archive::open(file)?;
        let archive = archive::Archive::read(&zip)?;
        let loaded = machine::Machine::new(archive.pickle()?).load_one()?;
        found(file, &loaded, wanted, &mut |storage| archive.storage(storage))
    } else {
        let (loaded, places) = legacy::open(file)?;
        found(file, &loaded, wanted, &mut |storage| places.storage(storage))
    }
}

/// Where the numbers of a storage lie in the file, from the first byte to behind the last.
type Range = std::ops::Range<usize>;

/// Looks the tensors of the loaded dictionary up in the storages that `locate` knows.
fn found(
    file: &Bytes,
    loaded: &Loaded<'_>,
    wanted: &dyn Fn(&str) -> bool,
    locate: &mut dyn FnMut(&Storage<'_>) -> Result<Range, PickleError>,
) -> Result<Vec<StoredTensor>, PickleError> {
    let mut named: IndexMap<&str, &View> = IndexMap::new();
    for (key, value) in loaded.dictionary()? {
        let Value::Str(name) = loaded.value(*key) else {
            return Err(PickleError::Key { found: loaded.value(*key).kind() });
        };
        let Value::Tensor(tensor) = loaded.value(*value) else {
            return Err(PickleError::NotTensor { key: (*name).to_owned(), found: loaded.value(*value).kind() });
        };
        // As Python: the last of equal keys counts.
        named.insert(name, loaded.tensor(*tensor));
    }
    // Tensors that are put in order need memory of their own: as much as the file is long, all together.
    let mut room = file.len();
    let mut tensors = Vec::with_capacity(named.len());
    for (name, tensor) in named.into_iter().filter(|(name, _)| wanted(name)) {
        let storage = loaded.storage(tensor.storage);
        let range = locate(storage)?;
        let place = tensor.place(name, storage, file, range, &mut room)?;
        let dtype = storage.kind.dtype.ok_or_else(|| storage.kind.name.to_owned());
        tensors.push(StoredTensor { name: name.to_owned(), dtype, shape: tensor.shape.clone(), place });
    }
    Ok(tensors)
}
