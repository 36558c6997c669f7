//! A store in a folder keeps the laws.

use zo_search::sharing::{DirectoryStore, SharedStore as _};
use zo_search::testing::{check_queue, check_storage};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[test]
fn it_keeps_the_laws_of_lines() -> Tested {
    let folder = tempfile::tempdir()?;
    let store = DirectoryStore::new(folder.path());
    check_storage(|| store.lines())?;
    let folder = tempfile::tempdir()?;
    Ok(check_storage(|| DirectoryStore::new(folder.path().join("not/there/yet")).lines())?)
}

#[test]
fn it_keeps_the_laws_of_tasks() -> Tested {
    let folder = tempfile::tempdir()?;
    let store = DirectoryStore::new(folder.path());
    check_queue(|| store.queue())?;
    let folder = tempfile::tempdir()?;
    Ok(check_queue(|| DirectoryStore::new(folder.path()).queue())?)
}
