//! Signs of life of workers: a file `workers/ID+PLACE+BEAT+LEASE+ENDED` that is renamed to another beat each time.
//!
//! The name says it, not the content: who lists a folder anew is told its names by an NFS server, while a file that
//! was replaced may be read from a client's memory for seconds (seen with NFS 4.2).

use std::path::PathBuf;
use std::time::Duration;

use super::Shared;
use super::place::{nonce, unreadable};
use super::token::{SEPARATOR, Token, claimed};
use crate::Error;
use crate::sharing::{HeldClaim, WorkerInfo, WorkerState};
use crate::storage::refused;

/// The folder of workers.
pub(super) const WORKERS: &str = "workers";
/// How often a file that is being renamed is looked for again.
const TRIES: usize = 50;

/// What the name of a worker's file says.
#[derive(Debug, Clone, PartialEq)]
struct Sign {
    id: String,
    /// How many workers were there before it.
    place: usize,
    /// Another one each time.
    beat: String,
    /// For how long after each beat its claims are its own, in ms.
    lease: u64,
    ended: bool,
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

impl Sign {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(SEPARATOR);
        Some(Self {
            id: parts.next()?.to_owned(),
            place: parts.next()?.parse().ok()?,
            beat: parts.next()?.to_owned(),
            lease: parts.next()?.parse().ok()?,
            ended: parts.next()? == "ended",
        })
    }

    fn path(&self, shared: &Shared) -> PathBuf {
        let Self { id, place, beat, lease, ended } = self;
        let ended = if *ended { "ended" } else { "lives" };
        let name = [id, &place.to_string(), beat, &lease.to_string(), ended].map(ToString::to_string);
        shared.place.path(WORKERS).join(name.join(&SEPARATOR.to_string()))
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease)
    }

    /// How long the worker has been silent.
    fn silence(&self, shared: &Shared) -> Duration {
        shared.watch.note(&format!("{WORKERS}/{}", self.id), &self.beat)
    }
}

/// The signs of all workers. One that was renamed meanwhile may be there twice, or not at all.
fn signs(shared: &Shared) -> Result<Vec<Sign>, Error> {
    Ok(shared.place.list(WORKERS)?.iter().filter_map(|name| Sign::parse(name)).collect())
}

/// Says that a worker lives, or that it has `ended`.
pub(super) fn beat(shared: &Shared, worker: &WorkerInfo, lease: &Lease, ended: bool) -> Result<(), Error> {
    let place = &shared.place;
    for tried in 0..TRIES {
        let signs = signs(shared)?;
        let known: Vec<&Sign> = signs.iter().filter(|sign| sign.id == worker.id).collect();
        let before = known.first().map_or(Duration::ZERO, |sign| sign.lease());
        let lease = match *lease {
            Lease::Same => before,
            Lease::AtLeast(lease) => lease.max(before),
            Lease::Exactly(lease) => lease,
        };
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let order = known.first().map_or(signs.len(), |sign| sign.place);
        let sign = Sign { id: worker.id.clone(), place: order, beat: nonce(), lease, ended };
        let path = sign.path(shared);
        let Some(first) = known.first() else {
            // Its other thread may have renamed it meanwhile.
            if tried < 2 {
                place.refresh(&place.path(WORKERS))?;
                continue;
            }
            let info = serde_json::to_vec(worker).map_err(|error| unreadable(&path, error))?;
            return place.put(&path, &info, false);
        };
        if place.shift(&first.path(shared), &path)? {
            // Of two threads that both made one.
            return known[1..].iter().try_for_each(|more| place.remove(&more.path(shared)));
        }
    }
    Err(refused("rename", &place.path(WORKERS))(std::io::ErrorKind::ResourceBusy.into()))
}

/// Of these tokens, those whose holder was silent for longer than its lease.
pub(super) fn expired(shared: &Shared, mut tokens: Vec<Token>) -> Result<Vec<Token>, Error> {
    if tokens.is_empty() {
        return Ok(tokens);
    }
    let mut silent = Vec::new();
    for sign in signs(shared)? {
        silent.retain(|id| *id != sign.id);
        if sign.silence(shared) >= sign.lease() {
            silent.push(sign.id);
        }
    }
    tokens.retain(|token| token.worker.as_ref().is_some_and(|id| silent.contains(id)));
    Ok(tokens)
}

/// All workers with their claims, in the order in which they came.
pub(super) fn states(shared: &Shared) -> Result<Vec<WorkerState>, Error> {
    let tokens = claimed(&shared.place)?;
    let mut states: Vec<(usize, WorkerState)> = Vec::new();
    for sign in signs(shared)? {
        if states.iter().any(|(_, known)| known.info.id == sign.id) {
            continue;
        }
        let (info, sign) = info(shared, sign)?;
        let (silent, lease) = (sign.silence(shared), sign.lease());
        let held = |token: &Token| {
            (token.worker.as_deref() == Some(sign.id.as_str())).then(|| HeldClaim {
                key: token.key.clone(),
                attempt: token.attempt,
                lease: lease.checked_sub(silent).filter(|left| !left.is_zero()),
            })
        };
        let claims = tokens.iter().filter_map(held).collect();
        states.push((sign.place, WorkerState { info, silent, claims, ended: sign.ended }));
    }
    states.sort_by(|(a, first), (b, second)| (a, &first.info.id).cmp(&(b, &second.info.id)));
    Ok(states.into_iter().map(|(_, state)| state).collect())
}

/// Who a worker is, by the file that has this sign or by now another one.
fn info(shared: &Shared, mut sign: Sign) -> Result<(WorkerInfo, Sign), Error> {
    for _ in 0..TRIES {
        if let Some(info) = shared.place.read_json(&sign.path(shared))? {
            return Ok((info, sign));
        }
        sign = signs(shared)?.into_iter().find(|other| other.id == sign.id).unwrap_or(sign);
    }
    Err(refused("read", &sign.path(shared))(std::io::ErrorKind::NotFound.into()))
}
