//! The CPU's engine against burn's operations.

use burn::tensor::{DType, Device, Distribution, Tensor};

use super::{Bf16Kernel, CpuEngine};
use crate::attention::AttentionPlan;
use crate::batch::Batch;
use crate::engine::{Engine, Heads, LayerPass, LayerSettings, Target};
use crate::plain::PlainEngine;
use crate::rope::Rotations;
use crate::trie::Trie;
use crate::weights::{LayerTensors, Projection, Sizes};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const HEADS: [Heads; 4] = [
    Heads { queries: 4, kv: 2, dim: 8 },
    Heads { queries: 4, kv: 4, dim: 12 },
    Heads { queries: 6, kv: 1, dim: 16 },
    Heads { queries: 2, kv: 2, dim: 40 },
];
const PLAIN: PlainEngine = PlainEngine { dtype: DType::F32 };

fn random<const D: usize>(shape: [usize; D], deviation: f64) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, deviation), &Device::flex())
}

fn layer(sizes: Sizes, extras: bool) -> LayerTensors {
    let Sizes { hidden, intermediate, heads, .. } = sizes;
    let (q, kv) = (heads.queries * heads.dim, heads.kv * heads.dim);
    let projection = |outputs: usize, inputs: usize| Projection {
        weight: random([outputs * inputs], 1.0 / (inputs as f64).sqrt()),
        bias: extras.then(|| random([outputs], 0.5)),
        outputs,
        inputs,
    };
    LayerTensors {
        input_norm: random([hidden], 1.0),
        qkv: vec![projection(q, hidden), projection(kv, hidden), projection(kv, hidden)],
        head_norms: extras.then(|| (random([heads.dim], 1.0), random([heads.dim], 1.0))),
        output: projection(hidden, q),
        post_attention_norm: random([hidden], 1.0),
        gate_up: vec![projection(intermediate, hidden), projection(intermediate, hidden)],
        down: projection(hidden, intermediate),
    }
}

fn copy(tensors: &LayerTensors) -> LayerTensors {
    let projection = |of: &Projection| Projection { weight: of.weight.clone(), bias: of.bias.clone(), ..*of };
    LayerTensors {
        input_norm: tensors.input_norm.clone(),
        qkv: tensors.qkv.iter().map(projection).collect(),
        head_norms: tensors.head_norms.clone(),
        output: projection(&tensors.output),
        post_attention_norm: tensors.post_attention_norm.clone(),
        gate_up: tensors.gate_up.iter().map(projection).collect(),
        down: projection(&tensors.down),
    }
}

/// Sequences with shared prefixes, one longer than a block.
fn batch(half: usize) -> Batch {
    let long: Vec<u32> = (0..150).collect();
    let mut sequences: Vec<Vec<u32>> = vec![long, vec![0], vec![0, 1, 9], vec![3; 5], vec![3; 21]];
    sequences.sort();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let trie = Trie::of_sorted(&sequences);
    let angles = trie.positions.iter().flat_map(|p| (0..half).map(move |i| *p as f32 / (i + 1) as f32));
    let (cos, sin) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
    Batch::new(trie.tokens.clone(), Rotations { cos, sin, half }, AttentionPlan::of_trie(&trie))
}

fn worst(ours: Tensor<2>, burns: Tensor<2>) -> f32 {
    assert_eq!(ours.dims(), burns.dims());
    (ours - burns).abs().max().into_scalar::<f32>()
}

#[test]
fn layers_agree() -> Outcome {
    for (heads, extras) in HEADS.into_iter().zip([false, true, true, false]) {
        let sizes = Sizes { hidden: 48, intermediate: 70, heads, eps: 1e-5 };
        let (batch, tensors) = (batch(heads.dim / 2), layer(sizes, extras));
        let (ours, burns) = (CpuEngine::new(None).layer(sizes, copy(&tensors))?, PLAIN.layer(sizes, tensors)?);
        let x = random([batch.tokens.len(), sizes.hidden], 1.0);
        let some: Vec<u32> = (0..batch.tokens.len() as u32).filter(|row| row % 7 < 2).collect();
        for window in [None, Some(1), Some(7), Some(20), Some(1000)] {
            for wanted in [None, Some(some.as_slice())] {
                let pass = LayerPass { settings: LayerSettings { window, scale: 0.75 }, batch: &batch, wanted };
                let off = worst(ours.forward(x.clone(), pass, None)?, burns.forward(x.clone(), pass, None)?);
                assert!(off < 2e-5, "{heads:?}, window {window:?}, {wanted:?}: differs by up to {off:e}");
            }
        }
    }
    Ok(())
}

/// Both round weights and activations to bf16 before each product; burn also rounds what the products give.
#[test]
fn layers_agree_in_bf16() -> Outcome {
    let heads = HEADS[0];
    let sizes = Sizes { hidden: 48, intermediate: 70, heads, eps: 1e-5 };
    let (batch, tensors) = (batch(heads.dim / 2), layer(sizes, true));
    let burns = PlainEngine { dtype: DType::BF16 }.layer(sizes, copy(&tensors))?;
    let exact = PLAIN.layer(sizes, copy(&tensors))?;
    let x = random([batch.tokens.len(), sizes.hidden], 1.0);
    let pass = LayerPass { settings: LayerSettings { window: None, scale: 1.0 }, batch: &batch, wanted: None };
    let (exact, burns) = (exact.forward(x.clone(), pass, None)?, burns.forward(x.clone(), pass, None)?);
    let mean = |ours: Tensor<2>| (ours - exact.clone()).abs().mean().into_scalar::<f32>();
    let bound = mean(burns);
    for kernel in Bf16Kernel::all() {
        let ours = CpuEngine::new(Some(kernel)).layer(sizes, copy(&tensors))?.forward(x.clone(), pass, None)?;
        let off = mean(ours);
        assert!(off > 0.0 && off < bound, "{}: off by {off:e} on average, burn by {bound:e}", kernel.name());
    }
    Ok(())
}

#[test]
fn endings_agree() -> Outcome {
    let sizes = Sizes { hidden: 20, intermediate: 1, heads: HEADS[0], eps: 1e-5 };
    let (norm, head, x) = (random([20], 1.0), random([77, 20], 1.0), random([9, 20], 1.0));
    let ours = CpuEngine::new(None).ending(sizes, norm.clone(), head.clone())?;
    let burns = PLAIN.ending(sizes, norm, head)?;
    let best = burns.most_likely(x.clone(), 2)?;
    assert_eq!(ours.most_likely(x.clone(), 2)?, best);
    let targets: Vec<Target> =
        (0..9).flat_map(|row| [0, 76, best[row]].map(|token| Target { row: row as u32, token })).collect();
    for (i, (ours, burns)) in
        ours.score(x.clone(), &targets, 2)?.iter().zip(burns.score(x.clone(), &targets, 2)?).enumerate()
    {
        assert!((ours.log_probability - burns.log_probability).abs() < 1e-5, "{i}: {ours:?}, {burns:?}");
        assert_eq!(ours.greedy, burns.greedy, "{i}");
    }
    Ok(())
}

#[test]
fn the_lowest_of_equals_is_the_most_likely() -> Outcome {
    let sizes = Sizes { hidden: 2, intermediate: 1, heads: HEADS[0], eps: 1e-5 };
    let flat = |values: &[f32]| Tensor::<1>::from_floats(values, &Device::flex());
    let head = flat(&[1.0, 0.0, 3.0, 0.0, 3.0, 0.0, 2.0, 0.0]).reshape([4, 2]);
    let x = flat(&[1.0, 1.0]).reshape([1, 2]);
    let targets = [Target { row: 0, token: 1 }, Target { row: 0, token: 2 }];
    for engine in [&CpuEngine::new(None) as &dyn Engine, &PLAIN] {
        let ending = engine.ending(sizes, flat(&[1.0, 1.0]), head.clone())?;
        assert_eq!(ending.most_likely(x.clone(), 2)?, [1]);
        let greedy: Vec<bool> = ending.score(x.clone(), &targets, 2)?.iter().map(|score| score.greedy).collect();
        assert_eq!(greedy, [true, false]);
    }
    Ok(())
}
