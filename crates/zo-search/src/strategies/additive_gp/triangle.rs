//! Cholesky's factorisation of a symmetric matrix, of which the lower triangle is kept row by row, and what is solved
//! with it.

/// Right-hand sides that are solved at once.
const BLOCK: usize = 8;

/// Where row `i` of a lower triangle begins.
pub(super) fn triangle(i: usize) -> usize {
    i * (i + 1) / 2
}

/// Cholesky's factorisation `A = L L^T` of a lower triangle of `n (n + 1) / 2` numbers, in place: `O(n^3 / 6)`; a
/// pivot that is not positive is taken as a tiny one.
pub(super) fn factorise(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        let (above, row) = matrix.split_at_mut(triangle(i));
        for j in 0..=i {
            let (known, rest) = row.split_at_mut(j);
            if j < i {
                let other = &above[triangle(j)..=triangle(j) + j];
                rest[0] = (rest[0] - dot(known, &other[..j])) / other[j];
            } else {
                rest[0] = libm::sqrt((rest[0] - dot(known, known)).max(1e-12));
            }
        }
    }
}

/// `L⁻¹ b`, by substitution from the first row on: `[n]` from `[n]`.
pub(super) fn forward(factor: &[f64], b: &[f64]) -> Vec<f64> {
    let mut x = Vec::with_capacity(b.len());
    for (i, b) in b.iter().enumerate() {
        let row = &factor[triangle(i)..=triangle(i) + i];
        x.push((b - dot(&row[..i], &x)) / row[i]);
    }
    x
}

/// The squared length of `L⁻¹ b` for each of many `b`.
pub(super) fn lengths(factor: &[f64], many: &[Vec<f64>]) -> Vec<f64> {
    many.chunks(BLOCK).flat_map(|block| lengths_of_block(factor, block)).collect()
}

/// [`lengths`] of up to [`BLOCK`] right-hand sides, which are worked on side by side.
fn lengths_of_block(factor: &[f64], block: &[Vec<f64>]) -> Vec<f64> {
    let rows = block.first().map_or(0, Vec::len);
    let mut solved: Vec<[f64; BLOCK]> = Vec::with_capacity(rows);
    let mut lengths = [0.0; BLOCK];
    for i in 0..rows {
        let row = &factor[triangle(i)..=triangle(i) + i];
        let mut x = [0.0; BLOCK];
        x.iter_mut().zip(block).for_each(|(x, b)| *x = b[i]);
        for (known, factor) in solved.iter().zip(row) {
            x.iter_mut().zip(known).for_each(|(x, known)| *x -= factor * known);
        }
        for (x, length) in x.iter_mut().zip(&mut lengths) {
            *x /= row[i];
            *length += *x * *x;
        }
        solved.push(x);
    }
    lengths[..block.len()].to_vec()
}

/// `(L Lᵀ)⁻¹ b`.
pub(super) fn solve(factor: &[f64], b: &[f64]) -> Vec<f64> {
    let mut x = forward(factor, b);
    for i in (0..x.len()).rev() {
        x[i] /= factor[triangle(i) + i];
        let found = x[i];
        for (j, x) in x[..i].iter_mut().enumerate() {
            *x -= factor[triangle(i) + j] * found;
        }
    }
    x
}

/// `a · b`, summed from the first product on.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_times_its_transpose_is_the_matrix() {
        let full = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let mut factor: Vec<f64> = (0..3).flat_map(|i| full[i][..=i].to_vec()).collect();
        factorise(&mut factor, 3);
        let at = |i: usize, j: usize| if j > i { 0.0 } else { factor[triangle(i) + j] };
        for (i, row) in full.iter().enumerate() {
            for (j, expected) in row.iter().enumerate() {
                let found: f64 = (0..3).map(|k| at(i, k) * at(j, k)).sum();
                assert!((found - expected).abs() < 1e-12, "{i} {j}: {found}");
            }
        }
        let solved = solve(&factor, &[1.0, 2.0, 3.0]);
        for (row, expected) in full.iter().zip([1.0, 2.0, 3.0]) {
            assert!((dot(row, &solved) - expected).abs() < 1e-12);
        }
        let many: Vec<Vec<f64>> = (0..11).map(|i| vec![1.0, f64::from(i), -2.0]).collect();
        for (b, length) in many.iter().zip(lengths(&factor, &many)) {
            let half = forward(&factor, b);
            assert!((dot(&half, &half) - length).abs() < 1e-12);
        }
    }
}
