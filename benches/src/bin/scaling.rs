//! Does cost grow in proportion to what is scored? Seconds over depth, batch and number of candidates, each beside the
//! first row's cost.
//!
//! `scaling [--turns 5] [--dtype f32|bf16]` prints a table in Markdown. Layers of width 512 with random weights,
//! prompts of 128 tokens of which 127 are scored. All rows take turns, the medians stand in the table. `GFLOP/s` counts
//! the head's product too, which weighs less the deeper the model is. Candidates are recipes that share no state: the
//! same layers in other orders, or layers that each candidate merges for itself, every turn anew.

use std::path::Path;
use std::time::Instant;

use layer_ir::{Cost, Dtype, LayerRef, Merge, OutputLayer, Parameters, Recipe, Source};
use layer_runtime::{Runtime, RuntimeOptions};
use tailor_benches::{Outcome, Shape, median, model, open, requests, score};
use task_eval::ScoreRequest;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens of a prompt.
const LENGTH: usize = 128;
/// Prompts, where their number does not grow.
const BATCH: usize = 8;
/// Layers, where their number does not grow.
const LAYERS: usize = 8;

/// What is scored in a turn, by the turn's number.
type Recipes = Box<dyn Fn(usize) -> Vec<Recipe>>;

/// A candidate by its number.
type Candidate = fn(&Recipe, usize) -> Recipe;
/// Two kinds of candidates: those that find all layers built, and those that find none.
const CANDIDATES: [(&str, Candidate); 2] =
    [("candidates, layers reordered", reordered), ("candidates, layers merged", merged)];

/// One line of the table.
struct Row {
    /// What grows.
    group: &'static str,
    /// To how many.
    size: usize,
    runtime: Runtime,
    recipes: Recipes,
    /// What each recipe is asked.
    requests: Vec<ScoreRequest>,
    /// Of each recipe.
    layers: usize,
    /// Of each turn.
    seconds: Vec<f64>,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: &'static str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map_or(default, String::as_str)
    };
    let turns: usize = option("--turns", "5").parse()?;
    let dtype = if option("--dtype", "f32") == "bf16" { Dtype::BF16 } else { Dtype::F32 };
    let folder = tempfile::tempdir()?;
    print(&measure(folder.path(), turns, dtype)?, dtype);
    Ok(())
}

/// The rows with the seconds of their turns, which they take one after the other, so that a slow spell of the machine
/// meets all.
fn measure(folder: &Path, turns: usize, dtype: Dtype) -> Outcome<Vec<Row>> {
    let mut rows = rows(folder, dtype)?;
    // The first turn loads what the bank keeps, and does not count.
    for turn in 0..=turns {
        for row in &mut rows {
            let recipes = (row.recipes)(turn);
            let start = Instant::now();
            for recipe in recipes {
                score(&mut model(&row.runtime, recipe)?, &row.requests)?;
            }
            if turn > 0 {
                row.seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    Ok(rows)
}

/// The rows, not measured yet, over models that are written into `folder`.
fn rows(folder: &Path, dtype: Dtype) -> Outcome<Vec<Row>> {
    let options = RuntimeOptions { dtype, state_bytes: 0, bank_bytes: 1 << 30, ..RuntimeOptions::default() };
    let shape = Shape::named("d512")?;
    let batch = |size| requests(size, LENGTH, 1, shape.vocabulary);
    let folder = |layers: usize| folder.join(layers.to_string());
    let row = |group, size, (runtime, recipes): (&Runtime, Recipes), requests: &[_], layers| {
        let (runtime, requests) = (runtime.clone(), requests.to_vec());
        Row { group, size, runtime, recipes, requests, layers, seconds: vec![] }
    };
    let mut rows = Vec::new();
    for layers in [4, LAYERS, 16, 32] {
        shape.with_layers(layers).write(&folder(layers), 0)?;
        let (runtime, recipe) = open(&folder(layers), "cpu", options)?;
        rows.push(row("layers", layers, (&runtime, plain(recipe)), &batch(BATCH), layers));
    }
    let (runtime, recipe) = open(&folder(LAYERS), "cpu", options)?;
    for size in [1, 2, 4, 8, 16, 32] {
        rows.push(row("prompts", size, (&runtime, plain(recipe.clone())), &batch(size), LAYERS));
    }
    for (group, candidate) in CANDIDATES {
        // What one group leaves in the bank is not in the other's way.
        let (runtime, recipe) = open(&folder(LAYERS), "cpu", options)?;
        for size in [1, 2, 4, 8, 16] {
            let recipe = recipe.clone();
            // Over all rows and turns, no two candidates of a group have the same number.
            let numbers = move |turn| (0..size).map(move |i| turn * 31 + size - 1 + i);
            let recipes = Box::new(move |turn| numbers(turn).map(|number| candidate(&recipe, number)).collect());
            rows.push(row(group, size, (&runtime, recipes), &batch(BATCH), LAYERS));
        }
    }
    Ok(rows)
}

/// The same recipe in every turn.
fn plain(recipe: Recipe) -> Recipes {
    Box::new(move |_| vec![recipe.clone()])
}

/// The layers in one of 16 orders: rotated, and backwards every other round.
fn reordered(recipe: &Recipe, number: usize) -> Recipe {
    let mut recipe = recipe.clone();
    let layers = recipe.layers.len();
    recipe.layers.rotate_left(number % layers);
    if number / layers % 2 == 1 {
        recipe.layers.reverse();
    }
    recipe
}

/// Each layer a mean of itself and the next one, with weights of the candidate's own.
fn merged(recipe: &Recipe, number: usize) -> Recipe {
    let layers = recipe.layers.len();
    let weight = 0.25 + 0.001 * number as f64;
    let source = |layer: usize, weight: f64| {
        let mut parameters = Parameters::default();
        parameters.set("weight", weight);
        Source { of: LayerRef { model: recipe.base.clone(), layer: layer % layers }, parameters }
    };
    let layer = |layer| {
        let sources = vec![source(layer, weight), source(layer + 1, 1.0 - weight)];
        OutputLayer::merge(Merge { sources, ..Merge::new("linear") })
    };
    Recipe { layers: (0..layers).map(layer).collect(), ..recipe.clone() }
}

/// Prints the table; the first row of each group is what its others stand beside.
fn print(rows: &[Row], dtype: Dtype) {
    let instructions = layer_runtime::instruction_sets().join(", ");
    println!(
        "width 512, {dtype:?}, {LENGTH} tokens a prompt; {LAYERS} layers and {BATCH} prompts unless the row says \
         otherwise ({instructions})\n"
    );
    println!("| grows | to | seconds | µs per scored token x layer | beside the first | GFLOP/s |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut first = ("", 0.0);
    for row in rows {
        let seconds = median(&row.seconds);
        let recipes = (row.recipes)(0).len();
        let tokens = (recipes * row.requests.len() * (LENGTH - 1)) as f64;
        let unit = seconds / (tokens * row.layers as f64) * 1e6;
        if first.0 != row.group {
            first = (row.group, unit);
        }
        let flops = Cost::of(row.runtime.config(), row.layers, dtype).flops_per_token;
        let (size, ratio, rate) = (row.size, unit / first.1, tokens * flops as f64 / seconds / 1e9);
        println!("| {} | {size} | {seconds:.4} | {unit:.3} | {ratio:.2} | {rate:.0} |", row.group);
    }
}
