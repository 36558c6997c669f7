//! The files of bridges in a study's folder, those used last.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use layer_ir::BridgeRef;

use crate::Error;
use crate::bridges::DownProjDelta;

/// So many files stay however large they are: more than any recipe has.
const LEAST: usize = 256;

/// Writes bridges into a folder. Where there are many, the files of those that were not used for longest go: a search
/// over merged layers makes new ones with every trial, each as large as a down projection. They can be made again.
pub(super) struct BridgeFiles {
    folder: PathBuf,
    /// At most so many files stay.
    most: usize,
    /// The one used last is at the end.
    used: VecDeque<PathBuf>,
}

impl BridgeFiles {
    /// Writes into a folder, whose bridges of so many bytes each may take about `budget` bytes.
    pub fn new(folder: &Path, bytes: u64, budget: u64) -> Self {
        let most = usize::try_from(budget / bytes.max(1)).unwrap_or(usize::MAX).max(LEAST);
        Self { folder: folder.to_path_buf(), most, used: VecDeque::new() }
    }

    /// From now on every file stays.
    pub fn keep_all(&mut self) {
        self.most = usize::MAX;
    }

    /// Writes a bridge.
    ///
    /// # Errors
    /// When it cannot be written, or another one not be removed.
    pub fn write(&mut self, delta: &DownProjDelta) -> Result<BridgeRef, Error> {
        let bridge = delta.write(&self.folder)?;
        self.use_again(&bridge.file);
        while self.used.len() > self.most {
            let Some(oldest) = self.used.pop_front() else { break };
            match std::fs::remove_file(&oldest) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&oldest)(error)),
                _ => {}
            }
        }
        Ok(bridge)
    }

    /// Whether a bridge's file, if there is to be one, is there; it counts as used.
    pub fn has(&mut self, bridge: &Option<BridgeRef>) -> bool {
        let Some(bridge) = bridge else { return true };
        let is_there = bridge.file.is_file();
        if is_there {
            self.use_again(&bridge.file);
        }
        is_there
    }

    /// Puts a file at the end.
    fn use_again(&mut self, file: &Path) {
        self.used.retain(|used| used != file);
        self.used.push_back(file.to_path_buf());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_were_not_used_for_longest_go() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut files = BridgeFiles::new(folder.path(), 4, 8);
        assert_eq!(files.most, LEAST, "more than the budget, for the recipe at work");
        files.most = 2;
        let delta = |value: f32| DownProjDelta { hidden: 1, intermediate: 1, values: vec![value] };
        let first = Some(files.write(&delta(1.0))?);
        let second = Some(files.write(&delta(2.0))?);
        assert!(files.has(&first) && files.has(&None));
        let third = Some(files.write(&delta(3.0))?);
        assert!(files.has(&first) && !files.has(&second) && files.has(&third));
        assert_eq!(Some(files.write(&delta(2.0))?), second, "it comes again under its name");
        assert!(!files.has(&first));
        files.keep_all();
        files.write(&delta(4.0))?;
        assert!(files.has(&second) && files.has(&third));
        Ok(())
    }
}
