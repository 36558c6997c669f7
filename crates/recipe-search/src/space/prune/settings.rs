//! The parameters of the prune space.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use layer_ir::{BaseAt, Checkpoint, Cost};
use serde::{Deserialize, Serialize};
use tailor_registry::{Parameter, Settings};

use super::SpaceSettings;
use crate::Error;
use crate::space::parameterisation::{PLACE, Parameterisation, range};

/// How many layers go: of each space that removes some.
pub(in crate::space) const REMOVE: Parameter =
    Parameter::any("remove", "How many layers go, less than the models have: a number, or a range `[least, most]`.");
/// As [`REMOVE`].
pub(in crate::space) const MAX_PARAMETERS: Parameter =
    Parameter::integer("max_parameters", 0, i64::MAX, "At most so many weights are left.").optional();
/// As [`REMOVE`].
pub(in crate::space) const MAX_BYTES: Parameter =
    Parameter::integer("max_bytes", 0, i64::MAX, "At most so many bytes of weights are left, in the base's dtype.")
        .optional();
/// As [`REMOVE`].
pub(in crate::space) const SELECT: Parameter =
    Parameter::flag("select", true, "Whether each layer has models of its own; else all are one model's, not merged.");
/// As [`REMOVE`].
pub(in crate::space) const ENDS: Parameter = Parameter::one_of(
    "ends",
    &["search", "follow", "base"],
    "Where embedding, final norm and head come from; absent: search, in the reference's parameterisation follow.",
)
.optional();

/// What `[space]` may say of a prune space.
pub(super) const PARAMETERS: &[Parameter] = &[
    REMOVE,
    MAX_PARAMETERS,
    MAX_BYTES,
    Parameter::numbers("coefficient", f64::MIN, f64::MAX, "Range of the coefficient of a merged layer.")
        .with_default_numbers(&[0.0, 1.0]),
    Parameter::numbers("scales", f64::MIN, f64::MAX, "Range of an output scale for each layer; absent: 1.").optional(),
    SELECT,
    Parameter::flag("merge", true, "Whether a layer may be merged from several models."),
    Parameter::one_of(
        "base_at",
        &["source", "output"],
        "At which index a merged layer reads the base; absent: source, in the reference's parameterisation output.",
    )
    .optional(),
    ENDS,
    Parameterisation::PARAMETER,
];

/// The parameters of a [`PruneSpace`](super::PruneSpace): some layers go, each remaining one is taken or merged.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneSettings {
    /// How many layers go: a number, or a range `[least, most]`.
    pub remove: Remove,
    /// At most so many weights are left; with a range of removals, this raises the least.
    pub max_parameters: Option<u64>,
    /// At most so many bytes of weights are left, in the dtype of the base.
    pub max_bytes: Option<u64>,
    /// Range of the task-arithmetic coefficient of a merged layer.
    pub coefficient: [f64; 2],
    /// Range of the output scales; absent: every scale is 1 (searching them costs more than it gives).
    pub scales: Option<[f64; 2]>,
    /// At which index a merged layer reads the base: `source`, or `output` as the Python reference does.
    pub base_at: BaseAt,
    /// Where embedding, final norm and head come from.
    pub outer: OuterSetting,
    /// Whether each layer has models of its own. Else all layers are those of one model: removal alone.
    pub select: bool,
    /// Whether a layer may be merged from several models; of no account without `select`.
    pub merge: bool,
    /// The dimensions; the reference's are for exactly so many removals, with ends that follow.
    pub parameterisation: Parameterisation,
}

/// What the layers of a recipe may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of one model.
    Whole,
    /// Each of one model.
    Each,
    /// Each of one model, or merged from several variants.
    Merged,
}

impl PruneSettings {
    /// The settings that remove so many layers, all else as in a study that says nothing of it.
    #[must_use]
    pub fn new(remove: Remove) -> Self {
        Self {
            remove,
            max_parameters: None,
            max_bytes: None,
            coefficient: [0.0, 1.0],
            scales: None,
            base_at: BaseAt::Source,
            outer: OuterSetting::Search,
            select: true,
            merge: true,
            parameterisation: Parameterisation::Own,
        }
    }

    /// Reads the table `[space]` of a study.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] for a parameter that is not there or of another type, [`Error::StudyValue`] for one
    /// that makes no sense.
    pub fn read(space: &SpaceSettings) -> Result<Self, Error> {
        let given = Settings::check("space `prune`".to_owned(), PARAMETERS, &space.parameters);
        Self::of(&given.map_err(Error::choice(Path::new(PLACE), "space"))?)
    }

    /// The settings that checked parameters say.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let path = Path::new(PLACE);
        let parameterisation = Parameterisation::of(settings)?;
        let scales = range(settings, "scales", "space.scales")?;
        if let Some([low, _]) = scales.filter(|[low, _]| *low < 1e-3) {
            let expected = "from at least 0.001 on: a smaller scale cannot be folded into weights";
            return Err(Error::value(path, "space.scales", low, expected));
        }
        let reference = parameterisation == Parameterisation::Reference;
        let default_base = if reference { "output" } else { "source" };
        let read = Self {
            coefficient: range(settings, "coefficient", "space.coefficient")?.unwrap_or([0.0, 1.0]),
            scales,
            merge: settings.flag("merge")?,
            base_at: match settings.text("base_at").unwrap_or(default_base) {
                "output" => BaseAt::Output,
                _ => BaseAt::Source,
            },
            parameterisation,
            ..Self::removal(settings, if reference { OuterSetting::Follow } else { OuterSetting::Search })?
        };
        if reference { read.check_reference() } else { Ok(read) }
    }

    /// What every space that removes layers can say: how many go, whether layers are selected, and where the ends come
    /// from, by default from `outer`.
    pub(in crate::space) fn removal(settings: &Settings, outer: OuterSetting) -> Result<Self, Error> {
        let path = Path::new(PLACE);
        let given = settings.value("remove").cloned().unwrap_or_default();
        let expected = "a number of layers, or a range `[least, most]` of them";
        let remove: Remove =
            serde_json::from_value(given.clone()).map_err(|_| Error::value(path, "space.remove", given, expected))?;
        if remove.least() > remove.most() {
            return Err(Error::value(path, "space.remove", remove, "a number, or a range [least, most]"));
        }
        let budget = |name: &str| settings.count(name).ok().map(|budget| budget as u64);
        Ok(Self {
            max_parameters: budget("max_parameters"),
            max_bytes: budget("max_bytes"),
            select: settings.flag("select")?,
            outer: match settings.text("ends") {
                Ok("follow") => OuterSetting::Follow,
                Ok("base") => OuterSetting::Base,
                Ok("search") => OuterSetting::Search,
                _ => outer,
            },
            ..Self::new(remove)
        })
    }

    /// The settings, if the reference's parameterisation can say them.
    fn check_reference(self) -> Result<Self, Error> {
        let path = Path::new(PLACE);
        if !self.select || !self.merge {
            let key = if self.select { "space.merge" } else { "space.select" };
            return Err(Error::value(path, key, false, "true: the reference's parameterisation merges"));
        }
        if self.outer != OuterSetting::Follow {
            let expected =
                "\"follow\": in the reference's parameterisation the ends are made as the layers beside them";
            return Err(Error::value(path, "space.ends", "another choice", expected));
        }
        if self.remove.least() < self.remove.most() {
            let expected = "one number: the reference's parameterisation has a dimension for each layer that goes";
            return Err(Error::value(path, "space.remove", self.remove, expected));
        }
        Ok(self)
    }

    /// What the layers may be made of.
    pub(super) fn selection(&self) -> Selection {
        match (self.select, self.merge) {
            (false, _) => Selection::Whole,
            (true, false) => Selection::Each,
            (true, true) => Selection::Merged,
        }
    }

    /// How many layers may go from models like `base`: what `remove` allows and the budgets demand.
    ///
    /// All layers are alike, so that a budget of weights is a least number of layers that go.
    ///
    /// # Errors
    /// [`Error::StudyValue`] when no layer would be left, or when no allowed number of layers fits a budget.
    pub fn removals(&self, base: &Checkpoint) -> Result<RangeInclusive<usize>, Error> {
        let file = Path::new(PLACE);
        let (least, most, layers) = (self.remove.least(), self.remove.most(), base.num_layers());
        if most >= layers {
            let expected = format!("below the {layers} layers of the models");
            return Err(Error::value(file, "space.remove", self.remove, expected));
        }
        let cost = |removed: usize| Cost::of_checkpoint(base, layers - removed, base.dtype());
        let size =
            |key: &str, removed| if key == "space.max_bytes" { cost(removed).bytes } else { cost(removed).parameters };
        let mut sizes = least..=most;
        for (key, budget) in [("space.max_parameters", self.max_parameters), ("space.max_bytes", self.max_bytes)] {
            let Some(budget) = budget else { continue };
            let Some(least) = sizes.clone().find(|removed| size(key, *removed) <= budget) else {
                let left = size(key, most);
                let expected = format!("at least {left}, what is left when {most} layers go, or `space.remove` larger");
                return Err(Error::value(file, key, budget, expected));
            };
            sizes = least..=most;
        }
        Ok(sizes)
    }
}

/// How many layers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of layers, or a range `[least, most]` of them")]
pub enum Remove {
    /// This number.
    Exactly(usize),
    /// At least the first and at most the second number.
    Between([usize; 2]),
}

impl Remove {
    /// The smallest number of layers that may go.
    #[must_use]
    pub fn least(self) -> usize {
        match self {
            Self::Exactly(count) | Self::Between([count, _]) => count,
        }
    }

    /// The largest number of layers that may go.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Exactly(count) | Self::Between([_, count]) => count,
        }
    }
}

impl fmt::Display for Remove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::Between([least, most]) => write!(f, "[{least}, {most}]"),
        }
    }
}

/// Where embedding, final norm and head come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OuterSetting {
    /// Two dimensions of the space: the embedding's and the head's source (any model, or the variants' mean).
    #[default]
    Search,
    /// The embedding as the first output layer is made, norm and head as the last one (the Python reference).
    Follow,
    /// All three from the base.
    Base,
}
