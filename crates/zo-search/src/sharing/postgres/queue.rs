//! The tasks of a study in a database: one call of a function there, and so one round trip, for each thing that is
//! done.
//!
//! No commit of this connection waits for the disk (`synchronous_commit = off`). After a crash of the server, the last
//! claims and results (of some tenths of a second) may be gone, never a part of one: a claim that is gone is claimed
//! again, and its holder's result is refused; a result that is gone is evaluated again, or handed in again. What the
//! study stands on is its lines, and the leader appends an outcome durably, whose commit flushes all before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use postgres::{Client, Row, Statement};

use super::connection::{lost_connection, lost_to_others, refused};
use super::database::Database;
use crate::Error;
use crate::sharing::{
    Claim, Exchange, Finished, HeldClaim, Task, TaskCounts, TaskQueue, TaskResult, WorkerInfo, WorkerState,
};

/// Every statement here finds its few rows by an index, however many tasks are done. The server would plan otherwise
/// from what it last counted, when the table was empty.
const SESSION: &str = "SET synchronous_commit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; \
                       SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = auto; SET jit = off";

const POST: &str = "SELECT zo_search.post($1, $2, $3)";
const EXCHANGE: &str =
    "SELECT what, at, key, attempt, payload FROM zo_search.exchange($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const RENEW: &str = "SELECT zo_search.renew($1, $2, $3, $4)";
const LEAVE: &str = "SELECT zo_search.leave($1, $2)";
const RESULTS: &str = "SELECT wanted.place, task.result FROM unnest($2::text[]) WITH ORDINALITY AS wanted (key, place) \
                       JOIN zo_search.tasks AS task ON task.study = $1 AND task.key = wanted.key \
                       WHERE task.state = 'done' ORDER BY wanted.place";
const CLOSE: &str = "SELECT zo_search.close($1, $2)";
const WORKERS: &str = "SELECT id, info, extract(epoch FROM clock_timestamp() - seen)::float8, ended \
                       FROM zo_search.workers WHERE study = $1 ORDER BY number";
const CLAIMS: &str = "SELECT worker, key, attempt, \
                      CASE WHEN isfinite(lease_until) THEN extract(epoch FROM lease_until - clock_timestamp())::float8 \
                      ELSE -1 END FROM zo_search.tasks \
                      WHERE study = $1 AND state = 'claimed' AND worker IS NOT NULL ORDER BY seq";
const COUNTS: &str = "SELECT open.waiting, open.claimed, (SELECT count(*) FROM zo_search.tasks WHERE study = $1) \
                      - open.waiting - open.claimed FROM (SELECT count(*) FILTER (WHERE state = 'waiting' \
                      OR lease_until <= now()) AS waiting, count(*) FILTER (WHERE state = 'claimed' AND \
                      lease_until > now()) AS claimed FROM zo_search.tasks WHERE study = $1 AND state <> 'done') AS open";

/// Requests for tasks whose answers were lost, by worker: what they claimed is the worker's, which does not know it.
/// The worker's next request takes their number, and so gets the same tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Unanswered(Arc<Mutex<HashMap<String, i64>>>);

impl Unanswered {
    fn requests(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection listens for: what changes what it looked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    Tasks,
    Results,
}

impl Interest {
    fn channel(self, study: i32) -> String {
        match self {
            Self::Tasks => format!("zo_search_tasks_{study}"),
            Self::Results => format!("zo_search_results_{study}"),
        }
    }
}

/// A connection to the tasks of a study.
pub(super) struct PgQueue {
    database: Database,
    session: Session,
    unanswered: Unanswered,
    interest: Interest,
}

struct Session {
    client: Client,
    study: i32,
    statements: HashMap<&'static str, Statement>,
    listens: Option<Interest>,
}

impl Session {
    fn new(database: &Database) -> Result<Self, Error> {
        let (mut client, study) = database.enter()?;
        client.batch_execute(SESSION).map_err(|error| database.error("connect to", refused(&error)))?;
        Ok(Self { client, study, statements: HashMap::new(), listens: None })
    }

    fn query(&mut self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, postgres::Error> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement.clone(),
            None => self.statements.entry(sql).or_insert(self.client.prepare(sql)?).clone(),
        };
        let study = self.study;
        let with_study: Vec<&(dyn ToSql + Sync)> =
            std::iter::once(&study as &(dyn ToSql + Sync)).chain(parameters.iter().copied()).collect();
        self.client.query(&statement, &with_study)
    }
}

/// How often a call is tried that lost to another one's locks.
const TRIES: usize = 5;

impl PgQueue {
    pub(super) fn connect(database: Database, unanswered: Unanswered) -> Result<Self, Error> {
        Ok(Self { session: Session::new(&database)?, database, unanswered, interest: Interest::Tasks })
    }

    /// Does something that may be done twice: once more on a new connection if the old one is lost.
    fn call<T>(
        &mut self,
        action: &'static str,
        mut call: impl FnMut(&mut Session) -> Result<T, postgres::Error>,
    ) -> Result<T, Error> {
        let mut reconnected = false;
        for _ in 1..TRIES {
            match call(&mut self.session) {
                Ok(value) => return Ok(value),
                Err(error) if lost_to_others(&error) => {}
                Err(error) if lost_connection(&self.session.client, &error) && !reconnected => {
                    self.session = Session::new(&self.database)?;
                    reconnected = true;
                }
                Err(error) => return Err(self.database.error(action, refused(&error))),
            }
        }
        call(&mut self.session).map_err(|error| self.database.error(action, refused(&error)))
    }

    /// From now on it looks for this. What came to be before is found by the look that follows.
    fn interested_in(&mut self, interest: Interest) {
        self.interest = interest;
        if self.session.listens.is_some() {
            // If the connection is lost, the call that follows finds out.
            let _ = self.session.client.notifications().iter().count();
        }
    }

    /// An error of a row that is not as we write it.
    fn unreadable(&self, error: serde_json::Error) -> Error {
        self.database.error("read the tasks of", error.into())
    }

    /// The answer of an exchange from its rows, which are in no order.
    fn answer(&self, rows: &[Row]) -> Result<Exchange, Error> {
        let mut answer = Exchange::default();
        let mut claims: Vec<(i64, Claim)> = Vec::new();
        for row in rows {
            match row.get(0) {
                "closed" => answer.closed = true,
                "refused" => answer.refused.push(row.get(2)),
                _ => {
                    let payload = serde_json::from_str(row.get(4)).map_err(|error| self.unreadable(error))?;
                    let attempt = row.get::<_, i32>(3).unsigned_abs();
                    claims.push((row.get(1), Claim { task: Task::new(row.get::<_, String>(2), payload), attempt }));
                }
            }
        }
        claims.sort_by_key(|(place, _)| *place);
        answer.claims = claims.into_iter().map(|(_, claim)| claim).collect();
        Ok(answer)
    }
}

/// Plain data under string keys: there is nothing in it that JSON cannot write.
fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    let unwritten = |error: serde_json::Error| Error::Io {
        action: "write JSON for",
        location: "a task queue".to_owned(),
        source: error.into(),
    };
    serde_json::to_string(value).map_err(unwritten)
}

impl TaskQueue for PgQueue {
    fn post(&mut self, tasks: &[Task]) -> Result<(), Error> {
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let payloads = tasks.iter().map(|task| json(&task.payload)).collect::<Result<Vec<_>, _>>()?;
        self.call("post tasks to", |session| session.query(POST, &[&keys, &payloads])).map(drop)
    }

    fn exchange(
        &mut self,
        worker: &WorkerInfo,
        finished: &[Finished],
        want: usize,
        lease: Duration,
    ) -> Result<Exchange, Error> {
        let info = json(worker)?;
        // In one order for all, so that two who hand in the same results do not wait for each other.
        let mut sorted: Vec<&Finished> = finished.iter().collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let keys: Vec<&str> = sorted.iter().map(|one| one.key.as_str()).collect();
        let attempts: Vec<i32> = sorted.iter().map(|one| one.attempt.try_into().unwrap_or(i32::MAX)).collect();
        let results = sorted.iter().map(|one| json(&one.result)).collect::<Result<Vec<_>, _>>()?;
        let (want, lease) = (i32::try_from(want).unwrap_or(i32::MAX), lease.as_secs_f64());
        let lost = self.unanswered.requests().remove(&worker.id);
        let (request, mut repeated) = (lost.unwrap_or_else(rand::random), lost.is_some());
        self.interested_in(Interest::Tasks);
        let rows = self.call("exchange results for tasks with", |session| {
            let given: [&(dyn ToSql + Sync); 9] =
                [&worker.id, &info, &keys, &attempts, &results, &request, &repeated, &want, &lease];
            let rows = session.query(EXCHANGE, &given);
            repeated = true;
            rows
        });
        if rows.is_err() {
            self.unanswered.requests().insert(worker.id.clone(), request);
        }
        self.answer(&rows?)
    }

    fn renew(&mut self, worker: &WorkerInfo, lease: Duration) -> Result<(), Error> {
        let (info, lease) = (json(worker)?, lease.as_secs_f64());
        self.call("renew leases in", |session| session.query(RENEW, &[&worker.id, &info, &lease])).map(drop)
    }

    fn leave(&mut self, worker: &WorkerInfo) -> Result<(), Error> {
        self.call("leave", |session| session.query(LEAVE, &[&worker.id])).map(drop)?;
        self.unanswered.requests().remove(&worker.id);
        Ok(())
    }

    fn results(&mut self, keys: &[&str]) -> Result<Vec<(usize, TaskResult)>, Error> {
        self.interested_in(Interest::Results);
        let rows = self.call("read results in", |session| session.query(RESULTS, &[&keys]))?;
        let result = |row: &Row| {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or_default();
            Ok((place, serde_json::from_str(row.get(1)).map_err(|error| self.unreadable(error))?))
        };
        rows.iter().map(result).collect()
    }

    fn close(&mut self, closed: bool) -> Result<(), Error> {
        self.call("close", |session| session.query(CLOSE, &[&closed])).map(drop)
    }

    fn wait(&mut self, most: Duration) -> Result<(), Error> {
        let interest = self.interest;
        if self.session.listens != Some(interest) {
            // What changed before this connection listened is found by looking again: so it does not wait now.
            self.call("wait at", |session| {
                let channel = interest.channel(session.study);
                session.client.batch_execute(&format!("UNLISTEN *; LISTEN {channel}"))?;
                session.listens = Some(interest);
                Ok(())
            })?;
            return Ok(());
        }
        let end = Instant::now() + most;
        let lost = {
            let mut notifications = self.session.client.notifications();
            let first = notifications.timeout_iter(end.saturating_duration_since(Instant::now())).next();
            // One look finds all that has changed.
            let drained = first.and_then(|_| notifications.iter().count());
            drained.is_err()
        };
        if lost || self.session.client.is_closed() {
            self.session = Session::new(&self.database)?;
        }
        Ok(())
    }

    fn workers(&mut self) -> Result<Vec<WorkerState>, Error> {
        let (workers, claims) = self
            .call("read the workers of", |session| Ok((session.query(WORKERS, &[])?, session.query(CLAIMS, &[])?)))?;
        let mut held: HashMap<String, Vec<HeldClaim>> = HashMap::new();
        for row in &claims {
            let lease = Duration::try_from_secs_f64(row.get(3)).ok().filter(|left| !left.is_zero());
            let claim = HeldClaim { key: row.get(1), attempt: row.get::<_, i32>(2).unsigned_abs(), lease };
            held.entry(row.get(0)).or_default().push(claim);
        }
        let state = |row: &Row| {
            let silent = Duration::try_from_secs_f64(row.get(2)).unwrap_or_default();
            let info = serde_json::from_str(row.get(1)).map_err(|error| self.unreadable(error))?;
            let claims = held.remove(row.get::<_, &str>(0)).unwrap_or_default();
            Ok(WorkerState { info, silent, claims, ended: row.get(3) })
        };
        workers.iter().map(state).collect()
    }

    fn counts(&mut self) -> Result<TaskCounts, Error> {
        let rows = self.call("count the tasks of", |session| session.query(COUNTS, &[]))?;
        let count =
            |place: usize| rows.first().map_or(0, |row| usize::try_from(row.get::<_, i64>(place)).unwrap_or_default());
        Ok(TaskCounts { waiting: count(0), claimed: count(1), done: count(2) })
    }
}
