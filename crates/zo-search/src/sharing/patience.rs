//! Stores that cannot be reached for a while.

use std::time::{Duration, Instant};

use crate::Error;

/// Bears that a store cannot be reached, for a while: its server is started anew, a network is cut.
#[derive(Debug, Clone)]
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
}

impl Patience {
    /// For so long at a time.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Says that the store could be reached.
    pub fn restore(&mut self) {
        self.since = None;
    }

    /// Bears an error after which another try may succeed: [`Error::Io`], [`Error::StudyBroken`] of who lost the right to
    /// write, [`Error::StudyExists`] of who was not the first.
    ///
    /// # Errors
    /// The error, if it is another one, or there were such errors for all of the while.
    pub fn bear(&mut self, error: Error) -> Result<(), Error> {
        let since = self.since.get_or_insert_with(Instant::now);
        let bearable = matches!(error, Error::Io { .. } | Error::StudyBroken { .. } | Error::StudyExists { .. });
        if bearable && since.elapsed() < self.limit { Ok(()) } else { Err(error) }
    }
}
