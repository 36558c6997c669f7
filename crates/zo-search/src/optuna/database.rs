//! Bringing a database up to date, whatever database it is.

use std::collections::BTreeMap;
use std::io;

use super::identity::{KEY, TRIAL_KEY};
use super::rows::{self, Cell, OF_TRIAL, Row, SYSTEM_ATTRIBUTES};
use super::{OptunaStudy, OptunaTrial};
use crate::Error;

/// The version of Optuna's schema, and Alembic's name of it: Optuna 3.2 to 5.
const VERSION: (i64, &str) = (12, "v3.2.0.a");

/// An open transaction of a database. Dropped without a commit it changes nothing.
pub(super) trait Database {
    /// Whether there is a table of this name.
    fn has_table(&mut self, name: &str) -> io::Result<bool>;

    /// Runs one statement and gives its rows. Parameters are `$1`, `$2` and so on, each once, in this order.
    fn query(&mut self, sql: &str, parameters: &[Cell]) -> io::Result<Vec<Vec<Cell>>>;

    /// Inserts rows, of whatever tables.
    fn insert(&mut self, rows: &[Row]) -> io::Result<()>;
}

/// What is known of a trial in the database.
struct Known {
    id: i64,
    /// The hash of what was written; none if somebody else wrote it.
    hash: Option<String>,
}

/// A study's key, and its trials by number.
type KnownStudy = (i64, BTreeMap<i64, Known>);

/// Writes what is new or has changed. `location` is for messages.
pub(super) fn update(database: &mut dyn Database, study: &OptunaStudy, location: &str) -> Result<(), Error> {
    let known = known(database, study, location)?;
    write(database, study, known).map_err(|source| refused("write", location, source))
}

/// The study in the database, if it is there: its key, and its trials by number.
fn known(database: &mut dyn Database, study: &OptunaStudy, location: &str) -> Result<Option<KnownStudy>, Error> {
    let reading = |source| refused("read", location, source);
    check(database, location)?;
    let Some(id) = find(database, &study.name).map_err(reading)? else { return Ok(None) };
    let same = identity(database, id).map_err(reading)?;
    if same.is_none_or(|found| study.system_attributes.get(KEY).is_none_or(|own| *own != found)) {
        return Err(Error::OptunaName { location: location.to_owned(), name: study.name.clone() });
    }
    let known = trials(database, id).map_err(reading)?;
    match known.iter().find(|(_, trial)| trial.hash.is_none()) {
        Some((number, _)) => {
            let (location, name) = (location.to_owned(), study.name.clone());
            Err(Error::OptunaTrials { location, name, number: *number })
        }
        None => Ok(Some((id, known))),
    }
}

fn refused(action: &'static str, location: &str, source: io::Error) -> Error {
    Error::Io { action, location: location.to_owned(), source }
}

/// Whether the tables are Optuna's, of the version that is written here.
pub(super) fn check(database: &mut dyn Database, location: &str) -> Result<(), Error> {
    let reading = |source| refused("read", location, source);
    for table in ["version_info", "alembic_version", "studies", "trials"] {
        if !database.has_table(table).map_err(reading)? {
            return Err(Error::NotOptuna { location: location.to_owned() });
        }
    }
    let schema = database.query("SELECT schema_version FROM version_info", &[]).map_err(reading)?;
    let alembic = database.query("SELECT version_num FROM alembic_version", &[]).map_err(reading)?;
    let schema = schema.into_iter().flatten().next();
    let alembic = alembic.into_iter().flatten().next();
    match (schema, alembic) {
        (Some(Cell::Integer(schema)), Some(Cell::Text(alembic))) if (schema, alembic.as_str()) == VERSION => Ok(()),
        (_, alembic) => {
            let found = if let Some(Cell::Text(alembic)) = alembic { alembic } else { "none".to_owned() };
            Err(Error::OptunaVersion { location: location.to_owned(), found, expected: VERSION.1 })
        }
    }
}

fn find(database: &mut dyn Database, name: &str) -> io::Result<Option<i64>> {
    let found = database.query("SELECT study_id FROM studies WHERE study_name = $1", &[name.into()])?;
    Ok(found.first().and_then(|row| integer(row, 0)))
}

/// By what the study is known as ours; none if it is not ours.
fn identity(database: &mut dyn Database, study_id: i64) -> io::Result<Option<serde_json::Value>> {
    let sql = "SELECT value_json FROM study_system_attributes WHERE study_id = $1 AND \"key\" = $2";
    let found = database.query(sql, &[Cell::Integer(study_id), KEY.into()])?;
    Ok(found.first().and_then(|row| serde_json::from_str(text(row, 0)?).ok()))
}

fn trials(database: &mut dyn Database, study_id: i64) -> io::Result<BTreeMap<i64, Known>> {
    let sql = "SELECT t.number, t.trial_id, a.value_json FROM trials t LEFT JOIN trial_system_attributes a \
               ON a.trial_id = t.trial_id AND a.\"key\" = $1 WHERE t.study_id = $2";
    let found = database.query(sql, &[TRIAL_KEY.into(), Cell::Integer(study_id)])?;
    let known = |row: Vec<Cell>| {
        let hash = text(&row, 2).map(|json| json.trim_matches('"').to_owned());
        Some((integer(&row, 0)?, Known { id: integer(&row, 1)?, hash }))
    };
    Ok(found.into_iter().filter_map(known).collect())
}

fn integer(row: &[Cell], column: usize) -> Option<i64> {
    if let Some(Cell::Integer(x)) = row.get(column) { Some(*x) } else { None }
}

fn text(row: &[Cell], column: usize) -> Option<&str> {
    if let Some(Cell::Text(text)) = row.get(column) { Some(text) } else { None }
}

fn write(database: &mut dyn Database, study: &OptunaStudy, known: Option<KnownStudy>) -> io::Result<()> {
    let (study_id, mut known) = match known {
        Some(known) => known,
        None => (new_study(database, &study.name)?, BTreeMap::new()),
    };
    write_study(database, study, study_id)?;
    for (number, trial) in (0..).zip(&study.trials) {
        write_trial(database, study_id, number, trial, known.remove(&number))?;
    }
    // Of a search that was begun anew.
    known.values().try_for_each(|trial| remove(database, trial.id))
}

fn new_study(database: &mut dyn Database, name: &str) -> io::Result<i64> {
    let made = database.query("INSERT INTO studies (study_name) VALUES ($1) RETURNING study_id", &[name.into()])?;
    new_id(&made)
}

fn new_id(rows: &[Vec<Cell>]) -> io::Result<i64> {
    rows.first().and_then(|row| integer(row, 0)).ok_or_else(|| io::Error::other("the database gave no primary key"))
}

/// Directions and attributes. Attributes of others, such as the dashboard's notes, stay.
fn write_study(database: &mut dyn Database, study: &OptunaStudy, study_id: i64) -> io::Result<()> {
    let id = Cell::Integer(study_id);
    let sql = "SELECT objective FROM study_directions WHERE study_id = $1";
    if database.query(sql, std::slice::from_ref(&id))?.len() != study.objectives {
        database.query("DELETE FROM study_directions WHERE study_id = $1", std::slice::from_ref(&id))?;
        database.insert(&rows::directions(study, study_id))?;
    }
    let tables =
        [("study_user_attributes", &study.user_attributes), ("study_system_attributes", &study.system_attributes)];
    for (table, attributes) in tables {
        for row in rows::study_attributes(table, study_id, attributes) {
            write_attribute(database, row)?;
        }
    }
    Ok(())
}

/// Writes an attribute of a study unless it stands there as it is.
fn write_attribute(database: &mut dyn Database, row: Row) -> io::Result<()> {
    let (table, [id, key, value]) = (row.table, &row.cells[..]) else { return Ok(()) };
    let which = [id.clone(), key.clone()];
    let sql = format!("SELECT value_json FROM {table} WHERE study_id = $1 AND \"key\" = $2");
    if database.query(&sql, &which)?.first().and_then(|row| row.first()) == Some(value) {
        return Ok(());
    }
    database.query(&format!("DELETE FROM {table} WHERE study_id = $1 AND \"key\" = $2"), &which)?;
    database.insert(&[row])
}

/// Writes a trial that is new or has changed.
fn write_trial(
    database: &mut dyn Database,
    study_id: i64,
    number: i64,
    trial: &OptunaTrial,
    known: Option<Known>,
) -> io::Result<()> {
    let hash = rows::hash(trial);
    let trial_id = match known {
        Some(Known { hash: Some(known), .. }) if known == hash => return Ok(()),
        Some(Known { id, .. }) => {
            let sql = "UPDATE trials SET state = $1, datetime_start = $2, datetime_complete = $3 WHERE trial_id = $4";
            let [state, started, completed] = rows::changing_cells(trial);
            database.query(sql, &[state, started, completed, Cell::Integer(id)])?;
            forget(database, id, trial.system_attributes.keys().map(String::as_str).chain([TRIAL_KEY]))?;
            id
        }
        None => {
            let Row { columns, cells, .. } = rows::trial(study_id, number, trial);
            let columns = columns.join(", ");
            let sql = format!("INSERT INTO trials ({columns}) VALUES ($1, $2, $3, $4, $5) RETURNING trial_id");
            new_id(&database.query(&sql, &cells)?)?
        }
    };
    let mut rows = rows::of_trial(trial_id, trial);
    rows.push(rows::hash_attribute(trial_id, &hash));
    database.insert(&rows)
}

/// Deletes what stands of a trial in the tables beside `trials`; of the system attributes only these, as others may be
/// somebody else's.
fn forget<'a>(database: &mut dyn Database, trial_id: i64, keys: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let id = Cell::Integer(trial_id);
    for table in OF_TRIAL {
        database.query(&format!("DELETE FROM {table} WHERE trial_id = $1"), std::slice::from_ref(&id))?;
    }
    for key in keys {
        let sql = format!("DELETE FROM {SYSTEM_ATTRIBUTES} WHERE trial_id = $1 AND \"key\" = $2");
        database.query(&sql, &[id.clone(), key.into()])?;
    }
    Ok(())
}

/// Deletes a trial with all that stands of it.
fn remove(database: &mut dyn Database, trial_id: i64) -> io::Result<()> {
    for table in OF_TRIAL.into_iter().chain([SYSTEM_ATTRIBUTES, "trial_heartbeats", "trials"]) {
        database.query(&format!("DELETE FROM {table} WHERE trial_id = $1"), &[Cell::Integer(trial_id)])?;
    }
    Ok(())
}
