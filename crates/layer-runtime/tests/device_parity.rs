//! A device's answers against the CPU's. Which device stands in `TAILOR_TEST_DEVICE` (`wgpu:0`, `cuda`, ...); without
//! it nothing is tried.
//!
//! The models are small enough for a driver that computes on the CPU; the shapes are few, as a device tunes each one
//! at its first use.

mod support;

use std::env;
use std::time::Instant;

use layer_runtime::{RecipeModel, Runtime, RuntimeOptions};
use support::{MODELS, Outcome, expected, golden, plain, runtime_on, worst_difference};
use task_eval::{GenerateRequest, LanguageModel, ScoreRequest};

/// The largest difference of f32 logits and log-likelihoods.
const ALLOWED: f32 = 2e-4;

/// The models have as many key/value heads as query heads, or fewer, which burn's attention gets wrong on some
/// devices; with and without a sliding window, norms of heads and biases.
#[test]
fn a_device_agrees_with_the_cpu() -> Outcome {
    let Ok(device) = env::var("TAILOR_TEST_DEVICE") else {
        println!("skipped: TAILOR_TEST_DEVICE names no device");
        return Ok(());
    };
    for name in MODELS {
        // Of the CPU, burn's operations against our kernels.
        let theirs = open(&device, name, (device == "cpu").then_some("burn"))?;
        let (mut theirs, mut ours) = (model(&theirs)?, model(&open("cpu", name, None)?)?);
        let begin = Instant::now();
        let logits = logits_differ_by(name, &mut theirs, &mut ours)?;
        let scores = scores_differ_by(name, &mut theirs, &mut ours)?;
        let generated = generate(&mut theirs)?;
        let seconds = begin.elapsed().as_secs_f32();
        println!("{name} on {device}: logits differ by {logits:.1e}, scores by {scores:.1e}; {seconds:.1} s");
        assert!(logits <= ALLOWED, "{name}: logits differ by up to {logits:e}");
        assert!(scores <= ALLOWED, "{name}: scores differ by up to {scores:e}");
        assert_eq!(generated, generate(&mut ours)?, "{name}: greedy tokens");
    }
    Ok(())
}

/// A golden model on a device, by an engine.
fn open(device: &str, name: &str, engine: Option<&'static str>) -> Outcome<Runtime> {
    let options = RuntimeOptions { engine, ..RuntimeOptions::default() };
    runtime_on(device, &[("base", golden(&format!("models/{name}")))], options)
}

fn model(runtime: &Runtime) -> Outcome<RecipeModel> {
    Ok(runtime.model(plain(runtime)?)?)
}

/// All golden sequences in one padded batch.
fn logits_differ_by(name: &str, theirs: &mut RecipeModel, ours: &mut RecipeModel) -> Outcome<f32> {
    let expected = expected(name)?;
    let sequences: Vec<&[u32]> = expected.iter().map(|(ids, _)| ids.as_slice()).collect();
    let pairs = theirs.logits(&sequences)?.into_iter().zip(ours.logits(&sequences)?);
    Ok(pairs.map(|(theirs, ours)| worst_difference(&theirs, &ours)).fold(0.0, f32::max))
}

/// Two questions behind shared shots, with choices of one and of three tokens.
fn scores_differ_by(name: &str, theirs: &mut RecipeModel, ours: &mut RecipeModel) -> Outcome<f32> {
    let mut requests = Vec::new();
    for question in 0..2 {
        let context: Vec<u32> = text(1, 7).into_iter().chain(text(10 + question, 5)).collect();
        for (choice, length) in [1, 1, 3].into_iter().enumerate() {
            let continuation = text(100 + choice as u32, length).into();
            requests.push(ScoreRequest { context: context.as_slice().into(), continuation });
        }
    }
    let theirs = theirs.score(&requests).map_err(|error| error.to_string())?;
    let ours = ours.score(&requests).map_err(|error| error.to_string())?;
    let mut worst = 0.0_f32;
    for (i, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        let values = [theirs.log_likelihood as f32, ours.log_likelihood as f32];
        worst = worst.max(worst_difference(&values[..1], &values[1..]));
        assert_eq!(theirs.greedy, ours.greedy, "{name}, request {i}");
    }
    Ok(worst)
}

/// Six tokens after each of two prompts, from the cache of keys and values.
fn generate(model: &mut RecipeModel) -> Outcome<Vec<Vec<u32>>> {
    let never = |_: &[u32]| false;
    let prompts = [text(2, 8), text(3, 5)];
    let request =
        |prompt: &Vec<u32>| GenerateRequest { context: prompt.as_slice().into(), max_new_tokens: 6, stop: &never };
    let requests: Vec<GenerateRequest<'_>> = prompts.iter().map(request).collect();
    Ok(model.generate(&requests).map_err(|error| error.to_string())?)
}

/// Token ids that look random and are always the same.
fn text(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| 3 + (seed * 7919 + i * i * 31 + i * 17) % 300).collect()
}
