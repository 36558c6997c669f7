//! Tokens per second of our forward pass: every token of random prompts is scored, as a harness scores a text.
//!
//! `forward DIR [--dtype f32|bf16] [--device cpu] [--batch 8] [--length 256] [--turns 7] [--bank-mib 16384]` prints a line of JSON.

use std::path::Path;
use std::time::Instant;

use layer_ir::{Checkpoint, Cost, Dtype, Recipe};
use layer_runtime::{Runtime, RuntimeOptions, open_device};
use mimalloc::MiMalloc;
use task_eval::{LanguageModel, ScoreRequest};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
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

    let checkpoint = Checkpoint::open(path)?;
    let (layers, vocabulary) = (checkpoint.num_layers(), checkpoint.config().vocab_size as u32);
    let flops = Cost::of(checkpoint.config(), layers, dtype).flops_per_token as f64;
    let models = [("model".to_owned(), Path::new(path).display().to_string())];
    let recipe = Recipe::plain(models.into(), "model", "model", layers);
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family)?;
    let batch_tokens = (batch * length).min(4096);
    let options = RuntimeOptions { bank_bytes, batch_tokens, dtype, state_bytes: 0 };
    let runtime = Runtime::new(family, merge_ops::Registry::standard(), open_device(&device)?, options)?;
    let mut model = runtime.model(recipe)?;

    let requests: Vec<ScoreRequest> = (0..batch as u32).map(|i| request(i, length, vocabulary)).collect();
    let start = Instant::now();
    let scores = model.score(&requests).map_err(|error| error.to_string())?;
    let first = start.elapsed().as_secs_f64();
    let mut seconds: Vec<f64> = Vec::new();
    for _ in 0..turns {
        let start = Instant::now();
        model.score(&requests).map_err(|error| error.to_string())?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(first);
    let tokens = (batch * (length - 1)) as f64;
    let line = serde_json::json!({
        "dtype": dtype_name, "device": device, "layers": layers, "batch": batch, "length": length,
        "tokens_per_second": tokens / median, "seconds": median, "seconds_with_loading": first,
        "gflops": tokens * flops / median / 1e9, "log_likelihood": scores[0].log_likelihood,
    });
    println!("{line}");
    Ok(())
}

/// The ids that `benches/peers/forward.py` makes too.
fn request(index: u32, length: usize, vocabulary: u32) -> ScoreRequest {
    let id = |i: u32| 4 + (i * i * 31 + i * 17 + index * 7919) % (vocabulary - 4);
    let tokens: Vec<u32> = (0..length as u32).map(id).collect();
    ScoreRequest { context: tokens[..1].into(), continuation: tokens[1..].into() }
}
