//! Studies in Optuna's tables.
//!
//! `golden/optuna/`: `journal.jsonl`, a study with every domain, conditions, three rungs, two objectives, failures,
//! further attempts, a constraint, trials of another study and pending ones, made by the ignored test here;
//! `study.sql`, its rows as they were checked with Optuna 5.0.0 by `benches/peers/optuna_study.sh`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use zo_search::optuna::{OptunaStudy, check};
use zo_search::{
    Error, FailureKind, Fidelity, Halving, Header, Outcome, Point, RandomSearch, Space, Study, Trial, TrialId,
};

type Tested = Result<(), Box<dyn std::error::Error>>;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/optuna").join(name)
}

fn space() -> Space {
    Space::new()
        .categorical("kind", ["near", "fär"])
        .log_float("rate", 1e-5..=10.0)
        .when("kind", "near")
        .int("count", -3..=40)
        .mask("sources", 3)
        .float("coefficient", 0.0..=1.0)
        .when_at_least("sources", 2)
        .subset_of_sizes("remove", 6, 2..=3)
        .always([0])
        .never([5])
        .permutation("order", 4)
}

fn strategy() -> Result<Halving<RandomSearch>, Error> {
    Halving::new(RandomSearch::new(space(), 7), 2, [0.0004, 0.25, 1.0])
}

/// Every kind of outcome, told by the number of the trial.
fn outcome(trial: &Trial) -> Outcome {
    let x = trial.point.int("count").unwrap_or_default() as f64 / 40.0;
    match trial.id.0 {
        3 => Outcome::failed(FailureKind::Invalid, "no \"such\" löss"),
        4 => Outcome::scores([f64::NAN, 0.5]),
        5 => Outcome::scores([0.25, f64::INFINITY]),
        6 => Outcome::scores([f64::NEG_INFINITY, 0.5]),
        7 => Outcome::score(0.5),
        8 => Outcome::failed(FailureKind::OutOfMemory, "needs 90 GiB"),
        9 => Outcome::scores([x, 0.5]).with_violation(0.75),
        _ => Outcome::scores([x, 1e-7]).with_cost(2.5).with_extra(serde_json::json!({
            "retention": 1.0 - x, "tasks": { "a": x, "b": null }, "origin": "there", "list": [1, "é"]
        })),
    }
}

/// A clock that goes on by a second and a bit with each look at it, from January 2027.
fn clock() -> impl Fn() -> SystemTime + Send {
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let looks = std::sync::atomic::AtomicU32::new(0);
    move || begin + Duration::from_micros(1_000_001) * looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A study with so many trials, of which the last two are pending.
fn study(journal: &Path, trials: u64) -> Result<Study, Box<dyn std::error::Error>> {
    let mut study = Study::create(journal, Header::new("golden", 7), strategy()?)?.with_clock(clock());
    let point = Point::new()
        .with_categorical("kind", "fär")
        .with_int("count", 2)
        .with_mask("sources", [false, true, true])
        .with_float("coefficient", 0.5)
        .with_subset("remove", [0, 3])
        .with_permutation("order", [2, 0, 3, 1]);
    let half = Outcome::scores([0.5, 0.5]).at(Fidelity::new(0.5)?);
    let known = [(TrialId(4), Outcome::scores([0.125, 0.5])), (TrialId(9), half)];
    study.warm_start_from("before", known.iter().map(|(id, outcome)| (*id, &point, outcome.clone())))?;
    let mut told = 0;
    while told + 2 < trials {
        let trial = study.ask()?;
        study.tell(trial.id, outcome(&trial))?;
        told = study.trials().iter().filter(|record| record.outcome.is_some()).count() as u64;
    }
    study.ask()?;
    study.ask()?;
    Ok(study)
}

/// All rows of the tables as statements that insert them. Times are written as UTC.
fn dump(path: &Path) -> Result<String, rusqlite::Error> {
    let connection = Connection::open(path)?;
    let names = "SELECT m.name, group_concat(CASE WHEN i.type = 'DATETIME' THEN
            'quote(strftime(''%Y-%m-%d %H:%M:'', ' || i.name || ', ''utc'') || substr(' || i.name || ', 18))'
            ELSE 'quote(\"' || i.name || '\")' END, ' || '', '' || ')
        FROM sqlite_master m, pragma_table_info(m.name) i WHERE m.type = 'table' GROUP BY m.name ORDER BY m.name";
    let tables: Vec<(String, String)> =
        connection.prepare(names)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut text = String::new();
    for (table, columns) in tables.iter().filter(|(table, _)| table != "version_info" && table != "alembic_version") {
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1"))?;
        let mut rows: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        rows.sort_by_key(|row| row.split(',').next().and_then(|id| id.parse::<i64>().ok()));
        text.extend(rows.iter().map(|row| format!("INSERT INTO {table} VALUES ({row});\n")));
    }
    Ok(text)
}

#[test]
#[ignore = "writes the golden files: cargo test --release --workspace --test optuna -- --ignored"]
fn make_the_golden_files() -> Tested {
    let _ = std::fs::remove_file(golden("journal.jsonl"));
    std::fs::create_dir_all(golden(""))?;
    drop(study(&golden("journal.jsonl"), 18)?);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    OptunaStudy::of(&Study::read(golden("journal.jsonl"))?).write(&path)?;
    std::fs::write(golden("study.sql"), dump(&path)?)?;
    Ok(())
}

#[test]
fn a_study_is_written_as_it_was_checked_with_optuna() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    OptunaStudy::of(&Study::read(golden("journal.jsonl"))?).write(&path)?;
    let (found, expected) = (dump(&path)?, std::fs::read_to_string(golden("study.sql"))?);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    Ok(())
}

#[test]
fn a_database_that_grew_with_the_study_is_one_that_was_written_at_the_end() -> Tested {
    let folder = tempfile::tempdir()?;
    let (grown, whole) = (folder.path().join("grown.db"), folder.path().join("whole.db"));
    for trials in [2, 3, 9, 30] {
        let study = study(&folder.path().join(format!("{trials}.jsonl")), trials)?;
        OptunaStudy::of(study.history()).write(&grown)?;
        let written = std::fs::read(&grown)?;
        OptunaStudy::of(study.history()).write(&grown)?;
        assert_eq!(std::fs::read(&grown)?, written, "nothing is new, so nothing is written");
        let _ = std::fs::remove_file(&whole);
        OptunaStudy::of(study.history()).write(&whole)?;
        assert_eq!(without_keys(&dump(&grown)?), without_keys(&dump(&whole)?));
        assert_eq!(
            numbers_and_ids(&grown)?,
            numbers_and_ids(&whole)?,
            "a trial keeps its key, by which a page knows it"
        );
    }
    let shorter = study(&folder.path().join("anew.jsonl"), 9)?;
    OptunaStudy::of(shorter.history()).write(&grown)?;
    assert_eq!(numbers_and_ids(&grown)?.len(), 2 + 9, "the search was begun anew");
    Ok(())
}

/// The lines of a dump without the primary keys, in an order of their own.
fn without_keys(dump: &str) -> Vec<String> {
    let key = |line: &str| {
        let (begin, rest) = line.split_once('(').unwrap_or_default();
        let rest = rest.split_once(", ").unwrap_or_default().1;
        format!("{begin}({rest}")
    };
    let mut lines: Vec<String> = dump.lines().map(key).collect();
    lines.sort();
    lines
}

fn numbers_and_ids(path: &Path) -> Result<Vec<(i64, i64)>, rusqlite::Error> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare("SELECT number, trial_id FROM trials ORDER BY number")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A study of one dimension with one result.
fn small(name: &str, seed: u64) -> Result<OptunaStudy, Error> {
    let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), seed);
    let mut study = Study::in_memory(Header::new(name, seed), strategy)?.with_clock(|| SystemTime::UNIX_EPOCH);
    let trial = study.ask()?;
    study.tell(trial.id, Outcome::score(0.5))?;
    Ok(OptunaStudy::of(study.history()))
}

#[test]
fn other_studies_and_notes_stay() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    small("first", 1)?.write(&path)?;
    let note = "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, 'dashboard:note', '\"x\"');
        INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (1, 'note', '\"y\"');";
    Connection::open(&path)?.execute_batch(note)?;
    let first: Vec<String> = dump(&path)?.lines().map(str::to_owned).collect();
    small("second", 2)?.write(&path)?;
    small("first", 1)?.write(&path)?;
    let both = without_keys(&dump(&path)?);
    assert!(without_keys(&first.join("\n")).iter().all(|line| both.contains(line)));
    assert_eq!(both.iter().filter(|line| line.contains("INTO studies ")).count(), 2);
    Ok(())
}

#[test]
fn a_study_of_somebody_else_and_trials_of_somebody_else_are_left_alone() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("study.db");
    small("first", 1)?.write(&path)?;
    let before = dump(&path)?;
    let error = small("first", 2)?.write(&path).unwrap_err();
    assert!(matches!(&error, Error::OptunaName { name, .. } if name == "first"), "{error}");
    assert_eq!(dump(&path)?, before);
    let trial = "INSERT INTO trials (number, study_id, state) VALUES (1, 1, 'WAITING')";
    Connection::open(&path)?.execute_batch(trial)?;
    let error = small("first", 1)?.write(&path).unwrap_err();
    assert!(matches!(&error, Error::OptunaTrials { number: 1, .. }), "{error}");
    Connection::open(&path)?.execute_batch("INSERT INTO studies (study_name) VALUES ('theirs')")?;
    let error = small("theirs", 1)?.write(&path).unwrap_err();
    assert!(matches!(&error, Error::OptunaName { name, .. } if name == "theirs"), "{error}");
    Ok(())
}

#[test]
fn what_is_no_database_of_optunas_stays_as_it_is() -> Tested {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text.db"), "a text that is long enough to be looked at as the head of a database, and is none")?;
    drop(Study::create(at("study.sqlite"), Header::new("a", 1), strategy()?)?);
    for name in ["text.db", "study.sqlite"] {
        let before = std::fs::read(at(name))?;
        for result in [small("a", 1)?.write(at(name)), check(at(name))] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::NotOptuna { .. }), "{name}: {error}");
        }
        assert_eq!(std::fs::read(at(name))?, before);
    }
    small("a", 1)?.write(at("old.db"))?;
    Connection::open(at("old.db"))?.execute_batch("UPDATE alembic_version SET version_num = 'v2.6.0.a'")?;
    for result in [small("a", 1)?.write(at("old.db")), check(at("old.db"))] {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::OptunaVersion { found, .. } if found == "v2.6.0.a"), "{error}");
    }
    for result in [small("a", 1)?.write(at("missing/study.db")), check(at("missing/study.db"))] {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::NoFolder { folder, .. } if folder.ends_with("missing")), "{error}");
    }
    check(at("new.db"))?;
    assert!(!at("new.db").exists(), "a look makes nothing");
    Ok(())
}
