//! The form before torch 1.6: five pickles one after the other (a magic number, the version, what the machine was, the
//! object, the keys of the storages), then the storages, each its length as 8 bytes and its numbers.

use std::collections::HashMap;

use super::machine::{Loaded, Machine, Storage, Value};
use super::{PickleError, Range};

/// `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The one version of this form that there ever was.
const VERSION: i64 = 1001;

/// Where the storages of a file begin.
pub(super) struct Places<'a> {
    /// By key: the range of the numbers.
    storages: HashMap<&'a str, Range>,
}

/// Runs the pickles and finds the storages.
pub(super) fn open(file: &[u8]) -> Result<(Loaded<'_>, Places<'_>), PickleError> {
    let mut machine = Machine::new(file);
    let magic = machine.load().map_err(|_| PickleError::NotTorch)?;
    if !matches!(machine.value(magic), Value::Long(MAGIC)) {
        return Err(PickleError::NotTorch);
    }
    let version = machine.load()?;
    if !matches!(machine.value(version), Value::Int(VERSION)) {
        return Err(PickleError::NotTorch);
    }
    let system = machine.load()?;
    if let Some(Value::Bool(false)) = machine.entry(system, "little_endian") {
        return Err(PickleError::BigEndian);
    }
    let object = machine.load()?;
    let keys = machine.load()?;
    let places = places(file, &machine, keys)?;
    Ok((machine.finish(object), places))
}

/// Walks over the storages in the order of their keys.
fn places<'a>(file: &'a [u8], machine: &Machine<'a>, keys: u32) -> Result<Places<'a>, PickleError> {
    let sizes: HashMap<&str, usize> = machine.storages().iter().map(|at| (at.key, at.kind.size)).collect();
    let mut at = machine.position();
    let mut storages = HashMap::new();
    let Value::List(keys) = machine.value(keys) else {
        return Err(PickleError::Damaged { at, problem: "the keys of the storages are no list" });
    };
    for key in keys {
        let known = match machine.value(*key) {
            Value::Str(key) => sizes.get_key_value(key),
            _ => None,
        };
        let (key, size) = known.ok_or(PickleError::Damaged { at, problem: "no tensor has the storage listed here" })?;
        let end = numbers(file, at).and_then(|(start, numbers)| numbers.checked_mul(*size)?.checked_add(start));
        let end =
            end.filter(|end| *end <= file.len()).ok_or_else(|| PickleError::NoStorage { key: (*key).to_owned() })?;
        storages.insert(*key, at + size_of::<u64>()..end);
        at = end;
    }
    Ok(Places { storages })
}

/// Where the numbers of the storage at a place begin, and how many they are.
fn numbers(file: &[u8], at: usize) -> Option<(usize, usize)> {
    let length: [u8; 8] = *file.get(at..)?.first_chunk()?;
    Some((at + size_of::<u64>(), usize::try_from(u64::from_le_bytes(length)).ok()?))
}

impl Places<'_> {
    /// Where the numbers of a storage lie in the file.
    pub fn storage(&self, storage: &Storage<'_>) -> Result<Range, PickleError> {
        let range = self.storages.get(storage.key);
        let whole = range.filter(|range| storage.bytes().is_some_and(|bytes| bytes <= range.len()));
        whole.cloned().ok_or_else(|| PickleError::NoStorage { key: storage.key.to_owned() })
    }
}
