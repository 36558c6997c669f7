//! Studies that are cut off, at any byte, and go on.

mod interrupted;

use std::fs;

use interrupted::{Tested, finish, header, killed_it_ends_as_one_that_was_not, space, strategy, uninterrupted};
use proptest::prelude::*;
use zo_search::{Error, Evolution, FailureKind, Header, Optimizer, Outcome, RandomSearch, Study};

#[test]
fn cut_at_any_byte_it_goes_on_or_says_why_not() -> Tested {
    const TRIALS: usize = 9;
    for batch in [1, 4] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("whole.jsonl");
        let digest = uninterrupted(&path, TRIALS, batch)?;
        let whole = fs::read(&path)?;
        for part in ["\"t\":\"inject\"", "\"retry\":true", "\"ok\":false"] {
            assert!(String::from_utf8_lossy(&whole).contains(part), "the journal has no {part}");
        }
        let header_end = whole.iter().position(|byte| *byte == b'\n').ok_or("no line")?;
        let cut = folder.path().join("cut.jsonl");
        // Every byte once; then those around the ends of lines, where a batch is cut apart.
        let near_an_end = |end: &usize| whole[end.saturating_sub(2)..(end + 2).min(whole.len())].contains(&b'\n');
        for end in (0..=whole.len()).filter(|end| batch == 1 || near_an_end(end)) {
            fs::write(&cut, &whole[..end])?;
            match Study::resume(&cut, strategy()?) {
                Err(Error::NoHeader { .. }) => assert!(end <= header_end, "cut at {end}"),
                Err(other) => return Err(format!("cut at {end}: {other}").into()),
                Ok(mut study) => {
                    assert!(end > header_end, "cut at {end}");
                    study.set_sync(false);
                    finish(&mut study, TRIALS, batch)?;
                    assert_eq!(study.history().digest(), digest, "batches of {batch}, cut at {end}");
                }
            }
        }
        let torn = fs::metadata(folder.path().join("cut.jsonl.torn"))?;
        assert!(torn.len() > 0, "what was torn is kept");
    }
    Ok(())
}

#[test]
fn a_damaged_line_is_named() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    uninterrupted(&path, 6, 1)?;
    let whole = fs::read_to_string(&path)?;
    let lines: Vec<&str> = whole.lines().collect();
    let damage = |lines: Vec<&str>| -> Result<Error, Box<dyn std::error::Error>> {
        fs::write(&path, lines.join("\n") + "\n")?;
        let error = Study::resume(&path, strategy()?).err().ok_or("resumed")?;
        assert!(Study::read(&path).is_err());
        Ok(error)
    };
    let changed = lines[4].replacen("\"id\":", "\"id\" :", 1);
    // Lines 2 to 4 are injected; the first ask and its outcome follow.
    let cases = [
        ([&lines[..4], &[&changed], &lines[5..]].concat(), 5),
        ([&lines[..3], &lines[5..]].concat(), 4),
        ([&lines[..3], &lines[2..]].concat(), 4),
        ([&lines[..2], &lines[3..]].concat(), 3),
        ([&lines[..6], &lines[3..]].concat(), 7),
        ([&lines[..5], &lines[4..]].concat(), 6),
        ([&lines[..6], &lines[5..]].concat(), 7),
        ([&lines[..3], &lines[..]].concat(), 4),
    ];
    for (lines, line) in cases {
        let error = damage(lines)?;
        assert!(matches!(error, Error::DamagedStudy { line: found, .. } if found == line), "line {line}: {error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_damage_makes_it_panic_or_lie(place in 0.0..1.0, byte: u8, length in 0_usize..40) {
        let damaged = (|| -> Result<(), Box<dyn std::error::Error>> {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("journal.jsonl");
            uninterrupted(&path, 5, 1)?;
            let truth = Study::read(&path)?;
            let mut bytes = fs::read(&path)?;
            let start = (bytes.len() as f64 * place) as usize;
            for changed in bytes.iter_mut().skip(start).take(length) {
                *changed ^= byte;
            }
            fs::write(&path, bytes)?;
            if let Ok(study) = Study::resume(&path, strategy()?) {
                for (found, known) in study.trials().iter().zip(truth.trials()) {
                    assert_eq!(found.trial, known.trial);
                }
            }
            Ok(())
        })();
        prop_assert!(damaged.is_ok(), "{:?}", damaged);
    }
}

#[test]
fn a_new_study_never_takes_the_place_of_an_old_one() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let study = Study::create(&path, header(), strategy()?)?;
    assert!(matches!(Study::resume(&path, strategy()?), Err(Error::StudyLocked { .. })), "one writer at a time");
    assert!(matches!(Study::create(&path, header(), strategy()?), Err(Error::StudyExists { .. })));
    drop(study);
    assert!(matches!(Study::create(&path, header(), strategy()?), Err(Error::StudyExists { .. })));
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing half-written is left");
    let missing = folder.path().join("no/such/folder.jsonl");
    assert!(matches!(Study::create(&missing, header(), strategy()?), Err(Error::Io { .. })));
    Ok(())
}

#[test]
fn another_search_does_not_go_on_with_a_journal() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    drop(Study::create(&path, header(), Evolution::new(space(), 3))?);
    let others: [(&str, Box<dyn Optimizer>); 4] = [
        ("space", Box::new(Evolution::new(space().int("y", 0..=1), 3))),
        ("strategy", Box::new(RandomSearch::new(space(), 3))),
        ("strategy's settings", Box::new(Evolution::new(space(), 4))),
        ("strategy's settings", Box::new(Evolution::new(space(), 3).with_population(5))),
    ];
    for (expected, other) in others {
        let error = Study::resume(&path, other).err().ok_or("resumed")?;
        assert!(matches!(&error, Error::AnotherSearch { what, .. } if *what == expected), "{expected}: {error}");
    }
    let elsewhere = Header::new("cut off", 3).with_environment(serde_json::json!({ "data": "xyz" }));
    let error = Study::open(&path, elsewhere, Evolution::new(space(), 3)).err().ok_or("resumed")?;
    assert!(matches!(&error, Error::AnotherSearch { what: "environment", .. }), "{error}");
    Study::open(&path, header(), Evolution::new(space(), 3))?;
    Ok(())
}

#[test]
fn the_journal_is_verified_by_asking_again() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let digest = uninterrupted(&path, 20, 4)?;
    assert_eq!(Study::verify(&path, strategy()?)?.digest(), digest);
    Ok(())
}

#[test]
fn an_outcome_is_told_once() -> Tested {
    let mut study = Study::in_memory(header(), RandomSearch::new(space(), 1))?;
    let trial = study.ask()?;
    study.tell(trial.id, Outcome::score(f64::NAN))?;
    study.tell(trial.id, Outcome::score(f64::NAN))?;
    assert!(matches!(study.tell(trial.id, Outcome::score(1.0)), Err(Error::AlreadyTold { .. })));
    assert!(matches!(study.tell(zo_search::TrialId(9), Outcome::score(1.0)), Err(Error::UnknownTrial { .. })));
    assert!(study.incumbent().is_none());
    Ok(())
}

#[test]
fn an_evaluator_that_always_crashes_stops_the_study_and_a_mended_one_goes_on() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let mut study = Study::create(&path, header(), RandomSearch::new(space(), 1))?.with_retries(0);
    for _ in 0..5 {
        let trial = study.ask()?;
        study.tell(trial.id, Outcome::failed(FailureKind::Crash, "no such device"))?;
    }
    let error = study.ask().err().ok_or("went on")?;
    assert!(error.to_string().contains("no such device"), "{error}");
    drop(study);
    assert_eq!(Study::resume(&path, RandomSearch::new(space(), 1))?.ask()?.id.0, 5);
    Ok(())
}

#[test]
fn a_killed_study_ends_as_one_that_was_not() -> Tested {
    let folder = tempfile::tempdir()?;
    killed_it_ends_as_one_that_was_not(&folder.path().join("killed.jsonl"), &folder.path().join("whole.jsonl"))
}
