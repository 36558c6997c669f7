//! The reference's parameterisation: every parameter of every method, always, by the names in its result files.
//!
//! `G (1 + |P| (2 M + 3))` dimensions for `G` groups, `|P|` sets of tensors and `M` models: 112 for the published
//! searches.

use layer_ir::Recipe;
use layer_ir::gptailor::{Context, Fusion, GroupMerge, Kind, ResultFile, softmax_place};
use zo_search::{Point, Space};

use super::LfsSettings;
use super::group::MOST_MASKED;
use super::settings::METHODS;
use crate::Error;
use crate::space::parameterisation::values;

/// What the reference's starting designs leave out where it does not matter.
const MASKED: f64 = 0.1;

fn method(group: usize) -> String {
    format!("layer_selection_method_{group}")
}

/// A parameter that a model has for itself.
fn of_model(model: &str, group: usize, set: &str, parameter: &str) -> String {
    format!("model_{model}_layer_{group}_paramset_{set}_method_{parameter}")
}

/// A parameter that all models share.
fn shared(group: usize, set: &str, parameter: &str) -> String {
    format!("layer_{group}_paramset_{set}_method_{parameter}")
}

const WEIGHT: &str = "linear_param_weights";
const SLERP_T: &str = "slerp_param_slerp_t";
const COEFFICIENT: &str = "task_arithmetic_param_scaling_coefficient";
const MASK_RATE: &str = "ties_param_param_value_mask_rate";
const TIES_COEFFICIENT: &str = "ties_param_scaling_coefficient";

/// All dimensions.
pub(super) fn space(settings: &LfsSettings, models: &[String]) -> Space {
    let ([low, high], mut space) = (settings.coefficient, Space::new());
    for group in 0..settings.groups {
        let bundle = format!("group_{group}");
        // Between two of one model nothing can be interpolated.
        let methods = METHODS.into_iter().filter(|method| *method != "slerp" || models.len() >= 2);
        space = space.categorical(method(group), methods).in_bundle(&bundle);
        for set in settings.sets() {
            for model in models {
                for parameter in [WEIGHT, SLERP_T] {
                    space = space.float(of_model(model, group, &set, parameter), 0.0..=1.0).in_bundle(&bundle);
                }
            }
            for (parameter, range) in
                [(COEFFICIENT, low..=high), (MASK_RATE, 0.0..=MOST_MASKED), (TIES_COEFFICIENT, low..=high)]
            {
                space = space.float(shared(group, &set, parameter), range).in_bundle(&bundle);
            }
        }
    }
    space
}

/// The recipe of a point, as of a result file of the same values.
pub(super) fn decode(point: &Point, context: &Context) -> Result<Recipe, Error> {
    Ok(ResultFile::of_values(Kind::Lfs, values(point)).recipe(context)?)
}

/// A point that stands for the groups; parameters of other methods are as in the reference's starting designs.
pub(super) fn encode(fusion: &Fusion, settings: &LfsSettings, models: &[String]) -> Point {
    let [low, high] = settings.coefficient;
    let none = 0_f64.max(low).min(high);
    let mut point = Point::new();
    for (group, merge) in fusion.groups.iter().enumerate() {
        let name = match merge {
            GroupMerge::Linear { .. } => "linear",
            GroupMerge::TaskArithmetic { .. } => "task_arithmetic",
            GroupMerge::Ties { .. } => "ties",
            GroupMerge::Slerp { .. } => "slerp",
        };
        point = point.with_categorical(method(group), name);
        for (place, set) in settings.sets().iter().enumerate() {
            let (mut coefficient, mut ties, mut masked) = (none, none, MASKED);
            match merge {
                GroupMerge::TaskArithmetic { coefficients } => coefficient = coefficients[place],
                GroupMerge::Ties { coefficients, mask_rates } => {
                    (ties, masked) = (coefficients[place], mask_rates[place]);
                }
                GroupMerge::Linear { .. } | GroupMerge::Slerp { .. } => {}
            }
            point = point
                .with_float(shared(group, set, COEFFICIENT), coefficient)
                .with_float(shared(group, set, TIES_COEFFICIENT), ties)
                .with_float(shared(group, set, MASK_RATE), masked);
            for (number, model) in models.iter().enumerate() {
                let weight = if let GroupMerge::Linear { weights } = merge { weights[number][place] } else { 0.0 };
                point = point
                    .with_float(of_model(model, group, set, WEIGHT), weight)
                    .with_float(of_model(model, group, set, SLERP_T), slerp_number(merge, number, place));
            }
        }
    }
    point
}

/// The number `slerp_t` of a model in a set of tensors.
fn slerp_number(merge: &GroupMerge, model: usize, set: usize) -> f64 {
    let GroupMerge::Slerp { candidates: [first, second], places } = merge else { return 0.0 };
    let difference = inverse_softmax(places[set]);
    // As high as can be, so that no third model comes before them. The difference stays exact.
    let of_second = if difference > 0.0 { 1.0 - difference } else { 1.0 };
    match model {
        _ if model == *first => of_second + difference,
        _ if model == *second => of_second,
        _ => 0.0,
    }
}

/// The difference of two numbers that [`softmax_place`] makes a place of, in units that a difference of two numbers up
/// to 1 keeps exactly.
fn inverse_softmax(place: f64) -> f64 {
    const UNIT: f64 = f64::EPSILON / 2.0;
    let near = ((1.0 / place - 1.0).ln() / UNIT).round();
    // The logarithm is rounded: the difference that gives this very place is beside it.
    let candidates = (0..256).flat_map(|step| [near + f64::from(step), near - f64::from(step)]);
    let exact = |units: &f64| softmax_place(units * UNIT, 0.0) == place;
    let units = candidates.map(|units| units.clamp(-1.0 / UNIT, 1.0 / UNIT)).find(exact).unwrap_or(near);
    (units * UNIT).clamp(-1.0, 1.0)
}
