//! The output folder: written aside, renamed when whole. Whoever sees it sees a whole model, also after the process was
//! killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use layer_ir::Bridge;

use crate::{Error, RecipeTensors};

/// Whether a model could be written to `out`: there is nothing yet, or an empty folder, or one that may be overwritten.
/// [`export`](crate::export) asks this itself; a program that computes for hours before it writes asks first.
///
/// # Errors
/// [`Error::OutputNotFolder`], [`Error::OutputNotEmpty`], [`Error::Write`], [`Error::Read`].
pub fn check_output(out: &Path, overwrite: bool) -> Result<(), Error> {
    if !out.try_exists().map_err(|source| Error::Write { path: out.to_owned(), source })? {
        return Ok(());
    }
    if !out.is_dir() {
        return Err(Error::OutputNotFolder { path: out.to_owned() });
    }
    if overwrite || is_empty(out).map_err(|source| Error::Read { path: out.to_owned(), source })? {
        return Ok(());
    }
    Err(Error::OutputNotEmpty { folder: out.to_owned() })
}

/// Refuses an output that holds a model or a bridge which is to be read.
pub(super) fn check_apart(out: &Path, source: RecipeTensors<'_>) -> Result<(), Error> {
    let RecipeTensors { family, recipe, .. } = source;
    let Ok(real) = out.canonicalize() else { return Ok(()) };
    let inside = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&real));
    if family.names().any(|name| family.get(name).is_ok_and(|model| inside(model.dir()))) {
        return Err(Error::OutputIsSource { folder: out.to_owned() });
    }
    let mut bridges = (0..recipe.layers.len()).filter_map(|layer| recipe.bridge(layer)).map(Bridge::file);
    match bridges.find(|file| inside(file)) {
        Some(bridge) => Err(Error::OutputHoldsBridge { folder: out.to_owned(), bridge: bridge.to_owned() }),
        None => Ok(()),
    }
}

/// Whether a folder holds nothing.
fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// A folder beside the output. It is removed when dropped, unless it was finished.
pub(super) struct Partial {
    /// The folder that is written, hidden and beside `out`.
    path: PathBuf,
    /// Its final name, absolute and through all links.
    out: PathBuf,
    /// Held while the folder is written. Whoever can take it knows that the process which wrote here is gone.
    _lock: Option<fs::File>,
}

impl Partial {
    /// Makes the folder, and those above it; removes what a killed export to the same name left.
    ///
    /// # Errors
    /// [`Error::Write`] where the system refuses it.
    pub fn create(out: &Path) -> Result<Self, Error> {
        let failed = |path: &Path, source| Error::Write { path: path.to_owned(), source };
        // Through links, and with a name even for `.`.
        let out = out.canonicalize().or_else(|_| std::path::absolute(out)).map_err(|source| failed(out, source))?;
        let parent = out.parent().unwrap_or(&out);
        fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
        remove_abandoned(&out);
        let path = beside(&out, "partial");
        fs::create_dir(&path).map_err(|source| failed(&out, source))?;
        let lock = lock(&path);
        Ok(Self { path, out, _lock: lock })
    }

    /// Where the files are to be written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name; what had it before goes only when that has worked.
    ///
    /// Returns the old folder if it could not be removed: the new one is whole and in its place then.
    pub fn finish(self) -> Result<Option<PathBuf>, Error> {
        self.replace(|old| fs::remove_dir_all(old))
    }

    /// [`Self::finish`] with another way to remove the old folder, for a test. If the new folder cannot take the name,
    /// the old one gets it back.
    fn replace(self, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<Option<PathBuf>, Error> {
        let failed = |source| Error::Write { path: self.out.clone(), source };
        if !self.out.exists() {
            return fs::rename(&self.path, &self.out).map(|()| None).map_err(failed);
        }
        let old = beside(&self.out, "old");
        fs::rename(&self.out, &old).map_err(failed)?;
        if let Err(source) = fs::rename(&self.path, &self.out) {
            fs::rename(&old, &self.out).map_err(failed)?;
            return Err(failed(source));
        }
        Ok(remove(&old).is_err().then_some(old))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `finish` there is nothing to remove; a failure here has no one to go to.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed exports to the same folder left. What cannot be removed does no harm.
fn remove_abandoned(out: &Path) {
    let Some((parent, start)) = out.parent().zip(out.file_name()) else { return };
    let start = format!(".{}.partial-", start.to_string_lossy());
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for path in
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start)).map(|entry| entry.path())
    {
        if lock(&path).is_some() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// The lock of a folder, which goes with the process; none if another has it, or where folders have no locks.
fn lock(folder: &Path) -> Option<fs::File> {
    let folder = fs::File::open(folder).ok()?;
    folder.try_lock().ok()?;
    Some(folder)
}

/// A hidden name beside the folder that nobody else uses.
fn beside(out: &Path, what: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = out.file_name().map_or_else(Default::default, |name| name.to_string_lossy());
    out.with_file_name(format!(".{name}.{what}-{}-{count}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_folder_that_cannot_be_removed_is_named_and_the_new_one_is_in_its_place()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().canonicalize()?.join("out");
        fs::create_dir(&out)?;
        fs::write(out.join("old"), "")?;
        let partial = Partial::create(&out)?;
        fs::write(partial.path().join("new"), "")?;
        let left = partial.replace(|_| Err(io::ErrorKind::PermissionDenied.into()))?.ok_or("nothing is left")?;
        assert!(out.join("new").exists() && !out.join("old").exists());
        assert!(left.join("old").exists() && left.parent() == out.parent());
        let partial = Partial::create(&out)?;
        assert_eq!(partial.finish()?, None, "what can be removed is");
        Ok(())
    }
}
