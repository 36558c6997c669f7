//! Learn how the bundled family was made: trains a base Llama and three fine-tunes of it, and writes them with their tasks.
//!
//! `cargo run --release -p tailor-examples --example train_family -- OUT [SEED] [BASE_STEPS] [FINE_TUNE_STEPS]`

mod checkpoint;
mod net;
mod tasks;
mod tokens;
mod train;

use std::path::PathBuf;

use burn::tensor::Device;
use rand::{SeedableRng, rngs::ChaCha8Rng};

use net::{Net, Sizes};
use tasks::{Question, Skill, Split};
use train::Run;

const LAYERS: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().ok_or("usage: train_family OUT [SEED] [BASE_STEPS] [FINE_TUNE_STEPS]")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seed, base_steps, tune_steps) = (number(1)? as u64, number(2200)?, number(500)?);

    let sizes = Sizes { layers: LAYERS, width: 96, heads: 3, hidden: 256, vocabulary: tokens::vocabulary().len() };
    let device = Device::flex().autodiff();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let net = Net::new(sizes, &mut random, &device);
    let questions = |split, count| -> Vec<Vec<Question>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed + 1000);
        Skill::ALL.iter().map(|skill| (0..count).map(|_| skill.question(split, &mut random)).collect()).collect()
    };
    let watched = questions(Split::Validation, 200);
    let report = |name: &str, step: usize, loss: f32, net: &Net| {
        let scores: Vec<String> = watched
            .iter()
            .map(|questions| format!("{:.3}", train::accuracy(net, sizes, questions, &[false; LAYERS], &device)))
            .collect();
        println!("{name:10} step {step:5} loss {loss:.4} accuracy {}", scores.join(" "));
    };

    let run = Run { steps: base_steps, rate: 2e-3, mixture: [1.0, 1.0, 1.0, 1.5], seed, layer_drop: 0.2 };
    let base = train::train(net, sizes, &run, &device, |step, loss, net| report("base", step, loss, net));
    checkpoint::write(&out.join("base"), &base, sizes)?;
    let tunes = [("math", [8.0, 0.5, 0.5, 1.0]), ("lists", [0.5, 8.0, 0.5, 1.0]), ("recall", [0.5, 0.5, 8.0, 1.0])];
    for (i, (name, mixture)) in tunes.into_iter().enumerate() {
        let run = Run { steps: tune_steps, rate: 6e-4, mixture, seed: seed + 1 + i as u64, layer_drop: 0.2 };
        let tuned = train::train(base.clone(), sizes, &run, &device, |step, loss, net| report(name, step, loss, net));
        checkpoint::write(&out.join(name), &tuned, sizes)?;
    }
    checkpoint::write_tasks(
        &out.join("tasks"),
        &[
            ("train", questions(Split::Train, 100)),
            ("validation", questions(Split::Validation, 500)),
            ("test", questions(Split::Test, 1000)),
        ],
    )?;
    Ok(())
}
