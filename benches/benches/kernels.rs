//! The CPU's kernels through the public API, on layers of width 512 with random weights: `cargo bench -p tailor-benches
//! --bench kernels`.
//!
//! - `layers`: 2048 tokens through 8 layers, of which the last of each prompt is scored: prompts of usual length; long
//!   ones, in which attention weighs most; and short ones.
//! - `head`: the same prompts of usual length with every token scored.
//! - `generation`: 16 new tokens for each of 8 prompts, through a cache of keys and values.

use criterion::{Criterion, Throughput};
use layer_ir::Dtype;
use layer_runtime::{RecipeModel, RuntimeOptions};
use tailor_benches::{Outcome, Shape, model, open, prompt, requests, score};
use task_eval::{GenerateRequest, LanguageModel};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 2048;
const NEW: usize = 16;

fn main() -> Outcome {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let (folder, shape) = (tempfile::tempdir()?, Shape::named("d512")?);
    shape.write(folder.path(), 0)?;
    for (name, dtype) in [("f32", Dtype::F32), ("bf16", Dtype::BF16)] {
        let options = RuntimeOptions { dtype, state_bytes: 0, ..RuntimeOptions::default() };
        let (runtime, recipe) = open(folder.path(), "cpu", options)?;
        let mut model = model(&runtime, recipe)?;
        scoring(&mut criterion, name, &mut model, shape.vocabulary)?;
        generation(&mut criterion, name, &mut model, shape.vocabulary)?;
    }
    criterion.final_summary();
    Ok(())
}

fn scoring(criterion: &mut Criterion, dtype: &str, model: &mut RecipeModel, vocabulary: usize) -> Outcome {
    let layers =
        [("usual", 256), ("long", TOKENS), ("short", 16)].map(|(name, length)| ("layers", name, length, length - 1));
    for (group, name, length, given) in layers.into_iter().chain([("head", "usual", 256, 1)]) {
        let requests = requests(TOKENS / length, length, given, vocabulary);
        score(model, &requests)?;
        let mut group = criterion.benchmark_group(format!("{group}/{dtype}"));
        group.throughput(Throughput::Elements(TOKENS as u64));
        let count = requests.len();
        group.bench_function(format!("{name}, {count} x {length}"), |bencher| bencher.iter(|| score(model, &requests)));
    }
    Ok(())
}

fn generation(criterion: &mut Criterion, dtype: &str, model: &mut RecipeModel, vocabulary: usize) -> Outcome {
    let request = |index| GenerateRequest {
        context: prompt(index, 64, vocabulary).into(),
        max_new_tokens: NEW,
        stop: &|_| false,
    };
    let requests: Vec<GenerateRequest<'_>> = (0..8).map(request).collect();
    model.generate(&requests).map_err(|error| error.to_string())?;
    let mut group = criterion.benchmark_group(format!("generation/{dtype}"));
    group.throughput(Throughput::Elements((requests.len() * NEW) as u64));
    group.bench_function("8 x 64 + 16", |bencher| bencher.iter(|| model.generate(&requests)));
    Ok(())
}
