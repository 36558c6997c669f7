//! Tokens per second of our forward pass, and its memory: every token of random prompts is scored, as a harness scores
//! a text; with `--score last` only the last token of each prompt, so that the head sees one position of each.
//!
//! `forward DIR [--dtype f32|bf16] [--device cpu] [--batch 8] [--length 256] [--turns 7] [--score all|last]
//! [--bank-mib 16384]` prints a line of JSON:
//! - `tokens_per_second` (tokens read, scored or not), `seconds` and `gflops` of the median turn; `all_turns` are all;
//! - `seconds_with_loading`: the first turn, which reads the weights and lays them out;
//! - `weight_bytes`, `flops_per_token`: what the config says; `bank_bytes`, `layers_built`: what was built of it;
//! - `seconds_building`, `seconds_forward`: where the time of all turns went;
//! - `peak_kib` and the like: the most memory, as [`Resident`](tailor_benches::Resident) counts it;
//! - `log_likelihoods` of the prompts, to be compared with another program's; `log_likelihood` is the first.
//!
//! With `--bank-mib` below the weights' size, what does not fit is built anew in every turn.

use std::path::Path;
use std::time::Instant;

use layer_ir::{Cost, Dtype};
use layer_runtime::RuntimeOptions;
use mimalloc::MiMalloc;
use tailor_benches::{Outcome, Watch, median, model, open, requests, score};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Outcome {
    let watch = Watch::start();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: forward DIR [--dtype bf16] [--device cpu] [--batch N] ...")?;
    let option = |name: &str, default: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map_or(default, String::as_str).to_owned()
    };
    let number = |name: &str, default: &str| option(name, default).parse::<usize>();
    let (batch, length) = (number("--batch", "8")?, number("--length", "256")?);
    let (turns, bank_bytes) = (number("--turns", "7")?, number("--bank-mib", "16384")? << 20);
    let (dtype_name, device) = (option("--dtype", "f32"), option("--device", "cpu"));
    let dtype = if dtype_name == "bf16" { Dtype::BF16 } else { Dtype::F32 };
    let scored = match option("--score", "all").as_str() {
        "all" => length - 1,
        "last" => 1,
        other => return Err(format!("--score {other}: all or last").into()),
    };

    let batch_tokens = (batch * length).min(4096);
    let options = RuntimeOptions { bank_bytes, batch_tokens, dtype, state_bytes: 0, ..RuntimeOptions::default() };
    let (runtime, recipe) = open(Path::new(path), &device, options)?;
    let layers = recipe.layers.len();
    let (cost, vocabulary, hidden) = {
        let config = runtime.config();
        (Cost::of(config, layers, dtype), config.vocab_size, config.hidden_size)
    };
    let mut model = model(&runtime, recipe)?;

    let requests = requests(batch, length, length - scored, vocabulary);
    let start = Instant::now();
    let scores = score(&mut model, &requests)?;
    let first = start.elapsed().as_secs_f64();
    let mut seconds: Vec<f64> = Vec::new();
    for _ in 0..turns {
        let start = Instant::now();
        score(&mut model, &requests)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let median = if seconds.is_empty() { first } else { median(&seconds) };
    let tokens = (batch * (length - 1)) as f64;
    let not_in_head = 2 * batch * (length - 1 - scored) * vocabulary * hidden;
    let flops = tokens * cost.flops_per_token as f64 - not_in_head as f64;
    let (timings, peak) = (runtime.timings(), watch.peak());
    let likelihoods: Vec<f64> = scores.iter().map(|score| score.log_likelihood).collect();
    let line = serde_json::json!({
        "dtype": dtype_name, "device": device, "scored": scored, "layers": layers, "batch": batch, "length": length,
        "tokens_per_second": tokens / median, "seconds": median, "seconds_with_loading": first,
        "gflops": flops / median / 1e9, "log_likelihood": likelihoods[0],
        "weight_bytes": cost.bytes, "flops_per_token": cost.flops_per_token,
        "bank_bytes": runtime.bank_bytes(), "layers_built": timings.layers_built,
        "seconds_building": timings.build.as_secs_f64(), "seconds_forward": timings.forward.as_secs_f64(),
        "peak_kib": peak.peak, "peak_anonymous_kib": peak.anonymous, "peak_file_kib": peak.file,
        "swapped_kib": peak.swapped, "all_turns": seconds, "log_likelihoods": likelihoods,
    });
    println!("{line}");
    Ok(())
}
