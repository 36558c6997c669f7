//! What a pickle has made.

use super::{Index, Storage, Value};
use crate::checkpoint::pickle::PickleError;
use crate::checkpoint::pickle::tensor::View;

/// All values of a pickle, and which of them is the whole.
#[derive(Debug)]
pub(in crate::checkpoint::pickle) struct Loaded<'a> {
    pub(super) root: Index,
    pub(super) values: Vec<Value<'a>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<View>,
}

impl<'a> Loaded<'a> {
    /// The keys and values of the dictionary that the pickle is of.
    ///
    /// # Errors
    /// [`PickleError::NotDictionary`].
    pub fn dictionary(&self) -> Result<&[(Index, Index)], PickleError> {
        match self.value(self.root) {
            Value::Dict(entries) => Ok(entries),
            other => Err(PickleError::NotDictionary { found: other.kind() }),
        }
    }

    /// A value.
    pub fn value(&self, index: Index) -> &Value<'a> {
        &self.values[index as usize]
    }

    /// A storage by its number.
    pub fn storage(&self, number: usize) -> &Storage<'a> {
        &self.storages[number]
    }

    /// A tensor by its number.
    pub fn tensor(&self, number: usize) -> &View {
        &self.tensors[number]
    }
}
