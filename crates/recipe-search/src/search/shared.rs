//! One study, many workers: threads of this process or other processes, of which one leads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use serde_json::json;
use zo_search::sharing::{LocalStore, Patience, SharedStore, TaskQueue, Work, Worker, WorkerInfo};
use zo_search::storage::storage_kinds;

use super::worker::RecipeWorker;
use super::{Event, Search};
use crate::evaluator::Crew;
use crate::results::{FinishedSearch, Parents, SearchResult, StudyFolder};
use crate::study::{Identity, Share, StoreRow};
use crate::{Error, StudyFile};

/// Who does not lead looks after this time whether nobody does.
const LOOK: Duration = Duration::from_secs(1);
/// So long a store that cannot be reached is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// How a process works on a study with others.
#[derive(Debug, Clone)]
pub struct WorkSettings {
    /// The devices, each of which has workers of its own; empty: those of the study, together if it says so.
    pub devices: Vec<String>,
    /// How many workers each device has, at least 1.
    pub slots: usize,
    /// After so long without a sign of life what a worker has claimed is given to another one; none: as the study says.
    pub lease: Option<Duration>,
    /// The name of this machine, to be shown.
    pub host: String,
    /// Set when the process is to end: its workers finish what they evaluate, and it leads no longer.
    pub stop: Arc<AtomicBool>,
}

/// What who leads shares with the workers of its process.
#[derive(Clone, Copy)]
pub(super) struct Workplace<'a> {
    /// The store of the study.
    pub store: &'a dyn SharedStore,
    /// Set when the process is to end.
    stop: &'a Arc<AtomicBool>,
    /// Set when one of its workers cannot go on.
    ended: &'a Arc<AtomicBool>,
}

impl Workplace<'_> {
    /// Whether the process is to end.
    pub fn is_left(self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed)
    }

    /// What connects an evaluator to the workers.
    pub fn crew(self, identity: &Identity) -> Result<Crew, Error> {
        let ends = vec![Arc::clone(self.stop), Arc::clone(self.ended)];
        Ok(Crew::new(self.store.queue()?, identity.hash.clone(), ends))
    }
}

impl Default for WorkSettings {
    /// One worker on the study's devices, with the study's lease, under the name that the system gives the machine.
    fn default() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { devices: Vec::new(), slots: 1, lease: None, host, stop: Arc::default() }
    }
}

/// How a process's part in a study ended.
#[derive(Debug)]
pub struct Worked {
    /// The finished search, if this process led it to its end.
    pub finished: Option<FinishedSearch>,
    /// Whether it ended because it was asked to, before the study was finished.
    pub left: bool,
    /// What each of its workers has done.
    pub work: Vec<Work>,
}

impl Search {
    /// Whether several workers share the study in `folder`.
    #[must_use]
    pub fn is_shared(&self, folder: &StudyFolder) -> bool {
        self.shared_store(folder).is_some()
    }

    /// The store of the study in `folder` that several workers share; none where one thread evaluates.
    pub(super) fn shared_store(&self, folder: &StudyFolder) -> Option<Box<dyn SharedStore>> {
        let store = &self.study.rows().store;
        store.shared(folder, &self.study.name).or_else(|| {
            let trials = self.study.runtime.share == Share::Trials;
            let (row, folder, name) = (store.clone(), folder.clone(), self.study.name.clone());
            let local = LocalStore::with_lines(move || row.lines(&folder, &name));
            trials.then(|| Box::new(local) as Box<dyn SharedStore>)
        })
    }

    /// Works on the study in `folder` until it is finished: evaluates, and leads whenever no other process does.
    ///
    /// # Errors
    /// [`Error::NotShared`] when the study's store is one process's; as [`Search::resume`]; [`Error::ZoSearch`] when the
    /// store cannot be reached for ten minutes.
    pub fn work(
        &self,
        folder: &StudyFolder,
        settings: &WorkSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Worked, Error> {
        let store = self.study.rows().store.shared(folder, &self.study.name);
        let store = store.ok_or_else(|| Error::NotShared { store: self.study.store.clone() })?;
        self.work_on(folder, &*store, settings, false, watch)
    }

    /// The same on a store. Who `begins` leads a finished study too, if nobody else does: it may have been given more
    /// trials.
    pub(super) fn work_on(
        &self,
        folder: &StudyFolder,
        store: &dyn SharedStore,
        settings: &WorkSettings,
        begins: bool,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Worked, Error> {
        let ended = Arc::default();
        let place = Workplace { store, stop: &settings.stop, ended: &ended };
        std::thread::scope(|scope| {
            let workers = self.workers(scope, folder, place, settings);
            let led = self.lead(folder, place, begins, watch);
            let left = place.stop.swap(true, Ordering::Relaxed);
            if matches!(led, Ok(Some(_))) {
                // Wakes those who wait; if it cannot be said, they look by themselves.
                let _ = store.queue().and_then(|mut queue| queue.close(true));
            }
            let work: Vec<Result<Work, Error>> = workers.into_iter().map(join).collect();
            Ok(Worked { finished: led?, left, work: work.into_iter().collect::<Result<_, _>>()? })
        })
    }

    /// Starts the workers of this process.
    fn workers<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        folder: &StudyFolder,
        place: Workplace<'scope>,
        settings: &WorkSettings,
    ) -> Vec<ScopedJoinHandle<'scope, Result<Work, Error>>> {
        let each = |device: &String| vec![Some(device.clone()); settings.slots.max(1)];
        let devices: Vec<Option<String>> = match (&settings.devices[..], self.study.runtime.share) {
            ([], Share::Documents) => vec![None; settings.slots.max(1)],
            ([], Share::Trials) => self.study.runtime.devices().iter().flat_map(each).collect(),
            (devices, _) => devices.iter().flat_map(each).collect(),
        };
        let lease = settings.lease.unwrap_or(Duration::from_secs(self.study.search.lease));
        let start = |device: Option<String>| {
            let shown = device.clone().unwrap_or_else(|| self.study.runtime.device.clone());
            let worker = Worker::new(WorkerInfo::here(&settings.host, shown)).with_lease(lease).until_stopped();
            let folder = folder.clone();
            scope.spawn(move || {
                let worked = self.one_worker(&worker, device.as_deref(), &folder, place);
                if worked.is_err() {
                    place.ended.store(true, Ordering::Relaxed);
                }
                worked
            })
        };
        devices.into_iter().map(start).collect()
    }

    /// Works until the process is to end, once it is known that this process has the same models and documents as whoever leads.
    fn one_worker(
        &self,
        worker: &Worker,
        device: Option<&str>,
        folder: &StudyFolder,
        place: Workplace<'_>,
    ) -> Result<Work, Error> {
        let Workplace { store, stop, .. } = place;
        let own = folder.bridges_of_worker(&worker.info().id)?;
        let mut recipes = RecipeWorker::new(self, device, folder, own)?;
        let mut patience = Patience::new(PATIENCE);
        while !stop.load(Ordering::Relaxed) {
            match store.read(IDENTITY) {
                Ok(Some(theirs)) => {
                    recipes.check_identity(&theirs, store)?;
                    return Ok(worker.run(store, stop, |task| recipes.evaluate(task))?);
                }
                Ok(None) => patience.restore(),
                Err(error) => patience.bear(error)?,
            }
            std::thread::sleep(LOOK);
        }
        Ok(Work::default())
    }

    /// Leads the study whenever nobody else does, until it is finished, here or elsewhere, or the process is to end.
    fn lead(
        &self,
        folder: &StudyFolder,
        place: Workplace<'_>,
        mut begins: bool,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Option<FinishedSearch>, Error> {
        let mut patience = Patience::new(PATIENCE);
        let mut queue = None;
        while !place.is_left() {
            match self.lead_once(folder, place, begins, &mut queue, watch) {
                Ok(finished) => return Ok(finished),
                Err(Error::ZoSearch(zo_search::Error::StudyLocked { .. })) => {
                    patience.restore();
                    begins = false;
                }
                Err(Error::Ended) => return Ok(None),
                Err(error) => bear(&mut patience, error)?,
            }
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }

    /// Leads the study to its end, if nobody else leads it; none if it is at its end, unless this process `begins`.
    fn lead_once(
        &self,
        folder: &StudyFolder,
        place: Workplace<'_>,
        begins: bool,
        queue: &mut Option<Box<dyn TaskQueue>>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Option<FinishedSearch>, Error> {
        let store = place.store;
        let right = store.lead();
        // Asked with the right in hand: whoever had it before may have finished the study just now.
        if !begins && is_closed(store, queue)? {
            return Ok(None);
        }
        let _right = right?;
        let ready = self.prepare()?;
        let other = match self.has_begun(folder, &ready.identity)? {
            true => None,
            false => self.other_study(&ready.identity, &*ready.space)?,
        };
        store.write(IDENTITY, json!(ready.identity).to_string().as_bytes())?;
        store.queue()?.close(false)?;
        store.write(STUDY, self.study.to_toml()?.as_bytes())?;
        let finished = self.finish(folder, ready, other, Some(place), watch)?;
        for name in [PARENTS, RESULT] {
            let path = folder.file(name);
            store.write(name, &std::fs::read(&path).map_err(Error::io(&path))?)?;
        }
        store.queue()?.close(true)?;
        folder.remove_bridges_of_workers()?;
        Ok(Some(finished))
    }

    /// The finished search, which another process led to its end: from `folder`, or where that is not the other
    /// process's folder too, from the study's store.
    ///
    /// # Errors
    /// [`Error::NoResult`] when it is not finished; what the store and the files say.
    pub fn finished_elsewhere(&self, folder: &StudyFolder) -> Result<FinishedSearch, Error> {
        let mut patience = Patience::new(PATIENCE);
        loop {
            match self.read_finished(folder) {
                Err(error) => bear(&mut patience, error)?,
                finished => return finished,
            }
            std::thread::sleep(LOOK);
        }
    }

    fn read_finished(&self, folder: &StudyFolder) -> Result<FinishedSearch, Error> {
        let store = self.shared_store(folder);
        for name in [PARENTS, RESULT] {
            if !folder.file(name).is_file()
                && let Some(text) = store.as_ref().and_then(|store| store.read(name).transpose()).transpose()?
            {
                folder.write(name, &String::from_utf8_lossy(&text))?;
            }
        }
        let result: SearchResult = folder.result()?;
        let parents = folder.read::<Parents>(PARENTS)?.ok_or_else(|| Error::NoResult(folder.path().to_path_buf()))?;
        Ok(FinishedSearch { result, parents, history: folder.history_in(&self.tables().stores)? })
    }
}

/// What the outcomes depend on, for workers to compare.
const IDENTITY: &str = "identity.json";
const STUDY: &str = "study.toml";
const PARENTS: &str = "parents.json";
const RESULT: &str = "result.json";

/// The study of this name in the store at a URL, for a process that knows nothing else. It is written into `folder`.
///
/// # Errors
/// [`Error::StudyChoice`] and [`Error::StudyValue`] for what is no such URL; [`Error::NoStudyInStore`] before somebody
/// has begun the study; [`Error::OutNotEmpty`] for a folder of something else; what the store says.
pub fn study_in_store(url: &str, name: &str, folder: &StudyFolder) -> Result<StudyFile, Error> {
    let row = StoreRow::of(&storage_kinds(), url, Path::new("the URL"))?;
    let store = row.shared(folder, name).ok_or_else(|| Error::NotShared { store: url.to_owned() })?;
    let text = store.read(STUDY)?.ok_or_else(|| Error::NoStudyInStore { store: store.location() })?;
    if !folder.is_study() {
        folder.create()?;
    }
    folder.write(STUDY, &String::from_utf8_lossy(&text))?;
    Ok(StudyFile { store: url.to_owned(), ..folder.study_file()? })
}

/// Whether the study is finished. The connection is kept while it answers.
fn is_closed(store: &dyn SharedStore, queue: &mut Option<Box<dyn TaskQueue>>) -> Result<bool, Error> {
    let mut connection = match queue.take() {
        Some(connection) => connection,
        None => store.queue()?,
    };
    let closed = connection.is_closed()?;
    *queue = Some(connection);
    Ok(closed)
}

/// Bears an error of the store for a while.
///
/// # Errors
/// The error, if it is another one or the while is over.
fn bear(patience: &mut Patience, error: Error) -> Result<(), Error> {
    match error {
        Error::ZoSearch(error) => Ok(patience.bear(error)?),
        other => Err(other),
    }
}

fn join(worker: ScopedJoinHandle<'_, Result<Work, Error>>) -> Result<Work, Error> {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
