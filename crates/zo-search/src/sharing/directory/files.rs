//! Small files: `files/NAME+VERSION+NONCE`, of which the newest version is there for readers.

use super::place::{Place, nonce};
use super::token::SEPARATOR;
use crate::Error;
use crate::storage::refused;

/// The folder of small files.
pub(super) const FILES: &str = "files";
/// How often a version that was just replaced is looked for again.
const TRIES: usize = 50;

/// The versions of a file by their names, the newest first.
fn versions(place: &Place, name: &str) -> Result<Vec<String>, Error> {
    let of_name = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(SEPARATOR));
    let mut versions: Vec<String> = place.list(FILES)?.into_iter().filter(of_name).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    Ok(versions)
}

pub(super) fn read(place: &Place, name: &str) -> Result<Option<Vec<u8>>, Error> {
    for _ in 0..TRIES {
        let versions = versions(place, name)?;
        let Some(newest) = versions.first() else { return Ok(None) };
        if let Some(bytes) = place.read(&place.path(FILES).join(newest))? {
            return Ok(Some(bytes));
        }
    }
    Err(refused("read", &place.path(FILES).join(name))(std::io::ErrorKind::ResourceBusy.into()))
}

pub(super) fn write(place: &Place, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let before = versions(place, name)?;
    let newest = before.first().and_then(|newest| newest.split(SEPARATOR).nth(1)?.parse::<u64>().ok());
    let version = newest.map_or(0, |newest| newest + 1);
    let path = place.path(FILES).join(format!("{name}{SEPARATOR}{version:012}{SEPARATOR}{}", nonce()));
    place.put(&path, bytes, true)?;
    // The last one stays too: a listing during which names come and go may miss a new one and one that is removed.
    before.iter().skip(1).for_each(|old| drop(place.remove(&place.path(FILES).join(old))));
    Ok(())
}
