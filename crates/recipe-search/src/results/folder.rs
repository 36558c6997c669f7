//! The folder of a study, and what is read from it and written into it.

use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use tailor_registry::Registry;
use zo_search::History;
use zo_search::sharing::SharedStore;
use zo_search::storage::{Storage, StorageKind, storage_kinds};

use super::SearchResult;
use super::files::{is_free, write_whole};
use crate::study::StoreRow;
use crate::{Error, Study, StudyFile};

/// The folder of a study and the paths in it. What stands in which file: the head of `results.rs`, and `docs/study.md`.
///
/// ```
/// use recipe_search::{Error, StudyFolder};
///
/// # let temporary = tempfile::tempdir().unwrap();
/// # let path = temporary.path().join("found");
/// let folder = StudyFolder::new(&path);
/// folder.create()?;
/// folder.write_json("notes.json", &[1, 2])?;
/// assert_eq!(folder.read::<Vec<u32>>("notes.json")?, Some(vec![1, 2]));
/// assert!(matches!(folder.study(), Err(Error::NotAStudy(_))));
/// assert!(matches!(folder.create(), Err(Error::OutNotEmpty(_))), "it is not empty any more");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StudyFolder(PathBuf);

impl StudyFolder {
    /// The folder at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the folder for a new study.
    ///
    /// # Errors
    /// [`Error::OutNotEmpty`] if something stands in it; [`Error::Io`] if it cannot be made.
    pub fn create(&self) -> Result<(), Error> {
        self.check_free()?;
        std::fs::create_dir_all(&self.0).map_err(Error::io(&self.0))
    }

    /// Whether a new study may begin here: the folder is empty, or not there yet.
    ///
    /// # Errors
    /// As [`StudyFolder::create`].
    pub fn check_free(&self) -> Result<(), Error> {
        if is_free(&self.0)? { Ok(()) } else { Err(Error::OutNotEmpty(self.0.clone())) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the trials are kept, in whichever of our stores; none before the first trial.
    ///
    /// # Errors
    /// As [`StudyFolder::lines_in`].
    pub fn lines(&self) -> Result<Option<Box<dyn Storage>>, Error> {
        self.lines_in(&storage_kinds())
    }

    /// Where the trials are kept, in whichever of these stores that is: in this folder, or else where the study in it
    /// says; none before the first trial.
    ///
    /// # Errors
    /// What a store elsewhere says.
    pub fn lines_in(&self, stores: &Registry<dyn StorageKind>) -> Result<Option<Box<dyn Storage>>, Error> {
        let files = stores.iter().filter_map(|kind| Some(kind.at(self.file(kind.file_name()?).as_os_str())));
        if let Some(here) = files.into_iter().find(|lines| lines.exists().unwrap_or(false)) {
            return Ok(Some(here));
        }
        let Some(elsewhere) = self.store_elsewhere(stores)? else { return Ok(None) };
        Ok(Some(elsewhere).filter(|lines| lines.exists().unwrap_or(true)))
    }

    /// What several processes share of the study in this folder; none for a study of one process.
    ///
    /// # Errors
    /// [`Error::StudyFile`], [`Error::StudyChoice`], [`Error::StudyValue`] for a study file that names no such store.
    pub fn shared_store(&self) -> Result<Option<Box<dyn SharedStore>>, Error> {
        Ok(self.store_row(&storage_kinds())?.and_then(|(row, name)| row.shared(self, &name)))
    }

    /// Where the trials are kept, if the study in this folder says that it is not here.
    fn store_elsewhere(&self, stores: &Registry<dyn StorageKind>) -> Result<Option<Box<dyn Storage>>, Error> {
        Ok(self.store_row(stores)?.and_then(|(row, name)| match row {
            StoreRow::InFolder(..) => None,
            StoreRow::At(..) => Some(row.lines(self, &name)),
        }))
    }

    /// The store that the study in this folder names, and the name of the study.
    fn store_row(&self, stores: &Registry<dyn StorageKind>) -> Result<Option<(StoreRow, String)>, Error> {
        #[derive(serde::Deserialize)]
        struct Kept {
            #[serde(default = "crate::study::defaults::name")]
            name: String,
            store: Option<String>,
        }
        let path = self.file("study.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let toml = |source| Error::StudyFile { path: path.clone(), source: Box::new(source) };
        let Kept { name, store } = toml::from_str(&text).map_err(toml)?;
        let Some(store) = store else { return Ok(None) };
        Ok(Some((StoreRow::of(stores, &store, &path)?, name)))
    }

    /// All trials so far, in whichever of our stores they are.
    ///
    /// # Errors
    /// [`Error::NoTrial`] before the first one; and what the journal says.
    pub fn history(&self) -> Result<History, Error> {
        self.history_in(&storage_kinds())
    }

    /// All trials so far, in whichever of these stores they are.
    ///
    /// # Errors
    /// As [`StudyFolder::history`].
    pub fn history_in(&self, stores: &Registry<dyn StorageKind>) -> Result<History, Error> {
        let none = || if self.is_study() { Error::NoTrial(self.0.clone()) } else { Error::NotAStudy(self.0.clone()) };
        Ok(zo_search::Study::read(self.lines_in(stores)?.ok_or_else(none)?)?)
    }

    /// Whether a study was started here.
    pub(crate) fn is_study(&self) -> bool {
        self.file("study.toml").is_file()
    }

    /// The study that was started here.
    ///
    /// # Errors
    /// [`Error::NotAStudy`] if none was.
    pub fn study_file(&self) -> Result<StudyFile, Error> {
        if !self.is_study() {
            return Err(Error::NotAStudy(self.0.clone()));
        }
        StudyFile::read(&self.file("study.toml"))
    }

    /// The same, checked.
    ///
    /// # Errors
    /// As [`StudyFolder::study_file`] and [`StudyFile::check`].
    pub fn study(&self) -> Result<Study, Error> {
        self.study_file()?.check()
    }

    /// The result of the search.
    ///
    /// # Errors
    /// [`Error::NoResult`] while there is none.
    pub fn result(&self) -> Result<SearchResult, Error> {
        self.found()?.ok_or_else(|| Error::NoResult(self.0.clone()))
    }

    /// The result of the search, `None` while there is none. The files of its bridges are paths as they can be opened.
    ///
    /// # Errors
    /// As [`StudyFolder::read`].
    pub(crate) fn found(&self) -> Result<Option<SearchResult>, Error> {
        let Some(mut result) = self.read::<SearchResult>("result.json")? else { return Ok(None) };
        result.recipes_mut().try_for_each(|recipe| self.resolve(recipe))?;
        Ok(Some(result))
    }

    /// Writes the result and its recipe. Files of bridges in this folder are named relative to it, so that it can be
    /// moved.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Results`].
    pub(crate) fn write_result(&self, result: &SearchResult) -> Result<(), Error> {
        let mut result = result.clone();
        for recipe in result.recipes_mut() {
            self.localise(recipe, Path::new(""))?;
        }
        self.write("best.yaml", &result.best.recipe.to_yaml()?)?;
        self.write_json("result.json", &result)
    }

    /// Reads one of the JSON files, `None` if it is not there yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Results`].
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.file(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|source| Error::Results { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write_whole(&self.file(name), text)
    }

    /// Makes a folder in it that holds nothing: what an earlier run left in it goes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn fresh(&self, name: &str) -> Result<(), Error> {
        let path = self.file(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(Error::io(&path))?;
        }
        std::fs::create_dir_all(&path).map_err(Error::io(&path))
    }

    /// Writes one of the JSON files, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Results`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text =
            serde_json::to_string_pretty(value).map_err(|source| Error::Results { path: self.file(name), source })?;
        self.write(name, &text)
    }
}
