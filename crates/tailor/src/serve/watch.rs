//! The thread that reads a study and publishes the parts of its page that have changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use zo_search::sharing::WorkerState;

use super::fragments::Pages;
use super::watched::{Watched, open_models};
use super::workers::Workers;
use crate::Error;

/// How often the study is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// A look that takes long is followed by a pause so many times as long, so that a slow store is left in peace.
const PAUSE: u32 = 8;

/// The parts of the page, by their names, as HTML.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parts {
    /// Says which state of the page this is; no two states of any two servers have the same.
    pub revision: String,
    /// The parts, but for the table of trials, of which every reader sees another page.
    pub parts: BTreeMap<&'static str, Arc<str>>,
    /// Changes when the trials do.
    pub trials: u64,
}

/// A study that is watched, and the state of its page.
pub(super) struct Watch {
    watched: Mutex<Watched>,
    pub pages: Pages,
    /// The newest state, for all who look.
    parts: watch::Sender<Arc<Parts>>,
    /// When this server began: the first half of its revisions.
    begun: u128,
}

impl Watch {
    /// The study, and its page as it is now.
    ///
    /// # Errors
    /// [`Error::Template`].
    pub fn new(watched: Watched) -> Result<Self, Error> {
        let pages = Pages::new()?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let watch = Self { watched: Mutex::new(watched), pages, parts: watch::channel(Arc::default()).0, begun };
        watch.publish(true, None, &[])?;
        Ok(watch)
    }

    /// The study. A panic of another thread has left it as it was read.
    pub fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page as it is now, and what comes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Parts>> {
        self.parts.subscribe()
    }

    /// Reads the study again and again, until the server that uses it is gone.
    ///
    /// # Errors
    /// [`Error::Io`] when the system has no more threads.
    pub fn start(self: &Arc<Self>, mut workers: Workers) -> Result<JoinHandle<()>, Error> {
        let watch = Arc::downgrade(self);
        let thread = std::thread::Builder::new().name("tailor-serve".to_owned());
        let spawned = thread.spawn(move || {
            while let Some(watch) = watch.upgrade() {
                let begun = Instant::now();
                watch.open_models();
                watch.look(&mut workers);
                drop(watch);
                std::thread::sleep(PERIOD.max(begun.elapsed() * PAUSE));
            }
        });
        spawned.map_err(Error::Serve)
    }

    /// Reads what is new, and publishes it.
    fn look(&self, workers: &mut Workers) {
        let (workers, problem) = match workers() {
            Ok(workers) => (workers, None),
            Err(error) => (Vec::new(), Some(Error::from(error))),
        };
        let (grown, problem) = match self.watched().refresh() {
            Ok(grown) => (grown, problem),
            Err(error) => (false, Some(error)),
        };
        // Templates that worked at the start work now.
        let _ = self.publish(grown, problem.map(|problem| problem.with_causes(": ")), &workers);
    }

    /// Opens the models once, which may take a while: readers do not wait for it.
    fn open_models(&self) {
        let unopened = self.watched().unopened();
        if let Some(study) = unopened {
            let models = open_models(study);
            self.watched().set_models(models);
            let _ = self.publish(true, None, &[]);
        }
    }

    /// Makes the parts anew, those of the trials only if these have `grown`, and sends them if one has changed.
    fn publish(&self, grown: bool, problem: Option<String>, workers: &[WorkerState]) -> Result<(), Error> {
        let before = Arc::clone(&self.parts.borrow());
        let mut parts = before.parts.clone();
        {
            let watched = self.watched();
            let overview = watched.overview(SystemTime::now());
            if grown {
                for (name, html) in self.pages.of_trials(&watched)? {
                    parts.insert(name, html.into());
                }
            }
            parts.insert("state", self.pages.state(&watched, overview.as_ref(), problem)?.into());
            parts.insert("workers", self.pages.workers(&watched, overview.as_ref(), workers)?.into());
        }
        if grown || parts != before.parts {
            let trials = before.trials + u64::from(grown);
            let number = before.revision.rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
            let revision = format!("{:x}-{}", self.begun, number + 1);
            self.parts.send_replace(Arc::new(Parts { revision, parts, trials }));
        }
        Ok(())
    }
}
