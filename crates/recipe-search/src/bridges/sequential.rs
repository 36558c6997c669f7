//! Bridges layer by layer: each on what the cut model itself computes, towards what its teacher computes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use layer_ir::{BridgeRef, Recipe};
use layer_runtime::Runtime;

use super::delta::write_all;
use super::recipe::{next_layer, source_layer};
use super::student::{Projection, Student};
use super::teacher::{Place, TaughtText, Teachers};
use super::{DownProjDelta, FittedDelta, OProjDelta, StatisticsSettings, write_deltas};
use crate::Error;

/// A layer that [`bridge_sequentially`] has fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct SequentialBridge {
    /// The layer's place in the recipe, from 0.
    pub place: usize,
    /// How many of the teacher's layers are behind the stream that the layer is fitted to.
    pub target: usize,
    /// The change of its down projection, and how the fit went.
    pub fitted: FittedDelta,
    /// Whether the layer carries it: it left less of the squared error on text held back than no bridge.
    pub kept: bool,
    /// The change of its projection behind the attention, where that was fitted first.
    pub o_proj: Option<FittedOProj>,
}

/// A fitted change of a layer's `o_proj`.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedOProj {
    /// The change, and how the fit went.
    pub fitted: FittedDelta<OProjDelta>,
    /// Whether the layer carries it.
    pub kept: bool,
}

/// Which projections [`bridge_sequentially`] refits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequentialSettings {
    /// The projections behind the attention too, each before the layer's down projection.
    pub o_proj: bool,
}

/// Refits the down projection of every layer from the first gap of a recipe on, one after the other: on the inner
/// activations of the cut model with all bridges before, towards the stream that enters, in the teacher, the layer that
/// comes next. So a layer also mends what the ones before it could not. As [`bridge_sequentially_with`] without
/// `o_proj`.
///
/// # Errors
/// As of [`bridge_sequentially_with`].
pub fn bridge_sequentially(
    runtime: &Runtime,
    recipe: &mut Recipe,
    calibration: &[TaughtText],
    settings: StatisticsSettings,
    ridges: &[f64],
    folder: &Path,
) -> Result<Vec<SequentialBridge>, Error> {
    bridge_sequentially_with(runtime, recipe, calibration, settings, ridges, SequentialSettings::default(), folder)
}

/// Refits every layer from the first gap of a recipe on, one after the other.
///
/// For the layer at place `p`, before old layer `j`: `ΔW` minimises `Σ w |X_j - Y_{p+1} - ΔW h|²` with the ridge of
/// [`Statistics::refit`](super::Statistics::refit), where `X_j` is the teacher's stream before its layer `j`, `Y_{p+1}`
/// and `h` the cut model's stream after the layer and the input of its down projection, and `w = 1/|Y_{p+1}|²`. Merged
/// layers take part. Bridges that the recipe has from the first gap on are replaced. Files go into `folder`.
///
/// With `o_proj`, each layer behind the first gap that is of the teacher's layer `i` has before that
/// `ΔO = argmin Σ w |A_i - B_p - ΔO a|²`, where `A_i` is the teacher's stream after the attention of layer `i`, `B_p`
/// the cut model's after that at place `p`, `a` the input of `o_proj`, and `w = 1/|B_p|²`.
///
/// What leaves more of the squared error on text held back than no bridge is not kept.
///
/// Costs one walk of the text through each teacher, one through the cut model's layers before the gap, and two of each
/// layer behind it (with `o_proj` three). Memory: the cut model's stream, and the teacher's at as many places as fit
/// (4 bytes for each token and hidden number; the walk through the teacher is repeated for the others), and the sums
/// of one layer, together at most `settings.memory_bytes`.
///
/// # Errors
/// [`Error::Bridge`], of too little text, of memory, or of a fit that cannot be solved; when a model cannot be run or a
/// file cannot be written.
pub fn bridge_sequentially_with(
    runtime: &Runtime,
    recipe: &mut Recipe,
    calibration: &[TaughtText],
    settings: StatisticsSettings,
    ridges: &[f64],
    sequential: SequentialSettings,
    folder: &Path,
) -> Result<Vec<SequentialBridge>, Error> {
    settings.check()?;
    let layers = runtime.family().base().num_layers();
    let Some(first) = first_gap(recipe, layers) else { return Ok(Vec::new()) };
    let scratch = Scratch::within(folder)?;
    let mut learning = recipe.clone();
    learning.layers[first..].iter_mut().for_each(|layer| layer.bridge = None);
    let lessons = lessons(&learning, first, layers, sequential);
    let places = lessons.iter().flat_map(|lesson| lesson.attention.into_iter().chain(lesson.stream)).collect();
    let mut teachers = Teachers::new(runtime, calibration, places, settings)?;
    let mut student = Student::before(runtime, &learning, first, calibration, settings)?;
    let mut bridges = Vec::new();
    for lesson in lessons {
        let bridge = lesson.learn(&student, &mut teachers, &mut learning, ridges, &scratch)?;
        student.advance(&learning, lesson.place)?;
        bridges.extend(bridge);
    }
    // Only now that all is fitted, files are written that stay.
    let mut mended = recipe.clone();
    mended.layers[first..].iter_mut().for_each(|layer| layer.bridge = None);
    write_all(folder, &mut mended, &bridges, |bridge| Ok((bridge.place, bridge.write(folder)?)))?;
    *recipe = mended;
    Ok(bridges)
}

/// What the layer at a place of a recipe learns.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    place: usize,
    /// Where its stream after the attention stands in the teacher.
    attention: Option<Place>,
    /// Where its stream after the MLP stands in the teacher: before the layer that comes next. None before a layer that
    /// is made of several.
    stream: Option<Place>,
}

impl Lesson {
    /// Fits the layer's projections; the recipe carries those that help, in files of the scratch folder.
    fn learn(
        self,
        student: &Student<'_>,
        teachers: &mut Teachers<'_>,
        recipe: &mut Recipe,
        ridges: &[f64],
        scratch: &Scratch,
    ) -> Result<Option<SequentialBridge>, Error> {
        let Self { place, attention, stream } = self;
        let (Some(target), hidden) = (stream, student.hidden) else { return Ok(None) };
        let o_proj = match attention {
            None => None,
            Some(attention) => {
                let sums = student.sums(recipe, place, Projection::Output, teachers.streams(attention)?)?;
                let delta = |values: Vec<f32>| OProjDelta { hidden, attended: values.len() / hidden, values };
                let fitted = sums.fit(ridges)?.map(delta);
                let kept = helps(&fitted);
                recipe.layers[place].bridge = write(&scratch.0, None, kept.then_some(&fitted.delta))?;
                Some(FittedOProj { fitted, kept })
            }
        };
        let sums = student.sums(recipe, place, Projection::Down, teachers.streams(target)?)?;
        let delta = |values: Vec<f32>| DownProjDelta { hidden, intermediate: values.len() / hidden, values };
        let fitted = sums.fit(ridges)?.map(delta);
        let kept = helps(&fitted);
        let bridge = SequentialBridge { place, target: target.layers(), fitted, kept, o_proj };
        recipe.layers[place].bridge = bridge.write(&scratch.0)?;
        Ok(Some(bridge))
    }
}

impl SequentialBridge {
    /// Writes what is kept into one file in `folder`; [`None`] if nothing is.
    fn write(&self, folder: &Path) -> Result<Option<BridgeRef>, Error> {
        let o_proj = self.o_proj.as_ref().filter(|o_proj| o_proj.kept).map(|o_proj| &o_proj.fitted.delta);
        write(folder, self.kept.then_some(&self.fitted.delta), o_proj)
    }
}

/// The place of the layer before the first gap: the one before the first layer that is not where it was; [`None`] if
/// all are.
fn first_gap(recipe: &Recipe, layers: usize) -> Option<usize> {
    let places = 0..recipe.layers.len();
    let moved = places.clone().find(|place| source_layer(&recipe.layers[*place].from) != Some(*place));
    match moved {
        Some(place) => Some(place.saturating_sub(1)),
        None => recipe.layers.len().checked_sub(1).filter(|last| last + 1 < layers),
    }
}

/// What each layer from the first gap on learns. What the first one attends to is as in the teacher, unless it is gone
/// from the beginning of the model.
fn lessons(recipe: &Recipe, first: usize, layers: usize, sequential: SequentialSettings) -> Vec<Lesson> {
    let lesson = |place: usize| {
        let source = source_layer(&recipe.layers[place].from);
        let moved = place > first || source != Some(place);
        let attention = source.filter(|_| sequential.o_proj && moved).map(Place::AfterAttention);
        Lesson { place, attention, stream: next_layer(recipe, place, layers).map(Place::Before) }
    };
    (first..recipe.layers.len()).map(lesson).collect()
}

/// Whether a delta leaves less of the squared error on text held back than no delta.
fn helps<D>(fitted: &FittedDelta<D>) -> bool {
    fitted.held_back_error().is_none_or(|error| error < 1.0)
}

/// The bridge of a layer with these deltas; none without any.
fn write(
    folder: &Path,
    down_proj: Option<&DownProjDelta>,
    o_proj: Option<&OProjDelta>,
) -> Result<Option<BridgeRef>, Error> {
    let any = down_proj.is_some() || o_proj.is_some();
    any.then(|| write_deltas(folder, down_proj, o_proj)).transpose()
}

/// A folder for files that the fits of later layers need; it goes with the fits.
struct Scratch(PathBuf);

impl Scratch {
    /// In some folder, whose own files are other recipes' as well.
    fn within(folder: &Path) -> Result<Self, Error> {
        // Threads may bridge at the same time.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let path = folder.join(format!(".bridges-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    /// What cannot be removed stays behind under a name that tells where it comes from.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Golden, Outcome, calibration, model, off};
    use super::*;

    const RIDGES: [f64; 3] = [0.001, 0.01, 0.1];

    fn taught() -> Vec<TaughtText> {
        calibration().into_iter().map(|tokens| TaughtText { tokens, teacher: "base".to_owned() }).collect()
    }

    /// `tests/golden/sequential.safetensors`: numpy's least squares on the tokens themselves, in float64 and on a
    /// decoder in numpy; made by `make_sequential.py`. Some fits help on text held back and some do not.
    #[test]
    fn o_proj_and_down_proj_by_turns_agree_with_numpy() -> Outcome {
        let (golden, folder) = (Golden::read("sequential")?, tempfile::tempdir()?);
        let whole = model("cpu", 1.0)?;
        let mut recipe = Recipe::of_model(whole.runtime().family(), "base");
        recipe.layers.remove(1);
        let (settings, both) = (StatisticsSettings::default(), SequentialSettings { o_proj: true });
        let runtime = whole.runtime();
        let bridges =
            bridge_sequentially_with(runtime, &mut recipe, &taught(), settings, &RIDGES, both, folder.path())?;
        assert_eq!(bridges.iter().map(|bridge| bridge.o_proj.is_some()).collect::<Vec<_>>(), [false, true, true]);
        let mut files = 0;
        for bridge in &bridges {
            let check = |name: &str, values: &[f32], tried: &[super::super::TriedRidge]| -> Outcome {
                let name = format!("{}.{name}", bridge.place);
                let worst = off(values.iter().map(|value| f64::from(*value)), &golden.array(&name)?);
                assert!(worst < 1e-4, "{name}: the delta differs by {worst:e} of its largest value");
                let errors = tried.iter().map(|tried| tried.held_back_error);
                let worst = off(errors, &golden.array(&format!("{name}.errors"))?);
                assert!(worst < 1e-4, "{name}: the errors differ by {worst:e} of the largest");
                Ok(())
            };
            check("down_proj", &bridge.fitted.delta.values, &bridge.fitted.tried)?;
            let o_proj = bridge.o_proj.as_ref();
            o_proj.map_or(Ok(()), |o| check("o_proj", &o.fitted.delta.values, &o.fitted.tried))?;
            let carried = recipe.layers[bridge.place].bridge.is_some();
            assert_eq!(carried, bridge.kept || o_proj.is_some_and(|o_proj| o_proj.kept), "place {}", bridge.place);
            files += usize::from(carried);
        }
        assert!(bridges.iter().any(|bridge| bridge.kept) && !bridges.iter().all(|bridge| bridge.kept));
        assert_eq!(std::fs::read_dir(folder.path())?.count(), files, "no other files stay");
        Ok(())
    }

    /// The teacher's streams at all places at once, or at one place after the other.
    #[test]
    fn little_memory_takes_more_walks_and_gives_the_same() -> Outcome {
        let (folder, whole) = (tempfile::tempdir()?, model("cpu", 1.0)?);
        let tokens: u64 = calibration().iter().map(|text| text.len() as u64).sum();
        let one = 4 * tokens * whole.runtime().config().hidden_size as u64;
        let least = super::super::student::layer_bytes(whole.runtime()) + 3 * one;
        let mended = |memory_bytes: u64| -> Result<(Recipe, u64), Error> {
            let mut recipe = Recipe::of_model(whole.runtime().family(), "base");
            recipe.layers.remove(1);
            let settings = StatisticsSettings { memory_bytes, ..StatisticsSettings::default() };
            let before = whole.runtime().timings().layer_tokens;
            bridge_sequentially(whole.runtime(), &mut recipe, &taught(), settings, &RIDGES, folder.path())?;
            Ok((recipe, whole.runtime().timings().layer_tokens - before))
        };
        let ((all, once), (little, often)) = (mended(1 << 30)?, mended(least)?);
        assert_eq!(all, little);
        // Targets stand behind 2, 3 and 4 layers; at once that is one walk to the last one.
        assert_eq!(often - once, (2 + 3) * tokens, "layers of the teacher that are walked through again");
        let refused = mended(least - 1).map(|_| ()).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|message| message.contains(&least.to_string())));
        Ok(())
    }
}
