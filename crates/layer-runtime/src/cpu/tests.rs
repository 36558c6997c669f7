//! The CPU's engine against burn's operations.

use burn::tensor::{DType, Device, Distribution, Tensor};

use super::CpuEngine;
use super::linear::{Kernels, Products};
use crate::Error;
use crate::attention::AttentionPlan;
use crate::batch::Batch;
use crate::burn_engine::BurnEngine;
use crate::engine::{DecoderLayer, Engine, LayerPass, LayerSettings, LmHead, Target};
use crate::rope::Rotations;
use crate::trie::Trie;
use crate::weights::{Heads, LayerTensors, Projection, Sizes};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const HEADS: [Heads; 4] = [
    Heads { queries: 4, kv: 2, dim: 8 },
    Heads { queries: 4, kv: 4, dim: 12 },
    Heads { queries: 6, kv: 1, dim: 16 },
    Heads { queries: 2, kv: 2, dim: 40 },
];

fn ours() -> CpuEngine {
    CpuEngine::new(Kernels::best(Products::F32))
}

fn burns(dtype: DType) -> BurnEngine {
    BurnEngine::new(Device::flex(), dtype)
}

/// What a layer makes of a batch.
fn forward<E: Engine>(
    engine: &E,
    layer: &E::Layer,
    x: &Tensor<2>,
    batch: &Batch,
    settings: LayerSettings,
    wanted: Option<&[u32]>,
) -> Result<Tensor<2>, Error> {
    layer.forward(x.clone(), LayerPass { settings, batch, layout: &engine.layout(batch), wanted }, None)
}

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
    Batch {
        tokens: trie.tokens.clone(),
        rotations: Rotations { cos, sin, half },
        attention: AttentionPlan::of_trie(&trie),
        wanted: None,
        threads: rayon::current_num_threads(),
    }
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
        let (ours, burns) = (ours(), burns(DType::F32));
        let (our_layer, burns_layer) = (ours.layer(sizes, copy(&tensors))?, burns.layer(sizes, tensors)?);
        let x = random([batch.tokens.len(), sizes.hidden], 1.0);
        let some: Vec<u32> = (0..batch.tokens.len() as u32).filter(|row| row % 7 < 2).collect();
        for window in [None, Some(1), Some(7), Some(20), Some(1000)] {
            for wanted in [None, Some(some.as_slice())] {
                let settings = LayerSettings { window, scale: 0.75 };
                let found = forward(&ours, &our_layer, &x, &batch, settings, wanted)?;
                let expected = forward(&burns, &burns_layer, &x, &batch, settings, wanted)?;
                let off = worst(found, expected);
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
    let x = random([batch.tokens.len(), sizes.hidden], 1.0);
    let settings = LayerSettings { window: None, scale: 1.0 };
    let burns = |dtype| {
        let engine = burns(dtype);
        forward(&engine, &engine.layer(sizes, copy(&tensors))?, &x, &batch, settings, None)
    };
    let (exact, burns) = (burns(DType::F32)?, burns(DType::BF16)?);
    let mean = |ours: Tensor<2>| (ours - exact.clone()).abs().mean().into_scalar::<f32>();
    let bound = mean(burns);
    for kernels in Kernels::each(Products::Bf16) {
        let (name, ours) = (kernels.name(), CpuEngine::new(kernels));
        let off = mean(forward(&ours, &ours.layer(sizes, copy(&tensors))?, &x, &batch, settings, None)?);
        assert!(off > 0.0 && off < bound, "{name}: off by {off:e} on average, burn by {bound:e}");
    }
    Ok(())
}

#[test]
fn heads_agree() -> Outcome {
    let sizes = Sizes { hidden: 20, intermediate: 1, heads: HEADS[0], eps: 1e-5 };
    let (norm, head, x) = (random([20], 1.0), random([77, 20], 1.0), random([9, 20], 1.0));
    let ours = ours().lm_head(sizes, norm.clone(), head.clone())?;
    let burns = burns(DType::F32).lm_head(sizes, norm, head)?;
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
    let ours = ours().lm_head(sizes, flat(&[1.0, 1.0]), head.clone())?;
    let burns = burns(DType::F32).lm_head(sizes, flat(&[1.0, 1.0]), head)?;
    for head in [&ours as &dyn LmHead, &burns] {
        assert_eq!(head.most_likely(x.clone(), 2)?, [1]);
        let greedy: Vec<bool> = head.score(x.clone(), &targets, 2)?.iter().map(|score| score.greedy).collect();
        assert_eq!(greedy, [true, false]);
    }
    Ok(())
}
