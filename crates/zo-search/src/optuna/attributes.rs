//! What is written of a trial beside its parameters and values.

use serde_json::{Map, Value as Json};

use crate::{Outcome, Point, Value};

/// Attributes by name. The first to take a name keeps it; a later one of the same name goes by `name'`.
#[derive(Debug, Default)]
pub(super) struct Attributes(Map<String, Json>);

impl Attributes {
    pub(super) fn add(&mut self, name: &str, value: impl Into<Json>) {
        let mut name = name.to_owned();
        while self.0.contains_key(&name) {
            name.push('\'');
        }
        self.0.insert(name, value.into());
    }

    /// What an outcome says beside its objectives.
    pub(super) fn add_outcome(&mut self, outcome: &Outcome) {
        for (name, number) in [("cost", outcome.cost), ("lead", outcome.lead)] {
            if let Some(number) = number {
                self.add(name, json_number(number));
            }
        }
        if let Some(failure) = &outcome.failure {
            self.add("failure", format!("{:?}: {}", failure.kind, failure.message));
        }
    }

    /// The values of a point that are several parameters, each whole: items of a subset, set ones of a mask, in order
    /// of a permutation.
    pub(super) fn add_lists(&mut self, point: &Point) {
        for (name, value) in point.iter() {
            match value {
                Value::Mask(bits) => {
                    let set: Vec<usize> = (0..bits.len()).filter(|bit| bits[*bit]).collect();
                    self.add(name, set);
                }
                Value::Subset(items) | Value::Permutation(items) => self.add(name, items.clone()),
                Value::Float(_) | Value::Int(_) | Value::Categorical(_) => {}
            }
        }
    }

    /// What else an evaluator kept: each field of an object by its name, those of objects within as `outer.inner`.
    pub(super) fn add_extra(&mut self, name: &str, extra: &Json) {
        match extra {
            Json::Null if name.is_empty() => {}
            Json::Object(fields) => {
                for (field, value) in fields {
                    let inner = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                    self.add_extra(&inner, value);
                }
            }
            other => self.add(if name.is_empty() { "extra" } else { name }, other.clone()),
        }
    }

    pub(super) fn into_map(self) -> Map<String, Json> {
        self.0
    }
}

/// A number, or its name where JSON has none for it.
pub(super) fn json_number(x: f64) -> Json {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}
