//! Training on a device against training on the CPU. Which device stands in `TAILOR_TEST_DEVICE` (`wgpu:0`, `cuda`,
//! ...), and its feature must be built in; without the variable nothing is tried.
#![cfg(any(feature = "cuda", feature = "wgpu"))]

mod support;

use std::env;
use std::time::Instant;

use layer_ir::{Checkpoint, Dtype};
use layer_runtime::open_device;
use layer_train::{
    BurnLearner, BurnSettings, CpuLearner, HiddenTarget, Layout, Learner, ModelEngine, PackedBatch, Step, Target,
    TrainSettings, TrainWhat,
};
use support::{Family, Result};

/// Several heads for each key, tied embeddings and biases, norms of heads, a window.
const MODELS: [&str; 3] = ["mistral-window-headdim", "qwen2-tied-f16", "qwen3-qknorm-bf16"];

/// The device to try.
fn device() -> Option<String> {
    let name = env::var("TAILOR_TEST_DEVICE").ok();
    if name.is_none() {
        println!("skipped: TAILOR_TEST_DEVICE names no device");
    }
    name
}

/// The losses of the first steps, then the gradients and the loss after them.
fn steps(learner: &mut dyn Learner, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<(Vec<f64>, Vec<f32>)> {
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for number in 1..=3 {
        learner.zero_gradients()?;
        losses.push(learner.add_gradients(batch, targets)?);
        if number == 1 {
            gradients = learner.gradients()?.into_owned();
        }
        let clip = (1.0 / learner.gradient_norm()?).min(1.0);
        learner.update(Step { number, rate: 1e-3, clip })?;
    }
    losses.push(learner.loss(batch, targets)?);
    Ok((losses, gradients))
}

/// The largest difference as a share of the second's largest number.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    ours.iter().zip(theirs).fold(0_f32, |apart, (a, b)| apart.max((a - b).abs())) / largest
}

#[test]
fn a_device_learns_as_the_cpu_does() -> Result {
    let Some(name) = device() else { return Ok(()) };
    for (model, what) in MODELS.into_iter().zip([TrainWhat::All, TrainWhat::All, LORA]) {
        let begin = Instant::now();
        let folder = format!("{}/../layer-runtime/tests/golden/models/{model}", env!("CARGO_MANIFEST_DIR"));
        let checkpoint = Checkpoint::open(&folder)?;
        let layout = Layout::of(&checkpoint)?;
        let values = layout.read(&checkpoint)?;
        let batch = PackedBatch::new(&[&text(1, 40), &text(2, 9), &text(3, 37)], layout.config())?;
        let named: Vec<[u32; 2]> = batch.tokens().iter().map(|token| [*token, *token + 7]).collect();
        let stream: Vec<f32> = (0..layout.config().hidden_size).map(|i| (0.3 * i as f32).sin()).collect();
        let targets: Vec<Target<'_>> = (0..30).map(|row| target(row, &named, &stream)).collect();
        let training = TrainSettings { what, ..TrainSettings::default() };
        let settings = BurnSettings::new(open_device(&name)?, Some(Dtype::F32))?;
        let engine = ModelEngine::on_cpu(layout.clone(), 1 << 30);
        let mut ours = CpuLearner::new(engine, values.clone(), &training)?;
        let mut theirs = BurnLearner::new(layout, values, &training, settings)?;
        let (ours, theirs) = (steps(&mut ours, &batch, &targets)?, steps(&mut theirs, &batch, &targets)?);
        let gradients = apart(&theirs.1, &ours.1);
        let pairs = theirs.0.iter().zip(&ours.0);
        let losses = pairs.map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
        let seconds = begin.elapsed().as_secs_f32();
        println!("{model} on {name}: gradients differ by {gradients:.1e}, losses by {losses:.1e}; {seconds:.1} s");
        assert!(gradients <= 1e-4, "{model}: gradients differ by {gradients:e} of the largest");
        assert!(losses <= 1e-4, "{model}: losses differ by {losses:e} of themselves: {theirs:?} and {ours:?}");
    }
    Ok(())
}

const LORA: TrainWhat = TrainWhat::Lora { rank: 4, alpha: 8.0 };

/// A distribution, or a token and a stream.
fn target<'a>(row: usize, named: &'a [[u32; 2]], stream: &'a [f32]) -> Target<'a> {
    const LN_P: [f32; 2] = [-std::f32::consts::LN_2, -1.609_438]; // 0.5 and 0.2, 0.3 for the others
    let token = Target::token(row, 0.03, &named[row + 1][0]);
    if row.is_multiple_of(2) {
        return Target { hidden: Some(HiddenTarget { weight: 0.01, stream }), ..token };
    }
    Target { tokens: &named[row + 1], ln_p: &LN_P, ln_rest: -1.203_972_8, ..token }
}

/// Token ids that look random and are always the same.
fn text(seed: u32, length: u32) -> Vec<u32> {
    (0..length).map(|i| 3 + (seed * 7919 + i * i * 31 + i * 17) % 80).collect()
}

/// The whole command, on the device and on the CPU, with f32 products.
#[test]
fn a_device_heals_to_the_losses_of_the_cpu() -> Result {
    let Some(name) = device() else { return Ok(()) };
    let family = Family::new()?;
    let heal = "heal models/math OUT --teacher models/base --tasks words --include tasks --split validation \
                --held-back 0.2 --tokens 600 --batch 128 --rate 1e-3 --validations 2 --compute f32 --quiet";
    let mut losses = Vec::new();
    for (folder, device) in [("there", name.as_str()), ("here", "cpu")] {
        family.run(&format!("{} --device {device}", heal.replace("OUT", folder)))?;
        let curve = family.json(&format!("{folder}/curve.json"))?;
        let points = curve["curve"].as_array().ok_or("no curve")?.clone();
        losses.push(points.iter().filter_map(|point| point["validation"].as_f64()).collect::<Vec<f64>>());
    }
    let [there, here] = [&losses[0], &losses[1]];
    assert_eq!(there.len(), here.len());
    let worst = there.iter().zip(here).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    assert!(worst < 1e-3, "losses on {name} {there:?}, on the CPU {here:?}");
    assert!(there.last() < there.first(), "{there:?}");
    Ok(())
}
