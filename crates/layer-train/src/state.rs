//! The state of a training in a folder, so that one that was killed goes on as if it had not been.
//!
//! `state.safetensors` holds the trained numbers, their moments and, as metadata, how far the training is; it replaces
//! the one before when it is whole. `best-N.safetensors` holds the numbers as they were after step N, the best so far;
//! a state names the one that goes with it.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tensor_file::{TensorNumbers, TensorReader, write_tensors};
use crate::{BlockMoments, CurvePoint, Error, Layout, LearnerState, Moments, OptimizerMemory};

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
    pub fn read(&self, identity: &str, numbers: usize, memory: OptimizerMemory) -> Result<Option<State>, Error> {
        let file = self.0.join(STATE);
        let Some(mut reader) = TensorReader::open(&file)? else { return Ok(None) };
        let damaged = || Error::State { file: file.clone() };
        let text = reader.text(KEY).ok_or_else(damaged)?;
        let progress: Progress = serde_json::from_str(text).map_err(|_| damaged())?;
        if progress.identity != identity {
            return Ok(None);
        }
        let mut tensor = |name: &str| {
            let mut values = Vec::new();
            reader.numbers(name, &mut values).map(|()| values)
        };
        let own = tensor("numbers")?;
        let moments = match memory {
            OptimizerMemory::Full => Moments::Full([tensor("m")?.into(), tensor("v")?.into()]),
            OptimizerMemory::Compact => {
                let mut block = |name: &str| -> Result<BlockMoments<'static>, Error> {
                    let (scales, vectors) = (tensor(&format!("{name}.scales"))?, tensor(&format!("{name}.vectors"))?);
                    Ok(BlockMoments { codes: Vec::new().into(), scales: scales.into(), vectors: vectors.into() })
                };
                let mut blocks = [block("m")?, block("v")?];
                for (name, block) in ["m", "v"].into_iter().zip(&mut blocks) {
                    block.codes = reader.bytes(&format!("{name}.codes"))?.into();
                }
                Moments::Blocks(blocks)
            }
        };
        if own.len() != numbers || moments.len() != numbers {
            return Err(damaged());
        }
        Ok(Some(State { progress, learner: LearnerState { numbers: own.into(), moments } }))
    }

    /// Writes the state, and forgets the numbers of better times that it does not name.
    ///
    /// # Errors
    /// [`Error::Write`]; the state before is still there then.
    pub fn write(&self, progress: &Progress, state: &LearnerState<'_>) -> Result<(), Error> {
        let file = self.0.join(STATE);
        let text = serde_json::to_string(progress).map_err(|_| Error::State { file: file.clone() })?;
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        let mut parts = vec![("numbers", TensorNumbers::F32(&state.numbers))];
        match &state.moments {
            Moments::Full([m, v]) => parts.extend([("m", TensorNumbers::F32(m)), ("v", TensorNumbers::F32(v))]),
            Moments::Blocks([m, v]) => parts.extend([
                ("m.codes", TensorNumbers::U8(&m.codes)),
                ("m.scales", TensorNumbers::F32(&m.scales)),
                ("m.vectors", TensorNumbers::F32(&m.vectors)),
                ("v.codes", TensorNumbers::U8(&v.codes)),
                ("v.scales", TensorNumbers::F32(&v.scales)),
                ("v.vectors", TensorNumbers::F32(&v.vectors)),
            ]),
        }
        let tensors: Vec<_> = parts.into_iter().map(|(name, part)| (name, part, vec![part.len()])).collect();
        write_tensors(&file, &tensors, metadata)?;
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
        let missing = || Error::Read { file: file.clone(), source: std::io::ErrorKind::NotFound.into() };
        let mut reader = TensorReader::open(&file)?.ok_or_else(missing)?;
        let mut values = Vec::with_capacity(layout.len());
        for parameter in layout.parameters() {
            reader.numbers(&parameter.name, &mut values)?;
        }
        if values.len() == layout.len() { Ok(values) } else { Err(Error::State { file }) }
    }

    /// The file of the numbers after a step.
    fn best(&self, step: usize) -> PathBuf {
        self.0.join(best_name(step))
    }
}

fn best_name(step: usize) -> String {
    format!("best-{step}.safetensors")
}
