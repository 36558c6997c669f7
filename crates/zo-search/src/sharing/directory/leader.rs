//! Who may add lines: terms of leaders, numbered, each with a sign of life.
//!
//! `leader/000007` is the seventh term. It is made once, by `link`, and stays for ever, so that no number is given
//! twice. `000007.beat-NONCE` gets another name as long as its process lives, `000007.ended` says that the term ended
//! orderly. The newest term is the leader's, if it has not ended and is not silent for longer than its lease.
//!
//! All this is for liveness alone. That a leader which was taken for dead adds no line when it comes back is the work
//! of the segments' names.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Shared;
use super::place::nonce;
use super::process::Process;
use crate::Error;

/// The folder of terms.
pub(super) const LEADER: &str = "leader";
/// What stands behind a term's number, and before something new, in the name of its beat.
const BEAT: &str = ".beat-";

/// What the file of a term says.
#[derive(Debug, Serialize, Deserialize)]
struct TermFile {
    process: Process,
    lease_ms: u64,
    /// The beat before there is another one.
    beat: String,
}

/// The right to add lines, until it is dropped or taken over.
pub(super) struct Term {
    pub(super) number: u32,
    shared: Arc<Shared>,
    /// Ends the thread of the beat when it is dropped.
    stop: Option<Sender<()>>,
    beat: Option<JoinHandle<()>>,
}

fn path(shared: &Shared, number: u32, ending: &str) -> PathBuf {
    shared.place.path(LEADER).join(format!("{number:06}{ending}"))
}

/// The number of the newest term, and whether somebody leads.
pub(super) fn newest(shared: &Shared) -> Result<(u32, bool), Error> {
    let names = shared.place.list(LEADER)?;
    let Some(number) = names.iter().filter_map(|name| name.parse::<u32>().ok()).max() else { return Ok((0, false)) };
    if names.contains(&format!("{number:06}.ended")) {
        return Ok((number, false));
    }
    let Some(term) = shared.place.read_json::<TermFile>(&path(shared, number, ""))? else { return Ok((number, true)) };
    let beats = format!("{number:06}{BEAT}");
    let mut beats: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.starts_with(&beats)).collect();
    beats.sort_unstable();
    let silent = shared.watch.note(&format!("{LEADER}/{number}"), &(beats.join(" ") + &term.beat));
    let lease = Duration::from_millis(term.lease_ms);
    Ok((number, silent < lease && !term.process.is_gone()))
}

impl Term {
    /// A new term, if nobody leads.
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Option<Self>, Error> {
        let (newest, led) = newest(shared)?;
        if led {
            return Ok(None);
        }
        let number = newest + 1;
        let lease_ms = u64::try_from(shared.lease.as_millis()).unwrap_or(u64::MAX);
        let term = TermFile { process: Process::this(), lease_ms, beat: nonce() };
        if !shared.place.publish(&path(shared, number, ""), &term)? {
            return Ok(None);
        }
        let (stop, stopped) = channel::<()>();
        let (shared, beating) = (Arc::clone(shared), Arc::clone(shared));
        let beat = std::thread::Builder::new().name("leader's beat".to_owned()).spawn(move || {
            let (mut last, operations) = (None, beating.place.operations());
            while stopped.recv_timeout(beating.lease / 5) == Err(RecvTimeoutError::Timeout) {
                // If it cannot be written for so long, somebody else leads, and the next line is refused.
                let next = path(&beating, number, &format!("{BEAT}{}", nonce()));
                if operations.create(&next, &[], false).is_ok() {
                    last.replace(next).iter().for_each(|last| drop(operations.remove(last)));
                }
            }
            last.iter().for_each(|last| drop(operations.remove(last)));
        });
        let term = Self { number, shared, stop: Some(stop), beat: beat.ok() };
        term.shared.place.sync_folder(&term.shared.place.path(LEADER))?;
        Ok(Some(term))
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
        // Without it, the lease has to run out.
        let _ = self.shared.place.operations().create(&path(&self.shared, self.number, ".ended"), &[], false);
    }
}
