//! Tries the laws of [`TaskQueue`] on any implementation, yours too.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Error;
use crate::sharing::{Claim, Exchange, Finished, Task, TaskCounts, TaskQueue, TaskResult, WorkerInfo};

/// What goes wrong when the laws of [`TaskQueue`] are tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenQueueLaw {
    /// A law is broken.
    #[error("law {law}: {what}")]
    Broken {
        /// Its number.
        law: u8,
        /// What was found.
        what: String,
    },
    /// It refuses what every queue must do.
    #[error("it refuses what nothing speaks against")]
    Refused(#[from] Error),
}

/// A lease that runs out while the laws are tried.
const SHORT: Duration = Duration::from_millis(400);
/// One that does not.
const LONG: Duration = Duration::from_secs(600);

/// Tries the laws of [`TaskQueue`] on what `new` gives: each time another connection to the same tasks, of which there
/// are none yet. Takes about two seconds, as leases have to run out.
///
/// # Errors
/// The first law that is found broken.
pub fn check_queue(new: impl Fn() -> Result<Box<dyn TaskQueue>, Error>) -> Result<(), BrokenQueueLaw> {
    let mut trial = Trial { lead: new()?, queues: [new()?, new()?], workers: ["a", "b"].map(worker) };
    trial.tasks_are_claimed_in_their_order()?;
    trial.a_lease_keeps_others_away_until_it_runs_out()?;
    trial.a_claim_that_was_taken_over_changes_nothing()?;
    trial.who_leaves_gives_back()?;
    trial.one_result_for_ever()?;
    trial.it_is_closed_and_opened()?;
    trial.waiting_ends()
}

fn worker(host: &str) -> WorkerInfo {
    WorkerInfo::here(host, "cpu")
}

fn task(number: usize) -> Task {
    Task::new(format!("t{number}-e"), json!({"number": number, "text": "\" ü \\ \n", "x": [0.1, null]}))
}

fn finished(claim: &Claim, result: TaskResult) -> Finished {
    Finished { key: claim.task.key.clone(), attempt: claim.attempt, result }
}

fn holds(law: u8, holds: bool, what: impl Into<String>) -> Result<(), BrokenQueueLaw> {
    if holds { Ok(()) } else { Err(BrokenQueueLaw::Broken { law, what: what.into() }) }
}

struct Trial {
    lead: Box<dyn TaskQueue>,
    queues: [Box<dyn TaskQueue>; 2],
    workers: [WorkerInfo; 2],
}

impl Trial {
    fn claim(&mut self, who: usize, want: usize, lease: Duration) -> Result<Vec<Claim>, Error> {
        Ok(self.queues[who].exchange(&self.workers[who], &[], want, lease)?.claims)
    }

    fn hand_in(&mut self, who: usize, claim: &Claim, result: TaskResult) -> Result<Exchange, Error> {
        self.queues[who].exchange(&self.workers[who], &[finished(claim, result)], 0, LONG)
    }

    /// Claims by `who` until there is a task, for as long as leases may take to run out.
    fn claim_soon(&mut self, who: usize) -> Result<Vec<Claim>, Error> {
        let start = Instant::now();
        loop {
            let claims = self.claim(who, 1, LONG)?;
            if !claims.is_empty() || start.elapsed() > 20 * SHORT {
                return Ok(claims);
            }
            std::thread::sleep(SHORT / 10);
        }
    }

    fn tasks_are_claimed_in_their_order(&mut self) -> Result<(), BrokenQueueLaw> {
        holds(1, self.claim(0, 1, LONG)?.is_empty(), "a task is claimed before one was posted")?;
        self.lead.post(&[task(0), task(1), task(2)])?;
        let other = Task { payload: json!("another one"), ..task(1) };
        self.lead.post(&[task(0), other, task(3)])?;
        let first = self.claim(0, 2, LONG)?;
        let second = self.claim(1, 8, LONG)?;
        let claimed: Vec<&Task> = first.iter().chain(&second).map(|claim| &claim.task).collect();
        let posted = [task(0), task(1), task(2), task(3)];
        holds(1, claimed.iter().copied().eq(&posted), format!("posted {posted:?}, claimed {claimed:?}"))?;
        holds(2, first.iter().chain(&second).all(|claim| claim.attempt == 1), "a first attempt is not 1")?;
        for (who, claims) in [(0, &first), (1, &second)] {
            for claim in claims {
                let exchange = self.hand_in(who, claim, Ok(claim.task.payload.clone()))?;
                holds(3, exchange.refused.is_empty(), format!("the result of {claim} is refused"))?;
            }
        }
        let found = self.lead.results(&["t3-e", "t9-e", "t1-e"])?;
        let payload = |number| Ok(task(number).payload);
        holds(3, found == [(0, payload(3)), (2, payload(1))], format!("the results are {found:?}"))?;
        let counts = self.lead.counts()?;
        holds(3, counts == TaskCounts { waiting: 0, claimed: 0, done: 4 }, format!("{counts:?} of 4 done tasks"))
    }

    fn a_lease_keeps_others_away_until_it_runs_out(&mut self) -> Result<(), BrokenQueueLaw> {
        self.lead.post(&[task(10)])?;
        let claims = self.claim(0, 1, SHORT)?;
        holds(2, claims.len() == 1, "a task that was posted is not claimed")?;
        holds(2, self.claim(1, 1, SHORT)?.is_empty(), "a claimed task is claimed by another")?;
        self.queues[0].renew(&self.workers[0], 4 * SHORT)?;
        std::thread::sleep(2 * SHORT);
        holds(2, self.claim(1, 1, SHORT)?.is_empty(), "a renewed lease does not last")?;
        let again = self.claim_soon(1)?;
        holds(2, again.first().is_some_and(|claim| claim.task == task(10)), "a lease never runs out")?;
        holds(2, again[0].attempt == 2, "the second attempt is not 2")?;
        let lost = self.lead.workers()?;
        holds(2, lost.len() == 2, format!("2 workers are {lost:?}"))?;
        self.claims_are_of(1, "t10-e")?;
        self.hand_in(1, &again[0], Ok(json!("second")))?;
        Ok(())
    }

    /// That the workers, as the queue sees them, hold this task: `who` alone.
    fn claims_are_of(&mut self, who: usize, key: &str) -> Result<(), BrokenQueueLaw> {
        let states = self.lead.workers()?;
        for (place, worker) in self.workers.iter().enumerate() {
            let state = states.iter().find(|state| state.info == *worker);
            let held = state.is_some_and(|state| state.claims.iter().any(|claim| claim.key == key));
            holds(2, held == (place == who), format!("the workers are {states:?}, and {key} is of worker {who}"))?;
        }
        Ok(())
    }

    fn a_claim_that_was_taken_over_changes_nothing(&mut self) -> Result<(), BrokenQueueLaw> {
        self.lead.post(&[task(20)])?;
        let late = self.claim(0, 1, SHORT)?.remove(0);
        std::thread::sleep(2 * SHORT);
        let new = self.claim_soon(1)?.remove(0);
        self.queues[0].renew(&self.workers[0], LONG)?;
        let refused = self.hand_in(0, &late, Ok(json!("late")))?.refused;
        holds(3, refused == ["t20-e"], format!("a late result is taken: refused are {refused:?}"))?;
        holds(3, self.lead.results(&["t20-e"])?.is_empty(), "a late result is a result")?;
        self.queues[0].leave(&self.workers[0])?;
        self.claims_are_of(1, "t20-e")?;
        self.hand_in(1, &new, Ok(json!("new")))?;
        let refused = self.hand_in(0, &late, Ok(json!("later")))?.refused;
        holds(3, refused == ["t20-e"], "a late result replaces another")?;
        let found = self.lead.results(&["t20-e"])?;
        holds(3, found == [(0, Ok(json!("new")))], format!("the result is {found:?}"))
    }

    fn who_leaves_gives_back(&mut self) -> Result<(), BrokenQueueLaw> {
        self.lead.post(&[task(30), task(31)])?;
        let given = self.claim(0, 1, LONG)?.remove(0);
        self.queues[0].leave(&self.workers[0])?;
        let ended = self.lead.workers()?.into_iter().find(|state| state.info == self.workers[0]);
        holds(2, ended.is_some_and(|state| state.ended), "a worker that left has not ended")?;
        let claims = self.claim(1, 2, LONG)?;
        let same = claims.first().is_some_and(|claim| claim.task == given.task && claim.attempt == 2);
        holds(2, same, format!("what a worker gave back does not come first, but {claims:?}"))?;
        let refused = self.hand_in(0, &given, Ok(json!(1)))?.refused;
        holds(3, refused == ["t30-e"], "a result of a task given back is taken")?;
        for claim in &claims {
            self.hand_in(1, claim, Ok(json!(2)))?;
        }
        Ok(())
    }

    fn one_result_for_ever(&mut self) -> Result<(), BrokenQueueLaw> {
        self.lead.post(&[task(40)])?;
        let claim = self.claim(0, 1, LONG)?.remove(0);
        let failure = crate::Failure { kind: crate::FailureKind::OutOfMemory, message: "none \"left\"".into() };
        let failed = || Err(failure.clone());
        for _ in 0..2 {
            let refused = self.hand_in(0, &claim, failed())?.refused;
            holds(5, refused.is_empty(), "the same result, handed in again, is refused")?;
        }
        self.lead.post(&[task(40)])?;
        holds(3, self.claim(0, 1, LONG)?.is_empty(), "a task with a result is claimed once more")?;
        holds(3, self.lead.results(&["t40-e"])? == [(0, failed())], "a failure is not found")
    }

    fn it_is_closed_and_opened(&mut self) -> Result<(), BrokenQueueLaw> {
        for closed in [false, true, true, false] {
            self.lead.close(closed)?;
            let found = self.queues[0].exchange(&self.workers[0], &[], 1, LONG)?.closed;
            holds(5, found == closed, format!("closed is {closed}, a worker finds {found}"))?;
        }
        Ok(())
    }

    fn waiting_ends(&mut self) -> Result<(), BrokenQueueLaw> {
        let start = Instant::now();
        self.queues[0].wait(SHORT / 4)?;
        holds(5, start.elapsed() < 20 * SHORT, "waiting does not end")?;
        self.lead.post(&[task(50)])?;
        self.queues[0].wait(20 * SHORT)?;
        holds(5, self.claim(0, 1, LONG)?.len() == 1, "a task that was waited for is not there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::MemoryQueue;

    #[test]
    fn a_queue_in_memory_keeps_the_laws() -> Result<(), BrokenQueueLaw> {
        let queue = MemoryQueue::new();
        check_queue(|| Ok(Box::new(queue.clone())))
    }
}
