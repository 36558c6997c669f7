//! A store in a folder that many machines share, for clusters without a database.

#[cfg(test)]
mod faults;

mod changes;
mod cleaning;
mod files;
mod leader;
mod lines;
mod operations;
mod place;
mod process;
mod queue;
mod results;
mod segments;
mod token;
mod watch;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{SharedStore, TaskQueue};
use crate::Error;
use crate::storage::{Storage, refused};
use operations::{Disk, Operations};
use place::Place;
use watch::Watch;

/// The folder of those who lead the study before its first line and behind its last.
const LEADING: &str = "search";
/// The file that says how the folder is laid out, and the layout of this version.
const FORMAT: (&str, u32) = ("format", 1);
/// For how long a leader that gives no sign of life leads, if nothing else is said.
const LEASE: Duration = Duration::from_secs(30);

/// A study in a folder that many machines share: of one disk, on NFS (v3 or v4), on Lustre and the like. A clone is the
/// same store.
///
/// It needs of the file system that a rename and a hard link happen at once and for one process only, that a closed
/// file is whole for who opens it then, and that who opens a folder anew finds the names that are in it. No file is
/// locked, none is replaced (clients of NFS may read the old one for seconds), and no times of two clocks are compared.
///
/// # Layout
/// | file | is | made, changed |
/// |---|---|---|
/// | `lines/first` | the number of the first segment of the study's lines | by `link`, once |
/// | `lines/TERM-LENGTH[.next-TERM].jsonl` | a segment of the lines: so many bytes count | by its leader; renamed |
/// | `leader/TERM` | a leader's term | by `link`, once |
/// | `leader/TERM.beat-NONCE`, `TERM.ended` | its sign of life; that it is over | by its leader |
/// | `tasks/KEY.json` | a task: its payload, and the name of its token | by `link`, once |
/// | `waiting/ORDER+NONCE+ATTEMPT+KEY` | its token, while nobody has claimed it | renamed |
/// | `claimed/ORDER+NONCE+ATTEMPT+KEY+WORKER` | its token, while it is claimed | renamed |
/// | `offered/KEY+ATTEMPT+NONCE` | a result that does not count yet | by a worker; renamed |
/// | `finished/KEY+ATTEMPT+NONCE` | its token, when that result counts: for a moment | renamed, removed |
/// | `results/KEY.json` | its result | renamed to, once |
/// | `workers/ID+PLACE+BEAT+LEASE+ENDED` | a worker, its sign of life, its lease in ms | by the worker; renamed |
/// | `search/leader/` | the terms of those who lead the study beyond its lines, likewise | |
/// | `files/NAME+VERSION+NONCE` | a small file, of which the newest version counts | by a new version |
/// | `closed/closed` | that there will be no more tasks | |
/// | `temp/` | files being written | |
///
/// # Who may do what
/// Each step that only one may do is one rename of a name that says who has it. A worker's claim is a file with its
/// name and the attempt; to take it over is to rename it, and then the result of the first worker, whose last step
/// renames the same name, is refused. So is a leader's line when another one leads.
///
/// # Leases
/// Whoever lives gives a file another name each time. An observer takes it for dead when the name has been the same for
/// the length of its lease, by the observer's own clock since it saw that name first. So **a store that was
/// just opened has to watch for a whole lease** before it takes anything over, and a
/// [`Storage::open`] that finds the study locked is to be called again, on this store or a clone of it, until the lease
/// ([`with_lease`](Self::with_lease)) has passed. A leader whose process ended on the same machine (Linux) is seen to
/// be gone at once.
///
/// A process that is stopped in between looking at a lease and taking over may do so when the lease has just been
/// renewed. The task is evaluated twice then; its result is that of the new claim.
///
/// # Crashes
/// Killed at any point, a process leaves nothing half done that counts: what it was writing has no name yet, and each
/// rename ends a step. The next leader removes what it left. On a crash of the machine, lines that were appended
/// durably are there, and so is what others wait for: payloads and results are forced to disk before they get names.
/// Renames of tokens are not, so that a claim or a result of the last seconds may be undone, as if it never was.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    root: PathBuf,
    sync: bool,
    lease: Duration,
    operations: Arc<dyn Operations>,
    shared: Arc<Shared>,
    /// The folder `search`, in which only the terms of those are who lead.
    leading: Arc<Shared>,
}

/// What all parts of an open store share.
#[derive(Debug)]
struct Shared {
    place: Place,
    watch: Watch,
    lease: Duration,
}

impl DirectoryStore {
    /// The store in a folder. Nothing is looked at or made yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_operations(path.into(), Arc::new(Disk))
    }

    fn with_operations(root: PathBuf, operations: Arc<dyn Operations>) -> Self {
        Self::build(root, operations, true, LEASE)
    }

    fn build(root: PathBuf, operations: Arc<dyn Operations>, sync: bool, lease: Duration) -> Self {
        let place = Place::new(root.clone(), Arc::clone(&operations), sync);
        let shared = Arc::new(Shared { place, watch: Watch::default(), lease });
        let place = Place::new(root.join(LEADING), Arc::clone(&operations), sync);
        let leading = Arc::new(Shared { place, watch: Watch::default(), lease });
        Self { root, sync, lease, operations, shared, leading }
    }

    /// For how long a leader of this store that gives no sign of life leads; 30 seconds if not given. It gives five
    /// signs in that time.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self::build(self.root, self.operations, self.sync, lease.max(Duration::from_millis(10)))
    }

    /// Whether files are forced to disk, as they are if not given. Without, a crash of a machine (not of a process)
    /// may damage the store.
    #[must_use]
    pub fn with_sync(self, sync: bool) -> Self {
        Self::build(self.root, self.operations, sync, self.lease)
    }
}

impl Shared {
    /// Makes the folders and says how they are laid out.
    fn prepare(&self, folders: &[&str]) -> Result<(), Error> {
        self.place.prepare(folders)?;
        let (name, ours) = FORMAT;
        let path = self.place.path(name);
        match self.place.read_json::<u32>(&path)? {
            Some(found) if found == ours => Ok(()),
            Some(found) => {
                let problem = format!("its format is {found}, this version knows {ours}; use the version that made it");
                Err(place::unreadable(&path, problem))
            }
            None => self.place.publish(&path, &ours).map(drop),
        }
    }
}

/// That a name is one: letters, digits and `-`, `.`, `_`, `#`, up to so many of them.
fn checked(action: &'static str, name: &str, most: usize) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._#".contains(c);
    if (1..=most).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    let problem = format!("a name here is 1 to {most} letters, digits and -._#");
    Err(refused(action, Path::new(name))(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem)))
}

impl SharedStore for DirectoryStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn lines(&self) -> Box<dyn Storage> {
        Box::new(lines::DirectoryLines(Arc::clone(&self.shared)))
    }

    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error> {
        Ok(Box::new(queue::DirectoryQueue::open(Arc::clone(&self.shared))?))
    }

    fn lead(&self) -> Result<Box<dyn Send>, Error> {
        self.leading.prepare(&[leader::LEADER])?;
        let term = leader::Term::begin(&self.leading)?;
        Ok(Box::new(term.ok_or_else(|| Error::StudyLocked { location: self.location() })?))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        checked("name a file", name, 200)?;
        files::read(&self.shared.place, name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        checked("name a file", name, 200)?;
        self.shared.prepare(&[files::FILES])?;
        files::write(&self.shared.place, name, bytes)
    }
}
