//! Optuna's tables in a PostgreSQL database, in the schema that its users see (`public`).

use std::error::Error as StdError;
use std::io;
use std::time::SystemTime;

use bytes::BytesMut;
use postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use postgres::{Client, Transaction};

use super::OptunaStudy;
use super::database::{self, Database};
use super::rows::{Cell, Row};
use crate::Error;
use crate::sharing::postgres::{connect, refused, shown};

/// Optuna's tables, as Optuna 5.0.0 makes them.
const SCHEMA: &str = include_str!("postgres_schema.sql");
/// The session's own search path is narrow; Optuna's is the user's. One writer at a time.
const BEGIN: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7803256130474406511)";

pub(super) fn write(study: &OptunaStudy, url: &str) -> Result<(), Error> {
    let location = shown(url, None);
    let failed =
        |error: postgres::Error| Error::Io { action: "write", location: location.clone(), source: refused(&error) };
    let mut client = open(url, &location)?;
    let mut transaction = client.transaction().map_err(failed)?;
    transaction.batch_execute(BEGIN).map_err(failed)?;
    if !has_tables(&mut transaction).map_err(failed)? {
        transaction.batch_execute(SCHEMA).map_err(failed)?;
    }
    database::update(&mut Open(&mut transaction), study, &location)?;
    transaction.commit().map_err(failed)
}

pub(super) fn check(url: &str) -> Result<(), Error> {
    let location = shown(url, None);
    let failed =
        |error: postgres::Error| Error::Io { action: "read", location: location.clone(), source: refused(&error) };
    let mut client = open(url, &location)?;
    let mut transaction = client.transaction().map_err(failed)?;
    if !has_tables(&mut transaction).map_err(failed)? {
        return Ok(());
    }
    database::check(&mut Open(&mut transaction), &location)
}

fn open(url: &str, location: &str) -> Result<Client, Error> {
    let mut client = connect(url, location)?;
    let reset = client.batch_execute("RESET search_path");
    reset.map_err(|error| Error::Io {
        action: "connect to",
        location: location.to_owned(),
        source: refused(&error),
    })?;
    Ok(client)
}

/// Whether any of the tables is there that tell Optuna's databases.
fn has_tables(transaction: &mut Transaction<'_>) -> Result<bool, postgres::Error> {
    let sql = "SELECT coalesce(to_regclass('version_info'), to_regclass('alembic_version'), to_regclass('studies'), \
               to_regclass('trials')) IS NOT NULL";
    Ok(transaction.query_one(sql, &[])?.get(0))
}

/// A transaction.
struct Open<'a, 'b>(&'a mut Transaction<'b>);

impl Database for Open<'_, '_> {
    fn has_table(&mut self, name: &str) -> io::Result<bool> {
        let found = self.0.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]);
        Ok(found.map_err(|error| refused(&error))?.get(0))
    }

    fn query(&mut self, sql: &str, parameters: &[Cell]) -> io::Result<Vec<Vec<Cell>>> {
        let rows = self.rows(sql, parameters).map_err(|error| refused(&error))?;
        Ok(rows.iter().map(cells).collect())
    }

    /// Neighbours of one table go in one statement.
    fn insert(&mut self, rows: &[Row]) -> io::Result<()> {
        for rows in rows.chunk_by(|a, b| a.table == b.table) {
            let Some(Row { table, columns, .. }) = rows.first() else { continue };
            let places = |row: usize| {
                let places = (1..=columns.len()).map(|column| format!("${}", row * columns.len() + column));
                format!("({})", places.collect::<Vec<_>>().join(", "))
            };
            let names: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
            // A statement has at most 65535 parameters.
            for rows in rows.chunks(10_000) {
                let places: Vec<String> = (0..rows.len()).map(places).collect();
                let sql = format!("INSERT INTO {table} ({}) VALUES {}", names.join(", "), places.join(", "));
                let cells: Vec<Cell> = rows.iter().flat_map(|row| row.cells.clone()).collect();
                self.rows(&sql, &cells).map_err(|error| refused(&error))?;
            }
        }
        Ok(())
    }
}

impl Open<'_, '_> {
    fn rows(&mut self, sql: &str, parameters: &[Cell]) -> Result<Vec<postgres::Row>, postgres::Error> {
        let parameters = parameters.iter().map(|cell| self.local(cell)).collect::<Result<Vec<_>, _>>()?;
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect();
        self.0.query(sql, &parameters)
    }

    /// A time as the clock of the session's time zone shows it; anything else as it is.
    fn local(&mut self, cell: &Cell) -> Result<Cell, postgres::Error> {
        let Cell::Time(time) = cell else { return Ok(cell.clone()) };
        let shown = self.0.query_one("SELECT ($1::timestamptz)::timestamp", &[time])?;
        Ok(Cell::Time(shown.get::<_, SystemTime>(0)))
    }
}

/// As the type of the column wants it.
impl ToSql for Cell {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(x) if *kind == Type::INT4 => i32::try_from(*x)?.to_sql(kind, out),
            Self::Integer(x) => x.to_sql(kind, out),
            Self::Real(x) => x.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Name(name) => {
                out.extend_from_slice(name.as_bytes());
                Ok(IsNull::No)
            }
            Self::Time(time) => time.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        let plain = [Type::INT4, Type::INT8, Type::FLOAT8, Type::VARCHAR, Type::TEXT, Type::TIMESTAMP];
        plain.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
    }

    to_sql_checked!();
}

fn cells(row: &postgres::Row) -> Vec<Cell> {
    let cell = |place: usize| {
        let integer = || row.try_get::<_, i32>(place).map(|x| Cell::Integer(x.into()));
        let text = || row.try_get::<_, String>(place).map(Cell::Text);
        integer().or_else(|_| text()).unwrap_or(Cell::Null)
    };
    (0..row.len()).map(cell).collect()
}
