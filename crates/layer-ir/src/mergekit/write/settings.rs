//! Parameters: one value a layer becomes a gradient over a slice.

use serde_yaml_ng::{Mapping, Value as Yaml};

use super::super::parameters::Gradient;
use crate::{Filtered, Parameters, Setting, Value};

/// What holds for each parameter, the first condition that fits; in the order of the method's table.
pub(super) type Settings = Vec<(&'static str, Vec<Filtered>)>;

/// A parameter as it holds through its scopes, the innermost first; `None` if it is not set at all.
pub(super) fn resolved(scopes: &[&Parameters], key: &str) -> Option<Vec<Filtered>> {
    let mut list = Vec::new();
    for setting in scopes.iter().filter_map(|scope| scope.setting(key)) {
        let conditions = match setting {
            Setting::One(value) => vec![Filtered { filter: None, value: value.clone() }],
            Setting::Filtered(conditions) => conditions.clone(),
        };
        for Filtered { filter, value } in conditions {
            let filter = filter.filter(|filter| filter != "*");
            let all = filter.is_none();
            list.push(Filtered { filter, value });
            if all {
                return Some(list);
            }
        }
    }
    (!list.is_empty()).then_some(list)
}

/// Settings of the layers of a slice as one mapping of gradients; `None` where no gradient is exact.
pub(super) fn gradients(layers: &[&Settings]) -> Option<Mapping> {
    let (first, rest) = layers.split_first()?;
    let shape = |settings: &Settings| -> Vec<(&'static str, Vec<Option<String>>)> {
        settings.iter().map(|(key, list)| (*key, list.iter().map(|entry| entry.filter.clone()).collect())).collect()
    };
    if rest.iter().any(|other| shape(other) != shape(first)) {
        return None;
    }
    let mut all = Mapping::new();
    for (key, (name, conditions)) in first.iter().enumerate() {
        let mut written = Vec::new();
        for (index, condition) in conditions.iter().enumerate() {
            let values: Vec<&Value> = layers.iter().map(|layer| &layer[key].1[index].value).collect();
            written.push((condition.filter.as_deref(), gradient(&values)?));
        }
        all.insert((*name).into(), conditional(written));
    }
    Some(all)
}

/// Values by tensor; a single one for all tensors is written as it is.
fn conditional(mut conditions: Vec<(Option<&str>, Yaml)>) -> Yaml {
    if let [(None, value)] = conditions.as_mut_slice() {
        return std::mem::take(value);
    }
    let entry = |(filter, value): (Option<&str>, Yaml)| {
        let filter = filter.map(|filter| (Yaml::from("filter"), filter.into()));
        Yaml::from(filter.into_iter().chain([("value".into(), value)]).collect::<Mapping>())
    };
    conditions.into_iter().map(entry).collect()
}

/// The shortest gradient that has exactly these values.
fn gradient(values: &[&Value]) -> Option<Yaml> {
    let (first, rest) = values.split_first()?;
    if rest.iter().all(|value| value == first) {
        return Some(scalar(first));
    }
    // mergekit reads numbers even in texts, and would mix them.
    if values.iter().any(|value| matches!(value, Value::Text(_))) {
        return None;
    }
    let last = values.len() - 1;
    let at = |index: usize| index as f64 / last as f64;
    let knots = |count: usize| (0..count).map(|knot| values[knot * last / (count - 1)].clone()).collect::<Vec<_>>();
    (2..=values.len()).filter(|count| last.is_multiple_of(count - 1)).map(knots).find_map(|knots| {
        let gradient = Gradient::of(&knots)?;
        let exact = values.iter().enumerate().all(|(index, value)| gradient.at(at(index)) == **value);
        exact.then(|| knots.iter().map(scalar).collect())
    })
}

/// A single value.
fn scalar(value: &Value) -> Yaml {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Option<Yaml> {
        let values: Vec<Value> = values.iter().copied().map(Value::Number).collect();
        gradient(&values.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_shortest_exact_gradient_is_written() {
        let list = |values: &[f64]| Some(values.iter().copied().collect::<Yaml>());
        assert_eq!(of(&[0.5, 0.5, 0.5]), Some(0.5.into()));
        assert_eq!(of(&[0.0, 0.5, 1.0]), list(&[0.0, 1.0]));
        assert_eq!(of(&[0.0, 0.5, 1.0, 0.75, 0.5]), list(&[0.0, 1.0, 0.5]));
        assert_eq!(of(&[0.0, 0.3, 1.0]), list(&[0.0, 0.3, 1.0]));
    }

    #[test]
    fn where_rounding_moves_a_value_there_is_no_gradient() {
        // 1 / 49 * 49 is below 1, so that the second value would be mixed with the first.
        let values: Vec<f64> = (0..50).map(|index| f64::from(index * index)).collect();
        assert_eq!(of(&values), None);
    }
}
