//! The layer-wise fusion search: equal groups of neighbouring layers, each merged from all candidates by a method of
//! its own, with parameters for each set of tensors.
//!
//! A tensor belongs to the first filter that is a part of its name, else to the set `base`.

use super::entries::{Entries, index};
use super::{Context, Fusion, GroupMerge, Kind, Problem};
use crate::{Error, Recipe};

/// The set of the tensors that no filter fits.
const BASE: &str = "base";

/// What a key says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key<'a> {
    /// The method of a group.
    Method { group: usize },
    /// A parameter of a group and a set of tensors; some have one for each model.
    Parameter { group: usize, set: &'a str, model: Option<&'a str> },
}

/// The ends of the keys of parameters, and whether they have a model.
const PARAMETERS: [(&str, bool); 5] =
    [(WEIGHT, true), (SLERP_T, true), (COEFFICIENT, false), (MASK_RATE, false), (TIES_COEFFICIENT, false)];
const WEIGHT: &str = "linear_param_weights";
const SLERP_T: &str = "slerp_param_slerp_t";
const COEFFICIENT: &str = "task_arithmetic_param_scaling_coefficient";
const MASK_RATE: &str = "ties_param_param_value_mask_rate";
const TIES_COEFFICIENT: &str = "ties_param_scaling_coefficient";

impl<'a> Key<'a> {
    /// `layer_selection_method_0`, `layer_0_paramset_mlp_method_ties_param_scaling_coefficient` or
    /// `model_org/name_layer_0_paramset_mlp_method_linear_param_weights`.
    pub fn read(name: &'a str) -> Option<Self> {
        if let Some(group) = name.strip_prefix("layer_selection_method_") {
            return Some(Self::Method { group: index(group)? });
        }
        let strip =
            |(end, of_model): &(&str, bool)| Some((name.strip_suffix(end)?.strip_suffix("_method_")?, *of_model));
        let (place, of_model) = PARAMETERS.iter().find_map(strip)?;
        let (place, set) = place.rsplit_once("_paramset_")?;
        let (model, group) = if of_model {
            // A model's name may have such words, too: the last ones are the key's.
            let (model, group) = place.strip_prefix("model_")?.rsplit_once("_layer_")?;
            (Some(model), group)
        } else {
            (None, place.strip_prefix("layer_")?)
        };
        Some(Self::Parameter { group: index(group)?, set, model })
    }
}

/// The recipe of a result.
pub(super) fn recipe(entries: &Entries, context: &Context) -> Result<Recipe, Error> {
    let mut groups = Groups::read(entries)?;
    groups.sort_sets(context)?;
    let candidates = groups.candidates(context)?;
    let (key, count) = (format!("layer_selection_method_{}", groups.count - 1), groups.count);
    let layers = context.layers.ok_or_else(|| entries.fail(&key, Problem::LayersUnsaid))?;
    let uneven = || entries.fail(key.clone(), Problem::UnevenGroups { groups: count, layers });
    if layers < count || !layers.is_multiple_of(count) {
        return Err(uneven());
    }
    groups.fusion(&candidates)?.recipe(context, layers).ok_or_else(uneven)
}

/// A candidate.
struct Candidate<'a> {
    /// What the recipe calls it.
    name: &'a str,
    /// What the file calls it.
    in_file: &'a str,
}

/// The keys of a result.
struct Groups<'a> {
    entries: &'a Entries,
    /// How many groups there are.
    count: usize,
    /// The filters in the order in which they are tried, then `base`; with a key of each.
    sets: Vec<(&'a str, &'a str)>,
    /// The models by the names that they have in the file, with a key of each.
    models: Vec<(&'a str, &'a str)>,
}

impl<'a> Groups<'a> {
    /// Sorts all keys.
    fn read(entries: &'a Entries) -> Result<Self, Error> {
        let mut groups = Self { entries, count: 0, sets: Vec::new(), models: Vec::new() };
        for name in entries.keys() {
            let key = Key::read(name).ok_or_else(|| entries.fail(name, Problem::Unknown(Kind::Lfs)))?;
            let group = match key {
                Key::Method { group } => group,
                Key::Parameter { group, set, model } => {
                    entries.number(name)?;
                    add(&mut groups.sets, set, name);
                    if let Some(model) = model {
                        add(&mut groups.models, model, name);
                    }
                    group
                }
            };
            groups.count = groups.count.max(group + 1);
        }
        Ok(groups)
    }

    /// Brings the filters into the order in which they are tried, `base` last.
    fn sort_sets(&mut self, context: &Context) -> Result<(), Error> {
        self.sets.retain(|(set, _)| *set != BASE);
        let Some(filters) = &context.filters else {
            return self.check_order();
        };
        let place = |set: &str| filters.iter().position(|filter| filter == set);
        let wrong = self.sets.iter().find(|(set, _)| place(set).is_none());
        match (wrong, self.sets.first()) {
            (Some((_, key)), _) => Err(self.entries.fail(*key, Problem::OtherFilters)),
            (None, Some((_, key))) if filters.len() != self.sets.len() => {
                Err(self.entries.fail(*key, Problem::OtherFilters))
            }
            _ => {
                self.sets.sort_by_key(|(set, _)| place(set));
                Ok(())
            }
        }
    }

    /// Whether the order of the filters makes no difference, as no tensor fits two of them. Then `self_attn` stands
    /// before `mlp`, as in the reference's settings.
    fn check_order(&mut self) -> Result<(), Error> {
        self.sets.sort_by(|(a, _), (b, _)| b.cmp(a));
        for tensor in TENSORS {
            let mut fitting = self.sets.iter().filter(|(set, _)| tensor.contains(set));
            if let (Some((set, key)), Some((other, _))) = (fitting.next(), fitting.next()) {
                let (set, other) = ((*set).to_owned(), (*other).to_owned());
                return Err(self.entries.fail(*key, Problem::FilterOrder { set, other, tensor }));
            }
        }
        Ok(())
    }

    /// The candidates by the names that the file has for them.
    fn candidates<'c>(&self, context: &'c Context) -> Result<Vec<Candidate<'c>>, Error>
    where
        'a: 'c,
    {
        let (found, given) = (self.models.len(), context.candidates.len());
        if found != given {
            let key = self.models.last().map_or("layer_selection_method_0", |(_, key)| *key);
            return Err(self.entries.fail(key, Problem::Candidates { found, given }));
        }
        let mut candidates: Vec<Candidate<'c>> = Vec::new();
        for &(in_file, key) in &self.models {
            let name = named(in_file, context).map_err(|problem| self.entries.fail(key, problem))?;
            if let Some(other) = candidates.iter().find(|candidate| candidate.name == name) {
                let (model, other) = (in_file.to_owned(), other.in_file.to_owned());
                return Err(self.entries.fail(key, Problem::SameModel { model, other }));
            }
            candidates.push(Candidate { name, in_file });
        }
        candidates.sort_by_key(|candidate| context.candidates.iter().position(|name| name == candidate.name));
        Ok(candidates)
    }

    /// All groups. Candidates stand in the order of the context.
    fn fusion(&self, candidates: &[Candidate<'_>]) -> Result<Fusion, Error> {
        let groups = (0..self.count).map(|group| self.merge(group, candidates)).collect::<Result<_, Error>>()?;
        Ok(Fusion { filters: self.sets.iter().map(|(set, _)| (*set).to_owned()).collect(), groups })
    }

    /// The merge of a group.
    fn merge(&self, group: usize, candidates: &[Candidate<'_>]) -> Result<GroupMerge, Error> {
        let key = format!("layer_selection_method_{group}");
        let shared = |parameter| self.by_set(|set| self.shared(group, set, parameter));
        match self.entries.text(&key)? {
            "linear" => self.linear(group, candidates),
            "task_arithmetic" => Ok(GroupMerge::TaskArithmetic { coefficients: shared(COEFFICIENT)? }),
            "ties" => {
                let (coefficients, mask_rates) = (shared(TIES_COEFFICIENT)?, shared(MASK_RATE)?);
                Ok(GroupMerge::Ties { coefficients, mask_rates })
            }
            "slerp" if candidates.len() < 2 => Err(self.entries.fail(key, Problem::TooFewForSlerp)),
            "slerp" => self.slerp(group, candidates),
            _ => Err(self.entries.fail(key, Problem::UnknownMethod)),
        }
    }

    /// The weighted mean of all candidates.
    fn linear(&self, group: usize, candidates: &[Candidate<'_>]) -> Result<GroupMerge, Error> {
        for set in self.all_sets() {
            let mut sum = 0.0;
            for candidate in candidates {
                sum += self.of_model(group, set, WEIGHT, candidate)?;
            }
            if let Some(first) = candidates.first().filter(|_| sum == 0.0) {
                return Err(self.entries.fail(model_key(first, group, set, WEIGHT), Problem::WeightsSumToZero));
            }
        }
        let weights = |candidate| self.by_set(|set| self.of_model(group, set, WEIGHT, candidate));
        Ok(GroupMerge::Linear { weights: candidates.iter().map(weights).collect::<Result<_, Error>>()? })
    }

    /// The two candidates with the highest sums of `slerp_t`, the earlier one of equals first. For each set of tensors
    /// the place between them is the softmax of their two numbers.
    fn slerp(&self, group: usize, candidates: &[Candidate<'_>]) -> Result<GroupMerge, Error> {
        let mut scored = Vec::new();
        for (number, candidate) in candidates.iter().enumerate() {
            let mut score = 0.0;
            for set in self.all_sets() {
                score += self.of_model(group, set, SLERP_T, candidate)?;
            }
            scored.push((score, number, candidate));
        }
        scored.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let [(_, first, of_first), (_, second, of_second), ..] = scored.as_slice() else {
            return Err(self.entries.fail(format!("layer_selection_method_{group}"), Problem::TooFewForSlerp));
        };
        let place = |set: &str| {
            let of = |candidate| self.of_model(group, set, SLERP_T, candidate);
            Ok(softmax_place(of(of_first)?, of(of_second)?))
        };
        Ok(GroupMerge::Slerp { candidates: [*first, *second], places: self.by_set(place)? })
    }

    /// The filters, then `base`.
    fn all_sets(&self) -> impl Iterator<Item = &'a str> {
        self.sets.iter().map(|(set, _)| *set).chain([BASE])
    }

    /// A parameter of each set of tensors.
    fn by_set(&self, number: impl Fn(&str) -> Result<f64, Error>) -> Result<Vec<f64>, Error> {
        self.all_sets().map(number).collect()
    }

    /// A parameter that all models share.
    fn shared(&self, group: usize, set: &str, parameter: &str) -> Result<f64, Error> {
        self.entries.number(&format!("layer_{group}_paramset_{set}_method_{parameter}"))
    }

    /// A parameter of one model.
    fn of_model(&self, group: usize, set: &str, parameter: &str, candidate: &Candidate<'_>) -> Result<f64, Error> {
        self.entries.number(&model_key(candidate, group, set, parameter))
    }
}

/// The place between two candidates that their numbers `slerp_t` come to: `e^b / (e^a + e^b)`.
///
/// ```
/// assert_eq!(layer_ir::gptailor::softmax_place(0.5, 0.5), 0.5);
/// ```
#[must_use]
pub fn softmax_place(first: f64, second: f64) -> f64 {
    1.0 / (1.0 + (first - second).exp())
}

/// The key of a parameter of one model.
fn model_key(candidate: &Candidate<'_>, group: usize, set: &str, parameter: &str) -> String {
    format!("model_{}_layer_{group}_paramset_{set}_method_{parameter}", candidate.in_file)
}

/// Adds a name with the first key that has it.
fn add<'a>(names: &mut Vec<(&'a str, &'a str)>, name: &'a str, key: &'a str) {
    if !names.iter().any(|(known, _)| *known == name) {
        names.push((name, key));
    }
}

/// The candidate that the file means: the one of that name, else the one of that id or path, else the one whose folder
/// or repository is called so.
fn named<'c>(in_file: &str, context: &'c Context) -> Result<&'c str, Problem> {
    let path = |name: &String| context.models.get(name).map_or("", String::as_str);
    // Without a revision.
    let id = |name: &String| path(name).split_once('@').map_or(path(name), |(id, _)| id).trim_end_matches('/');
    let end = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let cached = format!("models--{}", in_file.replace('/', "--"));
    let levels: [&dyn Fn(&String) -> bool; 3] = [
        &|name| name == in_file,
        &|name| id(name) == in_file || path(name).split('/').any(|part| part == cached),
        &|name| end(id(name)) == end(in_file),
    ];
    let model = || in_file.to_owned();
    for fits in levels {
        let mut fitting = context.candidates.iter().filter(|name| fits(name));
        match (fitting.next(), fitting.next()) {
            (Some(name), None) => return Ok(name),
            (Some(_), Some(_)) => return Err(Problem::AmbiguousModel { model: model() }),
            (None, _) => {}
        }
    }
    Err(Problem::UnknownModel { model: model() })
}

/// The tensors of a Llama, of which a filter may fit several.
const TENSORS: [&str; 12] = [
    "model.embed_tokens.weight",
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.0.self_attn.v_proj.weight",
    "model.layers.0.self_attn.o_proj.weight",
    "model.layers.0.post_attention_layernorm.weight",
    "model.layers.0.mlp.gate_proj.weight",
    "model.layers.0.mlp.up_proj.weight",
    "model.layers.0.mlp.down_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
];
