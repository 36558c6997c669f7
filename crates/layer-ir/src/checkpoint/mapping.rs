//! Files mapped into memory: the one place with `unsafe`.
#![allow(unsafe_code, reason = "a file can only be mapped by promising that nobody changes it")]

use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use crate::Error;

/// A file and its bytes; pages are read when they are touched.
pub(super) fn map(file: &Path) -> Result<(File, Bytes), Error> {
    let read = |source| Error::Read { file: file.to_owned(), source };
    let opened = File::open(file).map_err(read)?;
    if opened.metadata().map_err(read)?.len() == 0 {
        return Ok((opened, Bytes::new()));
    }
    // SAFETY: the mapping is read-only, and checkpoints are not changed in place while they are in use; Tailor itself
    // writes only new files that it renames when they are whole.
    let map = unsafe { memmap2::Mmap::map(&opened) }.map_err(read)?;
    Ok((opened, Bytes::from_owner(map)))
}
