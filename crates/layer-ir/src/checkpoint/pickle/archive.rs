//! The form of torch 1.6 and later: a zip archive of the pickle, `NAME/data.pkl`, and a file for each storage,
//! `NAME/data/KEY`, none of them compressed.

use std::collections::HashMap;

use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

use super::machine::Storage;
use super::{PickleError, Range};

/// What a zip archive begins with.
pub(super) const SIGNATURE: &[u8] = b"PK\x03\x04";
/// More entries than any checkpoint has storages.
const MAX_ENTRIES: usize = 1 << 17;
const PICKLE: &str = "/data.pkl";

/// An archive in memory.
pub(super) type Zip<'a> = ZipSliceArchive<&'a [u8]>;

/// Finds the directory of an archive, which stands at its end.
pub(super) fn open(file: &[u8]) -> Result<Zip<'_>, PickleError> {
    ZipArchive::from_slice(file).map_err(PickleError::Zip)
}

/// The directory of an archive.
pub(super) struct Archive<'a> {
    zip: &'a Zip<'a>,
    /// All entries by name, with how they are packed.
    entries: HashMap<&'a [u8], (ZipArchiveEntryWayfinder, CompressionMethod)>,
    /// What the names of all entries begin with.
    prefix: &'a [u8],
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    pub fn read(zip: &'a Zip<'a>) -> Result<Self, PickleError> {
        let mut entries = HashMap::new();
        let mut list = zip.entries();
        while let Some(entry) = list.next_entry().map_err(PickleError::Zip)? {
            if entries.len() == MAX_ENTRIES {
                return Err(PickleError::TooMany { what: "entries", limit: MAX_ENTRIES });
            }
            entries.insert(entry.file_path().as_bytes(), (entry.wayfinder(), entry.compression_method()));
        }
        let mut pickles = entries.keys().filter_map(|name| name.strip_suffix(PICKLE.as_bytes()));
        let (Some(prefix), None) = (pickles.next(), pickles.next()) else { return Err(PickleError::NoPickle) };
        let archive = Self { zip, entries, prefix };
        if let Some(order) = archive.entry("/byteorder")?
            && &archive.zip.get_ref()[order] != b"little"
        {
            return Err(PickleError::BigEndian);
        }
        Ok(archive)
    }

    /// The bytes of the pickle.
    pub fn pickle(&self) -> Result<&'a [u8], PickleError> {
        let range = self.entry(PICKLE)?.ok_or(PickleError::NoPickle)?;
        Ok(&self.zip.get_ref()[range])
    }

    /// Where the numbers of a storage lie in the file.
    pub fn storage(&self, storage: &Storage<'_>) -> Result<Range, PickleError> {
        let missing = || PickleError::NoStorage { key: storage.key.to_owned() };
        let range = self.entry(&format!("/data/{}", storage.key))?.ok_or_else(missing)?;
        if storage.bytes().is_none_or(|bytes| bytes > range.len()) {
            return Err(missing());
        }
        Ok(range)
    }

    /// Where the bytes of an entry lie in the file; `None` if there is none of this name behind the prefix.
    fn entry(&self, name: &str) -> Result<Option<Range>, PickleError> {
        let full = [self.prefix, name.as_bytes()].concat();
        let Some((place, method)) = self.entries.get(full.as_slice()) else { return Ok(None) };
        if *method != CompressionMethod::STORE {
            return Err(PickleError::Compressed { entry: name.to_owned() });
        }
        let (start, end) = self.zip.get_entry(*place).map_err(PickleError::Zip)?.compressed_data_range();
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let range = range.filter(|(start, end)| start <= end && *end <= self.zip.get_ref().len());
        Ok(Some(range.map(|(start, end)| start..end).ok_or(PickleError::NoStorage { key: name.to_owned() })?))
    }
}
