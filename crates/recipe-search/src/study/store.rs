//! Where the trials of a study are kept.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use tailor_registry::Registry;
use zo_search::sharing::SharedStore;
use zo_search::storage::{Storage, StorageKind};

use crate::{Error, StudyFolder};

/// Where the trials of a study are kept: what its key `store` says.
#[derive(Clone)]
pub(crate) enum StoreRow {
    /// In its folder, in a file or folder of this name.
    InFolder(Arc<dyn StorageKind>, &'static str),
    /// At a URL.
    At(Arc<dyn StorageKind>, String),
}

impl StoreRow {
    /// The store of this name, or at this URL. `file` is the study's.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] for what is neither; [`Error::StudyValue`] for the name of a store that needs a URL, and
    /// for a URL with a password.
    pub fn of(table: &Registry<dyn StorageKind>, store: &str, file: &Path) -> Result<Self, Error> {
        let url = |kind: &&str| {
            table.get(kind).is_ok_and(|kind| kind.file_name().is_none() && kind.claims(OsStr::new(store)))
        };
        if let Some(name) = table.names().find(url) {
            let kind = table.get_shared(name).map_err(Error::choice(file, "store"))?;
            return match has_password(store) {
                false => Ok(Self::At(kind, store.to_owned())),
                true => Err(Error::StudyValue {
                    path: file.to_path_buf(),
                    key: "store",
                    found: "a URL with a password".to_owned(),
                    expected: "one without: the password is read from PGPASSWORD or ~/.pgpass".to_owned(),
                }),
            };
        }
        let kind = table.get_shared(store).map_err(Error::choice(file, "store"))?;
        let in_folder = kind.file_name().ok_or_else(|| Error::StudyValue {
            path: file.to_path_buf(),
            key: "store",
            found: format!("\"{store}\""),
            expected: "a URL of such a store, or the name of one that is kept in the study's folder".to_owned(),
        })?;
        Ok(Self::InFolder(kind, in_folder))
    }

    /// The trials of the study of this name, whose folder this is.
    pub fn lines(&self, folder: &StudyFolder, study: &str) -> Box<dyn Storage> {
        match self {
            Self::InFolder(kind, file) => kind.at(folder.file(file).as_os_str()),
            Self::At(kind, url) => match kind.shared(OsStr::new(url), study) {
                Some(store) => store.lines(),
                None => kind.at(OsStr::new(url)),
            },
        }
    }

    /// What many processes share of the study; none for a store that is one process's.
    pub fn shared(&self, folder: &StudyFolder, study: &str) -> Option<Box<dyn SharedStore>> {
        match self {
            Self::InFolder(kind, file) => kind.shared(folder.file(file).as_os_str(), study),
            Self::At(kind, url) => kind.shared(OsStr::new(url), study),
        }
    }
}

/// Whether a URL has a password before its host, or among its parameters.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || parameters.split('&').any(|parameter| parameter.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        for url in ["p://u:x@h/d", "p://u:x@/d?host=/tmp", "p://h/d?password=x", "p://h/d?a=b&password=x"] {
            assert!(has_password(url), "{url}");
        }
        for url in ["p://u@h:5432/d", "p://h/d?passfile=x", "p:///d?host=/a:b@c", "p://[::1]:5432/d"] {
            assert!(!has_password(url), "{url}");
        }
    }
}
