//! What a search pays for a candidate: a new recipe of the bundled family on all validation documents, by a
//! [`RecipeEvaluator`]. `cargo bench -p tailor-benches --bench candidate`; elements are the tokens of all prompts.
//!
//! - `new`: all 12 layers are merged for it, and no states are kept. What prompts have in common is computed once, as
//!   always.
//! - `sixth layer`: it differs from a recipe that was scored in its 6th layer, so it starts from the states before
//!   that.

use std::path::Path;

use criterion::{Criterion, Throughput};
use layer_ir::{Dtype, LayerExpr, LayerRef, Merge, OutputLayer, Parameters, Recipe, Source};
use layer_runtime::{Runtime, RuntimeOptions, open_device};
use recipe_search::{
    DocumentLoss, DocumentSet, EvaluatorSettings, RecipeEvaluator, Scores, Search, Split, StudyFile, baselines,
};
use tailor_benches::Outcome;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let study = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart.toml");
    let mut study = StudyFile::read(&study)?;
    study.search.rungs = vec![1.0];
    study.search.confirm_share = 0.0;
    let search = Search::new(study.check()?)?;
    for (name, dtype) in [("f32", Dtype::F32), ("bf16", Dtype::BF16)] {
        let layers = search.family().base().num_layers();
        let all = |number| (0..layers).map(|layer| merged(layer, number)).collect::<Vec<_>>();
        candidate(&mut criterion, &search, (name, dtype), ("new", 0), all)?;
        let sixth = |number| {
            let mut layers = all(0);
            layers[5] = merged(5, number);
            layers
        };
        candidate(&mut criterion, &search, (name, dtype), ("sixth layer", 512 << 20), sixth)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Scores one recipe after the other, each of the layers that its number stands for, after that of number 0.
fn candidate(
    criterion: &mut Criterion,
    search: &Search,
    (dtype_name, dtype): (&str, Dtype),
    (name, state_bytes): (&str, usize),
    layers: impl Fn(u32) -> Vec<OutputLayer>,
) -> Outcome {
    let family = search.family();
    let options =
        RuntimeOptions { state_bytes, dtype, bank_bytes: 512 << 20, batch_tokens: 4096, ..RuntimeOptions::default() };
    let runtime = Runtime::new(family.clone(), search.registry().clone(), open_device("cpu")?, options)?;
    let settings = EvaluatorSettings::of_study(search.study(), Split::Validation, DocumentLoss::Unread);
    let mut evaluator = RecipeEvaluator::new(&settings, &search.text()?, runtime.clone())?;
    let recipe = |number| {
        let base = baselines::whole_model(family, family.base_name());
        Recipe { layers: layers(number), ..base }.validate(family, search.registry())
    };
    let plans = evaluator.explain(&recipe(0)?)?;
    let tokens: usize = plans.iter().flat_map(|(_, plans)| plans).map(|plan| plan.tokens).sum();
    let mut score =
        |number| -> Outcome<Scores> { Ok(evaluator.score(&recipe(number)?, DocumentSet::Search { rung: 0 })?) };
    score(0)?;
    let before = runtime.timings();
    score(1)?;
    let spent = runtime.timings() - before;
    let share = |part: u64| 100.0 * part as f64 / spent.layer_tokens_asked.max(1) as f64;
    let (shared, kept) = (share(spent.layer_tokens_shared), share(spent.layer_tokens_kept));
    let (build, forward, other) = (spent.build.as_secs_f64(), spent.forward.as_secs_f64(), spent.other.as_secs_f64());
    println!(
        "{dtype_name}, {name}: {shared:.0}% of the layer-tokens saved as prompts begin alike, {kept:.0}% as recipes do"
    );
    println!("{build:.3} s building layers, {forward:.3} s computing, {other:.3} s else in the model");
    let mut group = criterion.benchmark_group(format!("candidate/{dtype_name}"));
    group.throughput(Throughput::Elements(tokens as u64));
    let mut numbers = 2..;
    group.bench_function(name, |bencher| bencher.iter(|| numbers.next().map(&mut score)));
    Ok(())
}

/// Two fine-tunes' differences to the base, by a coefficient that no other number has.
fn merged(layer: usize, number: u32) -> OutputLayer {
    let source =
        |model: &str| Source { of: LayerRef { model: model.to_owned(), layer }, parameters: Parameters::default() };
    let mut parameters = Parameters::default();
    parameters.set("coefficient", 0.5 + f64::from(number) * 1e-5);
    let sources = vec![source("math"), source("lists")];
    let merge = Merge { method: "gptailor_task_arithmetic".into(), parameters, base: None, sources };
    LayerExpr::Merge(merge).into()
}
