//! What is known of a study that is watched: its history, its settings, its models.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use layer_ir::Hub;
use recipe_search::{RecipeSpace, Search, StudyFile, StudyFolder};
use zo_search::sharing::postgres::url;
use zo_search::sharing::{PostgresStore, SharedStore};
use zo_search::storage::{Storage, storage_at};
use zo_search::{Follower, History, Point};

use super::overview::{Overview, Surroundings};
use crate::{Error, LayerMap};

/// Where a study is.
pub enum Source {
    /// In a folder, as `tailor search` makes one.
    Folder(StudyFolder),
    /// In a store by itself, as a program makes it that uses `zo-search` alone.
    Store(Box<dyn Storage>),
    /// In a store that many processes share, with its workers.
    Shared(Arc<dyn SharedStore>),
}

impl Source {
    /// The study at a path or another location: a folder, a database of many machines by its URL, or else what
    /// [`storage_at`] makes of it. Nothing is read.
    #[must_use]
    pub fn at(location: impl AsRef<Path>) -> Self {
        let location = location.as_ref();
        if let Some(url) = url(location.as_os_str()) {
            return Self::Shared(Arc::new(PostgresStore::at(url)));
        }
        // A path that leads nowhere is a folder that is missing, but for those that look like a file.
        if location.is_dir() || location.extension().is_none() {
            Self::Folder(StudyFolder::new(location))
        } else {
            Self::Store(storage_at(location))
        }
    }
}

/// A study that is watched.
pub(super) struct Watched {
    folder: Option<StudyFolder>,
    /// What has the study file, where that is no folder.
    store: Option<Arc<dyn SharedStore>>,
    /// None while there is no trial.
    follower: Option<Follower>,
    /// What the study file says, and the time at which it was changed.
    settings: Option<(StudyFile, Option<SystemTime>)>,
    /// What makes recipes of points.
    models: Models,
}

/// The models of a study, which the layer map needs.
pub(super) enum Models {
    /// Nobody has tried to open them.
    Unopened,
    /// They are there. The layers of the parents, and the space.
    Open(usize, Box<dyn RecipeSpace>),
    /// Why they are not.
    Missing(String),
}

/// The study file, in a folder or a store.
const STUDY_FILE: &str = "study.toml";
/// Why a study's points cannot become recipes.
const NO_STUDY_FILE: &str = "the study has no study file, which would name its models";

impl Watched {
    /// A study as it is now.
    ///
    /// # Errors
    /// [`recipe_search::Error::NotAStudy`] for a folder without one; what its store says.
    pub fn open(source: Source) -> Result<Self, Error> {
        let mut watched = match source {
            Source::Folder(folder) => {
                if !folder.file(STUDY_FILE).is_file() && folder.lines()?.is_none() {
                    return Err(recipe_search::Error::NotAStudy(folder.path().to_path_buf()).into());
                }
                let named = folder.file(STUDY_FILE).is_file();
                let models = if named { Models::Unopened } else { Models::Missing(NO_STUDY_FILE.to_owned()) };
                Self { folder: Some(folder), store: None, follower: None, settings: None, models }
            }
            Source::Shared(store) => {
                let follower = Some(Follower::new(store.lines()));
                Self { folder: None, store: Some(store), follower, settings: None, models: Models::Unopened }
            }
            Source::Store(storage) => {
                let models = Models::Missing(NO_STUDY_FILE.to_owned());
                Self { folder: None, store: None, follower: Some(Follower::new(storage)), settings: None, models }
            }
        };
        watched.refresh()?;
        Ok(watched)
    }

    /// Reads what is new, and says whether something is.
    ///
    /// # Errors
    /// What the store or the study file says.
    pub fn refresh(&mut self) -> Result<bool, Error> {
        let changed = self.read_settings()?;
        if let (None, Some(folder)) = (&self.follower, &self.folder) {
            self.follower = folder.lines()?.map(Follower::new);
        }
        let grown = self.follower.as_mut().map_or(Ok(false), Follower::refresh)?;
        Ok(changed || grown)
    }

    /// Reads the study file again if it was changed, as a study that is given more trials writes it anew.
    fn read_settings(&mut self) -> Result<bool, Error> {
        if let (Some(store), None) = (&self.store, &self.settings) {
            let Some(text) = store.read(STUDY_FILE)? else { return Ok(false) };
            let study = StudyFile::from_text(&String::from_utf8_lossy(&text), Path::new(STUDY_FILE))?;
            self.settings = Some((study, None));
            return Ok(true);
        }
        let Some(path) = self.study_path() else { return Ok(false) };
        let Ok(metadata) = path.metadata() else { return Ok(false) };
        let time = metadata.modified().ok();
        if self.settings.as_ref().is_some_and(|(_, read)| *read == time) {
            return Ok(false);
        }
        self.settings = Some((StudyFile::as_written(&path)?, time));
        Ok(true)
    }

    fn study_path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.file(STUDY_FILE))
    }

    /// The folder, or else the store, in words.
    pub fn location(&self) -> String {
        match (&self.folder, &self.follower) {
            (Some(folder), _) => folder.path().display().to_string(),
            (None, Some(follower)) => follower.location(),
            (None, None) => String::new(),
        }
    }

    /// The folder, if the study has one.
    pub fn folder(&self) -> Option<&StudyFolder> {
        self.folder.as_ref()
    }

    /// The trials; none before the first one.
    pub fn history(&self) -> Option<&History> {
        self.follower.as_ref()?.history()
    }

    /// What the study file says, where there is one.
    pub fn settings(&self) -> Option<&StudyFile> {
        self.settings.as_ref().map(|(settings, _)| settings)
    }

    /// The study's name.
    pub fn name(&self) -> &str {
        let header = || self.history().map(|history| history.header().name());
        self.settings().map(|study| study.name.as_str()).or_else(header).unwrap_or("study")
    }

    /// The numbers at the top of the page.
    pub fn overview(&self, now: SystemTime) -> Option<Overview> {
        let search = self.settings().map(|study| &study.search);
        let hours = search.and_then(|search| search.hours);
        let around = Surroundings {
            trials: search.map(|search| search.trials),
            time: hours.and_then(|hours| Duration::try_from_secs_f64(3600.0 * hours).ok()),
            has_result: self.folder.as_ref().is_some_and(|folder| folder.file("result.json").is_file()),
            has_writer: self.follower.as_ref().and_then(|follower| follower.has_writer().ok().flatten()),
        };
        Some(Overview::of(self.history()?, &around, now))
    }

    /// The study whose models are to be looked for; none if somebody has looked, or it is not known yet.
    pub fn unopened(&self) -> Option<StudyFile> {
        matches!(self.models, Models::Unopened).then(|| self.settings().cloned())?
    }

    /// Keeps what [`open_models`] said.
    pub fn set_models(&mut self, models: Models) {
        self.models = models;
    }

    /// The layer map of a point; else why there is none.
    pub fn layer_map(&self, point: &Point) -> Result<LayerMap, String> {
        match &self.models {
            Models::Unopened => Err("the models are being opened".to_owned()),
            Models::Missing(why) => Err(why.clone()),
            Models::Open(layers, space) => match space.decode(point) {
                Ok(recipe) => Ok(LayerMap::of(&recipe, *layers)),
                Err(error) => Err(error.with_causes(": ")),
            },
        }
    }

    /// The names of the objectives, as many as there are; numbered where they are not known.
    pub fn objective_names(&self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(study) = self.settings() {
            names.push(study.search.objective.name.clone());
            for further in &study.search.objectives {
                match further.name.as_str() {
                    // The tasks' losses stand for the objective.
                    "tasks" => names = study.tasks.iter().map(|task| task.name.clone()).collect(),
                    name => names.push(name.to_owned()),
                }
            }
        }
        if names.len() == count { names } else { (1..=count).map(|number| format!("objective {number}")).collect() }
    }
}

/// Opens the models that a study file names, as far as a point needs them to become a recipe: nothing is computed, and
/// nothing is downloaded.
pub(super) fn open_models(study: StudyFile) -> Models {
    let open = || -> Result<(usize, Box<dyn RecipeSpace>), recipe_search::Error> {
        let search = Search::new(study.located(|_| Hub::from_environment(false))?.check()?)?;
        Ok((search.family().base().num_layers(), search.space()?))
    };
    match open() {
        Ok((layers, space)) => Models::Open(layers, space),
        Err(error) => Models::Missing(error.with_causes(": ")),
    }
}
