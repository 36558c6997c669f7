//! The store's tasks as a [`TaskQueue`].

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::changes::{self, CLOSED, Changes};
use super::results::{self, FINISHED, OFFERED, RESULTS};
use super::token::{CLAIMED, SEPARATOR, TASKS, TaskFile, Token, WAITING, claimed, task_path};
use super::workers::{self, Lease, WORKERS};
use super::{Shared, checked};
use crate::Error;
use crate::sharing::{Claim, Exchange, Finished, Task, TaskCounts, TaskQueue, TaskResult, WorkerInfo, WorkerState};

/// From so many waiting tasks on, a listing of them serves further claims ...
const LONG_LIST: usize = 256;
/// ... for so long.
const LIST_LASTS: Duration = Duration::from_secs(1);
/// Of more keys than that, only those are looked up that are not waiting or claimed.
const MANY_KEYS: usize = 64;
/// A connection to the tasks in a folder.
#[derive(Debug)]
pub(super) struct DirectoryQueue {
    shared: Arc<Shared>,
    /// No task that this connection posted has this place in the order or a higher one.
    next_place: u64,
    /// Names of waiting tasks in their order, and when they were listed.
    waiting: (VecDeque<String>, Option<Instant>),
    /// Claims that may have been made although the system said otherwise.
    doubtful: Vec<Token>,
    changes: Changes,
}

impl DirectoryQueue {
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self, Error> {
        shared.prepare(&[TASKS, WAITING, CLAIMED, OFFERED, FINISHED, RESULTS, WORKERS, CLOSED])?;
        let (waiting, changes) = ((VecDeque::new(), None), Changes::new(Arc::clone(&shared)));
        Ok(Self { shared, next_place: 0, waiting, doubtful: Vec::new(), changes })
    }

    /// Lists the waiting tasks, unless the last listing was long and is new enough. What others claimed meanwhile is
    /// found to be gone; what was given back meanwhile comes a second later than its place in the order says.
    fn list_waiting(&mut self) -> Result<(), Error> {
        let (names, listed) = &self.waiting;
        let lasts = listed.is_some_and(|listed| listed.elapsed() < LIST_LASTS);
        if names.len() < LONG_LIST || !lasts {
            let mut names = self.shared.place.list(WAITING)?;
            names.sort_unstable();
            self.waiting = (names.into(), Some(Instant::now()));
        }
        Ok(())
    }

    /// The place in the order of a task that is posted now.
    fn place_in_order(&mut self) -> Result<u64, Error> {
        let (waiting, claimed) = (self.shared.place.list(WAITING)?, self.shared.place.list(CLAIMED)?);
        let places = waiting.iter().chain(&claimed).filter_map(|name| Token::place_in_order(name));
        let free = places.max().map_or(0, |last| last + 1);
        self.next_place = self.next_place.max(free);
        Ok(self.next_place)
    }

    /// First the token, which stands for nothing yet; then the file that makes it a task.
    fn post_one(&mut self, task: &Task) -> Result<(), Error> {
        let place = &self.shared.place;
        let path = task_path(place, &task.key);
        if place.has(&path)? {
            return Ok(());
        }
        let token = Token::new(self.next_place, &task.key);
        self.next_place += 1;
        let waiting = token.path(place);
        place.operations().create(&waiting, &[], false).map_err(crate::storage::refused("write", &waiting))?;
        if !place.publish(&path, &TaskFile { token: token.id, payload: task.payload.clone() })? {
            place.remove(&waiting)?;
        }
        Ok(())
    }

    /// The payload of a token's task. A token that stands for none never will if there is another token for its task;
    /// else somebody is posting it, or was killed meanwhile.
    fn payload(&self, token: &Token) -> Result<Option<serde_json::Value>, Error> {
        let place = &self.shared.place;
        match place.read_json::<TaskFile>(&task_path(place, &token.key))? {
            Some(task) if task.token == token.id => Ok(Some(task.payload)),
            Some(_) => place.remove(&token.path(place)).map(|()| None),
            None => Ok(None),
        }
    }

    /// Claims a task that nobody has claimed, or whose holder was silent for too long; unless somebody else is faster.
    fn take(&mut self, token: &Token, worker: &WorkerInfo) -> Result<Option<Claim>, Error> {
        let Some(payload) = self.payload(token)? else { return Ok(None) };
        let claimed = token.claimed_by(worker);
        let place = &self.shared.place;
        match place.shift(&token.path(place), &claimed.path(place)) {
            Ok(true) => Ok(Some(claim(claimed, payload))),
            Ok(false) => Ok(None),
            Err(error) => {
                self.doubtful.push(claimed);
                Err(error)
            }
        }
    }

    /// Claims that were made although the system said otherwise.
    fn settle_doubts(&mut self, worker: &WorkerInfo, claims: &mut Vec<Claim>) -> Result<(), Error> {
        while let Some(token) = self.doubtful.last() {
            let own = token.worker.as_ref() == Some(&worker.id);
            if own && self.shared.place.has(&token.path(&self.shared.place))? {
                claims.extend(self.payload(token)?.map(|payload| claim(token.clone(), payload)));
            }
            self.doubtful.pop();
        }
        Ok(())
    }

    fn claim(&mut self, worker: &WorkerInfo, want: usize, lease: Duration) -> Result<Vec<Claim>, Error> {
        let tokens = claimed(&self.shared.place)?;
        let own = |token: &Token| token.worker.as_ref() == Some(&worker.id);
        let lease = if tokens.iter().any(own) { Lease::AtLeast(lease) } else { Lease::Exactly(lease) };
        // Before the first claim, so that nobody finds that with an old beat.
        workers::beat(&self.shared, worker, &lease, false)?;
        let others = tokens.into_iter().filter(|token| !own(token)).collect();
        let lost = VecDeque::from(workers::expired(&self.shared, others)?);
        let mut claims = Vec::new();
        let claiming = self.claim_into(&mut claims, lost, worker, want);
        // Claims that were made are handed out, whatever happened then.
        if claims.is_empty() { claiming.map(|()| claims) } else { Ok(claims) }
    }

    fn claim_into(
        &mut self,
        claims: &mut Vec<Claim>,
        mut lost: VecDeque<Token>,
        worker: &WorkerInfo,
        want: usize,
    ) -> Result<(), Error> {
        self.settle_doubts(worker, claims)?;
        self.list_waiting()?;
        while claims.len() < want {
            let Some(token) = self.next_token(&mut lost) else { break };
            claims.extend(self.take(&token, worker)?);
        }
        Ok(())
    }

    /// The next token in the order, of those whose holders are lost and those waiting.
    fn next_token(&mut self, lost: &mut VecDeque<Token>) -> Option<Token> {
        let names = &mut self.waiting.0;
        loop {
            let lost_first = match (lost.front(), names.front()) {
                (Some(lost), Some(name)) => lost.id.as_str() < name.as_str(),
                (lost, _) => lost.is_some(),
            };
            if lost_first {
                return lost.pop_front();
            }
            // Names of another form are none of ours.
            if let Some(token) = Token::parse(&names.pop_front()?) {
                return Some(token);
            }
        }
    }
}

fn claim(token: Token, payload: serde_json::Value) -> Claim {
    Claim { task: Task { key: token.key, payload }, attempt: token.attempt }
}

impl TaskQueue for DirectoryQueue {
    fn post(&mut self, tasks: &[Task]) -> Result<(), Error> {
        tasks.iter().try_for_each(|task| checked("name a task", &task.key, 120))?;
        self.place_in_order()?;
        self.changes.begin(WAITING)?;
        tasks.iter().try_for_each(|task| self.post_one(task))
    }

    fn exchange(
        &mut self,
        worker: &WorkerInfo,
        finished: &[Finished],
        want: usize,
        lease: Duration,
    ) -> Result<Exchange, Error> {
        checked("name a worker", &worker.id, 100)?;
        let closed = self.changes.look()?;
        let mut refused = Vec::new();
        for one in finished {
            if !results::finish(&self.shared.place, worker, one)? {
                refused.push(one.key.clone());
            }
        }
        if !finished.is_empty() {
            self.changes.begin(RESULTS)?;
        }
        let claims = if want == 0 {
            workers::beat(&self.shared, worker, &Lease::Same, false)?;
            Vec::new()
        } else {
            self.claim(worker, want, lease)?
        };
        if !claims.is_empty() || !finished.is_empty() {
            self.changes.busy();
        }
        Ok(Exchange { claims, refused, closed })
    }

    fn renew(&mut self, worker: &WorkerInfo, lease: Duration) -> Result<(), Error> {
        checked("name a worker", &worker.id, 100)?;
        workers::beat(&self.shared, worker, &Lease::Exactly(lease), false)
    }

    fn leave(&mut self, worker: &WorkerInfo) -> Result<(), Error> {
        checked("name a worker", &worker.id, 100)?;
        let place = &self.shared.place;
        for token in claimed(place)?.iter().filter(|token| token.worker.as_ref() == Some(&worker.id)) {
            place.shift(&token.path(place), &token.given_back().path(place))?;
            self.changes.begin(WAITING)?;
        }
        workers::beat(&self.shared, worker, &Lease::Same, true)
    }

    fn results(&mut self, keys: &[&str]) -> Result<Vec<(usize, TaskResult)>, Error> {
        self.changes.look()?;
        let place = &self.shared.place;
        let mut open = HashSet::new();
        if keys.len() > MANY_KEYS {
            // One that is moved meanwhile is found at the next look.
            for name in place.list(WAITING)?.iter().chain(&place.list(CLAIMED)?) {
                open.extend(name.split(SEPARATOR).nth(3).map(str::to_owned));
            }
        }
        results::publish_all(place)?;
        place.refresh(&place.path(RESULTS))?;
        let mut found = Vec::new();
        for (number, key) in keys.iter().enumerate().filter(|(_, key)| !open.contains(**key)) {
            checked("name a task", key, 120)?;
            found.extend(results::result(place, key)?.map(|result| (number, result)));
        }
        if !found.is_empty() {
            self.changes.busy();
        }
        Ok(found)
    }

    fn close(&mut self, closed: bool) -> Result<(), Error> {
        changes::close(&self.shared.place, closed)
    }

    fn wait(&mut self, most: Duration) -> Result<(), Error> {
        self.changes.wait(most)
    }

    fn workers(&mut self) -> Result<Vec<WorkerState>, Error> {
        workers::states(&self.shared)
    }

    fn is_closed(&mut self) -> Result<bool, Error> {
        Ok(!self.shared.place.list(CLOSED)?.is_empty())
    }

    fn counts(&mut self) -> Result<TaskCounts, Error> {
        let place = &self.shared.place;
        results::publish_all(place)?;
        // Done before all: what is done meanwhile counts as what it was.
        let files =
            |folder| place.list(folder).map(|names| names.iter().filter(|name| name.ends_with(".json")).count());
        let (done, all) = (files(RESULTS)?, files(TASKS)?);
        let lively = workers::states(&self.shared)?;
        let claims = lively.iter().flat_map(|worker| &worker.claims);
        let claimed = claims.filter(|claim| claim.lease.is_some()).count().min(all - done.min(all));
        Ok(TaskCounts { waiting: all - done.min(all) - claimed, claimed, done })
    }
}
