//! Files mapped into memory: the one place with `unsafe`.
#![allow(unsafe_code, reason = "a file can only be mapped by promising that nobody changes it")]

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

/// A file and its bytes; pages are read when they are touched.
///
/// # Errors
/// Those of the system.
pub(crate) fn map(file: &Path) -> io::Result<(File, Bytes)> {
    let opened = File::open(file)?;
    if opened.metadata()?.len() == 0 {
        return Ok((opened, Bytes::new()));
    }
    // SAFETY: the mapping is read-only, and checkpoints are not changed in place while they are in use; Tailor itself
    // writes only new files that it renames when they are whole.
    let map = unsafe { memmap2::Mmap::map(&opened) }?;
    Ok((opened, Bytes::from_owner(map)))
}
