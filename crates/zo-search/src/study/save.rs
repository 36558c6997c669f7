//! A study's history as lines again.

use std::time::SystemTime;

use super::history::{History, Record};
use super::line::Line;
use super::log::Log;
use super::storage::Storage;
use crate::Error;

impl History {
    /// Writes it into a new storage, for a path the one that its extension says (see [`Study`](crate::Study)): a
    /// compact copy that a study resumes from as it would from the original, and a way from one kind of storage to
    /// the other.
    ///
    /// # Errors
    /// [`Error::StudyExists`], [`Error::StudyLocked`], [`Error::WithoutFeature`], [`Error::Io`].
    pub fn save(&self, storage: impl Into<Box<dyn Storage>>) -> Result<(), Error> {
        Log::create(&*storage.into(), &self.lines()).map(drop)
    }

    /// The lines that give this history. Before each ask stand the outcomes that were known to it, in the order of
    /// the trials.
    fn lines(&self) -> Vec<Line> {
        let began = self.trials().first().map_or(SystemTime::UNIX_EPOCH, |first| first.asked);
        let mut lines = vec![Line::Header(Box::new(self.header().clone()))];
        lines.extend((0..).zip(self.injected()).map(|(place, known)| Line::inject(place, known, began)));
        for asked in 0..=self.trials().len() {
            let told = self.trials().iter().filter(|record| record.outcome.is_some() && record.known_from == asked);
            told.for_each(|record| record.write_outcomes(&mut lines));
            if let Some(record) = self.trials().get(asked) {
                lines.push(Line::ask(&record.trial, record.behind, record.asked));
            }
        }
        self.pending().for_each(|record| record.write_outcomes(&mut lines));
        lines
    }
}

impl Record {
    /// Adds the lines of its failed attempts and of its outcome.
    fn write_outcomes(&self, lines: &mut Vec<Line>) {
        let at = self.told.unwrap_or(self.asked);
        let retried = self.retried.iter().map(|outcome| Line::tell(self.trial.id, outcome, true, at));
        lines.extend(retried.chain(self.outcome.iter().map(|outcome| Line::tell(self.trial.id, outcome, false, at))));
    }
}
