//! Each model's sums over the calibration text, in files beside the study.

use std::collections::BTreeMap;
use std::path::Path;

use layer_runtime::Runtime;

use super::BridgePlan;
use crate::Error;
use crate::baselines::whole_model;
use crate::bridges::{Gap, Sink, Statistics, StatisticsFile};
use crate::search::Event;

/// The statistics of a family's models, by their names. All stay in their files, of which a fit reads one gap's: of
/// SmolLM2-135M 34 MB, where all gaps of up to 6 layers take 2.8 GB.
pub(super) struct FamilyStatistics(BTreeMap<String, StatisticsFile>);

impl FamilyStatistics {
    /// Those in the plan's folder, or else in `folder`; what is not there, or of another model, text or settings, is
    /// gathered first, each model in one walk.
    ///
    /// # Errors
    /// As of [`StatisticsFile::open_or_gather`].
    pub fn open(
        plan: &BridgePlan,
        runtime: &Runtime,
        folder: &Path,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Self, Error> {
        let of_model = |name: &str| {
            watch(Event::Gathering(name.to_owned()));
            Ok((name.to_owned(), Self::gather(plan, runtime, folder, name)?))
        };
        Ok(Self(runtime.family().names().map(of_model).collect::<Result<_, Error>>()?))
    }

    /// Those of one model.
    ///
    /// # Errors
    /// As of [`FamilyStatistics::open`].
    pub fn gather(plan: &BridgePlan, runtime: &Runtime, folder: &Path, name: &str) -> Result<StatisticsFile, Error> {
        let folder = plan.folder.as_deref().unwrap_or(folder);
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let (family, sequences) = (runtime.family(), plan.sequences());
        let mut model = runtime.model(whole_model(family, name).validate(family, &())?)?;
        let identity = Statistics::identity(&model, &sequences, plan.statistics)?;
        let file = folder.join(format!("statistics-{}", &identity[..16]));
        StatisticsFile::open_or_gather(&file, &mut model, &sequences, plan.statistics)
    }

    /// The attention sinks of a model; none of a model that is not in the family.
    pub fn sinks(&self, model: &str) -> Option<Vec<Sink>> {
        self.0.get(model).map(|file| file.sinks().to_vec())
    }

    /// Those of one gap of a model; none of a model that is not in the family.
    ///
    /// # Errors
    /// As of [`StatisticsFile::of_gap`].
    pub fn of(&self, model: &str, gap: Gap) -> Result<Option<Statistics>, Error> {
        Ok(self.0.get(model).map(|file| file.of_gap(gap)).transpose()?)
    }
}
