//! The state of a training in a folder, so that one that was killed goes on as if it had not been.
//!
//! `state.safetensors` holds the trained numbers, their moments and, as metadata, how far the training is; it replaces
//! the one before when it is whole. `best-N.safetensors` holds the numbers as they were after step N, the best so far;
//! a state names the one that goes with it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::tensor_file::write_tensors;
use crate::{CurvePoint, Error, Layout, LearnerState};

/// The name of the file of a state.
const STATE: &str = "state.safetensors";
/// The key of the metadata.
const KEY: &str = "training";

/// How far a training is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What the training depends on; a state of another training does not fit.
    pub identity: String,
    /// Steps that are done.
    pub step: usize,
    /// Tokens of these steps.
    pub tokens: usize,
    /// The step after which the loss was lowest.
    pub best: usize,
    /// Validations since then.
    pub worse: usize,
    /// What was measured so far.
    pub curve: Vec<CurvePoint>,
    /// Seconds so far.
    pub seconds: f64,
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct StateFolder(pub PathBuf);

/// What a training goes on from.
pub(crate) struct State {
    pub progress: Progress,
    pub learner: LearnerState<'static>,
}

impl StateFolder {
    /// The state that is there; `None` without one, or with one of another training.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::State`] for a file that is none.
    pub fn read(&self, identity: &str, numbers: usize) -> Result<Option<State>, Error> {
        let file = self.0.join(STATE);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { file, source }),
        };
        let damaged = || Error::State { file: file.clone() };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|_| damaged())?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or_else(damaged)?;
        let progress: Progress = serde_json::from_str(text).map_err(|_| damaged())?;
        if progress.identity != identity {
            return Ok(None);
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|_| damaged())?;
        let tensor = |name: &str| {
            let values = to_f32(tensors.tensor(name).map_err(|_| damaged())?.data());
            if values.len() == numbers { Ok(Cow::Owned(values)) } else { Err(damaged()) }
        };
        let learner = LearnerState { numbers: tensor("numbers")?, moments: [tensor("m")?, tensor("v")?] };
        Ok(Some(State { progress, learner }))
    }

    /// Writes the state, and forgets the numbers of better times that it does not name.
    ///
    /// # Errors
    /// [`Error::Write`]; the state before is still there then.
    pub fn write(&self, progress: &Progress, state: &LearnerState<'_>) -> Result<(), Error> {
        let file = self.0.join(STATE);
        let text = serde_json::to_string(progress).map_err(|_| Error::State { file: file.clone() })?;
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        let LearnerState { numbers, moments: [m, v] } = state;
        let parts = [("numbers", numbers), ("m", m), ("v", v)];
        write_tensors(&file, &parts.map(|(name, part)| (name, &**part, vec![part.len()])), metadata)?;
        let kept = best_name(progress.best);
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("best-") && name != kept) {
                // One that cannot be removed does no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Writes the numbers after a step, the best so far, with the names of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_best(&self, step: usize, layout: &Layout, values: &[f32]) -> Result<(), Error> {
        layout.write(values, &self.best(step))
    }

    /// Reads the numbers after a step.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::State`] for a file of another model.
    pub fn read_best(&self, step: usize, layout: &Layout) -> Result<Vec<f32>, Error> {
        let file = self.best(step);
        let bytes = std::fs::read(&file).map_err(|source| Error::Read { file: file.clone(), source })?;
        let damaged = || Error::State { file: file.clone() };
        let tensors = SafeTensors::deserialize(&bytes).map_err(|_| damaged())?;
        let mut values = Vec::with_capacity(layout.len());
        for parameter in layout.parameters() {
            values.extend(to_f32(tensors.tensor(&parameter.name).map_err(|_| damaged())?.data()));
        }
        if values.len() == layout.len() { Ok(values) } else { Err(damaged()) }
    }

    /// The file of the numbers after a step.
    fn best(&self, step: usize) -> PathBuf {
        self.0.join(best_name(step))
    }
}

fn best_name(step: usize) -> String {
    format!("best-{step}.safetensors")
}

/// Little-endian bytes as numbers.
fn to_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}
