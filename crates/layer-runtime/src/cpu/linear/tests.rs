//! The products against sums in f64, and the instructions for bf16 against vectors of f32.

use burn::tensor::TensorData;
use proptest::prelude::*;

use super::{Columns, Kernels, Linear, ProductBuffers, Products, StoreMode, WeightPart, WeightValues};

/// Numbers in [-1, 1) that look random and are always the same.
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bf16(value: f32) -> f64 {
    f64::from(half::bf16::from_f32(value).to_f32())
}

/// The fastest for f32, and each one for bf16.
fn all_kernels() -> Vec<Kernels> {
    [vec![Kernels::best(Products::F32)], Kernels::each(Products::Bf16)].concat()
}

struct Case {
    rows: usize,
    inputs: usize,
    outputs: Vec<usize>,
    columns: Columns,
    bias: bool,
    /// The weights are bf16: some processors compute their products in f32 in another way.
    stored: bool,
}

impl Case {
    fn weight(&self, part: usize) -> Vec<f32> {
        let mut weight = numbers(7 + part as u32, self.outputs[part] * self.inputs);
        if self.stored {
            weight.iter_mut().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
        }
        weight
    }

    fn parts(&self) -> Vec<WeightPart> {
        let part = |(index, &outputs): (usize, &usize)| WeightPart {
            weight: WeightValues::F32(self.weight(index)),
            outputs,
            bias: self.bias.then(|| numbers(70 + index as u32, outputs)),
        };
        self.outputs.iter().enumerate().map(part).collect()
    }

    /// The result by sums in f64 of operands as `rounded` makes them, on top of what was there.
    fn expected(&self, x: &[f32], before: &[f32], rounded: impl Fn(f32) -> f64) -> Vec<f64> {
        let parts = self.parts();
        let weights: Vec<Vec<f32>> = (0..parts.len()).map(|part| self.weight(part)).collect();
        let mut out = Vec::new();
        for x in x.chunks_exact(self.inputs) {
            let mut row: Vec<f64> = Vec::new();
            for (part, weight) in parts.iter().zip(&weights) {
                for (i, weight) in weight.chunks_exact(self.inputs).enumerate() {
                    let sum: f64 = weight.iter().zip(x).map(|(w, x)| rounded(*w) * rounded(*x)).sum();
                    row.push(sum + part.bias.as_ref().map_or(0.0, |bias| f64::from(bias[i])));
                }
            }
            if self.columns == Columns::Gated {
                let (gates, ups) = row.split_at(row.len() / 2);
                row = gates.iter().zip(ups).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
            }
            out.extend(row);
        }
        out.iter().zip(before).map(|(value, before)| value + f64::from(*before)).collect()
    }

    fn found(&self, x: &[f32], before: &[f32], store: StoreMode, kernels: &Kernels, split: bool) -> Vec<f32> {
        let linear = Linear::new(&self.parts(), self.inputs, self.columns, kernels);
        let mut out = before.to_vec();
        linear.apply(x, &mut out, store, &mut ProductBuffers::default(), split);
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// All shapes, padded or not, shared out or not, in each type.
    #[test]
    fn products_are_sums_of_products(
        rows in 1_usize..40,
        inputs in 1_usize..130,
        outputs in prop::collection::vec(1_usize..70, 1..4),
        gated in any::<bool>(),
        bias in any::<bool>(),
        add in any::<bool>(),
        split in any::<bool>(),
        stored in any::<bool>(),
    ) {
        let columns = if gated { Columns::Gated } else { Columns::Plain };
        let outputs = if gated { vec![outputs[0]; 2] } else { outputs };
        let case = Case { rows, inputs, outputs, columns, bias, stored };
        let width: usize = case.outputs.iter().sum::<usize>() / if gated { 2 } else { 1 };
        let x = numbers(1, case.rows * inputs);
        let there = numbers(2, rows * width);
        let store = if add { StoreMode::Add } else { StoreMode::Set };
        let before = if add { there.clone() } else { vec![0.0; there.len()] };
        let bound = 2e-6 * inputs as f64 + 2e-6;
        for kernel in all_kernels() {
            let start = if add { &there } else { &before };
            let found = case.found(&x, start, store, &kernel, split);
            let expected = match kernel.products {
                Products::F32 => case.expected(&x, &before, f64::from),
                Products::Bf16 => case.expected(&x, &before, bf16),
            };
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                let off = (f64::from(*found) - expected).abs();
                prop_assert!(off <= bound * (1.0 + expected.abs()), "{kernel:?}, number {i}: {found} for {expected}");
            }
        }
    }
}

/// Weights that a checkpoint stores in bf16 are packed without a detour, to the same panels.
#[test]
fn stored_bf16_is_packed_as_it_is() {
    let case = Case { rows: 3, inputs: 77, outputs: vec![37], columns: Columns::Plain, bias: false, stored: false };
    let rounded: Vec<half::bf16> = case.weight(0).into_iter().map(half::bf16::from_f32).collect();
    let same = WeightValues::F32(rounded.iter().map(|value| value.to_f32()).collect());
    let stored = WeightValues::Bf16(TensorData::new(rounded, [37 * 77]));
    let x = numbers(5, case.rows * case.inputs);
    for kernel in all_kernels() {
        let [same, stored] = [&same, &stored].map(|weight| {
            let weight = match weight {
                WeightValues::F32(values) => WeightValues::F32(values.clone()),
                WeightValues::Bf16(data) => WeightValues::Bf16(data.clone()),
            };
            let linear =
                Linear::new(&[WeightPart { weight, outputs: 37, bias: None }], case.inputs, case.columns, &kernel);
            let mut out = vec![0.0; case.rows * 37];
            linear.apply(&x, &mut out, StoreMode::Set, &mut ProductBuffers::default(), false);
            out
        });
        assert_eq!(same, stored, "{kernel:?}");
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let outputs = vec![50];
    let mut case = Case { rows: 31, inputs: 96, outputs, columns: Columns::Plain, bias: false, stored: false };
    let x = numbers(3, case.rows * case.inputs);
    let f32 = Kernels::best(Products::F32);
    let bf16 = Kernels::each(Products::Bf16).into_iter().map(|kernel| (kernel, false));
    for (kernel, stored) in [(f32.clone(), false), (f32, true)].into_iter().chain(bf16) {
        case.stored = stored;
        let all = case.found(&x, &vec![0.0; case.rows * 50], StoreMode::Set, &kernel, false);
        for (row, x) in x.chunks_exact(case.inputs).enumerate() {
            let alone = case.found(x, &[0.0; 50], StoreMode::Set, &kernel, true);
            assert_eq!(alone, all[row * 50..(row + 1) * 50], "{kernel:?}, row {row}");
        }
    }
}

/// `vdpbf16ps` to the bit; tiles within the bound of another order of sums.
#[test]
fn the_instructions_agree_with_vectors_of_f32() {
    let case =
        Case { rows: 45, inputs: 200, outputs: vec![64, 33], columns: Columns::Plain, bias: false, stored: false };
    let x = numbers(4, case.rows * case.inputs);
    let before = vec![0.0; case.rows * 97];
    let all = Kernels::each(Products::Bf16);
    let found = |kernel: &Kernels| case.found(&x, &before, StoreMode::Set, kernel, false);
    let vectors = found(&all[all.len() - 1]);
    for (choice, name) in [(0, "AMX-BF16"), (1, "AVX512-BF16")] {
        let Some(kernel) = all.iter().find(|kernel| kernel.name() == name) else {
            println!("skipped: this processor has no {name}");
            continue;
        };
        let worst = found(kernel).iter().zip(&vectors).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: differs from vectors by up to {worst:e}");
        assert!(if choice == 1 { worst == 0.0 } else { worst < 2e-4 }, "{name}: differs by up to {worst:e}");
    }
    assert_eq!(all[all.len() - 1].name(), "any");
}
