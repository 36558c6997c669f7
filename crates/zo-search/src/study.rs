//! A search with a memory: every ask and tell is written down, and a study that was cut off goes on where it was.

mod asking;
mod follow;
mod header;
mod history;
mod injected;
mod lead;
mod line;
mod log;
mod optimize;
mod replay;
mod save;
mod seal;
mod stop;
pub mod storage;
mod warm_start;

use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

pub use follow::Follower;
pub use header::Header;
pub use history::{History, Record};
pub use injected::Injected;
pub use lead::{Batches, End, Lead, Step, Told};
pub use stop::{Stop, StopReason};
pub use warm_start::WarmStart;

use crate::{Error, Optimizer, Space, TrialId};
use line::Line;
use log::Log;
use replay::{Event, missing_of_batch, replay, same_search};
pub(crate) use seal::seal;
use storage::Storage;

/// A search with a memory.
///
/// Every ask and tell is written down: lines that are only ever added, each with a checksum, outcomes forced to disk.
/// A study that was killed is resumed with a strategy set up as the first time: the lines are replayed into it,
/// trials that were asked and not told are asked again, with the same number and point, and the search goes on as if
/// nothing had happened. With one trial at a time, or in [batches](Study::ask_batch), the finished study is the same
/// as one that was never cut off.
///
/// The lines are kept in a [`Storage`]. A path stands for one: a journal of JSON lines, or, if its name ends in
/// `.sqlite`, `.sqlite3` or `.db`, an SQLite database of the same lines (the feature `sqlite`, for local disks: a
/// file `NAME.lock` beside it stays empty). A URL `postgresql://HOST/DATABASE?study=NAME` stands for a study in a
/// PostgreSQL database (the feature `postgres`). [`History::save`] copies one into the other.
///
/// ```
/// # use zo_search::{Header, Outcome, RandomSearch, Space, Study};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("journal.jsonl");
/// let strategy = || RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let mut study = Study::create(&path, Header::new("example", 7), strategy())?;
/// let first = study.ask()?;
/// study.tell(first.id, Outcome::score(0.5))?;
/// let lost = study.ask()?;
/// drop(study); // or killed
///
/// let mut study = Study::resume(&path, strategy())?;
/// assert_eq!(study.ask()?, lost);
/// assert_eq!(study.incumbent().map(|best| &best.trial), Some(&first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Study {
    optimizer: Box<dyn Optimizer>,
    history: History,
    log: Log,
    /// Trials to be asked again before any new one: those that failed and get another attempt, and those of an
    /// earlier process that have no outcome.
    waiting: BTreeSet<TrialId>,
    /// How many trials of a batch were lost when its lines were cut off.
    missing: usize,
    /// How often a trial is asked again after a failure that may have been the machine's.
    retries: usize,
    /// The messages of the crashes since the last evaluation that did not crash.
    crashes: Vec<String>,
    /// Says the time that is written down.
    clock: Box<dyn Fn() -> SystemTime + Send>,
}

/// Beginning, or going on.
impl Study {
    /// A study without a file: it lives as long as the process.
    ///
    /// # Errors
    /// What [`Space::build`](crate::Space::build) says of the optimiser's space.
    pub fn in_memory(header: Header, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        optimizer.space().check()?;
        let history = History::new(header.of(&optimizer));
        Ok(Self::new(Box::new(optimizer), history, Log::memory()))
    }

    fn new(optimizer: Box<dyn Optimizer>, history: History, log: Log) -> Self {
        let waiting = history.pending().map(|record| record.trial.id).collect();
        let clock = Box::new(SystemTime::now);
        Self { optimizer, history, log, waiting, missing: 0, retries: 1, crashes: Vec::new(), clock }
    }

    /// A new study, kept in a new storage: a path, or a [`Storage`] of your own.
    ///
    /// # Errors
    /// [`Error::StudyExists`], [`Error::StudyLocked`], [`Error::WithoutFeature`], [`Error::Io`]; and as
    /// [`Study::in_memory`].
    pub fn create(
        storage: impl Into<Box<dyn Storage>>,
        header: Header,
        optimizer: impl Optimizer + 'static,
    ) -> Result<Self, Error> {
        let mut study = Self::in_memory(header, optimizer)?;
        let first = Line::Header(Box::new(study.history.header().clone()));
        study.log = Log::create(&*storage.into(), &[first])?;
        Ok(study)
    }

    /// Goes on with the study in a storage. The optimiser must be set up as it was at the beginning.
    ///
    /// A torn end of the journal, as a crash may leave it, is moved to `NAME.torn` beside it.
    ///
    /// # Errors
    /// [`Error::AnotherSearch`] when space, strategy or settings differ; [`Error::StudyLocked`] when another process
    /// goes on with it; [`Error::NoHeader`], [`Error::DamagedStudy`], [`Error::WithoutFeature`], [`Error::Io`]; and
    /// what the optimiser says of the replay.
    pub fn resume(storage: impl Into<Box<dyn Storage>>, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        Self::go_on(&*storage.into(), None, Box::new(optimizer))
    }

    /// [`Study::resume`] where there is a study, and [`Study::create`] where there is none. Name, seed and
    /// environment must be those of the study that is there too.
    ///
    /// # Errors
    /// As those two.
    pub fn open(
        storage: impl Into<Box<dyn Storage>>,
        header: Header,
        optimizer: impl Optimizer + 'static,
    ) -> Result<Self, Error> {
        let storage = storage.into();
        if storage.exists()? {
            Self::go_on(&*storage, Some(header), Box::new(optimizer))
        } else {
            Self::create(storage, header, optimizer)
        }
    }

    /// [`Study::resume`]; with a header, [`Study::open`].
    fn go_on(storage: &dyn Storage, given: Option<Header>, mut optimizer: Box<dyn Optimizer>) -> Result<Self, Error> {
        optimizer.space().check()?;
        let (log, lines) = Log::open(storage)?;
        let location = storage.location();
        let missing = missing_of_batch(&lines);
        let history = replay(lines, &location, |history, event| match event {
            Event::Begun => same_search(history.header(), given.clone(), optimizer.as_ref(), &location),
            Event::Injected(known) => optimizer.inject(known.point.clone(), known.outcome.clone()),
            Event::Asked(trial) => optimizer.restore(trial),
            Event::Told(id, outcome) => optimizer.tell(id, outcome.clone()),
        })?;
        Ok(Self { missing, ..Self::new(optimizer, history, log) })
    }

    /// What a study's storage says, without a strategy and without going on. It may be in use; a torn end is left
    /// alone.
    ///
    /// # Errors
    /// [`Error::NoHeader`], [`Error::DamagedStudy`], [`Error::WithoutFeature`], [`Error::Io`].
    pub fn read(storage: impl Into<Box<dyn Storage>>) -> Result<History, Error> {
        let storage = storage.into();
        replay(log::read(&*storage)?, &storage.location(), |_, _| Ok(()))
    }

    /// Whether what is recorded is what this strategy does: chooses each trial again and compares. [`Study::resume`]
    /// trusts the record. Of a search that was resumed with another number of trials, only the beginning is.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first trial that the strategy would not ask; and as [`Study::resume`].
    pub fn verify(storage: impl Into<Box<dyn Storage>>, mut optimizer: impl Optimizer) -> Result<History, Error> {
        let storage = storage.into();
        let location = storage.location();
        replay(log::read(&*storage)?, &location, |history, event| match event {
            Event::Begun => same_search(history.header(), None, &optimizer, &location),
            Event::Injected(known) => optimizer.inject(known.point.clone(), known.outcome.clone()),
            Event::Asked(trial) if optimizer.ask()?.is_recorded_as(trial) => Ok(()),
            Event::Asked(trial) => Err(Error::Diverged { id: trial.id }),
            Event::Told(id, outcome) => optimizer.tell(id, outcome.clone()),
        })
    }

    /// Whether each outcome is forced to disk when it is told, as it is at first. If not, a crash of the machine (not
    /// one of the process) may lose the last outcomes, which are then found out again.
    pub fn set_sync(&mut self, sync: bool) {
        self.log.set_sync(sync);
    }

    /// With so many further attempts, at first one, for a trial that crashes, lacks memory or takes too long. A point
    /// that is invalid or gives NaN is never tried again.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// With another clock than the system's. No strategy ever sees it.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }
}

/// What is known.
impl Study {
    /// All trials, in the order of the asks.
    #[must_use]
    pub fn trials(&self) -> &[Record] {
        self.history.trials()
    }

    /// As [`History::incumbent`].
    #[must_use]
    pub fn incumbent(&self) -> Option<&Record> {
        self.history.incumbent()
    }

    /// All that is written down.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The space searched.
    #[must_use]
    pub fn space(&self) -> &Space {
        self.optimizer.space()
    }
}

impl fmt::Debug for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trials = self.history.trials().len();
        f.debug_struct("Study")
            .field("name", &self.history.header().name())
            .field("trials", &trials)
            .finish_non_exhaustive()
    }
}
