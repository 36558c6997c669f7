//! The right to lead a study, before its first line and behind its last one: a lock that a session holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use postgres::Client;

use super::connection::refused;
use super::database::Database;
use crate::Error;

/// The first number of the locks of those who lead: they have the study as the second one.
const LEADERS: i32 = 0x7a6f_5f6c;

/// The session of a process that leads or would like to, kept from try to try: a server with many of them would do
/// little else than let them in.
#[derive(Clone, Default)]
pub(super) struct Candidate(Arc<Mutex<Option<(Client, i32)>>>);

/// The lock. When its session is gone, another one may lead.
pub(super) struct Leadership {
    session: Option<(Client, i32)>,
    candidate: Candidate,
}

impl Candidate {
    /// Leads the study of this name, which is made where it is not there.
    ///
    /// # Errors
    /// [`Error::StudyLocked`] while somebody else does; [`Error::Io`].
    pub(super) fn lead(&self, database: &Database) -> Result<Leadership, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut client, study) = match kept {
            Some(session) => session,
            None => database.enter()?,
        };
        let locked = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LEADERS, &study]);
        let locked: bool = locked.map_err(|error| database.error("lock", refused(&error)))?.get(0);
        if locked {
            return Ok(Leadership { session: Some((client, study)), candidate: self.clone() });
        }
        self.keep(client, study);
        Err(Error::StudyLocked { location: database.location().to_owned() })
    }

    fn keep(&self, client: Client, study: i32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((client, study));
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").finish_non_exhaustive()
    }
}

impl Drop for Leadership {
    /// Gives the lock back and keeps the session. One that does not answer is closed, and with
    /// it goes the lock.
    fn drop(&mut self) {
        let Some((mut client, study)) = self.session.take() else { return };
        if client.query("SELECT pg_advisory_unlock($1, $2)", &[&LEADERS, &study]).is_ok() {
            self.candidate.keep(client, study);
        }
    }
}
