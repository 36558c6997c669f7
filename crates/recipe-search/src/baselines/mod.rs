//! What a search is compared with: layers removed from one model of the family, without search.
//!
//! Each method says which `k` layers of one model go; the rest of that model stays as it is, but for layers into which
//! those that go are folded (LaCo). Ours keep a layer that makes an attention sink ([`BaselineModel::sink_makers`])
//! while other layers are left.

mod angular_distance;
mod block_influence;
mod greedy;
mod hidden_states;
mod laco;
mod random;
mod removal;

use std::cell::OnceCell;
use std::collections::BTreeSet;

use layer_ir::{Family, Recipe};
use layer_runtime::{RecipeModel, Runtime};
use serde::{Deserialize, Serialize};
use tailor_registry::{Entry, Registry};

pub use angular_distance::{angular_distances, remove_by_angular_distance};
pub use block_influence::{block_influence, remove_by_block_influence};
pub use hidden_states::HiddenStates;
pub use removal::Removal;

use crate::Error;
use crate::bridges::{Sink, find_sinks};

/// The baselines: each is run on every model of the family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineSettings {
    /// Rows of [`standard_baselines`], or methods of the program's own; absent: all of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Random removals per model; 0 for none.
    pub random_draws: usize,
    /// Calibration sequences per task for the methods that read some; 0 for none of these methods.
    pub calibration: usize,
    /// Which of them are scored on the test split too.
    pub test: TestedBaselines,
}

/// Baselines that are scored on the test split, which may be much larger than what the search sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestedBaselines {
    /// Of each method and number of removed layers the best one by the search's documents.
    #[default]
    Best,
    /// All.
    All,
}

impl Default for BaselineSettings {
    fn default() -> Self {
        Self { methods: None, random_draws: 3, calibration: 32, test: TestedBaselines::Best }
    }
}

/// A way to choose the layers that go.
///
/// Laws: (1) for each of `counts` it gives removals of that many layers, ascending and without repetition, and folds
/// them into layers that stay; (2) same seed and same calibration text, same removals.
///
/// ```
/// use recipe_search::Error;
/// use recipe_search::baselines::{BaselineMethod, BaselineModel, Removal};
/// use recipe_search::registry::Entry;
///
/// /// The last layers but one: the last one stays.
/// struct NextToLast;
///
/// impl Entry for NextToLast {
///     fn name(&self) -> &str { "next_to_last" }
///     fn summary(&self) -> &str { "The layers before the last one." }
/// }
///
/// impl BaselineMethod for NextToLast {
///     fn label(&self) -> &str { "next to last" }
///     fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
///         let last = model.whole.layers.len() - 1;
///         Ok(counts.iter().map(|k| vec![Removal::from_iter(last - k..last)]).collect())
///     }
/// }
/// ```
pub trait BaselineMethod: Entry + Send + Sync {
    /// The name in tables, such as `greedy by perplexity (SLEB)`.
    fn label(&self) -> &str;

    /// What it reads of the calibration text. By default nothing.
    fn reads(&self) -> CalibrationData {
        CalibrationData::Nothing
    }

    /// Whether its sets are several draws, which tables number. By default not.
    fn is_drawn(&self) -> bool {
        false
    }

    /// For each of `counts`, removals of so many layers of the model: one, or one for each draw.
    ///
    /// # Errors
    /// [`Error::Model`] when the model cannot be run.
    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error>;
}

/// What a method reads of the calibration text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationData {
    /// Nothing: it is used without calibration text too.
    Nothing,
    /// The tokens.
    Tokens,
    /// The residual stream of the whole model on the tokens: it is computed once for all methods that read it.
    HiddenStates,
}

/// The model whose layers are to go, and what a method may read to choose them.
pub struct BaselineModel<'a> {
    /// Its name in the family.
    pub name: String,
    /// The model as it is.
    pub whole: Recipe,
    /// All models.
    pub family: &'a Family,
    /// Where it runs.
    pub runtime: &'a Runtime,
    /// The calibration text: sequences of token ids, each of at least two.
    pub calibration: &'a [Vec<u32>],
    /// What the study says of its baselines.
    pub settings: &'a BaselineSettings,
    /// The seed of everything random.
    pub seed: u64,
    /// Computed when a method first asks for it.
    hidden: OnceCell<HiddenStates>,
    /// Found when a method first asks for them.
    sinks: OnceCell<Vec<Sink>>,
}

impl<'a> BaselineModel<'a> {
    /// A model of a family by its name, with the calibration text and what the study says.
    #[must_use]
    pub fn new(
        name: &str,
        family: &'a Family,
        runtime: &'a Runtime,
        calibration: &'a [Vec<u32>],
        settings: &'a BaselineSettings,
        seed: u64,
    ) -> Self {
        let (name, whole) = (name.to_string(), whole_model(family, name));
        let (hidden, sinks) = (OnceCell::new(), OnceCell::new());
        Self { name, whole, family, runtime, calibration, settings, seed, hidden, sinks }
    }

    /// The same, whose attention sinks are known: the calibration text is not asked for them.
    #[must_use]
    pub fn with_sinks(self, sinks: Vec<Sink>) -> Self {
        Self { sinks: sinks.into(), ..self }
    }

    /// The whole model.
    fn model(&self) -> Result<RecipeModel, Error> {
        Ok(self.runtime.model(self.whole.clone().validate(self.family, &())?)?)
    }

    /// The residual stream of the whole model on the calibration text.
    ///
    /// # Errors
    /// [`Error::Model`] when the model cannot be run.
    pub fn hidden_states(&self) -> Result<&HiddenStates, Error> {
        if let Some(hidden) = self.hidden.get() {
            return Ok(hidden);
        }
        let hidden = HiddenStates::of(&mut self.model()?, self.calibration)?;
        Ok(self.hidden.get_or_init(|| hidden))
    }

    /// The attention sinks of the whole model on the calibration text: from its residual stream where that is known,
    /// else by a walk. None without calibration text.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Bridge`] when the model cannot be run.
    pub fn sinks(&self) -> Result<&[Sink], Error> {
        if let Some(sinks) = self.sinks.get() {
            return Ok(sinks);
        }
        let sinks = match self.hidden.get() {
            Some(hidden) => hidden.sinks(),
            None if self.calibration.is_empty() => Vec::new(),
            None => find_sinks(&mut self.model()?, self.calibration)?,
        };
        Ok(self.sinks.get_or_init(|| sinks))
    }

    /// The layers that make an attention sink. Without one of them all later layers meet a stream that they have never
    /// seen: a removal that is chosen without a trial should keep them.
    ///
    /// # Errors
    /// As of [`BaselineModel::sinks`].
    pub fn sink_makers(&self) -> Result<BTreeSet<usize>, Error> {
        Ok(self.sinks()?.iter().map(|sink| sink.layer).collect())
    }
}

/// The methods of this crate, in the order of the report.
#[must_use]
pub fn standard_baselines() -> Registry<dyn BaselineMethod> {
    let rows: [Box<dyn BaselineMethod>; 5] = [
        Box::new(random::Random),
        Box::new(block_influence::BlockInfluence),
        Box::new(angular_distance::AngularDistance),
        Box::new(greedy::Greedy),
        Box::new(laco::LayerCollapse),
    ];
    Registry::with_rows("baseline", rows)
}

/// One model with some of its layers removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The method's name in its table.
    pub method: String,
    /// The name in tables of results: method, draw and model.
    pub label: String,
    /// The model.
    pub model: String,
    /// Which of several draws; 0 for methods that draw nothing.
    pub draw: usize,
    /// What goes, and into what it is folded.
    #[serde(flatten)]
    pub removal: Removal,
}

impl Baseline {
    fn new(method: &dyn BaselineMethod, model: &str, draw: usize, removal: Removal) -> Self {
        let label = method.label();
        let label =
            if method.is_drawn() { format!("{label} {}, {model}", draw + 1) } else { format!("{label}, {model}") };
        Self { method: method.name().to_string(), label, model: model.to_string(), draw, removal }
    }

    /// The baseline as a recipe; `whole` is its model as it is.
    #[must_use]
    pub fn recipe(&self, whole: &Recipe) -> Recipe {
        self.removal.of(whole, &self.model)
    }
}

/// The recipe of one model as it is.
#[must_use]
pub fn whole_model(family: &Family, model: &str) -> Recipe {
    Recipe::of_model(family, model)
}

/// All baselines of one model that remove so many layers, for each of `counts`: of each count those of every method
/// in the order of `methods`. Without calibration text, methods that read some are left out. Afterwards the model knows
/// its sinks if the methods have asked for its residual stream.
///
/// # Errors
/// [`Error::Model`] when the model cannot be run.
pub fn baselines_of(
    methods: &[&dyn BaselineMethod],
    model: &mut BaselineModel<'_>,
    counts: &[usize],
) -> Result<Vec<Baseline>, Error> {
    let mut removals = vec![Vec::new(); methods.len()];
    let is_usable =
        |method: &dyn BaselineMethod| method.reads() == CalibrationData::Nothing || !model.calibration.is_empty();
    let usable: Vec<bool> = methods.iter().map(|method| is_usable(*method)).collect();
    // The hidden states are large: they are gone before the other methods begin.
    for reads_hidden in [true, false] {
        for ((method, removals), usable) in methods.iter().zip(&mut removals).zip(&usable) {
            if *usable && (method.reads() == CalibrationData::HiddenStates) == reads_hidden {
                *removals = method.removals(model, counts)?;
            }
        }
        if model.hidden.get().is_some() {
            model.sinks()?;
        }
        model.hidden.take();
    }
    let mut found = Vec::new();
    for place in 0..counts.len() {
        for (method, removals) in methods.iter().zip(&removals) {
            let sets = removals.get(place).into_iter().flatten().enumerate();
            found.extend(sets.map(|(draw, removal)| Baseline::new(*method, &model.name, draw, removal.clone())));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink_model::{Outcome, text, text_of, with_sink};

    /// A model of four layers, one of which makes a sink that block influence and angular distance do not see.
    #[test]
    fn no_baseline_removes_the_layer_that_makes_the_sink() -> Outcome {
        let folder = tempfile::tempdir()?;
        let settings = BaselineSettings { random_draws: 20, ..BaselineSettings::default() };
        let (counts, table) = ([1, 2, 3], standard_baselines());
        for method in table.names() {
            // The longer a text, the less block influence sees of its first token.
            let calibration = text_of(if method == "block_influence" { 800 } else { 30 });
            let mut would_go = false;
            for maker in [0, 1, 2] {
                let model = with_sink(folder.path(), maker)?;
                let runtime = model.runtime();
                let model = || BaselineModel::new("base", runtime.family(), runtime, &calibration, &settings, 7);
                let removed = |mut model: BaselineModel<'_>| -> Result<Vec<Vec<usize>>, Error> {
                    let found = baselines_of(&[table.get(method)?], &mut model, &counts)?;
                    Ok(found.into_iter().map(|baseline| baseline.removal.removed).collect())
                };
                let (kept, blind) = (removed(model())?, removed(model().with_sinks(Vec::new()))?);
                assert!(kept.iter().map(Vec::len).eq(blind.iter().map(Vec::len)), "{method}: {kept:?}, {blind:?}");
                // Three of four neighbours always have it among them, as have all but the first.
                let can_keep = |set: &&Vec<usize>| !matches!(method, "angular_distance" | "laco") || set.len() < 3;
                let goes = kept.iter().filter(can_keep).any(|set| set.contains(&maker));
                assert!(!goes, "{method} removes {maker}: {kept:?}");
                would_go |= blind.iter().filter(can_keep).any(|set| set.contains(&maker));
            }
            assert!(would_go, "{method} would keep the layers anyway");
        }
        Ok(())
    }

    #[test]
    fn the_sinks_of_the_streams_are_those_of_a_walk() -> Outcome {
        let (folder, calibration, settings) = (tempfile::tempdir()?, text(), BaselineSettings::default());
        let mut sinks = with_sink(folder.path(), 2)?;
        let walked = find_sinks(&mut sinks, &calibration)?;
        let runtime = sinks.runtime();
        let model = BaselineModel::new("base", runtime.family(), runtime, &calibration, &settings, 7);
        let hidden = model.hidden_states()?.sinks();
        let [found, expected] = [&hidden, &walked].map(|sinks| sinks.iter().map(|sink| (sink.layer, sink.position)));
        assert_eq!(found.collect::<Vec<_>>(), [(2, 0)]);
        assert!(expected.eq([(2, 0)]));
        assert_eq!(model.sink_makers()?, [2].into());
        Ok(())
    }
}
