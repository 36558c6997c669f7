//! Which dimensions take part in a row.

use crate::space::Condition;
use crate::space::coding::Shape;

use super::Coded;

/// A [`Condition`], on rows.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// These cells hold these numbers.
    Holds { at: usize, cells: Vec<f64> },
    /// These cells, which have a value, hold other numbers.
    Differs { at: usize, cells: Vec<f64>, inactive: f64 },
    /// Of these bits, at least so many are set.
    AtLeast { at: usize, bits: usize, count: usize },
}

impl Test {
    /// The condition on the cells of its parent.
    pub(super) fn new(condition: &Condition, parent: &Coded) -> Self {
        let at = parent.at.start;
        let cells_of = |value| {
            let mut cells = Vec::new();
            parent.encode(Some(value), &mut cells);
            cells
        };
        match condition {
            Condition::Is { value, .. } => Self::Holds { at, cells: cells_of(value) },
            Condition::IsNot { value, .. } => {
                Self::Differs { at, cells: cells_of(value), inactive: parent.inactive_cell() }
            }
            Condition::Inside { item, .. } => Self::Holds { at: at + item, cells: vec![1.0] },
            Condition::Outside { item, .. } => Self::Holds { at: at + item, cells: vec![0.0] },
            Condition::AtLeast { count, .. } => Self::AtLeast { at, bits: parent.at.len(), count: *count },
        }
    }

    fn holds(&self, row: &[f64]) -> bool {
        match self {
            Self::Holds { at, cells } => row[*at..*at + cells.len()] == cells[..],
            Self::Differs { at, cells, inactive } => row[*at] != *inactive && row[*at..*at + cells.len()] != cells[..],
            Self::AtLeast { at, bits, count } => {
                let bits = &row[*at..*at + *bits];
                bits[0] >= 0.0 && bits.iter().filter(|bit| **bit == 1.0).count() >= *count
            }
        }
    }
}

impl Coded {
    /// Whether its parents make it active.
    pub(crate) fn is_active(&self, row: &[f64]) -> bool {
        self.when.iter().all(|test| test.holds(row))
    }

    /// Whether it has a value in the row.
    pub(crate) fn has_value(&self, row: &[f64]) -> bool {
        row[self.at.start] != self.inactive_cell()
    }

    /// Writes that it is inactive into its cells.
    pub(super) fn deactivate(&self, row: &mut [f64]) {
        row[self.at.clone()].fill(self.inactive_cell());
    }

    /// What the cells of an inactive dimension hold.
    pub(super) fn inactive_cell(&self) -> f64 {
        if let Shape::Choices(count) = self.domain.shape() { count as f64 } else { -1.0 }
    }
}
