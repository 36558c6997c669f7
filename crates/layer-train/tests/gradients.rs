//! Gradients against finite differences, for each architecture; and that they depend on nothing but their arguments.

mod support;

use std::path::Path;

use layer_train::{AllGradients, ModelEngine, PackedBatch, Target};
use safetensors::SafeTensors;
use support::{Example, HIDDEN_MODELS, MODELS, Outcome};

/// The loss and its gradients.
fn gradients(example: &Example, activation_bytes: usize) -> Outcome<(f64, Vec<f32>)> {
    let engine = ModelEngine::on_cpu(example.layout.clone(), activation_bytes);
    let mut values = vec![0.0; example.layout.len()];
    let mut sink = AllGradients { layout: &example.layout, values: &mut values };
    let loss = engine.gradients(&example.values, &example.batch, &example.targets(), &mut sink)?;
    Ok((loss, values))
}

/// Along the gradient g of one tensor the loss rises by |g|^2 for each unit. In f32 the difference of two losses has
/// some four digits; the fourth power of Qwen's large weights costs two more.
#[test]
fn gradients_are_those_of_finite_differences() -> Outcome {
    MODELS.iter().try_for_each(|name| check_slopes(name, &Example::new(name)?))
}

#[test]
fn gradients_of_hidden_states_are_those_of_finite_differences() -> Outcome {
    HIDDEN_MODELS.iter().try_for_each(|name| check_slopes(name, &Example { hidden: true, ..Example::new(name)? }))
}

fn check_slopes(name: &str, example: &Example) -> Outcome {
    let (_, gradients) = gradients(example, usize::MAX)?;
    let engine = ModelEngine::on_cpu(example.layout.clone(), 0);
    for parameter in example.layout.parameters() {
        let range = parameter.range.clone();
        let norm = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let (length, size) = (norm(&gradients[range.clone()]), norm(&example.values[range.clone()]).max(1.0));
        let step = 3e-3 * size / length;
        let at = |step: f64| -> Outcome<f64> {
            let mut values = example.values.clone();
            for place in range.clone() {
                values[place] += (step * f64::from(gradients[place])) as f32;
            }
            Ok(engine.loss(&values, &example.batch, &example.targets())?)
        };
        let slope = (at(step)? - at(-step)?) / (2.0 * step);
        let off = slope / length.powi(2) - 1.0;
        assert!(off.abs() < 0.02, "{name}: {}: the slope is off by {off:.4} of itself", parameter.name);
    }
    Ok(())
}

/// `tests/golden/gradients.safetensors`: transformers 5.24, torch 2.15; made by `tests/golden/make.py`. Both sides sum
/// in f32, in different orders.
#[test]
fn losses_and_gradients_agree_with_torch() -> Outcome {
    MODELS.iter().try_for_each(|name| agree_with_torch(name, &Example::new(name)?, "gradients.safetensors", 17))
}

/// `tests/golden/hidden.safetensors`, likewise.
#[test]
fn losses_and_gradients_of_hidden_states_agree_with_torch() -> Outcome {
    HIDDEN_MODELS.iter().try_for_each(|name| {
        agree_with_torch(name, &Example { hidden: true, ..Example::new(name)? }, "hidden.safetensors", 53)
    })
}

/// Compares the loss, and of each gradient every number at a multiple of `step`: within 1e-5 of the largest, or
/// of f32's epsilon of the model's largest, as a gradient far below the others is a sum whose terms cancel.
fn agree_with_torch(name: &str, example: &Example, file: &str, step: usize) -> Outcome {
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file))?;
    let golden = SafeTensors::deserialize(&file)?;
    let expected = |name: &str| -> Outcome<Vec<f32>> {
        let four = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(golden.tensor(name)?.data().chunks_exact(4).map(four).collect())
    };
    let (loss, gradients) = gradients(example, usize::MAX)?;
    let theirs = f64::from(expected(&format!("{name}/loss"))?[0]);
    assert!((loss - theirs).abs() < 1e-5 * theirs, "{name}: loss {loss}, torch says {theirs}");
    let epsilon = f32::EPSILON * gradients.iter().fold(0_f32, |largest, value| largest.max(value.abs()));
    for parameter in example.layout.parameters() {
        let theirs = expected(&format!("{name}/{}", parameter.name))?;
        let ours: Vec<f32> = gradients[parameter.range.clone()].iter().copied().step_by(step).collect();
        assert_eq!(ours.len(), theirs.len(), "{name}: {}", parameter.name);
        let largest = theirs.iter().fold(0_f32, |largest, value| largest.max(value.abs()));
        let apart = ours.iter().zip(&theirs).fold(0_f32, |apart, (a, b)| apart.max((a - b).abs()));
        let tensor = &parameter.name;
        assert!(
            apart <= (1e-5 * largest).max(epsilon),
            "{name}: {tensor} is off by up to {apart:e} of at most {largest:e}"
        );
    }
    Ok(())
}

/// To the last bit.
#[test]
fn gradients_depend_neither_on_threads_nor_on_what_is_kept() -> Outcome {
    for name in MODELS {
        let example = Example::new(name)?;
        let (loss, all) = gradients(&example, usize::MAX)?;
        for (threads, bytes) in [(1, usize::MAX), (2, 0), (3, 100_000)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let (same, again) = pool.install(|| gradients(&example, bytes).map_err(|error| error.to_string()))?;
            assert_eq!(loss.to_bits(), same.to_bits(), "{name}, {threads} threads, {bytes} bytes");
            let differs = all.iter().zip(&again).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs, None, "{name}, {threads} threads, {bytes} bytes");
        }
    }
    Ok(())
}

/// A sequence sees itself alone, so its loss is the same wherever it stands in a batch.
#[test]
fn sequences_do_not_see_each_other() -> Outcome {
    let example = Example::new("llama3-gqa-sharded-bf16")?;
    let engine = ModelEngine::on_cpu(example.layout.clone(), 0);
    let together = engine.loss(&example.values, &example.batch, &example.targets())?;
    let mut alone = 0.0;
    for rows in example.batch.sequences() {
        let batch = PackedBatch::new(&[&example.batch.tokens()[rows.clone()]], example.layout.config())?;
        let own = example.targets().into_iter().filter(|target| rows.contains(&target.row));
        let targets: Vec<Target<'_>> = own.map(|target| Target { row: target.row - rows.start, ..target }).collect();
        alone += engine.loss(&example.values, &batch, &targets)?;
    }
    assert!((together - alone).abs() < 1e-6 * together.abs(), "{together} together, {alone} alone");
    Ok(())
}
