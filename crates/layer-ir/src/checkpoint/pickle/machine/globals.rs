//! The functions and classes that a pickle may name: all that tensors are made with.

use crate::Dtype;
use crate::checkpoint::pickle::PickleError;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint::pickle) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(StorageKind),
}

/// The kind of a storage's numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint::pickle) struct StorageKind {
    /// torch's name, for messages.
    pub name: &'static str,
    /// Bytes of a number.
    pub size: usize,
    /// `None` for what we do not compute with.
    pub dtype: Option<Dtype>,
}

/// The kinds of storages by their classes in `torch`.
const STORAGES: [(&str, StorageKind); 12] = [
    ("BFloat16Storage", StorageKind { name: "bfloat16", size: 2, dtype: Some(Dtype::BF16) }),
    ("HalfStorage", StorageKind { name: "float16", size: 2, dtype: Some(Dtype::F16) }),
    ("FloatStorage", StorageKind { name: "float32", size: 4, dtype: Some(Dtype::F32) }),
    ("DoubleStorage", StorageKind { name: "float64", size: 8, dtype: None }),
    ("ByteStorage", StorageKind { name: "uint8", size: 1, dtype: None }),
    ("CharStorage", StorageKind { name: "int8", size: 1, dtype: None }),
    ("ShortStorage", StorageKind { name: "int16", size: 2, dtype: None }),
    ("IntStorage", StorageKind { name: "int32", size: 4, dtype: None }),
    ("LongStorage", StorageKind { name: "int64", size: 8, dtype: None }),
    ("BoolStorage", StorageKind { name: "bool", size: 1, dtype: None }),
    ("ComplexFloatStorage", StorageKind { name: "complex64", size: 8, dtype: None }),
    ("ComplexDoubleStorage", StorageKind { name: "complex128", size: 16, dtype: None }),
];

impl Global {
    /// The one with this name.
    ///
    /// # Errors
    /// [`PickleError::Global`] for every other.
    pub fn named(module: &str, name: &str) -> Result<Self, PickleError> {
        let storage = || STORAGES.iter().find(|(class, _)| *class == name).map(|(_, kind)| Self::Storage(*kind));
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", _) => storage(),
            _ => None,
        };
        known.ok_or_else(|| PickleError::Global { name: shown(&format!("{module}.{name}")) })
    }
}

/// A name as it may stand in a message: no control characters, not too long.
fn shown(name: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}
