//! Rows of features, of one width.

/// Rows of features, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    width: usize,
    len: usize,
    /// Row after row, `[len * width]`.
    cells: Vec<f64>,
}

impl Table {
    /// No rows, of `width` features each.
    pub(crate) fn new(width: usize) -> Self {
        Self { width, len: 0, cells: Vec::new() }
    }

    /// Adds a row of the table's width.
    pub(crate) fn push(&mut self, row: &[f64]) {
        debug_assert_eq!(row.len(), self.width);
        self.cells.extend_from_slice(row);
        self.len += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.cells[index * self.width..(index + 1) * self.width]
    }

    /// These rows, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::new(self.width);
        rows.iter().for_each(|row| selected.push(self.row(*row)));
        selected
    }
}
