//! By what a study in Optuna's database is known as ours.

use crate::Header;

/// The system attribute of a study.
pub(super) const KEY: &str = "zo_search:search";
/// The system attribute of a trial: a hash of all that is written of it.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) const TRIAL_KEY: &str = "zo_search:trial";

/// A hash of what stays the same as long as a search goes on, with more trials too.
pub(super) fn of(header: &Header) -> String {
    let space = header.space().hash();
    let parts = [header.name(), &space, header.strategy(), header.seed(), &header.environment().to_string()];
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_string()
}
