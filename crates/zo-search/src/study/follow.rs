//! A study that is watched while somebody else goes on with it.

use super::history::History;
use super::log;
use super::replay::{go_on, replay};
use super::storage::{Cursor, Storage};
use crate::Error;

/// Reads a study that grows, without locking it: each time only what was added since.
///
/// ```
/// # use zo_search::{Follower, Header, Outcome, RandomSearch, Space, Study};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("journal.jsonl");
/// let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let mut study = Study::create(&path, Header::new("example", 7), strategy)?;
/// let mut follower = Follower::new(&path);
/// assert!(follower.refresh()? && follower.has_writer()? == Some(true));
///
/// let trial = study.ask()?;
/// study.tell(trial.id, Outcome::score(0.5))?;
/// assert!(follower.refresh()? && !follower.refresh()?);
/// assert_eq!(follower.history().map(|history| history.digest()), Some(study.history().digest()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follower {
    storage: Box<dyn Storage>,
    history: Option<History>,
    /// The last line that was read, and its place.
    last: (String, Cursor),
}

impl Follower {
    /// Of the study in a storage, which need not be there yet. Nothing is read.
    #[must_use]
    pub fn new(storage: impl Into<Box<dyn Storage>>) -> Self {
        Self { storage: storage.into(), history: None, last: (String::new(), Cursor::default()) }
    }

    /// Reads what was added, and says whether something was. A study that is another one now, as it was begun anew at
    /// the same place, is read from its beginning.
    ///
    /// # Errors
    /// As [`Study::read`](super::Study::read). What was read before stays.
    pub fn refresh(&mut self) -> Result<bool, Error> {
        match self.read_on() {
            Ok(Some(grown)) => Ok(grown),
            Ok(None) | Err(_) => self.read_all(),
        }
    }

    fn read_all(&mut self) -> Result<bool, Error> {
        let (sealed, place) = self.storage.read_from(Cursor::default())?;
        let location = self.storage.location();
        let history = replay(log::unseal(&sealed, &location)?, &location, |_, _| Ok(()))?;
        self.history = Some(history);
        self.last = (sealed.last().cloned().unwrap_or_default(), place);
        Ok(true)
    }

    /// Whether the study has grown; none where it is not the one that was read.
    fn read_on(&mut self) -> Result<Option<bool>, Error> {
        let (last, place) = &self.last;
        let Some(history) = &mut self.history else { return Ok(None) };
        let (sealed, end) = self.storage.read_from(*place)?;
        let Some((_, new)) = sealed.split_first().filter(|(first, _)| *first == last) else { return Ok(None) };
        let Some(newest) = new.last() else { return Ok(Some(false)) };
        let location = self.storage.location();
        let lines = log::unseal(new, &location)?;
        go_on(history, lines.into_iter().zip(place.line + 2..), &location, |_, _| Ok(()))?;
        self.last = (newest.clone(), end);
        Ok(Some(true))
    }

    /// What was read; none before the first [`Follower::refresh`] that found a study.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Whether some process may add to the study now; none where its storage cannot tell.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn has_writer(&self) -> Result<Option<bool>, Error> {
        self.storage.has_writer()
    }

    /// The place of the study in words; see [`Storage::location`].
    #[must_use]
    pub fn location(&self) -> String {
        self.storage.location()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Outcome, RandomSearch, Space, Study};

    fn study(path: &std::path::Path, trials: usize, seed: u64) -> Result<Study, Error> {
        let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), seed);
        let mut study = Study::create(path, Header::new("followed", seed), strategy)?;
        grow(&mut study, trials)?;
        Ok(study)
    }

    fn grow(study: &mut Study, trials: usize) -> Result<(), Error> {
        for _ in 0..trials {
            let trial = study.ask()?;
            study.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
        }
        Ok(())
    }

    fn names() -> Vec<&'static str> {
        if cfg!(feature = "sqlite") { vec!["a.jsonl", "a.sqlite"] } else { vec!["a.jsonl"] }
    }

    #[test]
    fn what_is_read_bit_by_bit_is_the_whole_study() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in names() {
            let path = folder.path().join(name);
            let mut follower = Follower::new(&path);
            assert!(follower.refresh().is_err() && follower.history().is_none(), "{name}: nothing is there");
            let mut study = study(&path, 0, 1)?;
            for trials in 0..4 {
                grow(&mut study, trials)?;
                // Once more than there is to read.
                let grown = [follower.refresh()?, follower.refresh()?];
                assert_eq!(grown, [trials > 0 || study.trials().is_empty(), false], "{name}");
                assert_eq!(follower.history(), Some(&Study::read(&path)?), "{name}");
            }
            assert_eq!(follower.has_writer()?, Some(true), "{name}");
            drop(study);
            assert_eq!(follower.has_writer()?, Some(false), "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_study_begun_anew_is_read_from_its_beginning() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in names() {
            let path = folder.path().join(name);
            // Shorter than before, and longer.
            for trials in [5, 2, 9] {
                drop(study(&path, trials, trials as u64)?);
                let mut follower = Follower::new(&path);
                follower.refresh()?;
                for other in [5, 2, 9] {
                    std::fs::remove_file(&path)?;
                    drop(study(&path, other, 7)?);
                    let before = follower.refresh()?;
                    let seen = follower.history().map(|history| history.trials().len());
                    assert!(before && seen == Some(other), "{name}: {trials}, then {other}: {seen:?}");
                    follower = Follower::new(&path);
                    follower.refresh()?;
                }
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_line_that_is_half_written_is_read_when_it_is_whole() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.jsonl");
        drop(study(&path, 3, 1)?);
        let whole = std::fs::read(&path)?;
        std::fs::write(&path, &whole[..whole.len() - 9])?;
        let mut follower = Follower::new(&path);
        assert!(follower.refresh()?);
        assert_eq!(follower.history().map(|history| history.pending().count()), Some(1));
        assert!(!follower.refresh()?);
        std::fs::write(&path, &whole)?;
        assert!(follower.refresh()?);
        assert_eq!(follower.history(), Some(&Study::read(&path)?));
        Ok(())
    }
}
