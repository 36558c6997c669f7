//! How work is cut into pieces for threads. The cuts depend on sizes alone, never on how many threads there are: so the
//! same sums run in the same order on every machine.

/// The most rows of a block: its activations stay in a core's cache from one step to the next.
const MOST_ROWS: usize = 128;
/// Pieces are made in such a number that 2, 4 and 8 threads get equal shares.
const PIECES: usize = 8;

/// Rows of a block of a batch of `rows`; at least 1.
pub(crate) fn row_block(rows: usize) -> usize {
    piece(rows, MOST_ROWS, 4)
}

/// Outputs of a weight whose gradient is computed together; at least 1.
pub(crate) fn output_block(outputs: usize) -> usize {
    piece(outputs, 512, 16)
}

/// The size of pieces of about equal size, of `most` at most but for rounding up to a multiple of `multiple`.
fn piece(all: usize, most: usize, multiple: usize) -> usize {
    let pieces = PIECES * all.div_ceil(PIECES * most).max(1);
    all.div_ceil(pieces).max(1).next_multiple_of(multiple)
}
