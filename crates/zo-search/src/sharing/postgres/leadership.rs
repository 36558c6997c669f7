//! The right to lead a study, before its first line and behind its last one: a lock that a session holds.

use std::io;

use postgres::Client;

use super::connection::refused;
use super::database::Database;
use crate::Error;

/// The first number of the locks of those who lead: they have the study as the second one.
const LEADERS: i32 = 0x7a6f_5f6c;

/// The session that holds the lock: when it is gone, another one may lead.
pub(super) struct Leadership {
    client: Client,
    study: i32,
}

impl Leadership {
    /// Leads the study of this name, which is made where it is not there.
    ///
    /// # Errors
    /// [`Error::StudyLocked`] while somebody else does; [`Error::Io`].
    pub(super) fn of(database: &Database) -> Result<Self, Error> {
        let (mut client, study) = database.enter()?;
        let locked = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LEADERS, &study]);
        let locked = locked.map_err(|error: postgres::Error| -> io::Error { refused(&error) });
        if locked.map_err(|error| database.error("lock", error))?.get(0) {
            Ok(Self { client, study })
        } else {
            Err(Error::StudyLocked { location: database.location().to_owned() })
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        // If it does not come to that, the lock goes with the session.
        let _ = self.client.query("SELECT pg_advisory_unlock($1, $2)", &[&LEADERS, &self.study]);
    }
}
