//! What the values of a domain are made of: the one coding that every strategy on numbers starts from.
//!
//! A strategy that works on numbers matches on [`Shape`] and [`Code`] and not on the variants of [`Domain`], so that
//! a new domain says here which shape it has, and is searched by all of them.
//!
//! | domain | shape | code of a value |
//! |---|---|---|
//! | float, log-float | `Unit` | its place in the range, 0 to 1 |
//! | integer | `Levels` | its place in the row, from 0 |
//! | categorical | `Choices` | the number of the choice, from 0 |
//! | mask | `Bits` | the bits |
//! | subset | `Items` | the members, rising |
//! | permutation | `Order` | the items in their order |

use std::ops::RangeInclusive;

use super::{Domain, Value};

/// How the values of a domain vary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape<'d> {
    /// Over the unit interval.
    Unit,
    /// In a row, numbered from the first to the last, both included.
    Levels { first: i64, last: i64 },
    /// Among so many without an order.
    Choices(usize),
    /// In so many bits, each by itself.
    Bits(usize),
    /// In which items are chosen.
    Items(Items<'d>),
    /// In the order of so many items.
    Order(usize),
}

/// Items of which some are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Items<'d> {
    /// How many there are.
    pub(crate) n: usize,
    /// How many may be chosen, the frozen ones counted in.
    pub(crate) sizes: RangeInclusive<usize>,
    /// Those that are always chosen, rising.
    pub(crate) always: &'d [usize],
    /// Those that never are, rising.
    pub(crate) never: &'d [usize],
}

/// A value in the terms of its shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Code {
    /// A place in the unit interval.
    Unit(f64),
    /// A place in the row, from 0.
    Level(i128),
    /// The number of the choice, from 0.
    Choice(usize),
    /// The bits.
    Bits(Vec<bool>),
    /// The chosen items, the frozen ones among them. In [`Domain::decode`] they may come in any order.
    Items(Vec<usize>),
    /// The items in their order.
    Order(Vec<usize>),
}

/// How many levels there are from the first to the last.
pub(crate) fn level_count(first: i64, last: i64) -> i128 {
    i128::from(last) - i128::from(first) + 1
}

impl Domain {
    /// How the values vary.
    pub(crate) fn shape(&self) -> Shape<'_> {
        match self {
            Self::Float { .. } => Shape::Unit,
            Self::Int { low, high } => Shape::Levels { first: *low, last: *high },
            Self::Categorical { choices } => Shape::Choices(choices.len()),
            Self::Mask { n } => Shape::Bits(*n),
            Self::Subset { n, always, never, .. } => Shape::Items(Items { n: *n, sizes: self.sizes(), always, never }),
            Self::Permutation { n } => Shape::Order(*n),
        }
    }

    /// The code of a value; none if the value is of another type.
    pub(crate) fn encode(&self, value: &Value) -> Option<Code> {
        Some(match (self, value) {
            (Self::Float { .. }, Value::Float(x)) => Code::Unit(self.to_unit(*x)),
            (Self::Int { low, .. }, Value::Int(x)) => Code::Level(i128::from(*x) - i128::from(*low)),
            (Self::Categorical { choices }, Value::Categorical(choice)) => {
                Code::Choice(choices.iter().position(|other| other == choice)?)
            }
            (Self::Mask { .. }, Value::Mask(bits)) => Code::Bits(bits.clone()),
            (Self::Subset { .. }, Value::Subset(items)) => Code::Items(items.clone()),
            (Self::Permutation { .. }, Value::Permutation(items)) => Code::Order(items.clone()),
            _ => return None,
        })
    }

    /// The value of a code of this domain's shape; of a level or a choice outside, the nearest one.
    pub(crate) fn decode(&self, code: Code) -> Value {
        match (self, code) {
            (Self::Int { low, high }, Code::Level(level)) => {
                let x = i128::from(*low).saturating_add(level).max(i128::from(*low)).min(i128::from(*high));
                // Between the bounds, which are of this type.
                Value::Int(i64::try_from(x).unwrap_or(*low))
            }
            (Self::Categorical { choices }, Code::Choice(place)) => {
                Value::Categorical(choices.get(place).or(choices.last()).cloned().unwrap_or_default())
            }
            (_, Code::Unit(place)) => self.at_unit(place),
            (_, Code::Bits(bits)) => Value::Mask(bits),
            (_, Code::Items(items)) => Value::Subset(items).canonical(),
            (_, Code::Order(items)) => Value::Permutation(items),
            (_, Code::Level(level)) => Value::Int(i64::try_from(level).unwrap_or(i64::MAX)),
            (_, Code::Choice(place)) => Value::Categorical(place.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrialId, generator};

    #[test]
    fn every_value_comes_back_from_its_code() {
        let domains = [
            Domain::Float { low: -1.0, high: 3.0, log: false },
            Domain::Int { low: i64::MIN, high: i64::MAX },
            Domain::Int { low: -3, high: 7 },
            Domain::Categorical { choices: vec!["a".into(), "b".into(), "c".into()] },
            Domain::Mask { n: 3 },
            Domain::Subset { n: 9, k: 4, least: Some(2), always: vec![2], never: vec![5] },
            Domain::Permutation { n: 4 },
        ];
        for domain in &domains {
            for id in 0..200 {
                let value = domain.sample(&mut generator(1, "test", TrialId(id)));
                let back = domain.encode(&value).map(|code| domain.decode(code));
                let off = |a: f64, b: f64| (a - b).abs() < 1e-12;
                let equal = matches!((&value, &back), (Value::Float(a), Some(Value::Float(b))) if off(*a, *b));
                assert!(equal || back.as_ref() == Some(&value), "{domain}: {value} becomes {back:?}");
            }
        }
    }
}
