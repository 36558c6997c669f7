//! A study's trials as Optuna would have them: written once by `tailor report`, and kept up to date by a search.

use std::path::Path;
use std::time::{Duration, Instant};

use recipe_search::{Event, StudyFolder};
use tailor::Error;
use zo_search::optuna;
use zo_search::storage::{StorageKind, storage_kinds};

use super::console::Console;

/// How long a search waits at least before it writes again; the dashboard looks as often.
const PAUSE: Duration = Duration::from_secs(2);
/// How many times as long as it wrote it waits at least: writing takes no more than a twentieth of a search.
const SHARE: u32 = 20;

/// Writes the trials so far, and says what shows them.
///
/// # Errors
/// What the study's folder says, and the database.
pub(super) fn write_optuna(folder: &StudyFolder, path: &Path, console: &Console) -> Result<(), Error> {
    check_place(folder, path)?;
    let study = folder.optuna()?;
    study.write(path)?;
    let written = format!("{} trials of study {}", study.trials.len(), study.name);
    let path = path.to_string_lossy();
    // A URL may hold a password.
    let place = if path.contains("://") {
        "are in the database; `optuna-dashboard` with its URL shows them".to_owned()
    } else {
        format!("in {path}; `optuna-dashboard sqlite:///{path}` shows them")
    };
    console.say(&format!("{written} {place}."))
}

/// Refuses the files in which a study looks for its trials.
fn check_place(folder: &StudyFolder, path: &Path) -> Result<(), Error> {
    let stores = storage_kinds();
    let mut files = stores.iter().filter_map(StorageKind::file_name);
    if files.any(|name| folder.file(name) == path) {
        let expected = "another file than those of the study's trials";
        return Err(Error::BadOption { option: "optuna", found: path.display().to_string(), expected });
    }
    Ok(())
}

/// The copy that a search keeps, if it is to keep one.
pub(super) struct OptunaCopy<'a> {
    folder: &'a StudyFolder,
    path: Option<&'a Path>,
    /// When it is written again.
    next: Instant,
    /// Whether writing has failed, which is said once.
    failed: bool,
}

impl<'a> OptunaCopy<'a> {
    /// Nothing is written yet.
    ///
    /// # Errors
    /// When the file is something else, or cannot be made.
    pub fn new(folder: &'a StudyFolder, path: Option<&'a Path>) -> Result<Self, Error> {
        if let Some(path) = path {
            check_place(folder, path)?;
            // The study's own folder is made by the search.
            if path.parent() != Some(folder.path()) || folder.path().is_dir() {
                optuna::check(path)?;
            }
        }
        Ok(Self { folder, path, next: Instant::now(), failed: false })
    }

    /// Writes after a trial, if it is time. That this fails does not end the search.
    pub fn follow(&mut self, event: &Event, console: &Console) {
        let now = Instant::now();
        if self.path.is_none() || !matches!(event, Event::Trial { .. }) || now < self.next {
            return;
        }
        if let Err(error) = self.write()
            && !std::mem::replace(&mut self.failed, true)
        {
            console.note(&format!("the search goes on, but: {}", error.with_causes("\n  because: ")));
        }
        self.next = Instant::now() + PAUSE.max(now.elapsed() * SHARE);
    }

    /// Writes all trials.
    ///
    /// # Errors
    /// What the study's folder says, and the database.
    pub fn write(&self) -> Result<(), Error> {
        let Some(path) = self.path else { return Ok(()) };
        Ok(self.folder.optuna()?.write(path)?)
    }
}
