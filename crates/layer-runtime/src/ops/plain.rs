//! The operations as burn has them, for any device.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation, module};

use super::{HeadNorms, Heads, KeyValues, Ops, Target, TargetScore};
use crate::Error;
use crate::attention::{AttentionPlan, Span};
use crate::batch::Batch;

/// Plain burn operations; a GPU's fusion makes kernels of them.
#[derive(Debug)]
pub(crate) struct PlainOps;

impl Ops for PlainOps {
    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Result<(Tensor<2>, Tensor<2>), Error> {
        let normed = rms_norm(x.clone(), weight, eps);
        Ok((x, normed))
    }

    fn rotate(
        &self,
        qkv: Tensor<2>,
        norms: Option<HeadNorms<'_>>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error> {
        let Heads { queries, kv, dim } = heads;
        let [cos, sin] = batch.rotations(&qkv.device());
        let part = |start: usize, count: usize| qkv.clone().narrow(1, start * dim, count * dim);
        let turned = |start: usize, count: usize, weight: Option<(&Tensor<1>, f64)>| {
            let mut x = part(start, count);
            let [n, width] = x.dims();
            if let Some((weight, eps)) = weight {
                x = rms_norm(x.reshape([n * count, dim]), weight, eps);
            }
            let mut halves = x.reshape([n, count, dim]).chunk(2, 2);
            match (halves.pop(), halves.pop()) {
                (Some(b), Some(a)) => {
                    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
                    let second = b * cos.clone() + a * sin.clone();
                    Tensor::cat(vec![first, second], 2).reshape([n, width])
                }
                _ => Tensor::zeros([n, width], &qkv.device()),
            }
        };
        let q = turned(0, queries, norms.map(|norms| (norms.query, norms.eps)));
        let keys = turned(queries, kv, norms.map(|norms| (norms.key, norms.eps)));
        Ok((q, KeyValues { keys, values: part(queries + kv, kv) }))
    }

    fn attend(
        &self,
        queries: Tensor<2>,
        seen: KeyValues,
        window: Option<usize>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error> {
        let device = queries.device();
        let grid = batch.grid(&device);
        let masks = grid.masks(&batch.attention, window, &device);
        let mut outputs = Vec::with_capacity(grid.groups.len());
        for (group, mask) in grid.groups.iter().zip(masks.iter()) {
            let cut = |x: &Tensor<2>, rows: &Tensor<1, Int>, length: usize, count: usize| {
                let x = x.clone().select(0, rows.clone()).reshape([group.size(), length, count, heads.dim]);
                x.swap_dims(1, 2) // [batch, heads, length, dim]
            };
            // Written out, as grouped heads give wrong numbers on CubeCL's devices.
            let widen = |x: Tensor<4>| {
                let [b, kv, s, dim] = x.dims();
                let times = heads.queries / kv;
                if times == 1 {
                    return x;
                }
                x.unsqueeze_dim::<5>(2).repeat_dim(2, times).reshape([b, kv * times, s, dim])
            };
            let q = cut(&queries, &group.query_rows, group.query_length, heads.queries);
            let k = widen(cut(&seen.keys, &group.key_rows, group.key_length, heads.kv));
            let v = widen(cut(&seen.values, &group.key_rows, group.key_length, heads.kv));
            let options = AttentionModuleOptions { is_causal: mask.is_none(), ..Default::default() };
            let out = module::attention(q, k, v, mask.clone(), None, options);
            let rows = group.size() * group.query_length;
            outputs.push(out.swap_dims(1, 2).reshape([rows, heads.queries * heads.dim]));
        }
        Ok((Tensor::cat(outputs, 0).select(0, grid.back.clone()), seen))
    }

    fn swiglu(&self, gate_up: Tensor<2>) -> Result<Tensor<2>, Error> {
        let half = gate_up.dims()[1] / 2;
        let up = gate_up.clone().narrow(1, half, half);
        Ok(activation::silu(gate_up.narrow(1, 0, half)) * up)
    }

    fn score(&self, logits: Tensor<2>, targets: &[Target]) -> Result<Vec<TargetScore>, Error> {
        let device = logits.device();
        let [rows, vocabulary] = logits.dims();
        let places: Vec<i32> =
            targets.iter().map(|target| (target.row * vocabulary) as i32 + target.token as i32).collect();
        let places = indices(places, &device);
        let wanted = logits.clone().reshape([rows * vocabulary]).select(0, places).try_into_data()?;
        let highest = logits.clone().max_dim(1);
        let sums = (logits.clone() - highest.clone()).exp().sum_dim(1).log() + highest;
        let normalisers = sums.try_into_data()?;
        let favourites = self.most_likely(logits)?;
        let (wanted, normalisers) = (wanted.as_slice::<f32>()?, normalisers.as_slice::<f32>()?);
        let score = |(target, logit): (&Target, &f32)| TargetScore {
            log_probability: logit - normalisers[target.row],
            greedy: favourites[target.row] == target.token,
        };
        Ok(targets.iter().zip(wanted).map(score).collect())
    }

    fn most_likely(&self, logits: Tensor<2>) -> Result<Vec<u32>, Error> {
        let best = logits.argmax(1).try_into_vec_as::<i64>()?;
        Ok(best.into_iter().map(|token| token as u32).collect())
    }
}

fn rms_norm(x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + eps).sqrt().recip();
    x * scale * weight.clone().unsqueeze()
}

/// Row numbers on the device.
pub(crate) fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// A batch's spans as padded rectangles, alike in size within a group, so that burn's attention takes them.
#[derive(Debug)]
pub(crate) struct Grid {
    groups: Vec<Group>,
    /// Where each query row ends up in the groups' outputs, one after the other.
    back: Tensor<1, Int>,
    masks: Mutex<HashMap<Option<usize>, Masks>>,
}

type Masks = Arc<Vec<Option<Tensor<4, Bool>>>>;

#[derive(Debug)]
struct Group {
    /// Which spans, by their place in the plan.
    spans: Vec<usize>,
    query_length: usize,
    key_length: usize,
    query_rows: Tensor<1, Int>,
    key_rows: Tensor<1, Int>,
}

impl Group {
    fn size(&self) -> usize {
        self.spans.len()
    }
}

/// The next of 1, 2, 3, 4, 6, 8, 12, 16, ...: few sizes, so that a device tunes few kernels, and little padding.
fn round_up(length: usize) -> usize {
    let power = length.next_power_of_two();
    if power >= 4 && length <= power / 4 * 3 { power / 4 * 3 } else { power }
}

impl Grid {
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
            groups.push(Group { spans, query_length, key_length, query_rows, key_rows });
        }
        Self { groups, back: indices(back, device), masks: Mutex::default() }
    }

    /// What is hidden from each query, made once per window. None: the causal rule says it all.
    fn masks(&self, plan: &AttentionPlan, window: Option<usize>, device: &Device) -> Masks {
        let window = window.filter(|&window| !plan.fits(window));
        let mut known = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(self.groups.iter().map(|group| group.mask(plan, window, device)).collect());
        Arc::clone(known.entry(window).or_insert_with(make))
    }
}

impl Group {
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

fn padded(rows: impl Iterator<Item = i32>, length: usize) -> impl Iterator<Item = i32> {
    rows.chain(std::iter::repeat(0)).take(length)
}
