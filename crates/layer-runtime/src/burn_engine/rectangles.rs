//! A batch's spans as padded rectangles, the form that burn's attention takes.
//!
//! Spans of about equal sizes form a group, `[spans, heads, queries, dim]` against `[spans, heads, keys, dim]`. Sizes
//! are rounded up to few values, as a GPU compiles and tunes a kernel for each. Padding repeats row 0 and is hidden
//! from all real queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::tensors::indices;
use crate::attention::{AttentionPlan, Span};

/// A batch's spans as padded rectangles, those of one size in a group.
#[derive(Debug)]
pub(super) struct Rectangles {
    /// One for each pair of sizes.
    pub(super) groups: Vec<SpanGroup>,
    /// Where each query row ends up in the groups' outputs, one after the other.
    pub(super) back: Tensor<1, Int>,
    /// By window, made when a layer first asks for them.
    masks: Mutex<HashMap<Option<usize>, Masks>>,
}

/// A mask `[spans, 1, queries, keys]` per group, true where a key is hidden; `None`: the causal rule is enough.
pub(super) type Masks = Arc<Vec<Option<Tensor<4, Bool>>>>;

/// Spans that are padded to the same numbers of queries and keys.
#[derive(Debug)]
pub(super) struct SpanGroup {
    /// Which spans, by their place in the plan.
    spans: Vec<usize>,
    /// Queries of a rectangle.
    pub query_length: usize,
    /// Keys of a rectangle.
    pub key_length: usize,
    /// The row of each query, `[spans * query_length]`.
    pub query_rows: Tensor<1, Int>,
    /// The row of each key, `[spans * key_length]`.
    pub key_rows: Tensor<1, Int>,
}

impl SpanGroup {
    /// How many spans.
    pub fn size(&self) -> usize {
        self.spans.len()
    }
}

/// The next of 1, 2, 3, 4, 6, 8, 12, 16, ...: few sizes, so that a device tunes few kernels, and little padding.
fn round_up(length: usize) -> usize {
    let power = length.next_power_of_two();
    if power >= 4 && length <= power / 4 * 3 { power / 4 * 3 } else { power }
}

impl Rectangles {
    /// Sorts the spans into groups, and puts each group's rows on the device.
    pub fn new(plan: &AttentionPlan, device: &Device) -> Self {
        let mut buckets: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (index, span) in plan.spans.iter().enumerate() {
            buckets.entry((round_up(span.queries.len()), round_up(span.keys.len()))).or_default().push(index);
        }
        let (mut back, mut used) = (vec![0; plan.queries()], 0);
        let mut groups = Vec::with_capacity(buckets.len());
        for ((query_length, key_length), spans) in buckets {
            let (mut query_rows, mut key_rows) = (Vec::new(), Vec::new());
            for span in spans.iter().map(|&index| &plan.spans[index]) {
                for (i, row) in span.queries.clone().enumerate() {
                    back[row] = (used + i) as i32;
                }
                used += query_length;
                query_rows.extend(padded(span.queries.clone().map(|row| row as i32), query_length));
                key_rows.extend(padded(span.keys.iter().map(|&row| row as i32), key_length));
            }
            let (query_rows, key_rows) = (indices(query_rows, device), indices(key_rows, device));
            groups.push(SpanGroup { spans, query_length, key_length, query_rows, key_rows });
        }
        Self { groups, back: indices(back, device), masks: Mutex::default() }
    }

    /// What is hidden from each query: a mask per group, made once per window. `None`: the causal rule is enough.
    pub(super) fn masks(&self, plan: &AttentionPlan, window: Option<usize>, device: &Device) -> Masks {
        let window = window.filter(|&window| !plan.fits(window));
        let mut known = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(self.groups.iter().map(|group| group.mask(plan, window, device)).collect());
        Arc::clone(known.entry(window).or_insert_with(make))
    }
}

impl SpanGroup {
    /// What is hidden from each query, `[spans, 1, queries, keys]`; `None`: the causal rule hides all that has to be
    /// hidden.
    fn mask(&self, plan: &AttentionPlan, window: Option<usize>, device: &Device) -> Option<Tensor<4, Bool>> {
        let spans = || self.spans.iter().map(|&index| &plan.spans[index]);
        // Padding stands to the right of all that is real, where the causal rule hides it already.
        let prompts = self.query_length == self.key_length && spans().all(|span| span.start() == 0);
        let exact = spans().all(|span| span.queries.len() == self.query_length && span.keys.len() == self.key_length);
        if window.is_none() && (prompts || exact) {
            return None;
        }
        let mut hidden = vec![true; self.size() * self.query_length * self.key_length];
        let mut rows = hidden.chunks_mut(self.key_length);
        for span in spans() {
            for (i, row) in rows.by_ref().take(self.query_length).enumerate() {
                // Queries of padding see one key, as softmax needs some.
                let seen = if i < span.queries.len() { Span::seen(span.start() + i, window) } else { 0..1 };
                row[seen].fill(false);
            }
        }
        let shape = [self.size(), 1, self.query_length, self.key_length];
        Some(Tensor::from_data(TensorData::new(hidden, shape), device))
    }
}

/// The rows, followed by row 0 up to a length.
fn padded(rows: impl Iterator<Item = i32>, length: usize) -> impl Iterator<Item = i32> {
    rows.chain(std::iter::repeat(0)).take(length)
}
