//! The bridges of a study: fitted once for each model and gap, merged where a layer is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use layer_ir::{BridgeRef, Recipe};
use layer_runtime::Runtime;

use super::BridgePlan;
use super::files::BridgeFiles;
use super::statistics::FamilyStatistics;
use crate::bridges::{DownProjDelta, FitError, Gap, Sink, SourceGap, down_proj, source_gaps};
use crate::search::Event;
use crate::{BridgeMethod, Error};

/// Puts bridges into the recipes of a study.
///
/// A fit needs no look at the calibration text, only at the statistics. Its delta is written into a file of the
/// study's folder, named by its hash, the first time that a recipe has it.
pub(crate) struct RecipeBridges {
    runtime: Runtime,
    method: BridgeMethod,
    ridges: Vec<f64>,
    largest_gap: usize,
    statistics: FamilyStatistics,
    known: Mutex<Known>,
}

/// What was fitted so far; a bridge whose file is gone is made again.
struct Known {
    files: BridgeFiles,
    /// By model and gap; none where a bridge does no good.
    fitted: HashMap<(String, Gap), Option<BridgeRef>>,
    /// By the merged layer's key and its gap.
    merged: HashMap<(String, Gap), Option<BridgeRef>>,
}

impl RecipeBridges {
    /// The bridges of a plan, from the statistics in the folder `statistics`, or in that of the plan; those that it lacks
    /// are gathered. The files of the bridges go into the folder `own`. Folders are made where they are not there.
    ///
    /// # Errors
    /// When a model cannot be run, or a file cannot be read or written.
    pub fn open(
        plan: &BridgePlan,
        runtime: &Runtime,
        statistics: &Path,
        own: &Path,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(own).map_err(Error::io(own))?;
        let statistics = FamilyStatistics::open(plan, runtime, statistics, watch)?;
        let shape = plan.shape(runtime);
        let bytes = (shape.hidden * shape.intermediate * size_of::<f32>()) as u64;
        let files = BridgeFiles::new(own, bytes, plan.statistics.memory_bytes);
        Ok(Self {
            runtime: runtime.clone(),
            method: plan.method,
            ridges: plan.ridges.clone(),
            largest_gap: plan.statistics.largest_gap,
            statistics,
            known: Mutex::new(Known { files, fitted: HashMap::new(), merged: HashMap::new() }),
        })
    }

    /// Gathers the statistics of one model into a folder, which is made where it is not there, unless they are there.
    ///
    /// # Errors
    /// As of [`RecipeBridges::open`].
    pub fn gather(plan: &BridgePlan, runtime: &Runtime, folder: &Path, model: &str) -> Result<(), Error> {
        FamilyStatistics::gather(plan, runtime, folder, model).map(drop)
    }

    /// The recipe with a bridge before each of its gaps, in place of those that it has: behind a merged layer the merge
    /// of its sources' bridges. No bridge stands before a gap longer than the space's largest, nor where the fit leaves
    /// more of the squared error on text held back than no bridge, or cannot be solved.
    ///
    /// # Errors
    /// When statistics cannot be read, or a file cannot be written.
    pub fn bridge(&self, recipe: &Recipe) -> Result<Recipe, Error> {
        let (mut bridged, layers) = (super::without_bridges(recipe), self.runtime.family().base().num_layers());
        let canonical = bridged.clone().canonicalise(self.runtime.registry());
        // Nothing panics while the maps are half changed.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for found in source_gaps(&canonical, layers) {
            if found.gap.length <= self.largest_gap {
                let key = canonical.layers[found.place].from.key();
                bridged.layers[found.place].bridge = self.over(&found, key, &mut known)?;
            }
        }
        Ok(bridged)
    }

    /// The attention sinks of a model on the calibration text; none of a model that is not in the family.
    pub fn sinks(&self, model: &str) -> Option<Vec<Sink>> {
        self.statistics.sinks(model)
    }

    /// From now on the file of every bridge stays: no trial makes more of them.
    pub fn keep_files(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).files.keep_all();
    }

    /// The bridge over one gap behind the layer of this key.
    fn over(&self, found: &SourceGap, key: String, known: &mut Known) -> Result<Option<BridgeRef>, Error> {
        let SourceGap { gap, sources, .. } = found;
        if let [(model, coefficient)] = &sources[..]
            && *coefficient == 1.0
        {
            return self.fitted(model, *gap, known);
        }
        let place = (key, *gap);
        if let Some(bridge) = known.merged.get(&place).filter(|bridge| known.files.has(bridge)) {
            return Ok(bridge.clone());
        }
        let mut parts = Vec::new();
        for (model, coefficient) in sources {
            if let Some(bridge) = self.fitted(model, *gap, known)? {
                let gone = || Error::io(&bridge.file)(std::io::ErrorKind::NotFound.into());
                parts.push((DownProjDelta::read(&bridge).ok_or_else(gone)?, *coefficient));
            }
        }
        let bridge = DownProjDelta::sum(&parts).map(|delta| known.files.write(&delta)).transpose()?;
        known.merged.insert(place, bridge.clone());
        Ok(bridge)
    }

    /// The bridge of a model over a gap; none where it does no good.
    fn fitted(&self, model: &str, gap: Gap, known: &mut Known) -> Result<Option<BridgeRef>, Error> {
        let place = (model.to_owned(), gap);
        if let Some(bridge) = known.fitted.get(&place).filter(|bridge| known.files.has(bridge)) {
            return Ok(bridge.clone());
        }
        let Some(statistics) = self.statistics.of(model, gap)? else { return Ok(None) };
        let fitted = match self.method {
            BridgeMethod::Off => return Ok(None),
            BridgeMethod::Refit => statistics.refit(gap, &self.ridges),
            BridgeMethod::Replaceme => {
                let weight = down_proj(self.runtime.family(), model, gap.after)?;
                statistics.replaceme(gap, &weight, &self.ridges)
            }
        };
        let fitted = match fitted {
            Err(FitError::Singular { .. }) => None,
            fitted => Some(fitted?).filter(|fitted| fitted.held_back_error().is_none_or(|error| error < 1.0)),
        };
        let bridge = fitted.map(|fitted| known.files.write(&fitted.delta)).transpose()?;
        known.fitted.insert(place, bridge.clone());
        Ok(bridge)
    }
}
