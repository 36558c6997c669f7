//! Points as rows of numbers: for each dimension the coordinates that kernels are put on.

use crate::space::Domain;
use crate::space::coding::{Code, Shape};
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
    /// The place of the first coordinate.
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
    match domain.shape() {
        _ if !domain.varies() => Vec::new(),
        Shape::Unit => vec![number(0.0, 1.0, 0.0)],
        Shape::Levels { first, last } => vec![number(first as f64 - 0.5, last as f64 + 0.5, 1.0)],
        Shape::Choices(count) => vec![Coordinate::Choice { count }],
        Shape::Bits(n) => vec![Coordinate::Choice { count: 2 }; n],
        Shape::Items(_) => vec![Coordinate::Choice { count: 2 }; domain.free_items().len()],
        Shape::Order(n) => vec![number(-0.5, n as f64 - 0.5, 1.0); n],
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
    /// A value as numbers, one for each coordinate; none if it is of another type.
    pub(super) fn numbers(&self, value: &Value) -> Vec<f64> {
        let bit = |bit: bool| f64::from(u8::from(bit));
        match (self.encode(value), self.shape()) {
            (Some(Code::Unit(place)), _) => vec![place],
            (Some(Code::Level(level)), Shape::Levels { first, .. }) => vec![(i128::from(first) + level) as f64],
            (Some(Code::Choice(place)), _) => vec![place as f64],
            (Some(Code::Bits(bits)), _) => bits.iter().map(|set| bit(*set)).collect(),
            (Some(Code::Items(items)), _) => self.free_items().iter().map(|item| bit(items.contains(item))).collect(),
            (Some(Code::Order(items)), _) => {
                let mut places = vec![0.0; items.len()];
                items.iter().enumerate().for_each(|(place, item)| places[*item] = place as f64);
                places
            }
            _ => Vec::new(),
        }
    }

    /// The value with these numbers. Those of a permutation may be any: their order counts.
    pub(super) fn at_numbers(&self, numbers: &[f64]) -> Value {
        let number = numbers.first().copied().unwrap_or(0.0);
        self.decode(match self.shape() {
            Shape::Unit => Code::Unit(number),
            Shape::Levels { first, last } => {
                Code::Level(i128::from((libm::round(number) as i64).clamp(first, last)) - i128::from(first))
            }
            Shape::Choices(count) => Code::Choice((number as usize).min(count - 1)),
            Shape::Bits(_) => Code::Bits(numbers.iter().map(|bit| *bit > 0.5).collect()),
            Shape::Items(items) => {
                let free = self.free_items().into_iter().zip(numbers).filter(|(_, bit)| **bit > 0.5);
                Code::Items(items.always.iter().copied().chain(free.map(|(item, _)| item)).collect())
            }
            Shape::Order(n) => Code::Order(rising(&numbers[..n])),
        })
    }
}
