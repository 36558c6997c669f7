//! Connections to a database, and what its refusals mean.

use std::error::Error as _;
use std::fmt;
use std::io;

use postgres::Client;
use postgres::error::SqlState;

use super::url::{Target, target};
use crate::Error;

/// The server, too, finds out that nobody is at the other end, so that the lock of a leader whose machine is gone is
/// free within a minute. On a Unix socket this changes nothing.
const SESSION: &str = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
                       SET client_min_messages = warning; SET statement_timeout = 0; SET lock_timeout = 0; \
                       SET search_path = pg_catalog; SELECT set_config('idle_session_timeout', '0', false) \
                       WHERE current_setting('server_version_num')::integer >= 140000";

/// A new connection to the database at a URL.
pub(super) fn connect(url: &str, location: &str) -> Result<Client, Error> {
    let wrong = |source| Error::Io { action: "connect to", location: location.to_owned(), source };
    let target = target(url, &|name| std::env::var(name).ok());
    let target = target.map_err(|bad| wrong(io::Error::new(io::ErrorKind::InvalidInput, bad)))?;
    let tls = target.trust.connector().map_err(wrong)?;
    let refused = |error: postgres::Error| wrong(not_connected(&error, &target));
    let mut client = target.config.connect(tls).map_err(refused)?;
    client.batch_execute(SESSION).map_err(refused)?;
    Ok(client)
}

/// Why something in a database did not work: words, without what the driver was given to log in.
#[derive(Debug)]
struct Refusal {
    words: String,
    advice: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        self.advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for Refusal {}

/// What the driver says, with its causes.
pub(super) fn in_words(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => {
            let detail = said.detail().map_or_else(String::new, |detail| format!(" ({detail})"));
            format!("{}{detail}", said.message())
        }
        None => {
            let mut words = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                words = format!("{words}: {next}");
                cause = next.source();
            }
            words
        }
    }
}

fn not_connected(error: &postgres::Error, target: &Target) -> io::Error {
    let kind = kind(error);
    let advice = match kind {
        io::ErrorKind::PermissionDenied => Some(
            target
                .unread
                .clone()
                .unwrap_or_else(|| "a password comes from the variable PGPASSWORD or the file ~/.pgpass".to_owned()),
        ),
        io::ErrorKind::NotFound if error.as_db_error().is_some() => {
            target.config.get_dbname().map(|name| format!("`createdb {name}` makes the database"))
        }
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::TimedOut => {
            Some("is the server running there, and does it listen?".to_owned())
        }
        // The driver finds out that there is no password before the server can say that one is wanted.
        _ if target.config.get_password().is_none() && error.as_db_error().is_none() && !error.is_closed() => {
            target.unread.clone()
        }
        _ => None,
    };
    io::Error::new(kind, Refusal { words: in_words(error), advice })
}

/// The refusal of a statement.
pub(super) fn refused(error: &postgres::Error) -> io::Error {
    let advice = match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => Some("make room on the server's disk".to_owned()),
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            Some("the user needs the right to create a schema, or all rights in the schema zo_search".to_owned())
        }
        _ => None,
    };
    io::Error::new(kind(error), Refusal { words: in_words(error), advice })
}

/// What kind of error it is to a caller.
fn kind(error: &postgres::Error) -> io::ErrorKind {
    let Some(code) = error.code() else {
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        return match source {
            Some(source) => source.kind(),
            None if error.is_closed() => io::ErrorKind::ConnectionAborted,
            None if error.to_string().contains("timeout") => io::ErrorKind::TimedOut,
            // "password missing" and the like.
            None if error.to_string().starts_with("invalid configuration") => io::ErrorKind::PermissionDenied,
            None => io::ErrorKind::Other,
        };
    };
    match *code {
        SqlState::INVALID_PASSWORD
        | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | SqlState::INSUFFICIENT_PRIVILEGE => io::ErrorKind::PermissionDenied,
        SqlState::INVALID_CATALOG_NAME => io::ErrorKind::NotFound,
        SqlState::DISK_FULL => io::ErrorKind::StorageFull,
        SqlState::UNIQUE_VIOLATION => io::ErrorKind::AlreadyExists,
        _ if is_gone(code) => io::ErrorKind::ConnectionAborted,
        _ => io::ErrorKind::Other,
    }
}

/// Whether a state says that the server ended the session, or is not ready for one.
fn is_gone(code: &SqlState) -> bool {
    code.code().starts_with("57P0") || code.code().starts_with("08") || *code == SqlState::IDLE_SESSION_TIMEOUT
}

/// Whether a connection is of no use any more after this error.
pub(super) fn lost_connection(client: &Client, error: &postgres::Error) -> bool {
    client.is_closed() || error.is_closed() || error.code().is_some_and(is_gone) || is_io(error)
}

fn is_io(error: &postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<io::Error>())
}

/// Whether a statement lost to others and may work when it is tried again at once.
pub(super) fn lost_to_others(error: &postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
}
