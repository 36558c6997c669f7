//! From rows to columns: the numbers of several rows at one place, side by side.
//!
//! Kernels broadcast a number of each row and multiply it with a register of weights, so they read columns. Four rows
//! by four columns at a time, the transposition is shuffles within registers.

/// Columns that are written at once.
const COLUMNS: usize = 4;

/// The numbers of rows of one length to `to[column * slots + row]`; slots beyond the rows are left as they are.
#[inline(always)]
pub(super) fn interleave<T: Copy>(rows: &[impl AsRef<[T]>], to: &mut [T], slots: usize) {
    if let ([row], 1) = (rows, slots) {
        let row = row.as_ref();
        return to[..row.len()].copy_from_slice(row);
    }
    // A tile of AVX2's and NEON's: at once it takes half as long as four rows and two.
    if let [a, b, c, d, e, f] = rows {
        return group([a.as_ref(), b.as_ref(), c.as_ref(), d.as_ref(), e.as_ref(), f.as_ref()], to, slots, 0);
    }
    let (fours, rest) = rows.as_chunks::<4>();
    let (twos, ones) = rest.as_chunks::<2>();
    let (after_fours, after_twos) = (4 * fours.len(), 4 * fours.len() + 2 * twos.len());
    for (index, [a, b, c, d]) in fours.iter().enumerate() {
        group([a.as_ref(), b.as_ref(), c.as_ref(), d.as_ref()], to, slots, 4 * index);
    }
    for [a, b] in twos {
        group([a.as_ref(), b.as_ref()], to, slots, after_fours);
    }
    for row in ones {
        group([row.as_ref()], to, slots, after_twos);
    }
}

/// Some rows, the first of which goes to the slot `first` of each column. Each column is cut off before it is written,
/// so that what is checked is the same for all and is checked once: checked block by block, this took 2.5 times as long.
/// Arrays are filled in loops, as `array::from_fn` is not always inlined.
#[inline(always)]
fn group<T: Copy, const ROWS: usize>(rows: [&[T]; ROWS], to: &mut [T], slots: usize, first: usize) {
    let (width, places) = (rows[0].len(), first..first + ROWS);
    let whole = width / COLUMNS;
    let mut blocks: [&[[T; COLUMNS]]; ROWS] = [&[]; ROWS];
    for (blocks, row) in blocks.iter_mut().zip(rows) {
        *blocks = &row.as_chunks().0[..whole];
    }
    let (columns, rest) = to.split_at_mut(whole * COLUMNS * slots);
    for (index, columns) in columns.chunks_exact_mut(COLUMNS * slots).enumerate() {
        let mut turned = [[blocks[0][index][0]; ROWS]; COLUMNS];
        for (row, blocks) in blocks.iter().enumerate() {
            for (column, value) in turned.iter_mut().zip(blocks[index]) {
                column[row] = value;
            }
        }
        let (first, second) = columns.split_at_mut(2 * slots);
        let ((a, b), (c, d)) = (first.split_at_mut(slots), second.split_at_mut(slots));
        a[places.clone()].copy_from_slice(&turned[0]);
        b[places.clone()].copy_from_slice(&turned[1]);
        c[places.clone()].copy_from_slice(&turned[2]);
        d[places.clone()].copy_from_slice(&turned[3]);
    }
    for (column, to) in (whole * COLUMNS..width).zip(rest.chunks_mut(slots)) {
        for (to, row) in to[places.clone()].iter_mut().zip(rows) {
            *to = row[column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (rows, width) in [(12, 10), (3, 4), (8, 96), (5, 7), (1, 3), (4, 4), (6, 9), (2, 2)] {
            let numbers: Vec<u32> = (0..(rows * width) as u32).collect();
            let from: Vec<&[u32]> = numbers.chunks(width).collect();
            for slots in [13, rows] {
                let mut to = vec![u32::MAX; width * slots];
                interleave(&from, &mut to, slots);
                for (column, to) in to.chunks(slots).enumerate() {
                    let expected = (0..slots).map(|row| from.get(row).map_or(u32::MAX, |row| row[column]));
                    assert!(expected.eq(to.iter().copied()), "{rows} x {width}: column {column} is {to:?}");
                }
            }
        }
    }
}
