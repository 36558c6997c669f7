//! Every process does the same: works on a study, and leads it while nobody else does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::evaluation::{WholeTrials, evaluated};
use super::patience::Patience;
use super::store::SharedStore;
use super::worker::Worker;
use crate::study::{Batches, End, Lead};
use crate::{Error, Header, History, Optimizer, Outcome, Stop, Study, Trial};

/// Who does not lead looks after this time whether nobody does.
const LOOK: Duration = Duration::from_secs(1);

/// A study that processes work on together. Each of them is started with the same settings, in any number, at any time.
pub struct SharedStudy<'a> {
    store: &'a dyn SharedStore,
    header: Header,
    strategy: &'a (dyn Fn() -> Box<dyn Optimizer> + Sync),
    batches: Batches,
    stop: Stop,
    patience: Duration,
}

impl<'a> SharedStudy<'a> {
    /// The study in a store, begun if it is not there yet, with batches of 8 trials and one batch asked ahead.
    pub fn new(
        store: &'a dyn SharedStore,
        header: Header,
        strategy: &'a (dyn Fn() -> Box<dyn Optimizer> + Sync),
        stop: Stop,
    ) -> Self {
        let (batches, patience) = (Batches { size: 8, ahead: 1 }, Duration::from_secs(600));
        Self { store, header, strategy, batches, stop, patience }
    }

    /// With other batches.
    #[must_use]
    pub fn with_batches(self, batches: Batches) -> Self {
        Self { batches, ..self }
    }

    /// Works until the study is finished, here or elsewhere, and returns it.
    ///
    /// # Errors
    /// What the store, the study and the strategy say.
    pub fn work(&self, worker: &Worker, mut objective: impl FnMut(&Trial) -> Outcome) -> Result<History, Error> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let lead = scope.spawn(|| {
                let led = self.lead(&stop);
                stop.store(true, Ordering::Relaxed);
                led
            });
            let worked = worker.clone().until_stopped().run(self.store, &stop, |task| evaluated(task, &mut objective));
            stop.store(true, Ordering::Relaxed);
            // It does not panic, nor do strategies.
            lead.join().unwrap_or(Ok(()))?;
            worked
        })?;
        Study::read(self.store.lines())
    }

    /// Leads the study whenever nobody else does, until it is finished or `stop` is set.
    ///
    /// # Errors
    /// As [`Self::work`].
    pub fn lead(&self, stop: &AtomicBool) -> Result<(), Error> {
        let mut patience = Patience::new(self.patience);
        while !stop.load(Ordering::Relaxed) {
            match self.lead_once(stop) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Error::StudyLocked { .. }) => patience.restore(),
                Err(error) => patience.bear(error)?,
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Leads the study, if nobody else does; whether it is finished.
    fn lead_once(&self, stop: &AtomicBool) -> Result<bool, Error> {
        let mut study = Study::open(self.store.lines(), self.header.clone(), (self.strategy)())?;
        let mut trials = WholeTrials;
        let mut lead = Lead::new(&mut study, self.store.queue()?, self.batches, &mut trials)?;
        while !stop.load(Ordering::Relaxed) {
            match lead.step(&self.stop, &mut trials)?.end {
                Some(End::Stopped(_) | End::Exhausted) => {
                    self.store.queue()?.close(true)?;
                    return Ok(true);
                }
                None => lead.wait(LOOK)?,
            }
        }
        Ok(false)
    }
}
