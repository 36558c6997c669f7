//! Tokens: a task's one file that moves, whose name says all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::place::{Place, nonce};
use crate::Error;
use crate::sharing::WorkerInfo;

/// The folder of tokens of tasks that nobody has claimed.
pub(super) const WAITING: &str = "waiting";
/// The folder of tokens of claimed tasks.
pub(super) const CLAIMED: &str = "claimed";
/// The folder of tasks.
pub(super) const TASKS: &str = "tasks";
/// What stands between the parts of a token's name, and in no part: 12 + 1 + 8 digits, 10, 120 and 100 characters are
/// 254 with it, and file systems take 255.
pub(super) const SEPARATOR: char = '+';

/// A task's token: `PLACE+NONCE+ATTEMPT+KEY` in `waiting/`, with `+WORKER` in `claimed/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    /// `PLACE+NONCE`: the task's place in the order, in 12 digits, and something that makes the token the only one.
    pub(super) id: String,
    /// How often it was claimed.
    pub(super) attempt: u32,
    /// The task.
    pub(super) key: String,
    /// Who has claimed it.
    pub(super) worker: Option<String>,
}

/// What the file of a task says. It is made once, by `link`: with it the task is there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskFile {
    /// [`Token::id`] of the only token that stands for the task.
    pub(super) token: String,
    pub(super) payload: Value,
}

impl Token {
    /// The token of a task that is new.
    pub(super) fn new(place: u64, key: &str) -> Self {
        let id = format!("{place:012}{SEPARATOR}{}", &nonce()[..8]);
        Self { id, attempt: 0, key: key.to_owned(), worker: None }
    }

    /// The same task, claimed once more.
    pub(super) fn claimed_by(&self, worker: &WorkerInfo) -> Self {
        Self { attempt: self.attempt + 1, worker: Some(worker.id.clone()), ..self.clone() }
    }

    /// The same task, given back.
    pub(super) fn given_back(&self) -> Self {
        Self { worker: None, ..self.clone() }
    }

    /// The place in the order of a token of this name.
    pub(super) fn place_in_order(name: &str) -> Option<u64> {
        name.split(SEPARATOR).next()?.parse().ok()
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(SEPARATOR);
        let id = format!("{}{SEPARATOR}{}", parts.next()?, parts.next()?);
        let (attempt, key) = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
        Some(Self { id, attempt, key, worker: parts.next().map(str::to_owned) })
    }

    pub(super) fn path(&self, place: &Place) -> PathBuf {
        let Self { id, attempt, key, worker } = self;
        match worker {
            None => place.path(WAITING).join(format!("{id}{SEPARATOR}{attempt}{SEPARATOR}{key}")),
            Some(worker) => {
                place.path(CLAIMED).join(format!("{id}{SEPARATOR}{attempt}{SEPARATOR}{key}{SEPARATOR}{worker}"))
            }
        }
    }
}

/// The file of a task.
pub(super) fn task_path(place: &Place, key: &str) -> PathBuf {
    place.path(TASKS).join(format!("{key}.json"))
}

/// The tokens of claimed tasks, in the order of the tasks.
pub(super) fn claimed(place: &Place) -> Result<Vec<Token>, Error> {
    let mut tokens: Vec<Token> = place.list(CLAIMED)?.iter().filter_map(|name| Token::parse(name)).collect();
    tokens.sort();
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_its_name_says_and_its_name_is_a_file_name() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let disk = std::sync::Arc::new(crate::sharing::directory::operations::Disk);
        let place = Place::new(folder.path().to_owned(), disk, false);
        place.prepare(&[WAITING, CLAIMED])?;
        let mut token = Token::new(999_999_999_999, &"k#".repeat(60));
        token.attempt = u32::MAX - 1;
        let worker = WorkerInfo { id: "w.".repeat(50), ..WorkerInfo::here("", "") };
        for token in [token.clone(), token.claimed_by(&worker)] {
            let path = token.path(&place);
            place.operations().create(&path, &[], false)?;
            let name = path.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
            assert_eq!(Token::parse(name), Some(token));
            assert_eq!(Token::place_in_order(name), Some(999_999_999_999));
        }
        Ok(())
    }
}
