//! Own kernels for the CPU, on the memory of flex tensors: one pass over it where burn needs several.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use super::attend::{Inputs, attend};
use super::simd::{Kernel, exp, fma, max, run, sum};
use super::{HeadNorms, Heads, KeyValues, Ops, Target, TargetScore};
use crate::Error;
use crate::batch::Batch;

/// Own kernels for flex tensors.
#[derive(Debug)]
pub(crate) struct CpuOps;

/// Elements that are worth a thread of their own.
const GRAIN: usize = 1 << 14;

/// The tensor's memory; free if it is owned alone.
fn host<const D: usize>(tensor: Tensor<D>) -> Result<TensorData, Error> {
    Ok(tensor.try_into_data()?)
}

fn tensor(data: TensorData) -> Tensor<2> {
    Tensor::from_data(data, (&Device::flex(), DType::F32))
}

fn matrix(values: Vec<f32>, width: usize) -> Tensor<2> {
    let rows = values.len() / width.max(1);
    tensor(TensorData::new(values, [rows, width]))
}

impl Ops for CpuOps {
    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Result<(Tensor<2>, Tensor<2>), Error> {
        let [_, width] = x.dims();
        let (x, weight) = (host(x)?, host(weight.clone())?);
        let (values, weight) = (x.as_slice::<f32>()?, weight.as_slice::<f32>()?);
        let mut out = vec![0.0; values.len()];
        let rows = (GRAIN / width.max(1)).max(1) * width;
        out.par_chunks_mut(rows).zip(values.par_chunks(rows)).for_each(|(out, x)| {
            run(RmsNorm { x, weight, eps: eps as f32, out });
        });
        Ok((tensor(x), matrix(out, width)))
    }

    fn rotate(
        &self,
        qkv: Tensor<2>,
        norms: Option<HeadNorms<'_>>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error> {
        let [rows, width] = qkv.dims();
        let Heads { queries, kv, dim } = heads;
        let data = host(qkv)?;
        let norms = match norms {
            Some(norms) => Some((host(norms.query.clone())?, host(norms.key.clone())?, norms.eps as f32)),
            None => None,
        };
        let norms = match &norms {
            Some((query, key, eps)) => Some((query.as_slice::<f32>()?, key.as_slice::<f32>()?, *eps)),
            None => None,
        };
        let qkv = data.as_slice::<f32>()?;
        let mut q = vec![0.0; rows * queries * dim];
        let (mut k, mut v) = (vec![0.0; rows * kv * dim], vec![0.0; rows * kv * dim]);
        let (cos, sin, half) = (&batch.rotations.cos, &batch.rotations.sin, batch.rotations.half);
        let at_once = (GRAIN / width.max(1)).max(1);
        q.par_chunks_mut(at_once * queries * dim)
            .zip(k.par_chunks_mut(at_once * kv * dim).zip(v.par_chunks_mut(at_once * kv * dim)))
            .zip(qkv.par_chunks(at_once * width))
            .zip(cos.par_chunks(at_once * half).zip(sin.par_chunks(at_once * half)))
            .for_each(|(((q, (k, v)), qkv), (cos, sin))| run(Rotate { qkv, heads, norms, cos, sin, q, k, v }));
        Ok((matrix(q, queries * dim), KeyValues { keys: matrix(k, kv * dim), values: matrix(v, kv * dim) }))
    }

    fn attend(
        &self,
        queries: Tensor<2>,
        seen: KeyValues,
        window: Option<usize>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error> {
        let (queries, keys, values) = (host(queries)?, host(seen.keys)?, host(seen.values)?);
        let inputs = Inputs {
            queries: queries.as_slice::<f32>()?,
            keys: keys.as_slice::<f32>()?,
            values: values.as_slice::<f32>()?,
            heads,
            window,
        };
        let out = attend(inputs, &batch.attention);
        Ok((matrix(out, heads.queries * heads.dim), KeyValues { keys: tensor(keys), values: tensor(values) }))
    }

    fn swiglu(&self, gate_up: Tensor<2>) -> Result<Tensor<2>, Error> {
        let [rows, width] = gate_up.dims();
        let gate_up = host(gate_up)?;
        let gate_up = gate_up.as_slice::<f32>()?;
        let half = width / 2;
        let mut out = vec![0.0; rows * half];
        let at_once = (GRAIN / width.max(1)).max(1);
        out.par_chunks_mut(at_once * half).zip(gate_up.par_chunks(at_once * width)).for_each(|(out, gate_up)| {
            run(Swiglu { gate_up, half, out });
        });
        Ok(matrix(out, half))
    }

    fn score(&self, logits: Tensor<2>, targets: &[Target]) -> Result<Vec<TargetScore>, Error> {
        let [_, vocabulary] = logits.dims();
        let logits = host(logits)?;
        let logits = logits.as_slice::<f32>()?;
        let of_row: Vec<&[Target]> = targets.chunk_by(|a, b| a.row == b.row).collect();
        let scores = of_row.par_iter().flat_map_iter(|targets| {
            let row = targets[0].row * vocabulary;
            run(Score { logits: &logits[row..row + vocabulary], targets })
        });
        Ok(scores.collect())
    }

    fn most_likely(&self, logits: Tensor<2>) -> Result<Vec<u32>, Error> {
        let [_, vocabulary] = logits.dims();
        let logits = host(logits)?;
        let rows = logits.as_slice::<f32>()?.par_chunks(vocabulary);
        Ok(rows.map(|row| run(MostLikely(row))).collect())
    }
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let scale = inverse_rms(x, self.eps);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
                *out = x * scale * weight;
            }
        }
    }
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum(x, |value| value * value) / x.len() as f32 + eps).sqrt()
}

struct Rotate<'a> {
    qkv: &'a [f32],
    heads: Heads,
    norms: Option<(&'a [f32], &'a [f32], f32)>,
    cos: &'a [f32],
    sin: &'a [f32],
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Heads { queries, kv, dim } = self.heads;
        let (q_width, kv_width) = (queries * dim, kv * dim);
        let turns = self.cos.chunks_exact(dim / 2).zip(self.sin.chunks_exact(dim / 2));
        let rows = self.qkv.chunks_exact(q_width + 2 * kv_width).zip(turns);
        let outputs = self.q.chunks_exact_mut(q_width).zip(self.k.chunks_exact_mut(kv_width));
        for (((qkv, (cos, sin)), (q, k)), v) in rows.zip(outputs).zip(self.v.chunks_exact_mut(kv_width)) {
            let (from_q, rest) = qkv.split_at(q_width);
            let (from_k, from_v) = rest.split_at(kv_width);
            let norms = self.norms;
            turn::<FUSED>(from_q, q, dim, norms.map(|(query, _, eps)| (query, eps)), cos, sin);
            turn::<FUSED>(from_k, k, dim, norms.map(|(_, key, eps)| (key, eps)), cos, sin);
            v.copy_from_slice(from_v);
        }
    }
}

/// Norms and turns the heads of one row.
#[inline(always)]
fn turn<const FUSED: bool>(
    from: &[f32],
    to: &mut [f32],
    dim: usize,
    norm: Option<(&[f32], f32)>,
    cos: &[f32],
    sin: &[f32],
) {
    for (from, to) in from.chunks_exact(dim).zip(to.chunks_exact_mut(dim)) {
        match norm {
            None => to.copy_from_slice(from),
            Some((weight, eps)) => {
                let scale = inverse_rms(from, eps);
                for ((to, from), weight) in to.iter_mut().zip(from).zip(weight) {
                    *to = from * scale * weight;
                }
            }
        }
        let (first, second) = to.split_at_mut(dim / 2);
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
            (*a, *b) = (fma::<FUSED>(*a, *cos, -*b * sin), fma::<FUSED>(*b, *cos, *a * sin));
        }
    }
}

struct Swiglu<'a> {
    gate_up: &'a [f32],
    half: usize,
    out: &'a mut [f32],
}

impl Kernel for Swiglu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (out, gate_up) in self.out.chunks_exact_mut(self.half).zip(self.gate_up.chunks_exact(2 * self.half)) {
            let (gate, up) = gate_up.split_at(self.half);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp::<FUSED>(-gate)) * up;
            }
        }
    }
}

/// Targets of one row of logits.
struct Score<'a> {
    logits: &'a [f32],
    targets: &'a [Target],
}

impl Kernel for Score<'_> {
    type Output = Vec<TargetScore>;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> Vec<TargetScore> {
        let highest = max(self.logits);
        let normaliser = sum(self.logits, |logit| exp::<FUSED>(logit - highest)).ln() + highest;
        let score = |target: &Target| {
            let token = target.token as usize;
            let logit = self.logits[token];
            let greedy = logit == highest && self.logits[..token].iter().all(|before| *before < highest);
            TargetScore { log_probability: logit - normaliser, greedy }
        };
        self.targets.iter().map(score).collect()
    }
}

struct MostLikely<'a>(&'a [f32]);

impl Kernel for MostLikely<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> u32 {
        let highest = max(self.0);
        self.0.iter().position(|logit| *logit == highest).unwrap_or(0) as u32
    }
}
