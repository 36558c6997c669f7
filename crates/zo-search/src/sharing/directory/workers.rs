//! Signs of life of workers: `workers/ID.json`, rewritten with another beat each time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Shared;
use super::place::nonce;
use super::token::{Token, claimed};
use crate::Error;
use crate::sharing::{HeldClaim, WorkerInfo, WorkerState};

/// The folder of workers.
pub(super) const WORKERS: &str = "workers";
/// The lease of a worker whose file is not there, as after a crash of the machine.
const UNKNOWN_LEASE: Duration = Duration::from_secs(60);

/// What a worker's file says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkerFile {
    info: WorkerInfo,
    /// How many workers were there before it.
    place: usize,
    /// Another one each time.
    beat: String,
    /// For how long after each beat its claims are its own.
    lease_ms: u64,
    pub(super) ended: bool,
}

/// What a beat says of the worker's lease.
pub(super) enum Lease {
    /// What it was.
    Same,
    /// At least so long: there are claims under the lease before.
    AtLeast(Duration),
    /// So long.
    Exactly(Duration),
}

impl WorkerFile {
    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

fn path(shared: &Shared, id: &str) -> PathBuf {
    shared.place.path(WORKERS).join(format!("{id}.json"))
}

/// Says that a worker lives, or that it has `ended`.
pub(super) fn beat(shared: &Shared, worker: &WorkerInfo, lease: &Lease, ended: bool) -> Result<(), Error> {
    let path = path(shared, &worker.id);
    let known: Option<WorkerFile> = shared.place.read_json(&path)?;
    let before = known.as_ref().map_or(Duration::ZERO, WorkerFile::lease);
    let lease = match *lease {
        Lease::Same => before,
        Lease::AtLeast(lease) => lease.max(before),
        Lease::Exactly(lease) => lease,
    };
    let place = known.map_or_else(|| shared.place.list(WORKERS).map(|names| names.len()), |known| Ok(known.place))?;
    let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    let file = WorkerFile { info: worker.clone(), place, beat: nonce(), lease_ms, ended };
    let bytes = serde_json::to_vec(&file).map_err(|error| super::place::unreadable(&path, error))?;
    shared.place.put(&path, &bytes, false)
}

/// How long a worker has been silent and what its lease is, looked up now.
fn silence(shared: &Shared, id: &str) -> Result<(Option<WorkerFile>, Duration, Duration), Error> {
    let file: Option<WorkerFile> = shared.place.read_json(&path(shared, id))?;
    let (beat, lease) = file.as_ref().map_or(("", UNKNOWN_LEASE), |file| (&file.beat, file.lease()));
    let silent = shared.watch.note(&format!("{WORKERS}/{id}"), beat, lease);
    Ok((file, silent, lease))
}

/// Of these tokens, those whose holder was silent for longer than its lease.
pub(super) fn expired(shared: &Shared, tokens: Vec<Token>) -> Result<Vec<Token>, Error> {
    let mut lost: HashMap<String, bool> = HashMap::new();
    let mut expired = Vec::new();
    for token in tokens {
        let Some(id) = &token.worker else { continue };
        if !lost.contains_key(id) {
            let mut silent = false;
            if shared.watch.is_due(&format!("{WORKERS}/{id}")) {
                let (_, silence, lease) = silence(shared, id)?;
                silent = silence >= lease;
            }
            lost.insert(id.clone(), silent);
        }
        if lost.get(id) == Some(&true) {
            expired.push(token);
        }
    }
    Ok(expired)
}

/// All workers with their claims, in the order in which they came.
pub(super) fn states(shared: &Shared) -> Result<Vec<WorkerState>, Error> {
    let tokens = claimed(&shared.place)?;
    let mut states = Vec::new();
    for name in shared.place.list(WORKERS)? {
        let Some(id) = name.strip_suffix(".json") else { continue };
        let (Some(file), silent, lease) = silence(shared, id)? else { continue };
        let held = |token: &Token| {
            (token.worker.as_deref() == Some(id)).then(|| HeldClaim {
                key: token.key.clone(),
                attempt: token.attempt,
                lease: lease.checked_sub(silent).filter(|left| !left.is_zero()),
            })
        };
        let claims = tokens.iter().filter_map(held).collect();
        states.push((file.place, WorkerState { info: file.info, silent, claims, ended: file.ended }));
    }
    states.sort_by(|(a, first), (b, second)| (a, &first.info.id).cmp(&(b, &second.info.id)));
    Ok(states.into_iter().map(|(_, state)| state).collect())
}
