//! Optuna's tables in an SQLite file.
//!
//! The file keeps the journal mode that it has (as Optuna makes it, a journal that is rolled back, no WAL): it stays
//! one file, which a dashboard on another machine may open over a network.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};

use super::OptunaStudy;
use super::database::{self, Database};
use super::rows::{Cell, Row};
use crate::Error;

/// How long a reader and the writer wait for each other.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many statements stay prepared: more than there are.
const STATEMENTS: usize = 64;

/// Optuna's tables, as Optuna 5.0.0 makes them.
const SCHEMA: &str = include_str!("schema.sql");

pub(super) fn write(study: &OptunaStudy, path: &Path) -> Result<(), Error> {
    let (location, refused) = (path.display().to_string(), refused("write", path));
    check_folder(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(&refused)?;
    connection.busy_timeout(PATIENCE).map_err(&refused)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Takes the right to write before the first look, so that nobody else writes between look and change.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&refused)?;
    if is_empty(&transaction).map_err(&refused)? {
        transaction.execute_batch(SCHEMA).map_err(&refused)?;
    }
    database::update(&mut Open(&transaction), study, &location)?;
    transaction.commit().map_err(&refused)
}

pub(super) fn check(path: &Path) -> Result<(), Error> {
    let refused = refused("read", path);
    check_folder(path)?;
    if !path.exists() {
        return Ok(());
    }
    // Opened for writing even to be read: what a killed writer left must be put in order first.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&refused)?;
    connection.busy_timeout(PATIENCE).map_err(&refused)?;
    if is_empty(&connection).map_err(&refused)? {
        return Ok(());
    }
    database::check(&mut Open(&connection), &path.display().to_string())
}

/// Whether there is the folder that the file is to be in. SQLite would only say that it cannot open the file.
fn check_folder(path: &Path) -> Result<(), Error> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => {
            let (location, folder) = (path.display().to_string(), folder.display().to_string());
            Err(Error::NoFolder { location, folder })
        }
        None => Ok(()),
    }
}

/// Whether there is no table yet.
fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))
}

/// The error of a file with which SQLite cannot do what is wanted.
fn refused(action: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::NotOptuna { location: path.display().to_string() },
        _ => Error::Io { action, location: path.display().to_string(), source: io::Error::other(error) },
    }
}

/// An open database, in a transaction if it is to be changed.
struct Open<'a>(&'a Connection);

impl Database for Open<'_> {
    fn has_table(&mut self, name: &str) -> io::Result<bool> {
        let sql = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1";
        self.0.query_row(sql, [name], |row| row.get(0)).map_err(io::Error::other)
    }

    fn query(&mut self, sql: &str, parameters: &[Cell]) -> io::Result<Vec<Vec<Cell>>> {
        self.rows(sql, parameters).map_err(io::Error::other)
    }

    fn insert(&mut self, rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.insert_row(row)).map_err(io::Error::other)
    }
}

impl Open<'_> {
    fn rows(&self, sql: &str, parameters: &[Cell]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(self.values(parameters)?))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|column| Ok(cell(row.get_ref(column)?)));
            found.push(cells.collect::<rusqlite::Result<_>>()?);
        }
        Ok(found)
    }

    fn insert_row(&self, Row { table, columns, cells }: &Row) -> rusqlite::Result<()> {
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
        let names: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
        let sql = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
        self.0.prepare_cached(&sql)?.execute(params_from_iter(self.values(cells)?)).map(drop)
    }

    fn values(&self, cells: &[Cell]) -> rusqlite::Result<Vec<Box<dyn ToSql>>> {
        cells.iter().map(|cell| self.value(cell)).collect()
    }

    fn value(&self, cell: &Cell) -> rusqlite::Result<Box<dyn ToSql>> {
        Ok(match cell {
            Cell::Null => Box::new(rusqlite::types::Null),
            Cell::Integer(x) => Box::new(*x),
            Cell::Real(x) => Box::new(*x),
            Cell::Text(text) => Box::new(text.clone()),
            Cell::Name(name) => Box::new(*name),
            Cell::Time(time) => Box::new(self.local(*time)?),
        })
    }

    /// A time as SQLAlchemy writes it. SQLite knows this machine's time zone; its own fractions have three digits,
    /// where SQLAlchemy reads six.
    fn local(&self, time: SystemTime) -> rusqlite::Result<String> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let sql = "SELECT strftime('%Y-%m-%d %H:%M:%S', $1, 'unixepoch', 'localtime')";
        let seconds: String = self.0.prepare_cached(sql)?.query_row([since.as_secs() as i64], |row| row.get(0))?;
        Ok(format!("{seconds}.{:06}", since.subsec_micros()))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Integer(x) => Cell::Integer(x),
        ValueRef::Real(x) => Cell::Real(x),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Blob(_) => Cell::Null,
    }
}
