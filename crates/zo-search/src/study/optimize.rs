//! The common loop: ask, evaluate, tell.

use super::history::Record;
use super::{Stop, StopReason, Study};
use crate::{Error, Outcome, Point};

impl Study {
    /// Goes on until the study has `trials` trials, or a finite space no point left: asks, calls `evaluate`, tells.
    /// Returns the [incumbent](super::History::incumbent), none while there is no result on all instances.
    ///
    /// For strategies without a scheduler: each point is evaluated on all instances. Trials of an earlier process
    /// count, so that a program that is started again finishes what it began.
    ///
    /// ```
    /// # use zo_search::{Error, Evolution, Header, Outcome, Point, Space, Study};
    /// let space = Space::new().float("x", -5.0..=5.0);
    /// let mut study = Study::in_memory(Header::new("example", 7), Evolution::new(space, 7))?;
    /// let square = |point: &Point| Ok::<_, Error>(Outcome::score((point.float("x")? - 1.0).powi(2)));
    /// let best = study.optimize(60, square)?;
    /// assert!((best.ok_or("no result")?.trial.point.float("x")? - 1.0).abs() < 0.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What `evaluate` says, of a trial that then waits to be asked again; what [`Study::ask`] and [`Study::tell`]
    /// say, but [`Error::Exhausted`], which ends the loop.
    pub fn optimize<E: From<Error>>(
        &mut self,
        trials: usize,
        evaluate: impl FnMut(&Point) -> Result<Outcome, E>,
    ) -> Result<Option<&Record>, E> {
        self.optimize_until(&Stop::new().trials(trials), evaluate)?;
        Ok(self.incumbent())
    }

    /// As [`Study::optimize`], with any limits. Returns which of them was reached, none if a finite space had no
    /// point left.
    ///
    /// # Errors
    /// As [`Study::optimize`].
    pub fn optimize_until<E: From<Error>>(
        &mut self,
        stop: &Stop,
        mut evaluate: impl FnMut(&Point) -> Result<Outcome, E>,
    ) -> Result<Option<StopReason>, E> {
        loop {
            if let Some(reason) = self.stopped(stop) {
                return Ok(Some(reason));
            }
            let trial = match self.ask() {
                Err(Error::Exhausted { .. }) => return Ok(None),
                asked => asked?,
            };
            match evaluate(&trial.point) {
                Ok(outcome) => self.tell(trial.id, outcome)?,
                Err(error) => {
                    self.waiting.insert(trial.id);
                    return Err(error);
                }
            }
        }
    }
}
