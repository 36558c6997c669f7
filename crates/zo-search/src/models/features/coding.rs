//! Values as cells of a row, and back.

use rand::{Rng, RngExt};

use super::Coded;
use crate::Value;
use crate::random::shuffle;
use crate::space::Domain;
use crate::space::order::rising;

/// Cells of a subset behind its bits: count, lowest, highest, number of runs.
const SHAPE: usize = 4;

pub(super) fn width_of(domain: &Domain) -> usize {
    match domain {
        Domain::Float { .. } | Domain::Int { .. } | Domain::Categorical { .. } => 1,
        Domain::Mask { n } | Domain::Permutation { n } => *n,
        Domain::Subset { n, .. } => n + SHAPE,
    }
}

pub(super) fn logs_of(domain: &Domain) -> (f64, f64) {
    match domain {
        Domain::Float { low, high, log: true } => (libm::log(*low), libm::log(*high)),
        _ => (0.0, 0.0),
    }
}

/// How many integers there are.
pub(crate) fn int_count(low: i64, high: i64) -> f64 {
    (i128::from(high) - i128::from(low) + 1) as f64
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
        match &self.domain {
            Domain::Float { .. } | Domain::Int { .. } | Domain::Categorical { .. } => 1,
            Domain::Mask { n } | Domain::Permutation { n } => *n,
            Domain::Subset { k, .. } => *k,
        }
    }

    /// Adds the cells of a value; those of an inactive dimension for none.
    pub(super) fn encode(&self, value: Option<&Value>, row: &mut Vec<f64>) {
        let start = row.len();
        row.resize(start + self.at.len(), self.inactive_cell());
        let cells = &mut row[start..];
        match (&self.domain, value) {
            (Domain::Float { low, high, log }, Some(Value::Float(x))) => {
                let (x, (low, high)) = if *log { (libm::log(*x), self.logs) } else { (*x, (*low, *high)) };
                cells[0] = if high > low { ((x - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            }
            (Domain::Int { low, high }, Some(Value::Int(x))) => {
                let place = i128::from(*x) - i128::from(*low);
                cells[0] = (place as f64 + 0.5) / int_count(*low, *high);
            }
            (Domain::Categorical { choices }, Some(Value::Categorical(choice))) => {
                let place = choices.iter().position(|other| other == choice);
                cells[0] = place.map_or(self.inactive_cell(), |place| place as f64);
            }
            (Domain::Mask { .. }, Some(Value::Mask(bits))) => {
                cells.iter_mut().zip(bits).for_each(|(cell, bit)| *cell = f64::from(u8::from(*bit)));
            }
            (Domain::Subset { n, .. }, Some(Value::Subset(items))) => {
                cells[..*n].fill(0.0);
                items.iter().for_each(|item| cells[*item] = 1.0);
                write_shape(cells);
            }
            (Domain::Permutation { .. }, Some(Value::Permutation(items))) => {
                items.iter().enumerate().for_each(|(place, item)| cells[*item] = place as f64);
            }
            _ => {}
        }
    }

    /// The value of the cells; none if they are those of an inactive dimension.
    pub(super) fn decode(&self, cells: &[f64]) -> Option<Value> {
        if cells[0] == self.inactive_cell() {
            return None;
        }
        let set = |bits: &[f64]| bits.iter().map(|bit| *bit == 1.0).collect::<Vec<bool>>();
        Some(match &self.domain {
            Domain::Float { .. } => self.domain.at_unit(cells[0]),
            Domain::Int { low, high } => {
                let place = libm::floor(cells[0] * int_count(*low, *high)) as i128;
                let x = (i128::from(*low) + place).clamp(i128::from(*low), i128::from(*high));
                // Between the bounds, hence an i64.
                Value::Int(i64::try_from(x).unwrap_or(*low))
            }
            Domain::Categorical { choices } => Value::Categorical(choices.get(cells[0] as usize)?.clone()),
            Domain::Mask { .. } => Value::Mask(set(cells)),
            Domain::Subset { n, .. } => Value::Subset((0..*n).filter(|item| cells[*item] == 1.0).collect()),
            Domain::Permutation { n } => Value::Permutation(rising(&cells[..*n])),
        })
    }

    /// Draws the cells of a value, each value as likely as in [`Domain::sample`].
    pub(crate) fn sample(&self, cells: &mut [f64], rng: &mut impl Rng) {
        match &self.domain {
            Domain::Float { .. } => cells[0] = rng.random(),
            Domain::Int { low, high } => {
                let place = i128::from(rng.random_range(*low..=*high)) - i128::from(*low);
                cells[0] = (place as f64 + 0.5) / int_count(*low, *high);
            }
            Domain::Categorical { choices } => cells[0] = rng.random_range(0..choices.len()) as f64,
            Domain::Mask { .. } => cells.iter_mut().for_each(|cell| *cell = f64::from(rng.random_range(0..2_u8))),
            Domain::Subset { n, always, .. } => {
                let sizes = self.domain.sizes();
                let size = if sizes.start() == sizes.end() { *sizes.end() } else { rng.random_range(sizes) };
                cells[..*n].fill(0.0);
                always.iter().for_each(|item| cells[*item] = 1.0);
                // Each next free item is taken with the share that is still wanted of those that are left.
                let mut wanted = size - always.len();
                for (place, item) in self.free.iter().enumerate() {
                    let left = self.free.len() - place;
                    if rng.random_range(0..left) < wanted {
                        cells[*item] = 1.0;
                        wanted -= 1;
                    }
                }
                write_shape(cells);
            }
            Domain::Permutation { .. } => {
                cells.iter_mut().enumerate().for_each(|(place, cell)| *cell = place as f64);
                shuffle(cells, rng);
            }
        }
    }
}
