//! From rows to columns: the numbers of several rows at one place, side by side.

/// Four rows' next four numbers; the compiler makes shuffles of it.
#[inline(always)]
fn four<T: Copy>(rows: [&[T; 4]; 4]) -> [[T; 4]; 4] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// Rows `from[row * stride ..]` of `width` numbers to `to[column * slots + row]`; `slots` is a multiple of 4, and what is beyond
/// the rows is left as it is, but for whole fours.
#[inline(always)]
pub(super) fn interleave<T: Copy + Default>(
    from: &[T],
    stride: usize,
    rows: usize,
    width: usize,
    to: &mut [T],
    slots: usize,
) {
    for first in (0..rows).step_by(4) {
        if first + 4 > rows {
            for row in first..rows {
                for (column, value) in from[row * stride..][..width].iter().enumerate() {
                    to[column * slots + row] = *value;
                }
            }
            break;
        }
        let of: [(&[[T; 4]], &[T]); 4] =
            std::array::from_fn(|row| from[(first + row) * stride..][..width].as_chunks::<4>());
        let whole = of[0].0.len();
        let [a, b, c, d] = of.map(|(fours, _)| &fours[..whole]);
        let blocks = a.iter().zip(b).zip(c.iter().zip(d));
        for (((a, b), (c, d)), to) in blocks.zip(to.chunks_mut(4 * slots)) {
            for (values, to) in four([a, b, c, d]).iter().zip(to.chunks_mut(slots)) {
                if let Some(to) = to.get_mut(first..first + 4) {
                    to.copy_from_slice(values);
                }
            }
        }
        for (row, (_, rest)) in of.iter().enumerate() {
            for (i, value) in rest.iter().enumerate() {
                to[(whole * 4 + i) * slots + first + row] = *value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (rows, width) in [(12, 10), (3, 4), (8, 96), (5, 7), (1, 3), (4, 4)] {
            let stride = width + 3;
            let from: Vec<u32> = (0..(rows * stride) as u32).collect();
            let slots = 4 * 4;
            let mut to = vec![u32::MAX; width * slots];
            interleave(&from, stride, rows, width, &mut to, slots);
            for row in 0..rows {
                for column in 0..width {
                    assert_eq!(
                        to[column * slots + row],
                        from[row * stride + column],
                        "{rows} x {width}: {row}, {column}"
                    );
                }
            }
        }
    }
}
