//! From rows to columns: the numbers of several rows at one place, side by side.
//!
//! Kernels broadcast a number of each row and multiply it with a register of weights, so they read columns. Four rows
//! by four columns at a time, the transposition is shuffles within registers.

/// Four rows' next four numbers; the compiler makes shuffles of it.
#[inline(always)]
fn four<T: Copy>(rows: [&[T; 4]; 4]) -> [[T; 4]; 4] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// The numbers of rows of one length to `to[column * slots + row]`; slots beyond the rows are left as they are.
#[inline(always)]
pub(super) fn interleave<T: Copy>(rows: &[impl AsRef<[T]>], to: &mut [T], slots: usize) {
    let (fours, rest) = rows.as_chunks::<4>();
    for (index, rows) in fours.iter().enumerate() {
        let first = index * 4;
        let mut of: [&[[T; 4]]; 4] = [&[]; 4];
        for (of, row) in of.iter_mut().zip(rows) {
            *of = row.as_ref().as_chunks().0;
        }
        let [a, b, c, d] = of;
        let blocks = a.iter().zip(b).zip(c.iter().zip(d));
        for (((a, b), (c, d)), to) in blocks.zip(to.chunks_mut(4 * slots)) {
            for (values, to) in four([a, b, c, d]).iter().zip(to.chunks_mut(slots)) {
                if let Some(to) = to.get_mut(first..first + 4) {
                    to.copy_from_slice(values);
                }
            }
        }
        for (row, values) in rows.iter().enumerate() {
            for (column, value) in values.as_ref().iter().enumerate().skip(a.len() * 4) {
                to[column * slots + first + row] = *value;
            }
        }
    }
    for (row, values) in rest.iter().enumerate() {
        for (column, value) in values.as_ref().iter().enumerate() {
            to[column * slots + fours.len() * 4 + row] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (rows, width) in [(12, 10), (3, 4), (8, 96), (5, 7), (1, 3), (4, 4)] {
            let numbers: Vec<u32> = (0..(rows * width) as u32).collect();
            let from: Vec<&[u32]> = numbers.chunks(width).collect();
            let slots = 13;
            let mut to = vec![u32::MAX; width * slots];
            interleave(&from, &mut to, slots);
            for (column, to) in to.chunks(slots).enumerate() {
                let expected = (0..slots).map(|row| from.get(row).map_or(u32::MAX, |row| row[column]));
                assert!(expected.eq(to.iter().copied()), "{rows} x {width}: column {column} is {to:?}");
            }
        }
    }
}
