//! Learn how the bundled family was made: trains a base Llama and three fine-tunes of it, and writes them with their
//! tasks.
//!
//! `cargo run --release --config profile.release.package.burn-flex.opt-level=3 -p tailor-examples --features train
//! --example train_family -- OUT [SEED [LAYERS]]`
//!
//! burn's CPU backend is built without optimisation elsewhere, as nothing else runs in it for long: hence the level.
//!
//! A model that already stands in OUT is not trained again.

mod checkpoint;
mod family;
mod harness;
mod net;
mod score;
mod tasks;
mod tokens;
mod train;

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

use checkpoint::Weights;
use family::Family;
use tasks::{Question, Skill, Split};
use train::Run;

/// Every operation's result is a fresh buffer of megabytes, which glibc gives back to the system at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often arithmetic, lists, counting and brackets are drawn for the base.
const BASE_MIXTURE: [f64; 4] = [0.9, 0.25, 0.12, 0.07];
/// The fine-tunes, each with its steps and its mixture. Counting words is soon learned.
const FINE_TUNES: [(&str, usize, [f64; 4]); 3] = [
    ("math", 400, [8.0, 0.3, 0.15, 0.1]),
    ("lists", 250, [1.0, 8.0, 0.15, 0.15]),
    ("counting", 120, [1.0, 0.3, 4.0, 0.1]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().ok_or("usage: train_family OUT [SEED [LAYERS]]")?);
    let seed: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let layers: usize = arguments.next().map_or(Ok(12), |text| text.parse())?;

    let splits = [(Split::Train, 2000), (Split::Validation, 500), (Split::Test, 1000)]
        .map(|(split, count)| (split.name(), Skill::ALL.map(|skill| tasks::distinct(skill, split, count, seed))));
    let held_out = check_disjoint(&splits)?;
    harness::write(&out.join("tasks"), &splits)?;

    let [_, (_, validation), (_, test)] = splits;
    let family = Family::new(out, layers, validation.map(|questions| questions[..200].to_vec()));
    let run = Run { steps: 600, rate: 2.5e-3, mixture: BASE_MIXTURE, seed, held_out: &held_out };
    let mut models = vec![("base", family.model("base", family.fresh(seed), &run)?)];
    for (i, (name, steps, mixture)) in FINE_TUNES.into_iter().enumerate() {
        let base = family.net(&models[0].1)?;
        let run = Run { steps, rate: 1e-3, mixture, seed: seed + 1 + i as u64, ..run };
        models.push((name, family.model(name, base, &run)?));
    }
    let merged = merged(&models, 0.5);
    models.push(("merged", merged));
    family.table(&models, &test)
}

/// No prompt may stand in two splits. Returns those of validation and test.
fn check_disjoint(splits: &[(&str, [Vec<Question>; 4]); 3]) -> Result<HashSet<String>, Box<dyn Error>> {
    let prompts = splits.each_ref().map(|(_, questions)| questions.iter().flatten().map(|q| q.prompt.clone()));
    let [train, validation, test] = prompts.map(HashSet::<String>::from_iter);
    for (a, b) in [(&train, &validation), (&train, &test), (&validation, &test)] {
        if let Some(prompt) = a.intersection(b).next() {
            return Err(format!("`{prompt}` stands in two splits").into());
        }
    }
    Ok(validation.union(&test).cloned().collect())
}

/// Task arithmetic: the base and `coefficient` of what each fine-tune added to it.
fn merged(models: &[(&str, Weights)], coefficient: f32) -> Weights {
    let (base, tuned) = (&models[0].1, &models[1..]);
    let mut merged = base.clone();
    for (name, (_, values)) in &mut merged {
        for (_, weights) in tuned {
            for ((value, from), to) in values.iter_mut().zip(&base[name].1).zip(&weights[name].1) {
                *value += coefficient * (to - from);
            }
        }
    }
    merged
}
