//! A search with a memory: every ask and tell is written down, and a study that was cut off goes on where it was.

mod header;
mod journal;
mod record;

use std::collections::VecDeque;
use std::path::Path;
use std::time::SystemTime;

pub use header::Header;
pub use record::{History, Record};

use crate::{Error, FailureKind, Optimizer, Outcome, Trial, TrialId};
use journal::{Content, Journal};
use record::Line;

/// After so many crashes in a row the evaluator is held to be broken.
const CRASHES: usize = 5;

/// A search with a memory.
///
/// Every ask and tell goes into a journal: JSON lines that are only ever added, each with a checksum, outcomes forced to disk. A study
/// that was killed is resumed with a strategy set up as the first time: the journal is replayed into it, trials that were asked
/// and not told are asked again, with the same number and point, and the search goes on as if nothing had happened. With one
/// trial at a time, the finished study is the same as one that was never cut off.
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
    journal: Option<Journal>,
    /// Trials of an earlier process without an outcome, to be asked again first.
    lost: VecDeque<TrialId>,
    crashes: usize,
}

/// Beginning, or going on.
impl Study {
    /// A study without a file: it lives as long as the process.
    ///
    /// # Errors
    /// What [`Space::build`](crate::Space::build) says of the optimiser's space.
    pub fn in_memory(header: Header, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        Self::new(header.of(&optimizer), Box::new(optimizer))
    }

    /// A new study, kept in a new journal.
    ///
    /// # Errors
    /// [`Error::JournalExists`], [`Error::JournalLocked`], [`Error::Io`]; and as [`Study::in_memory`].
    pub fn create(path: impl AsRef<Path>, header: Header, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        let mut study = Self::in_memory(header, optimizer)?;
        let first = Line::Header(Box::new(study.history.header().clone()));
        study.journal = Some(Journal::create(path.as_ref(), &first)?);
        Ok(study)
    }

    /// Goes on with the study in a journal. The optimiser must be set up as it was at the beginning.
    ///
    /// A torn end of the journal, as a crash may leave it, is moved to `NAME.torn` beside it.
    ///
    /// # Errors
    /// [`Error::AnotherSearch`] when space, strategy or settings differ; [`Error::JournalLocked`] when another process goes on with
    /// it; [`Error::NoHeader`], [`Error::DamagedJournal`], [`Error::Io`]; and what the optimiser says of the replay.
    pub fn resume(path: impl AsRef<Path>, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        Self::go_on(path.as_ref(), None, Box::new(optimizer))
    }

    /// [`Study::resume`] where there is a journal, and [`Study::create`] where there is none. Name, seed and environment must be those
    /// of the journal too.
    ///
    /// # Errors
    /// As those two.
    pub fn open(path: impl AsRef<Path>, header: Header, optimizer: impl Optimizer + 'static) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.exists() {
            Self::go_on(path, Some(header), Box::new(optimizer))
        } else {
            Self::create(path, header, optimizer)
        }
    }

    /// What a journal says, without a strategy and without going on. The journal may be in use; a torn end is left alone.
    ///
    /// # Errors
    /// [`Error::NoHeader`], [`Error::DamagedJournal`], [`Error::Io`].
    pub fn read(path: impl AsRef<Path>) -> Result<History, Error> {
        let path = path.as_ref();
        let lines = Content::read(path)?.lines;
        replay(lines, path, |history, event| history.apply(event))
    }
}
