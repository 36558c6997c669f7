//! The files of a model's folder, some of which may be at hand with another content than on disk.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::Value;

use crate::error::Error;

/// A model's folder, and by name the files that have another content.
pub(crate) struct ModelFiles<'a> {
    pub dir: &'a Path,
    pub changed: &'a IndexMap<String, Vec<u8>>,
}

impl ModelFiles<'_> {
    /// The content of a file.
    pub(crate) fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        self.changed.get(name).map_or_else(|| std::fs::read(self.dir.join(name)), |content| Ok(content.clone()))
    }

    /// A file as text; None if there is no such file.
    ///
    /// # Errors
    /// [`Error::Read`] for one that cannot be read or is not UTF-8.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let failed = |source| Error::Read { file: self.dir.join(name), source };
        match self.read(name) {
            Ok(content) => String::from_utf8(content).map(Some).map_err(|error| failed(std::io::Error::other(error))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// A file as JSON; `null` if there is no such file.
    ///
    /// # Errors
    /// As [`Self::text`]; [`Error::Json`] for one that is not JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Value, Error> {
        let parse = |text: String| serde_json::from_str(&text);
        let json = self.text(name)?.map_or(Ok(Value::Null), parse);
        json.map_err(|source| Error::Json { file: self.dir.join(name), source })
    }

    /// The files with this ending in a folder below, by name without it, sorted.
    pub(crate) fn texts_in(&self, folder: &str, ending: &str) -> Result<Vec<(String, String)>, Error> {
        let path = self.dir.join(folder);
        let failed = |source| Error::Read { file: path.clone(), source };
        let entries: Vec<PathBuf> = match std::fs::read_dir(&path) {
            Ok(entries) => {
                entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut texts = Vec::new();
        for file in entries.iter().filter(|file| file.extension().is_some_and(|found| found == ending)) {
            let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.clone(), source })?;
            texts.push((file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
        texts.sort_unstable();
        Ok(texts)
    }
}
