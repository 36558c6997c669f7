//! Gradients against finite differences, for each architecture; and that they depend on nothing but their arguments.

use std::path::{Path, PathBuf};

use layer_ir::Checkpoint;
use layer_train::{AllGradients, HiddenTarget, Layout, ModelEngine, PackedBatch, Target};
use safetensors::SafeTensors;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Several heads for each key (Llama 3), tied embeddings and biases (Qwen 2), norms of heads (Qwen 3), a window and
/// heads of their own width (Mistral).
const MODELS: [&str; 5] =
    ["llama-mha", "llama3-gqa-sharded-bf16", "mistral-window-headdim", "qwen2-tied-f16", "qwen3-qknorm-bf16"];

/// Those with which the loss of hidden states is tried.
const HIDDEN_MODELS: [&str; 2] = ["mistral-window-headdim", "qwen2-tied-f16"];

/// The golden models of the runtime, whose logits are those of transformers.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../layer-runtime/tests/golden/models").join(name)
}

/// A model, sequences of several lengths, and what is wanted of them: right answers and whole distributions.
struct Example {
    layout: Layout,
    values: Vec<f32>,
    batch: PackedBatch,
    named: Vec<[u32; 2]>,
    /// A stream for each row.
    streams: Vec<Vec<f32>>,
    /// Whether the streams of every fourth row are wanted too.
    hidden: bool,
}

impl Example {
    fn new(name: &str) -> Outcome<Self> {
        let checkpoint = Checkpoint::open(golden(name))?;
        let layout = Layout::of(&checkpoint)?;
        let values = layout.read(&checkpoint)?;
        let vocabulary = u32::try_from(layout.config().vocab_size)?;
        let sequence = |(number, length): (u32, u32)| {
            (0..length).map(|i| (i * 7919 + number * 31 + i * i * 13) % vocabulary).collect::<Vec<u32>>()
        };
        // One longer than a block of queries, one of a single token.
        let sequences: Vec<Vec<u32>> = (0..).zip([5, 70, 1, 123]).map(sequence).collect();
        let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let batch = PackedBatch::new(&sequences, layout.config())?;
        let named = batch.tokens().iter().map(|token| {
            let other = (token + 5) % vocabulary;
            [other.min(*token), other.max(*token)]
        });
        let hidden = layout.config().hidden_size;
        let number = |row: usize, i: usize| (0.37 * row as f64 + 0.11 * i as f64).sin() as f32;
        let stream = |row| (0..hidden).map(|i| number(row, i)).collect();
        let streams = (0..batch.rows()).map(stream).collect();
        Ok(Self { named: named.collect(), layout, values, batch, streams, hidden: false })
    }

    fn targets(&self) -> Vec<Target<'_>> {
        const LN_P: [f32; 2] = [-std::f32::consts::LN_2, -1.609_438]; // 0.5 and 0.2, 0.3 for the others
        let rows = self.batch.sequences().iter().flat_map(|rows| rows.start..rows.end - 1);
        let target = |row: usize| {
            let token = Target::token(row, 0.01, &self.batch.tokens()[row + 1]);
            let hidden =
                (self.hidden && row % 4 == 1).then(|| HiddenTarget { weight: 0.007, stream: &self.streams[row] });
            match row % 3 {
                0 => Target { tokens: &self.named[row + 1], ln_p: &LN_P, ln_rest: -1.203_972_8, hidden, ..token },
                _ => Target { hidden, ..token },
            }
        };
        rows.map(target).collect()
    }

    /// The loss and its gradients.
    fn gradients(&self, activation_bytes: usize) -> Outcome<(f64, Vec<f32>)> {
        let engine = ModelEngine::on_cpu(self.layout.clone(), activation_bytes);
        let mut values = vec![0.0; self.layout.len()];
        let mut sink = AllGradients { layout: &self.layout, values: &mut values };
        let loss = engine.gradients(&self.values, &self.batch, &self.targets(), &mut sink)?;
        Ok((loss, values))
    }
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
    let (_, gradients) = example.gradients(usize::MAX)?;
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

/// Compares the loss, and of each gradient every number at a multiple of `step`.
fn agree_with_torch(name: &str, example: &Example, file: &str, step: usize) -> Outcome {
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file))?;
    let golden = SafeTensors::deserialize(&file)?;
    let expected = |name: &str| -> Outcome<Vec<f32>> {
        let four = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(golden.tensor(name)?.data().chunks_exact(4).map(four).collect())
    };
    let (loss, gradients) = example.gradients(usize::MAX)?;
    let theirs = f64::from(expected(&format!("{name}/loss"))?[0]);
    assert!((loss - theirs).abs() < 1e-5 * theirs, "{name}: loss {loss}, torch says {theirs}");
    for parameter in example.layout.parameters() {
        let theirs = expected(&format!("{name}/{}", parameter.name))?;
        let ours: Vec<f32> = gradients[parameter.range.clone()].iter().copied().step_by(step).collect();
        assert_eq!(ours.len(), theirs.len(), "{name}: {}", parameter.name);
        let largest = theirs.iter().fold(0_f32, |largest, value| largest.max(value.abs()));
        let apart = ours.iter().zip(&theirs).fold(0_f32, |apart, (a, b)| apart.max((a - b).abs()));
        let tensor = &parameter.name;
        assert!(apart <= 1e-5 * largest, "{name}: {tensor} is off by up to {apart:e} of at most {largest:e}");
    }
    Ok(())
}

/// To the last bit.
#[test]
fn gradients_depend_neither_on_threads_nor_on_what_is_kept() -> Outcome {
    for name in MODELS {
        let example = Example::new(name)?;
        let (loss, all) = example.gradients(usize::MAX)?;
        for (threads, bytes) in [(1, usize::MAX), (2, 0), (3, 100_000)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let (same, again) = pool.install(|| example.gradients(bytes).map_err(|error| error.to_string()))?;
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
