//! One group in our own parameterisation: its dimensions, its merge, and what the merge comes to.

use layer_ir::gptailor::GroupMerge;
use zo_search::{Space, Value};

use super::LfsSettings;
use crate::Error;

/// Names the method of a group.
const METHOD: &str = "method";
/// Names the two models of `slerp`.
const PAIR: &str = "slerp.models";
/// The largest share of differences that TIES leaves out: something must be left.
pub(super) const MOST_MASKED: f64 = 0.99;
/// How much methods that come to the same mixture differ, in the embedding.
const OF_METHOD: f64 = 0.2;

/// The dimensions of each group: all groups have the same.
#[derive(Debug, Clone)]
pub(super) struct Dimensions {
    /// The methods that there are.
    methods: Vec<String>,
    sets: Vec<String>,
    models: Vec<String>,
    /// The names without the group, in the order of their declaration.
    names: Vec<String>,
}

impl Dimensions {
    /// The dimensions over some variants.
    pub(super) fn of(settings: &LfsSettings, models: &[String]) -> Self {
        let mut methods = settings.methods.clone();
        // Two are interpolated.
        methods.retain(|method| method != "slerp" || models.len() >= 2);
        if methods.is_empty() {
            methods.push("linear".to_owned());
        }
        let mut dimensions = Self { methods, sets: settings.sets(), models: models.to_vec(), names: Vec::new() };
        let space = dimensions.with_group(Space::new(), 0, settings);
        let name = |name: &str| name.strip_prefix("group_0.").map(str::to_owned);
        dimensions.names = space.dimensions().iter().filter_map(|dimension| name(&dimension.name)).collect();
        dimensions
    }

    /// The space of all groups.
    pub(super) fn space(&self, settings: &LfsSettings) -> Space {
        (0..settings.groups).fold(Space::new(), |space, group| self.with_group(space, group, settings))
    }

    /// The space with one more group.
    fn with_group(&self, space: Space, group: usize, settings: &LfsSettings) -> Space {
        let ([low, high], bundle) = (settings.coefficient, format!("group_{group}"));
        let name = |what: &str| format!("{bundle}.{what}");
        let mut space = space.categorical(name(METHOD), self.methods.clone()).in_bundle(&bundle);
        for method in &self.methods {
            if method == "slerp" {
                let pairs = self.pairs().into_iter().map(|(pair, _)| pair);
                space = space.categorical(name(PAIR), pairs).when(name(METHOD), method.as_str()).in_bundle(&bundle);
            }
            for what in self.floats(method) {
                let range = match method.as_str() {
                    "task_arithmetic" => low..=high,
                    "ties" if what.ends_with(MASK_RATE) => 0.0..=MOST_MASKED,
                    "ties" => low..=high,
                    _ => 0.0..=1.0,
                };
                space = space.float(name(&what), range).when(name(METHOD), method.as_str()).in_bundle(&bundle);
            }
        }
        space
    }

    /// The floats of a method, in their order.
    fn floats(&self, method: &str) -> Vec<String> {
        let of_set = |set: &String| match method {
            // The weight of a single model makes no difference.
            "linear" if self.models.len() < 2 => Vec::new(),
            "linear" => self.models.iter().map(|model| weight(set, model)).collect(),
            "ties" => vec![number(method, set), mask_rate(set)],
            _ => vec![number(method, set)],
        };
        self.sets.iter().flat_map(of_set).collect()
    }

    /// Every two models, by a name and their numbers.
    fn pairs(&self) -> Vec<(String, [usize; 2])> {
        let models = &self.models;
        let pairs = (0..models.len()).flat_map(|a| (a + 1..models.len()).map(move |b| [a, b]));
        pairs.map(|[a, b]| (format!("{} > {}", models[a], models[b]), [a, b])).collect()
    }

    /// The merge that the values of a group stand for, by their names without the group.
    pub(super) fn merge<'v>(&self, value: &dyn Fn(&str) -> Option<&'v Value>) -> Result<GroupMerge, Error> {
        let missing = |name: &str| zo_search::Error::MissingValue { name: name.to_owned() };
        let word = |name: &str| match value(name) {
            Some(Value::Categorical(word)) => Ok(word.as_str()),
            _ => Err(missing(name)),
        };
        let float = |name: String| match value(&name) {
            Some(Value::Float(x)) => Ok(*x),
            _ => Err(missing(&name)),
        };
        let by_set = |name: &dyn Fn(&str) -> String| self.sets.iter().map(|set| float(name(set))).collect();
        Ok(match word(METHOD)? {
            "task_arithmetic" => {
                GroupMerge::TaskArithmetic { coefficients: by_set(&|set| number("task_arithmetic", set))? }
            }
            "ties" => GroupMerge::Ties {
                coefficients: by_set(&|set| number("ties", set))?,
                mask_rates: by_set(&|set| mask_rate(set))?,
            },
            "slerp" => {
                let (pair, pairs) = (word(PAIR)?, self.pairs());
                let found = pairs.into_iter().find(|(name, _)| name == pair);
                let candidates = found.ok_or_else(|| missing(PAIR))?.1;
                GroupMerge::Slerp { candidates, places: by_set(&|set| number("slerp", set))? }
            }
            _ if self.models.len() < 2 => GroupMerge::Linear { weights: vec![vec![1.0; self.sets.len()]] },
            _ => {
                let weights = self.models.iter().map(|model| by_set(&|set| weight(set, model)));
                let mut weights: Vec<Vec<f64>> = weights.collect::<Result<_, zo_search::Error>>()?;
                for set in 0..self.sets.len() {
                    // No weights at all are equal ones.
                    if weights.iter().all(|weights| weights[set] == 0.0) {
                        weights.iter_mut().for_each(|weights| weights[set] = 1.0);
                    }
                }
                GroupMerge::Linear { weights }
            }
        })
    }

    /// The values of a group that stand for a merge, by their names without the group; the inverse of [`Self::merge`].
    pub(super) fn values(&self, merge: &GroupMerge) -> Vec<(String, Value)> {
        let method = |name: &str| (METHOD.to_owned(), Value::from(name));
        let numbers = |name: &dyn Fn(&str) -> String, numbers: &[f64]| -> Vec<(String, Value)> {
            self.sets.iter().zip(numbers).map(|(set, x)| (name(set), Value::Float(*x))).collect()
        };
        match merge {
            GroupMerge::TaskArithmetic { coefficients } => {
                let of = numbers(&|set| number("task_arithmetic", set), coefficients);
                [vec![method("task_arithmetic")], of].concat()
            }
            GroupMerge::Ties { coefficients, mask_rates } => {
                let of = numbers(&|set| number("ties", set), coefficients);
                [vec![method("ties")], of, numbers(&mask_rate, mask_rates)].concat()
            }
            GroupMerge::Slerp { candidates, places } => {
                let pair = self.pairs().into_iter().find(|(_, pair)| pair == candidates);
                let pair = pair.map(|(name, _)| (PAIR.to_owned(), Value::Categorical(name)));
                let of = numbers(&|set| number("slerp", set), places);
                [vec![method("slerp")], pair.into_iter().collect(), of].concat()
            }
            GroupMerge::Linear { .. } if self.models.len() < 2 => vec![method("linear")],
            GroupMerge::Linear { weights } => {
                let of = self
                    .models
                    .iter()
                    .zip(weights)
                    .flat_map(|(model, weights)| numbers(&|set| weight(set, model), weights));
                std::iter::once(method("linear")).chain(of).collect()
            }
        }
    }
}

/// Ends the names of the shares that are left out.
const MASK_RATE: &str = ".mask_rate";

fn number(method: &str, set: &str) -> String {
    format!("{method}.{set}")
}

fn mask_rate(set: &str) -> String {
    format!("ties.{set}{MASK_RATE}")
}

fn weight(set: &str, model: &str) -> String {
    format!("linear.{set}.{model}")
}

/// What a group's values come to: of each set of tensors, how much of each model's difference to the base is added;
/// then the method. A group of pure models of two kinds lies at a distance of about 1.4.
pub(super) fn mixture(dimensions: &Dimensions, values: &[Option<Value>]) -> Vec<f64> {
    let value = |name: &str| {
        let place = dimensions.names.iter().position(|known| known == name)?;
        values.get(place)?.as_ref()
    };
    let (models, sets) = (dimensions.models.len(), dimensions.sets.len());
    let Ok(merge) = dimensions.merge(&value) else { return vec![0.0; models * sets + 4] };
    let share = |model: usize, set: usize| match &merge {
        GroupMerge::Linear { weights } => {
            let sum: f64 = weights.iter().map(|weights| weights[set]).sum();
            weights[model][set] / sum.max(f64::MIN_POSITIVE)
        }
        GroupMerge::TaskArithmetic { coefficients } => coefficients[set],
        // Much can be left out before it shows: the largest differences stay.
        GroupMerge::Ties { coefficients, mask_rates } => coefficients[set] * (1.0 - mask_rates[set] / 2.0),
        GroupMerge::Slerp { candidates: [first, _], places } if model == *first => 1.0 - places[set],
        GroupMerge::Slerp { candidates: [_, second], places } if model == *second => places[set],
        GroupMerge::Slerp { .. } => 0.0,
    };
    let method = match &merge {
        GroupMerge::Linear { .. } => 0,
        GroupMerge::TaskArithmetic { .. } => 1,
        GroupMerge::Ties { .. } => 2,
        GroupMerge::Slerp { .. } => 3,
    };
    let scale = 1.0 / (sets as f64).sqrt();
    let shares = (0..sets).flat_map(|set| (0..models).map(move |model| (model, set)));
    let of_method = (0..4).map(|other| if other == method { OF_METHOD } else { 0.0 });
    shares.map(|(model, set)| scale * share(model, set)).chain(of_method).collect()
}
