//! Tokens per second of our training on the CPU, and its memory: every token of random prompts is learnt.
//!
//! `train DIR [--batch 8] [--length 128] [--steps 5] [--memory-mib 2048]` prints a line of JSON: `tokens_per_second`
//! and `seconds` of the median step, the first one left out, which takes memory; `losses` of all steps, to be compared
//! with another program's; `peak_kib` and `weight_kib`, the weights in f32. A step is all prompts at once: forward,
//! backward, AdamW with a rate that falls from 1e-4 to nothing.

use std::time::{Duration, Instant};

use layer_ir::Checkpoint;
use layer_train::{CpuLearner, Document, Layout, ModelEngine, TrainEvent, TrainSettings, Trainer, Wanted};
use mimalloc::MiMalloc;
use tailor_benches::{Outcome, Watch, median, prompt};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Outcome {
    let watch = Watch::start();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: train DIR [--batch N] [--length N] [--steps N] [--memory-mib N]")?;
    let number = |name: &str, default: usize| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map_or(Ok(default), |value| value.parse::<usize>())
    };
    let (batch, length, steps) = (number("--batch", 8)?, number("--length", 128)?, number("--steps", 5)?);
    let memory = number("--memory-mib", 2048)? << 20;

    let checkpoint = Checkpoint::open(path)?;
    let layout = Layout::of(&checkpoint)?;
    let values = layout.read(&checkpoint)?;
    let (vocabulary, weight_kib) = (layout.config().vocab_size, layout.len() * 4 / 1024);
    let document = |index| Document { tokens: prompt(index, length, vocabulary), wanted: Wanted::Tokens { from: 1 } };
    let documents: Vec<Document> = (0..batch as u32).map(document).collect();
    let held_back = [Document { tokens: prompt(0, 8, vocabulary), wanted: Wanted::Tokens { from: 1 } }];
    let settings = TrainSettings {
        tokens: steps * batch * length,
        batch_tokens: batch * length,
        micro_tokens: batch * length,
        rate: 1e-4,
        warm_up: 0.0,
        validations: 1,
        ..TrainSettings::default()
    };
    let learner = CpuLearner::new(ModelEngine::on_cpu(layout, memory), values, &settings)?;
    let folder = tempfile::tempdir()?;
    let (training, validation, folder) = (&documents, &held_back, folder.path());
    let (settings, state_every) = (&settings, Duration::from_secs(3600));
    let trainer = Trainer { training, validation, settings, identity: "bench", folder, state_every };
    let (mut seconds, mut losses, mut start) = (Vec::new(), Vec::new(), Instant::now());
    trainer.run(Box::new(learner), &mut |event| {
        if let TrainEvent::Step { loss, .. } = event {
            seconds.push(start.elapsed().as_secs_f64());
            losses.push(loss);
        }
        start = Instant::now();
    })?;
    let median = median(&seconds[1.min(seconds.len() - 1)..]);
    let line = serde_json::json!({
        "batch": batch, "length": length, "tokens_per_second": (batch * length) as f64 / median, "seconds": median,
        "all_steps": seconds, "losses": losses, "peak_kib": watch.peak().peak, "weight_kib": weight_kib,
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
    Ok(())
}
