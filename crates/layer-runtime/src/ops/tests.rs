//! The CPU's kernels against burn's operations.

use burn::tensor::{Device, Distribution, Tensor, TensorData};

use super::{CpuOps, HeadNorms, Heads, KeyValues, Ops, PlainOps, Target};
use crate::attention::AttentionPlan;
use crate::batch::Batch;
use crate::rope::Rotations;
use crate::trie::Trie;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const HEADS: [Heads; 4] = [
    Heads { queries: 4, kv: 2, dim: 8 },
    Heads { queries: 4, kv: 4, dim: 12 },
    Heads { queries: 6, kv: 1, dim: 16 },
    Heads { queries: 2, kv: 2, dim: 40 },
];

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn compare<const D: usize>(what: &str, ours: Tensor<D>, burns: Tensor<D>) {
    assert_eq!(ours.dims(), burns.dims(), "{what}");
    let worst = (ours - burns).abs().max().into_scalar::<f32>();
    assert!(worst < 2e-5, "{what}: differs by up to {worst:e}");
}

/// Sequences with shared prefixes, one longer than a task of the kernel.
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

#[test]
fn norms_and_gates_agree() -> Outcome {
    for [rows, width] in [[1, 16], [37, 50], [300, 96]] {
        let (x, weight) = (random([rows, width]), random([width]));
        let (kept, ours) = CpuOps.rms_norm(x.clone(), &weight, 1e-5)?;
        compare("rms_norm's input", kept, x.clone());
        compare("rms_norm", ours, PlainOps.rms_norm(x.clone(), &weight, 1e-5)?.1);
        compare("swiglu", CpuOps.swiglu(x.clone() * 5.0)?, PlainOps.swiglu(x * 5.0)?);
    }
    Ok(())
}

#[test]
fn rotations_agree() -> Outcome {
    for heads in HEADS {
        let batch = batch(heads.dim / 2);
        let qkv = random([batch.tokens.len(), (heads.queries + 2 * heads.kv) * heads.dim]);
        let (query, key) = (random([heads.dim]), random([heads.dim]));
        for norms in [None, Some(HeadNorms { query: &query, key: &key, eps: 1e-6 })] {
            let (queries, ours) = CpuOps.rotate(qkv.clone(), norms, heads, &batch)?;
            let (expected, burns) = PlainOps.rotate(qkv.clone(), norms, heads, &batch)?;
            compare("queries", queries, expected);
            compare("keys", ours.keys, burns.keys);
            compare("values", ours.values, burns.values);
        }
    }
    Ok(())
}

#[test]
fn attention_agrees_with_and_without_windows() -> Outcome {
    for heads in HEADS {
        let batch = batch(heads.dim / 2);
        let rows = batch.tokens.len();
        let queries = random([rows, heads.queries * heads.dim]) * 2.0;
        let (keys, values) = (random([rows, heads.kv * heads.dim]), random([rows, heads.kv * heads.dim]));
        let seen = || KeyValues { keys: keys.clone(), values: values.clone() };
        for window in [None, Some(1), Some(7), Some(20), Some(1000)] {
            let (ours, kept) = CpuOps.attend(queries.clone(), seen(), window, heads, &batch)?;
            let (burns, _) = PlainOps.attend(queries.clone(), seen(), window, heads, &batch)?;
            compare(&format!("attention, {heads:?}, window {window:?}"), ours, burns);
            compare("keys handed back", kept.keys, keys.clone());
        }
    }
    Ok(())
}

#[test]
fn scores_agree() -> Outcome {
    let logits: Tensor<2> = random([9, 77]) * 4.0;
    let best = PlainOps.most_likely(logits.clone())?;
    assert_eq!(CpuOps.most_likely(logits.clone())?, best);
    let targets: Vec<Target> = (0..9).flat_map(|row| [0, 76, best[row]].map(|token| Target { row, token })).collect();
    let ours = CpuOps.score(logits.clone(), &targets)?;
    for (i, (ours, burns)) in ours.iter().zip(PlainOps.score(logits, &targets)?).enumerate() {
        assert!((ours.log_probability - burns.log_probability).abs() < 1e-5, "{i}: {ours:?}, {burns:?}");
        assert_eq!(ours.greedy, burns.greedy, "{i}");
    }
    Ok(())
}

#[test]
fn the_lowest_of_equals_is_the_most_likely() -> Outcome {
    let logits = || Tensor::<2>::from_data(TensorData::new(vec![1.0_f32, 3.0, 3.0, 2.0], [1, 4]), &Device::flex());
    let targets = [Target { row: 0, token: 1 }, Target { row: 0, token: 2 }];
    for ops in [&CpuOps as &dyn Ops, &PlainOps] {
        assert_eq!(ops.most_likely(logits())?, [1]);
        let greedy: Vec<bool> = ops.score(logits(), &targets)?.iter().map(|score| score.greedy).collect();
        assert_eq!(greedy, [true, false]);
    }
    Ok(())
}
