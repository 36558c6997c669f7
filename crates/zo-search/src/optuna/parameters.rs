//! A point as Optuna's parameters.

use super::Distribution;
use crate::{Dimension, Domain, Point, Space, Value};

/// A parameter of a trial.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The value, or of a name or truth value its place among the choices: what Optuna calls the internal one.
    pub value: f64,
    /// From what it came.
    pub distribution: Distribution,
}

/// The parameters of a point: dimensions in the order of the space, without those that are inactive. A value that does
/// not fit its domain, which no study writes, has none.
pub(super) fn parameters(space: &Space, point: &Point) -> Vec<Parameter> {
    let active = space.dimensions().iter().filter_map(|dimension| Some((dimension, point.get(&dimension.name)?)));
    active.flat_map(|(dimension, value)| of_dimension(dimension, value)).collect()
}

fn of_dimension(Dimension { name, domain, .. }: &Dimension, value: &Value) -> Vec<Parameter> {
    let single = |value, distribution| vec![Parameter { name: name.clone(), value, distribution }];
    let of_items = |items: &mut dyn Iterator<Item = (usize, f64)>, distribution: &Distribution| {
        let named = items.map(|(item, value)| (format!("{name}[{item}]"), value));
        named.map(|(name, value)| Parameter { name, value, distribution: distribution.clone() }).collect()
    };
    match (domain, value) {
        (Domain::Float { low, high, log }, Value::Float(x)) => {
            single(*x, Distribution::Float { low: *low, high: *high, log: *log })
        }
        (Domain::Int { low, high }, Value::Int(x)) => single(*x as f64, Distribution::Int { low: *low, high: *high }),
        (Domain::Categorical { choices }, Value::Categorical(choice)) => {
            let place = choices.iter().position(|known| known == choice);
            place.map_or_else(Vec::new, |place| single(place as f64, Distribution::Names(choices.clone())))
        }
        (Domain::Mask { .. }, Value::Mask(bits)) => {
            of_items(&mut bits.iter().map(|bit| f64::from(*bit)).enumerate(), &Distribution::Bool)
        }
        (Domain::Subset { .. }, Value::Subset(chosen)) => {
            let free = domain.free_items().into_iter();
            of_items(&mut free.map(|item| (item, f64::from(chosen.contains(&item)))), &Distribution::Bool)
        }
        (Domain::Permutation { n }, Value::Permutation(items)) => {
            let mut places: Vec<(usize, f64)> =
                (0_u32..).zip(items).map(|(place, item)| (*item, place.into())).collect();
            places.sort_by_key(|(item, _)| *item);
            of_items(&mut places.into_iter(), &Distribution::Int { low: 0, high: n.saturating_sub(1) as i64 })
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_becomes_parameters_in_the_order_of_the_space() {
        let space = Space::new()
            .log_float("rate", 1e-5..=1.0)
            .int("count", 1..=9)
            .categorical("kind", ["a", "b"])
            .mask("m", 2)
            .subset("s", 4, 2)
            .always([0])
            .permutation("p", 3)
            .float("absent", 0.0..=1.0);
        let point = Point::new()
            .with_float("rate", 0.5)
            .with_int("count", 3)
            .with_categorical("kind", "b")
            .with_mask("m", [false, true])
            .with_subset("s", [0, 2])
            .with_permutation("p", [2, 0, 1]);
        let found = parameters(&space, &point);
        let values: Vec<(&str, f64)> = found.iter().map(|it| (it.name.as_str(), it.value)).collect();
        let bits = [("m[0]", 0.0), ("m[1]", 1.0), ("s[1]", 0.0), ("s[2]", 1.0), ("s[3]", 0.0)];
        let places = [("p[0]", 1.0), ("p[1]", 2.0), ("p[2]", 0.0)];
        let single = [("rate", 0.5), ("count", 3.0), ("kind", 1.0)];
        assert_eq!(values, [single.as_slice(), &bits, &places].concat());
        assert_eq!(found[0].distribution, Distribution::Float { low: 1e-5, high: 1.0, log: true });
        assert_eq!(found[8].distribution, Distribution::Int { low: 0, high: 2 });
    }
}
