//! Studies in SQLite databases: the same as in a journal, cut off or killed.
//!
//! Run by `cargo test -p zo-search --features sqlite`.

mod interrupted;

use std::fs;
use std::path::Path;

use interrupted::{Tested, finish, header, killed_it_ends_as_one_that_was_not, space, strategy, uninterrupted};
use zo_search::{Error, Evolution, RandomSearch, Study};

#[test]
fn a_database_says_what_a_journal_says() -> Tested {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let digest = uninterrupted(&file("study.jsonl"), 20, 4)?;
    assert_eq!(uninterrupted(&file("study.sqlite"), 20, 4)?, digest);
    assert_eq!(Study::verify(file("study.sqlite"), strategy()?)?.digest(), digest);

    let history = Study::read(file("study.sqlite"))?;
    history.save(file("copy.jsonl"))?;
    Study::read(file("copy.jsonl"))?.save(file("copy.db"))?;
    Study::read(file("copy.db"))?.save(file("back.jsonl"))?;
    assert_eq!(fs::read(file("back.jsonl"))?, fs::read(file("copy.jsonl"))?);
    for copy in ["copy.jsonl", "copy.db"] {
        assert_eq!(Study::verify(file(copy), strategy()?)?.digest(), digest);
        let mut whole = Study::resume(file("study.jsonl"), strategy()?)?;
        let mut copied = Study::resume(file(copy), strategy()?)?;
        assert_eq!(copied.ask_batch(4)?, whole.ask_batch(4)?);
        drop(copied);
        assert!(matches!(history.save(file(copy)), Err(Error::StudyExists { .. })));
    }
    let mut names: Vec<_> =
        fs::read_dir(folder.path())?.map(|file| file.map(|file| file.file_name())).collect::<Result<_, _>>()?;
    names.sort();
    let expected =
        ["back.jsonl", "copy.db", "copy.db.lock", "copy.jsonl", "study.jsonl", "study.sqlite", "study.sqlite.lock"];
    assert_eq!(names, expected, "a closed database is one file");
    Ok(())
}

#[test]
fn one_writes_and_others_read() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    let mut study = Study::create(&path, header(), strategy()?)?;
    assert!(matches!(Study::resume(&path, strategy()?), Err(Error::StudyLocked { .. })), "one writer at a time");
    assert!(matches!(Study::create(&path, header(), strategy()?), Err(Error::StudyLocked { .. })));
    let trial = study.ask()?;
    assert_eq!(Study::read(&path)?.trials()[0].trial, trial);
    drop(study);
    assert!(matches!(Study::create(&path, header(), strategy()?), Err(Error::StudyExists { .. })));
    let error = Study::resume(&path, Evolution::new(space(), 3)).err().ok_or("resumed")?;
    assert!(matches!(error, Error::AnotherSearch { .. }), "{error}");
    assert_eq!(Study::resume(&path, strategy()?)?.ask()?, trial);
    Ok(())
}

#[test]
fn what_is_no_study_is_left_alone() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    let missing = Study::resume(&path, strategy()?);
    assert!(matches!(missing, Err(Error::Io { action: "open", .. })), "{missing:?}");
    rusqlite::Connection::open(&path)?.execute_batch("CREATE TABLE mine (x)")?;
    for content in [fs::read(&path)?, Vec::new(), b"{\"t\":\"header\"}\n".repeat(200)] {
        fs::write(&path, &content)?;
        assert!(matches!(Study::resume(&path, strategy()?), Err(Error::NoHeader { .. })));
        assert!(matches!(Study::read(&path), Err(Error::NoHeader { .. })));
        assert_eq!(fs::read(&path)?, content);
    }
    Ok(())
}

#[test]
fn a_changed_or_missing_line_is_named() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    for damage in ["UPDATE lines SET line = replace(line, 'x', 'y')", "DELETE FROM lines", "UPDATE lines SET line = 7"]
    {
        drop(fs::remove_file(&path));
        uninterrupted(&path, 4, 1)?;
        rusqlite::Connection::open(&path)?.execute_batch(&format!("{damage} WHERE number = 5"))?;
        let error = Study::resume(&path, strategy()?).err().ok_or("resumed")?;
        assert!(matches!(error, Error::DamagedStudy { line: 5, .. }), "{damage}: {error}");
    }
    Ok(())
}

/// The write-ahead log of a study that has just gone on to its end, with the database as it was before.
fn unfinished_business(path: &Path, trials: usize) -> Result<(Vec<u8>, Vec<u8>, String), Error> {
    let bytes = |path: &Path| fs::read(path).unwrap_or_default();
    drop(Study::create(path, header(), strategy()?)?);
    let before = bytes(path);
    let mut study = Study::resume(path, strategy()?)?;
    study.set_sync(false);
    finish(&mut study, trials, 4)?;
    Ok((before, bytes(&path.with_extension("db-wal")), study.history().digest()))
}

#[test]
fn cut_anywhere_it_goes_on() -> Tested {
    const TRIALS: usize = 9;
    let folder = tempfile::tempdir()?;
    let (database, log, digest) = unfinished_business(&folder.path().join("whole.db"), TRIALS)?;
    assert!(log.len() > 10_000, "{} bytes are not the study", log.len());
    let (cut, cut_log) = (folder.path().join("cut.db"), folder.path().join("cut.db-wal"));
    let mut lengths = Vec::new();
    for end in (0..log.len()).step_by(1009) {
        fs::write(&cut, &database)?;
        fs::write(&cut_log, &log[..end])?;
        let mut study = Study::resume(&cut, strategy()?)?;
        study.set_sync(false);
        lengths.push(study.trials().len());
        finish(&mut study, TRIALS, 4)?;
        assert_eq!(study.history().digest(), digest, "cut at {end}");
    }
    assert!(lengths.is_sorted() && lengths.first() == Some(&0) && lengths.last() >= Some(&8), "{lengths:?}");
    Ok(())
}

#[test]
fn no_damage_makes_it_panic_or_lie() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    uninterrupted(&path, 9, 4)?;
    let (truth, whole) = (Study::read(&path)?, fs::read(&path)?);
    let damaged = folder.path().join("damaged.db");
    for place in (0..whole.len()).step_by(211) {
        let mut changed = whole.clone();
        changed[place..(place + 8).min(whole.len())].iter_mut().for_each(|byte| *byte ^= 0x55);
        for content in [&whole[..place], &changed] {
            fs::write(&damaged, content)?;
            if let Ok(history) = Study::read(&damaged) {
                for (found, known) in history.trials().iter().zip(truth.trials()) {
                    assert_eq!(found.trial, known.trial, "changed at {place}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_database_that_was_removed_leaves_nothing_to_the_next() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    let (database, log, _) = unfinished_business(&path, 6)?;
    fs::remove_file(&path)?;
    fs::write(path.with_extension("db-wal"), log)?;
    fs::write(path.with_extension("db.new"), database)?;
    let study = Study::create(&path, header(), RandomSearch::new(space(), 1))?;
    assert!(study.trials().is_empty());
    drop(study);
    assert!(Study::resume(&path, RandomSearch::new(space(), 1))?.trials().is_empty());
    Ok(())
}

#[test]
fn a_killed_study_ends_as_one_that_was_not() -> Tested {
    let folder = tempfile::tempdir()?;
    killed_it_ends_as_one_that_was_not(&folder.path().join("killed.sqlite"), &folder.path().join("whole.sqlite"))
}
