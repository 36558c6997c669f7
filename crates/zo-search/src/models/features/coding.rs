//! Values as cells of a row, and back.

use rand::{Rng, RngExt};

use super::Coded;
use crate::Value;
use crate::random::shuffle;
use crate::space::Domain;
use crate::space::coding::{Code, Shape, level_count};
use crate::space::order::rising;

/// Cells of a subset behind its bits: count, lowest, highest, number of runs.
const SHAPE: usize = 4;

/// How many cells a value takes: 1, or 1 an item; a subset has four more that say where its items lie.
pub(super) fn width_of(domain: &Domain) -> usize {
    match domain.shape() {
        Shape::Unit | Shape::Levels { .. } | Shape::Choices(_) => 1,
        Shape::Bits(n) | Shape::Order(n) => n,
        Shape::Items(items) => items.n + SHAPE,
    }
}

/// Writes count, lowest, highest and number of runs of a subset's bits behind them.
pub(crate) fn write_shape(cells: &mut [f64]) {
    let n = cells.len() - SHAPE;
    let (bits, shape) = cells.split_at_mut(n);
    let is_set = |i: usize| bits[i] == 1.0;
    let count = (0..n).filter(|i| is_set(*i)).count();
    let lowest = (0..n).find(|i| is_set(*i)).unwrap_or(n);
    let highest = (0..n).rfind(|i| is_set(*i)).unwrap_or(0);
    let runs = (0..n).filter(|i| is_set(*i) && (*i == 0 || !is_set(i - 1))).count();
    for (cell, number) in shape.iter_mut().zip([count, lowest, highest, runs]) {
        *cell = number as f64;
    }
}

impl Coded {
    /// How many single values its value is made of.
    pub(super) fn values(&self) -> usize {
        match self.domain.shape() {
            Shape::Unit | Shape::Levels { .. } | Shape::Choices(_) => 1,
            Shape::Bits(n) | Shape::Order(n) => n,
            Shape::Items(items) => *items.sizes.end(),
        }
    }

    /// Adds the cells of a value; those of an inactive dimension for none.
    pub(super) fn encode(&self, value: Option<&Value>, row: &mut Vec<f64>) {
        let start = row.len();
        row.resize(start + self.at.len(), self.inactive_cell());
        let cells = &mut row[start..];
        match value.and_then(|value| self.domain.encode(value)) {
            None => {}
            Some(Code::Unit(place)) => cells[0] = place.clamp(0.0, 1.0),
            Some(Code::Level(level)) => cells[0] = (level as f64 + 0.5) / self.level_count(),
            Some(Code::Choice(place)) => cells[0] = place as f64,
            Some(Code::Bits(bits)) => {
                cells.iter_mut().zip(bits).for_each(|(cell, bit)| *cell = f64::from(u8::from(bit)));
            }
            Some(Code::Items(items)) => {
                let n = cells.len() - SHAPE;
                cells[..n].fill(0.0);
                items.iter().for_each(|item| cells[*item] = 1.0);
                write_shape(cells);
            }
            Some(Code::Order(items)) => {
                items.iter().enumerate().for_each(|(place, item)| cells[*item] = place as f64);
            }
        }
    }

    /// The value of the cells; none if they are those of an inactive dimension.
    pub(super) fn decode(&self, cells: &[f64]) -> Option<Value> {
        if cells[0] == self.inactive_cell() {
            return None;
        }
        Some(self.domain.decode(match self.domain.shape() {
            Shape::Unit => Code::Unit(cells[0]),
            Shape::Levels { .. } => Code::Level(libm::floor(cells[0] * self.level_count()) as i128),
            Shape::Choices(count) => Code::Choice(Some(cells[0] as usize).filter(|place| *place < count)?),
            Shape::Bits(_) => Code::Bits(cells.iter().map(|bit| *bit == 1.0).collect()),
            Shape::Items(items) => Code::Items((0..items.n).filter(|item| cells[*item] == 1.0).collect()),
            Shape::Order(n) => Code::Order(rising(&cells[..n])),
        }))
    }

    /// How many levels there are; 1 where there are none.
    pub(crate) fn level_count(&self) -> f64 {
        if let Shape::Levels { first, last } = self.domain.shape() { level_count(first, last) as f64 } else { 1.0 }
    }

    /// Draws the cells of a value, each value as likely as in [`Domain::sample`].
    pub(crate) fn sample(&self, cells: &mut [f64], rng: &mut impl Rng) {
        match self.domain.shape() {
            Shape::Unit => cells[0] = rng.random(),
            Shape::Levels { first, last } => {
                let level = i128::from(rng.random_range(first..=last)) - i128::from(first);
                cells[0] = (level as f64 + 0.5) / self.level_count();
            }
            Shape::Choices(count) => cells[0] = rng.random_range(0..count) as f64,
            Shape::Bits(_) => cells.iter_mut().for_each(|cell| *cell = f64::from(rng.random_range(0..2_u8))),
            Shape::Items(items) => {
                let sizes = items.sizes;
                let size = if sizes.start() == sizes.end() { *sizes.end() } else { rng.random_range(sizes) };
                cells[..items.n].fill(0.0);
                items.always.iter().for_each(|item| cells[*item] = 1.0);
                // Each next free item is taken with the share that is still wanted of those that are left.
                let mut wanted = size - items.always.len();
                for (place, item) in self.free.iter().enumerate() {
                    let left = self.free.len() - place;
                    if rng.random_range(0..left) < wanted {
                        cells[*item] = 1.0;
                        wanted -= 1;
                    }
                }
                write_shape(cells);
            }
            Shape::Order(_) => {
                cells.iter_mut().enumerate().for_each(|(place, cell)| *cell = place as f64);
                shuffle(cells, rng);
            }
        }
    }
}
