//! Which rows go through a layer together, on which thread.
//!
//! The rows of a batch are cut into blocks of one size, each for one thread. A block may hold parts of several spans:
//! its [`QueryRun`]s say which queries of which span its rows are, as the attention needs to know.

use crate::attention::AttentionPlan;

/// The most rows of a block: their activations fit a core's cache, and there are enough of them for each reading of
/// the weights.
const MOST_ROWS: usize = 96;
/// The least rows for each thread: fewer are not worth a thread's own reading of the weights.
const LEAST_ROWS: usize = 12;

/// Neighbouring queries of a span, in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRun {
    /// The span, by its place in the plan.
    pub span: usize,
    /// The first of its queries, counted within the span.
    pub first: usize,
    /// How many queries.
    pub count: usize,
}

/// Rows cut into blocks of one size, the last one excepted.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Rows of a block.
    pub size: usize,
    /// What the rows of each block are, in their order.
    pub runs: Vec<Vec<QueryRun>>,
    /// How many threads share them.
    threads: usize,
}

impl Blocks {
    /// All query rows of a plan.
    pub fn all(plan: &AttentionPlan, threads: usize) -> Self {
        let mut spans: Vec<usize> = (0..plan.spans.len()).collect();
        spans.sort_by_key(|&span| plan.spans[span].queries.start);
        let run = |span: usize| QueryRun { span, first: 0, count: plan.spans[span].queries.len() };
        Self::of(spans.into_iter().map(run), plan.queries(), threads)
    }

    /// Some of the query rows, which ascend.
    pub fn some(plan: &AttentionPlan, rows: &[u32], threads: usize) -> Self {
        let mut spans: Vec<usize> = (0..plan.spans.len()).collect();
        spans.sort_by_key(|&span| plan.spans[span].queries.start);
        let (mut spans, mut runs) = (spans.into_iter().peekable(), Vec::<QueryRun>::new());
        for row in rows.iter().map(|row| *row as usize) {
            while spans.next_if(|&span| plan.spans[span].queries.end <= row).is_some() {}
            let Some(&span) = spans.peek() else { break };
            let first = row - plan.spans[span].queries.start;
            match runs.last_mut() {
                Some(run) if run.span == span && run.first + run.count == first => run.count += 1,
                _ => runs.push(QueryRun { span, first, count: 1 }),
            }
        }
        Self::of(runs.into_iter(), rows.len(), threads)
    }

    /// Cuts the runs, of `rows` queries together, into blocks of one size.
    fn of(runs: impl Iterator<Item = QueryRun>, rows: usize, threads: usize) -> Self {
        let size = size(rows, threads);
        let mut blocks = Vec::with_capacity(rows.div_ceil(size));
        let (mut block, mut room) = (Vec::new(), size);
        for mut run in runs {
            while run.count > 0 {
                let count = run.count.min(room);
                block.push(QueryRun { count, ..run });
                (run.first, run.count, room) = (run.first + count, run.count - count, room - count);
                if room == 0 {
                    blocks.push(std::mem::take(&mut block));
                    room = size;
                }
            }
        }
        if !block.is_empty() {
            blocks.push(block);
        }
        Self { size, runs: blocks, threads }
    }

    /// Whether there are too few rows to share them out, so that the products' panels are shared out instead.
    pub fn split(&self) -> bool {
        self.runs.len() == 1 && self.threads > 1
    }
}

/// Blocks of about equal size, some for each thread; a single one if there are few rows.
fn size(rows: usize, threads: usize) -> usize {
    if rows < LEAST_ROWS * threads.max(2) {
        return rows.max(1);
    }
    let each = rows.div_ceil(threads.max(1));
    each.div_ceil(each.div_ceil(MOST_ROWS)).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Span;
    use proptest::prelude::*;

    fn plan(lengths: &[usize]) -> AttentionPlan {
        let mut start = 0;
        let span = |length: &usize| {
            let queries = start..start + length;
            start = queries.end;
            Span { keys: (0..queries.end as u32).collect(), queries }
        };
        AttentionPlan { spans: lengths.iter().map(span).collect() }
    }

    fn rows(plan: &AttentionPlan, blocks: &Blocks) -> Vec<u32> {
        let row = |run: &QueryRun| {
            let start = plan.spans[run.span].queries.start + run.first;
            start as u32..(start + run.count) as u32
        };
        blocks.runs.iter().flatten().flat_map(row).collect()
    }

    proptest! {
        /// Every row asked for stands in the blocks once, in order, and all blocks but the last are full.
        #[test]
        fn blocks_hold_the_rows(
            lengths in prop::collection::vec(1_usize..300, 1..12),
            picks in prop::collection::vec(any::<bool>(), 3600),
            threads in 1_usize..9,
        ) {
            let plan = plan(&lengths);
            let all: Vec<u32> = (0..plan.queries() as u32).collect();
            let some: Vec<u32> = all.iter().copied().filter(|row| picks[*row as usize]).collect();
            let cases = [(&all, Blocks::all(&plan, threads)), (&some, Blocks::some(&plan, &some, threads))];
            for (wanted, blocks) in cases {
                prop_assert_eq!(&rows(&plan, &blocks), wanted);
                for (index, runs) in blocks.runs.iter().enumerate() {
                    let count: usize = runs.iter().map(|run| run.count).sum();
                    prop_assert!(count == blocks.size || index + 1 == blocks.runs.len() && count < blocks.size);
                }
            }
        }
    }
}
