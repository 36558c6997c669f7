//! Each model's sums over the calibration text, in files beside the study.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer_runtime::Runtime;

use super::BridgePlan;
use crate::Error;
use crate::baselines::whole_model;
use crate::bridges::{Sink, Statistics};
use crate::search::Event;

/// The statistics of a family's models: all in files, and in memory those used last, as far as they fit there.
pub(super) struct FamilyStatistics {
    /// By model: the file, and the hash of what it was made from.
    files: BTreeMap<String, (PathBuf, String)>,
    /// By model.
    sinks: BTreeMap<String, Vec<Sink>>,
    /// Bytes of one model's statistics, and of all that are kept in memory.
    bytes: u64,
    budget: u64,
    /// The one used last is at the end.
    loaded: Vec<(String, Arc<Statistics>)>,
}

impl FamilyStatistics {
    /// Those in `folder`; what is not there, or of another model, text or settings, is gathered first, each model in
    /// one walk.
    ///
    /// # Errors
    /// As of [`Statistics::read_or_gather`].
    pub fn open(
        plan: &BridgePlan,
        runtime: &Runtime,
        folder: &Path,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Self, Error> {
        let (bytes, budget) = (plan.shape(runtime).bytes(), plan.statistics.memory_bytes);
        let mut open = Self { files: BTreeMap::new(), sinks: BTreeMap::new(), bytes, budget, loaded: Vec::new() };
        for name in runtime.family().names() {
            watch(Event::Gathering(name.to_owned()));
            let (statistics, file, identity) = Self::gather(plan, runtime, folder, name)?;
            open.files.insert(name.to_owned(), (file, identity));
            open.sinks.insert(name.to_owned(), statistics.sinks().to_vec());
            open.keep(name, Arc::new(statistics));
        }
        Ok(open)
    }

    /// Those of one model, with their file and the hash of what they were made from.
    ///
    /// # Errors
    /// As of [`FamilyStatistics::open`].
    pub fn gather(
        plan: &BridgePlan,
        runtime: &Runtime,
        folder: &Path,
        name: &str,
    ) -> Result<(Statistics, PathBuf, String), Error> {
        let (family, sequences) = (runtime.family(), plan.sequences());
        let mut model = runtime.model(whole_model(family, name).validate(family, &())?)?;
        let identity = Statistics::identity(&model, &sequences, plan.statistics)?;
        let file = folder.join(format!("statistics-{}", &identity[..16]));
        let statistics = Statistics::read_or_gather(&file, &mut model, &sequences, plan.statistics)?;
        Ok((statistics, file, identity))
    }

    /// The attention sinks of a model; none of a model that is not in the family.
    pub fn sinks(&self, model: &str) -> Option<Vec<Sink>> {
        self.sinks.get(model).cloned()
    }

    /// Those of a model, from memory or from its file; none of a model that is not in the family.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(&mut self, model: &str) -> Result<Option<Arc<Statistics>>, Error> {
        let Some((file, identity)) = self.files.get(model) else { return Ok(None) };
        let kept = self.loaded.iter().position(|(name, _)| name == model).map(|place| self.loaded.remove(place).1);
        let statistics = match kept {
            Some(statistics) => statistics,
            None => Arc::new(Statistics::read(file, identity)?),
        };
        self.keep(model, Arc::clone(&statistics));
        Ok(Some(statistics))
    }

    /// Keeps statistics in memory; those unused for longest go where there is no room.
    fn keep(&mut self, model: &str, statistics: Arc<Statistics>) {
        let most = usize::try_from(self.budget / self.bytes.max(1)).unwrap_or(usize::MAX).max(1);
        let more = (self.loaded.len() + 1).saturating_sub(most);
        self.loaded.drain(..more);
        self.loaded.push((model.to_owned(), statistics));
    }
}
