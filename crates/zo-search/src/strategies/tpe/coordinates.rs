//! Points as rows of numbers: for each dimension the coordinates that kernels are put on.

use crate::space::Domain;
use crate::space::order::rising;
use crate::{Point, Space, Value};

/// What one coordinate's numbers are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Coordinate {
    /// Numbers between two bounds, each standing for an interval of this width; 0: for itself.
    Number { low: f64, high: f64, width: f64 },
    /// One of so many that have no order.
    Choice { count: usize },
}

/// The coordinates of one dimension, and where they stand in a row.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) first: usize,
    pub(super) coordinates: Vec<Coordinate>,
}

/// The columns of each dimension.
pub(super) fn columns(space: &Space) -> Vec<Columns> {
    let mut first = 0;
    let of = |dimension: &crate::Dimension| {
        let coordinates = coordinates(&dimension.domain);
        first += coordinates.len();
        Columns { first: first - coordinates.len(), coordinates }
    };
    space.dimensions().iter().map(of).collect()
}

fn coordinates(domain: &Domain) -> Vec<Coordinate> {
    let number = |low, high, width| Coordinate::Number { low, high, width };
    match domain {
        _ if !domain.varies() => Vec::new(),
        Domain::Float { .. } => vec![number(0.0, 1.0, 0.0)],
        Domain::Int { low, high } => vec![number(*low as f64 - 0.5, *high as f64 + 0.5, 1.0)],
        Domain::Categorical { choices } => vec![Coordinate::Choice { count: choices.len() }],
        Domain::Mask { n } => vec![Coordinate::Choice { count: 2 }; *n],
        Domain::Subset { .. } => vec![Coordinate::Choice { count: 2 }; domain.free_items().len()],
        Domain::Permutation { n } => vec![number(-0.5, *n as f64 - 0.5, 1.0); *n],
    }
}

/// A point's row; NaN where a dimension is inactive.
pub(super) fn row(space: &Space, columns: &[Columns], point: &Point) -> Vec<f64> {
    let mut row = Vec::with_capacity(columns.last().map_or(0, |last| last.first + last.coordinates.len()));
    for (dimension, columns) in space.dimensions().iter().zip(columns) {
        match point.get(&dimension.name) {
            _ if columns.coordinates.is_empty() => {}
            Some(value) => row.extend(dimension.domain.numbers(value)),
            None => row.extend(columns.coordinates.iter().map(|_| f64::NAN)),
        }
    }
    row
}

impl Domain {
    pub(super) fn numbers(&self, value: &Value) -> Vec<f64> {
        let bit = |bit: bool| f64::from(u8::from(bit));
        match (self, value) {
            (Self::Float { .. }, Value::Float(x)) => vec![self.to_unit(*x)],
            (Self::Int { .. }, Value::Int(x)) => vec![*x as f64],
            (Self::Categorical { choices }, Value::Categorical(choice)) => {
                vec![choices.iter().position(|other| other == choice).unwrap_or(0) as f64]
            }
            (Self::Mask { .. }, Value::Mask(bits)) => bits.iter().map(|set| bit(*set)).collect(),
            (Self::Subset { .. }, Value::Subset(items)) => {
                self.free_items().iter().map(|item| bit(items.contains(item))).collect()
            }
            (_, Value::Permutation(items)) => {
                let mut places = vec![0.0; items.len()];
                items.iter().enumerate().for_each(|(place, item)| places[*item] = place as f64);
                places
            }
            _ => Vec::new(),
        }
    }

    /// The value with these numbers. Those of a permutation may be any: their order counts.
    pub(super) fn at_numbers(&self, numbers: &[f64]) -> Value {
        let first = numbers.first().copied().unwrap_or(0.0);
        match self {
            Self::Float { .. } => self.at_unit(first),
            Self::Int { low, high } => Value::Int((libm::round(first) as i64).clamp(*low, *high)),
            Self::Categorical { choices } => {
                Value::Categorical(choices[(first as usize).min(choices.len() - 1)].clone())
            }
            Self::Mask { .. } => Value::Mask(numbers.iter().map(|bit| *bit > 0.5).collect()),
            Self::Subset { always, .. } => {
                let free = self.free_items().into_iter().zip(numbers).filter(|(_, bit)| **bit > 0.5);
                Value::Subset(always.iter().copied().chain(free.map(|(item, _)| item)).collect()).canonical()
            }
            Self::Permutation { n } => Value::Permutation(rising(&numbers[..*n])),
        }
    }
}
