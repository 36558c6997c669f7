//! Whether there is something new in the folders of tasks: looking, waiting, and making sure that others see it.
//!
//! An NFS v3 client knows by a folder's time alone that its list of the folder's names is old. A list that it read
//! just before a change, in the same tick of the server's clock, would stay for ever (seen on tmpfs, with ticks of
//! 10 ms). So whoever changes a folder changes it once more a little later; and for those who were killed before they
//! could, whoever has nothing to do does it now and then.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Shared;
use super::place::Place;
use super::results::RESULTS;
use super::token::{CLAIMED, WAITING};
use crate::Error;

/// The folder in which there is a file if there will be no more tasks. By a listing, a file that was removed is gone.
pub(super) const CLOSED: &str = "closed";
/// Shortest and longest pause between two looks while waiting.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// After this, more than a tick of any file system's clock, a folder is changed once more.
const TICK: Duration = Duration::from_millis(50);
/// Every so often, one who waits changes `claimed/`, whose changes wake nobody.
const IDLE: Duration = Duration::from_secs(10);
/// Every so many times, the other folders too, which wakes all who wait.
const IDLE_FOR_ALL: u32 = 12;

/// What tells whether something may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Signs {
    waiting: Option<SystemTime>,
    results: Option<SystemTime>,
    closed: bool,
}

/// What a connection knows of changes.
#[derive(Debug)]
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// The signs when it looked last.
    seen: Signs,
    pause: Duration,
    /// A folder that it changed and has not changed once more, and since when.
    open: Option<(&'static str, Instant)>,
    /// When it changed folders last because there was nothing to do, and how often it did.
    idle: (Instant, u32),
}

/// Says that there will be no more tasks, or that there will be.
pub(super) fn close(place: &Place, closed: bool) -> Result<(), Error> {
    let path = place.path(CLOSED).join(CLOSED);
    if closed { place.put(&path, &[], false) } else { place.remove(&path) }
}

impl Changes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, seen: Signs::default(), pause: PAUSES.0, open: None, idle: (Instant::now(), 0) }
    }

    /// Says that a folder is about to be changed, in a way that others wait for.
    pub(super) fn begin(&mut self, folder: &'static str) -> Result<(), Error> {
        if let Some((other, _)) = self.open.filter(|(other, _)| *other != folder) {
            self.shared.place.change(other)?;
        }
        self.open = Some((folder, Instant::now()));
        Ok(())
    }

    /// Changes once more what was changed.
    fn repeat(&mut self) -> Result<(), Error> {
        if let Some((folder, _)) = self.open.filter(|(_, since)| since.elapsed() >= TICK) {
            self.shared.place.change(folder)?;
            self.open = None;
        }
        Ok(())
    }

    /// Changes folders now and then.
    fn repeat_for_others(&mut self) -> Result<(), Error> {
        let (last, times) = self.idle;
        if last.elapsed() >= IDLE {
            self.idle = (Instant::now(), times + 1);
            let all = times % IDLE_FOR_ALL == IDLE_FOR_ALL - 1;
            let folders: &[&str] = if all { &[CLAIMED, WAITING, RESULTS] } else { &[CLAIMED] };
            folders.iter().try_for_each(|folder| self.shared.place.change(folder))?;
        }
        Ok(())
    }

    fn signs(&self) -> Result<Signs, Error> {
        let place = &self.shared.place;
        let changed = |folder| place.refresh(&place.path(folder));
        Ok(Signs { waiting: changed(WAITING)?, results: changed(RESULTS)?, closed: !place.list(CLOSED)?.is_empty() })
    }

    /// Takes down what there is before a connection looks closer. Returns whether there will be no more tasks.
    pub(super) fn look(&mut self) -> Result<bool, Error> {
        self.repeat()?;
        self.seen = self.signs()?;
        Ok(self.seen.closed)
    }

    /// Something came of it: the next thing to wait for may come soon.
    pub(super) fn busy(&mut self) {
        self.pause = PAUSES.0;
    }

    /// Waits until something differs from what was taken down, for a second at most: a change may leave no sign.
    pub(super) fn wait(&mut self, most: Duration) -> Result<(), Error> {
        let end = Instant::now() + most.min(PAUSES.1);
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            // Of many who wait, each one looks at another time.
            let jittered = self.pause.mul_f64(rand::random::<f64>() + 0.5);
            std::thread::sleep(jittered.min(left));
            self.repeat()?;
            self.repeat_for_others()?;
            if self.signs()? != self.seen {
                break;
            }
            self.pause = self.pause.mul_f64(1.5).min(PAUSES.1);
        }
        Ok(())
    }
}
