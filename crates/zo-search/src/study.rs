//! A search with a memory: every ask and tell is written down, and a study that was cut off goes on where it was.

mod header;
mod journal;
mod record;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

pub use header::Header;
pub use record::{History, Record};

use crate::{Error, FailureKind, Optimizer, Outcome, Space, Trial, TrialId};
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
        optimizer.space().check()?;
        let history = History::new(header.of(&optimizer));
        Ok(Self { optimizer: Box::new(optimizer), history, journal: None, lost: VecDeque::new(), crashes: 0 })
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

    fn go_on(path: &Path, given: Option<Header>, mut optimizer: Box<dyn Optimizer>) -> Result<Self, Error> {
        optimizer.space().check()?;
        let (journal, lines) = Journal::open(path)?;
        let history = replay(lines, path, |history, event| match event {
            Event::Begun => same_search(history.header(), given.clone(), optimizer.as_ref(), path),
            Event::Asked(trial) => optimizer.restore(trial),
            Event::Told(id, outcome) => optimizer.tell(id, outcome.clone()),
        })?;
        let lost = history.pending().map(|record| record.trial.id).collect();
        Ok(Self { optimizer, history, journal: Some(journal), lost, crashes: 0 })
    }

    /// What a journal says, without a strategy and without going on. The journal may be in use; a torn end is left alone.
    ///
    /// # Errors
    /// [`Error::NoHeader`], [`Error::DamagedJournal`], [`Error::Io`].
    pub fn read(path: impl AsRef<Path>) -> Result<History, Error> {
        let path = path.as_ref();
        replay(Content::read(path)?.lines, path, |_, _| Ok(()))
    }

    /// Whether the journal is what this strategy does: chooses each trial again and compares. [`Study::resume`] trusts the journal.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first trial that the strategy would not ask; and as [`Study::resume`].
    pub fn verify(path: impl AsRef<Path>, mut optimizer: impl Optimizer) -> Result<History, Error> {
        let path = path.as_ref();
        replay(Content::read(path)?.lines, path, |history, event| match event {
            Event::Begun => same_search(history.header(), None, &optimizer, path),
            Event::Asked(trial) if optimizer.ask()? == *trial => Ok(()),
            Event::Asked(trial) => Err(Error::Diverged { id: trial.id }),
            Event::Told(id, outcome) => optimizer.tell(id, outcome.clone()),
        })
    }

    /// Whether each outcome is forced to disk when it is told, as it is at first. If not, a crash of the machine (not one of the
    /// process) may lose the last outcomes, which are then found out again.
    pub fn set_sync(&mut self, sync: bool) {
        if let Some(journal) = &mut self.journal {
            journal.set_sync(sync);
        }
    }
}

/// Asking and telling.
impl Study {
    /// The next trial: one that was lost when the study was cut off, otherwise a new one.
    ///
    /// # Errors
    /// [`Error::KeepsCrashing`] after five crashes (or lacks of memory) in a row; [`Error::JournalBroken`], [`Error::Io`]; and what the
    /// optimiser says, [`Error::Exhausted`] above all.
    pub fn ask(&mut self) -> Result<Trial, Error> {
        self.unless_all_crash()?;
        if let Some(lost) = self.lost.pop_front() {
            return Ok(self.history.get(lost)?.trial.clone());
        }
        self.unless_broken()?;
        let trial = self.optimizer.ask()?;
        let now = SystemTime::now();
        self.write(&Line::ask(&trial, now), false)?;
        self.history.asked(trial.clone(), now)?;
        Ok(trial)
    }

    /// The outcome of a trial. The same outcome may be told again, to no effect.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`]; [`Error::AlreadyTold`] if another outcome was told before; [`Error::JournalBroken`], [`Error::Io`].
    pub fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        if !self.history.accepts(id, &outcome)? {
            return Ok(());
        }
        self.unless_broken()?;
        self.optimizer.tell(id, outcome.clone())?;
        let now = SystemTime::now();
        self.write(&Line::tell(id, &outcome, now), true)?;
        self.lost.retain(|lost| *lost != id);
        let crashed = outcome.failure.as_ref().map(|failure| failure.kind);
        let crashed = matches!(crashed, Some(FailureKind::Crash | FailureKind::OutOfMemory));
        self.crashes = if crashed { self.crashes + 1 } else { 0 };
        self.history.told(id, outcome, now)
    }

    fn write(&mut self, line: &Line, durable: bool) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(line, durable))
    }

    fn unless_broken(&self) -> Result<(), Error> {
        self.journal.as_ref().map_or(Ok(()), Journal::unless_broken)
    }

    fn unless_all_crash(&self) -> Result<(), Error> {
        if self.crashes < CRASHES {
            return Ok(());
        }
        let told = self.history.trials().iter().filter(|record| record.outcome.is_some());
        let last = told.max_by_key(|record| record.told).and_then(|record| record.outcome.as_ref()?.failure.as_ref());
        let last = last.map(|failure| failure.message.clone()).unwrap_or_default();
        Err(Error::KeepsCrashing { count: self.crashes, last })
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

    /// All that the journal says.
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

/// What a line of a journal says.
enum Event<'a> {
    Begun,
    Asked(&'a Trial),
    Told(TrialId, &'a Outcome),
}

/// Builds the history line by line; `each` sees every event before it is history.
fn replay(
    lines: Vec<Line>,
    path: &Path,
    mut each: impl FnMut(&History, Event<'_>) -> Result<(), Error>,
) -> Result<History, Error> {
    let mut lines = lines.into_iter().zip(1..);
    let Some((Line::Header(header), _)) = lines.next() else {
        return Err(Error::NoHeader { path: path.to_path_buf() });
    };
    let mut history = History::new(*header);
    each(&history, Event::Begun)?;
    for (line, number) in lines {
        let damaged = |problem| Error::DamagedJournal { path: path.to_path_buf(), line: number, problem };
        match line {
            Line::Header(_) => return Err(damaged("a second header")),
            Line::Ask { id, point, fid, why, w, .. } => {
                let trial = Trial { id, point, fidelity: fid, origin: why };
                if id.0 != history.trials().len() as u64 {
                    return Err(damaged("this trial is not the one after the last"));
                }
                each(&history, Event::Asked(&trial))?;
                history.asked(trial, w.into())?;
            }
            Line::Tell { id, outcome, w, .. } => {
                if !history.accepts(id, &outcome).map_err(|_| damaged("an outcome that no trial waits for"))? {
                    return Err(damaged("an outcome that was told before"));
                }
                each(&history, Event::Told(id, &outcome))?;
                history.told(id, *outcome, w.into())?;
            }
        }
    }
    Ok(history)
}

/// That a journal's header is the one that this optimiser would begin with; under a name, seed and environment, if they are given.
fn same_search(journal: &Header, given: Option<Header>, optimizer: &dyn Optimizer, path: &Path) -> Result<(), Error> {
    let here = given.unwrap_or_else(|| journal.clone()).of(optimizer);
    match journal.difference(&here) {
        None => Ok(()),
        Some((what, journal, given)) => Err(Error::AnotherSearch { path: path.to_path_buf(), what, journal, given }),
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
