//! Optuna's distributions.

use serde_json::{Value, json};

/// From what values a parameter came; what Optuna has of a domain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Reals.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether they are spread over the logarithm.
        log: bool,
    },
    /// Integers.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
    },
    /// Names without an order.
    Names(Vec<String>),
    /// `false` or `true`.
    Bool,
}

impl Distribution {
    /// As Optuna's `distribution_to_json` has it, fields in the same order.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (name, attributes) = match self {
            Self::Float { low, high, log } => {
                ("FloatDistribution", json!({ "step": null, "low": low, "high": high, "log": log }))
            }
            Self::Int { low, high } => {
                ("IntDistribution", json!({ "log": false, "step": 1, "low": low, "high": high }))
            }
            Self::Names(choices) => ("CategoricalDistribution", json!({ "choices": choices })),
            Self::Bool => ("CategoricalDistribution", json!({ "choices": [false, true] })),
        };
        json!({ "name": name, "attributes": attributes })
    }
}
