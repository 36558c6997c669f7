//! Results: written first, counted by the move of the task's token, then given the task's name.
//!
//! | step | state when it is cut off behind it |
//! |---|---|
//! | `offered/KEY+ATTEMPT+NONCE` is written | the task is claimed; the offer counts for nothing |
//! | the token is renamed to `finished/KEY+ATTEMPT+NONCE` | **the task has this result**; anybody may do the rest |
//! | the offer is renamed to `results/KEY.json` | the same |
//! | the token is removed | the same |

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::{Place, nonce, unreadable};
use super::token::{SEPARATOR, TaskFile, Token, task_path};
use crate::Error;
use crate::sharing::{Finished, TaskResult, WorkerInfo};

/// The folder of results that may come to count.
pub(super) const OFFERED: &str = "offered";
/// The folder of tokens of tasks whose results count and are not in `results/` yet.
pub(super) const FINISHED: &str = "finished";
/// The folder of results.
pub(super) const RESULTS: &str = "results";

/// What the file of a result says.
#[derive(Debug, Serialize, Deserialize)]
struct ResultFile {
    attempt: u32,
    worker: String,
    result: TaskResult,
}

fn result_path(place: &Place, key: &str) -> PathBuf {
    place.path(RESULTS).join(format!("{key}.json"))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<ResultFile, Error> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(path, error))
}

/// Takes a result, unless the claim is another one by now.
pub(super) fn finish(place: &Place, worker: &WorkerInfo, finished: &Finished) -> Result<bool, Error> {
    let Finished { key, attempt, result } = finished;
    let Some(task) = place.read_json::<TaskFile>(&task_path(place, key))? else { return Ok(false) };
    let held = Token { id: task.token, attempt: *attempt, key: key.clone(), worker: Some(worker.id.clone()) };
    let file = ResultFile { attempt: *attempt, worker: worker.id.clone(), result: result.clone() };
    let name = format!("{key}{SEPARATOR}{attempt}{SEPARATOR}{}", nonce());
    let offer = place.path(OFFERED).join(&name);
    let bytes = serde_json::to_vec(&file).map_err(|error| unreadable(&offer, error))?;
    let written = place.operations().create(&offer, &bytes, place.sync);
    if written.is_err() {
        let _ = place.remove(&offer);
    }
    written.map_err(crate::storage::refused("write", &offer))?;
    if place.shift(&held.path(place), &place.path(FINISHED).join(&name))? {
        publish(place, &name)?;
        return Ok(true);
    }
    // The token is gone: taken over, or moved by an earlier call of the same worker, whose result may be the same.
    publish_all(place)?;
    let path = result_path(place, key);
    let counted = place.read(&path)?.map(|bytes| parse(&path, &bytes)).transpose()?;
    place.remove(&offer)?;
    Ok(counted
        .is_some_and(|counted| (counted.attempt, &counted.worker, &counted.result) == (*attempt, &worker.id, result)))
}

/// Gives a result that counts its name. Several may do it at the same time, and one may find nothing to do.
fn publish(place: &Place, name: &str) -> Result<(), Error> {
    let Some((key, _)) = name.split_once(SEPARATOR) else { return Ok(()) };
    let token = place.path(FINISHED).join(name);
    let result = result_path(place, key);
    if !place.shift(&place.path(OFFERED).join(name), &result)? {
        // Somebody else is here and removes the token too, or did so: its result may not be seen yet (NFS v3), nor
        // that the token is gone. Whoever looks for results tries it again.
        return Ok(());
    }
    place.remove(&token)
}

/// Gives all results that count their names.
pub(super) fn publish_all(place: &Place) -> Result<(), Error> {
    place.list(FINISHED)?.iter().try_for_each(|name| publish(place, name))
}

/// The result of a task, of those that this machine knows of.
pub(super) fn result(place: &Place, key: &str) -> Result<Option<TaskResult>, Error> {
    let path = result_path(place, key);
    Ok(place.read_known(&path)?.map(|bytes| parse(&path, &bytes)).transpose()?.map(|file| file.result))
}

/// Removes offers for tasks that have a result: nothing can come of them any more.
pub(super) fn remove_late_offers(place: &Place) -> Result<(), Error> {
    let offers = place.list(OFFERED)?;
    publish_all(place)?;
    for name in offers {
        let key = name.split(SEPARATOR).next().unwrap_or_default();
        if place.has(&result_path(place, key))? {
            place.remove(&place.path(OFFERED).join(&name))?;
        }
    }
    Ok(())
}
