//! Which objective tells best, on the search's documents, what a recipe retains on the test split?
//!
//! `objectives STUDY.toml [--recipes 200] [--choose-from 50] [--dump FILE]` scores recipes of the study's space,
//! a third of them points drawn evenly, the others changes of the best so far by retention, as a search meets them. For
//! each objective it prints the correlation of its value on all search documents with the retention on the test split,
//! over all recipes and over the better half of them; and what the recipe retains on test that the objective would
//! choose from so many of them (the mean over 2,000 draws). Values are made once with the rung's documents of the
//! search alone and once with all.

use std::io::Write;

use layer_ir::ValidRecipe;
use recipe_search::{
    DocumentLoss, DocumentSet, EvaluatorSettings, Objective, RecipeEvaluator, RecipeSpace, Reference, Scores, Search,
    Split, StudyFile, baselines, standard_objectives,
};
use serde_json::json;
use tailor_benches::Outcome;
use zo_search::{TrialId, generator};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often recipes are drawn to choose from.
const DRAWS: usize = 2000;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map(String::as_str)
    };
    let study =
        arguments.first().ok_or("usage: objectives STUDY.toml [--recipes 200] [--choose-from 50] [--dump FILE]")?;
    let count: usize = option("--recipes").unwrap_or("200").parse()?;
    let choose_from: usize = option("--choose-from").unwrap_or("50").parse()?;
    let mut study = StudyFile::read(study.as_ref())?;
    study.search.confirm_share = 0.0;
    let measured = measure(&study, count)?;
    if let Some(file) = option("--dump") {
        dump(&measured, file.as_ref())?;
    }
    print(&measured, choose_from);
    Ok(())
}

/// What was found out of some recipes.
struct Measured {
    /// Of each objective: its name, and its value of each recipe on the first rung's documents and on all.
    objectives: Vec<(String, [Vec<f64>; 2])>,
    /// The retention of each recipe on the test split.
    test: Vec<f64>,
    /// The scores of each recipe on all search documents, by the loss that the tasks give.
    scores: Vec<Scores>,
}

/// An evaluator of the search's documents whose loss is of one kind, and what the parents reach by it.
struct Measure {
    loss: DocumentLoss,
    evaluator: RecipeEvaluator,
    reference: Reference,
}

impl Measure {
    fn new(search: &Search, loss: DocumentLoss, split: Split) -> Outcome<Self> {
        let settings = EvaluatorSettings::of_study(search.study(), split, loss);
        let mut evaluator = RecipeEvaluator::new(&settings, &search.text()?, search.runtime()?)?;
        let family = search.family();
        let names: Vec<String> = family.names().map(str::to_string).collect();
        let whole = |name: &String| baselines::whole_model(family, name).validate(family, search.registry());
        let wholes = names.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        let all = evaluator.all_search_documents();
        let scores = wholes.iter().map(|model| evaluator.score(model, all)).collect::<Result<Vec<_>, _>>()?;
        let reference = Reference::new(&scores.iter().collect::<Vec<_>>(), &evaluator.weights())?;
        // The first of the best on each task.
        let best = |task: usize| {
            let parents = scores.iter().zip(&wholes).rev();
            parents.max_by(|(a, _), (b, _)| a[task].score.total_cmp(&b[task].score)).map(|(_, model)| model.clone())
        };
        let teachers: Vec<ValidRecipe> = (0..reference.best.len()).filter_map(best).collect();
        evaluator.set_teachers(&teachers)?;
        Ok(Self { loss, evaluator, reference })
    }
}

/// Draws recipes and scores each by every objective, and on the test split.
fn measure(study: &StudyFile, count: usize) -> Outcome<Measured> {
    let search = Search::new(study.clone().check()?)?;
    let space = search.space()?;
    let kinds = [DocumentLoss::Task, DocumentLoss::PromptLikelihood, DocumentLoss::TeacherDivergence];
    let mut measures =
        kinds.into_iter().map(|loss| Measure::new(&search, loss, Split::Validation)).collect::<Outcome<Vec<_>>>()?;
    let mut test = Measure::new(&search, DocumentLoss::Unread, Split::Test)?;
    let table = standard_objectives();
    let objectives: Vec<&dyn Objective> = table.iter().collect();
    let mut measured = Measured {
        objectives: objectives.iter().map(|objective| (objective.name().to_string(), [vec![], vec![]])).collect(),
        test: Vec::new(),
        scores: Vec::new(),
    };
    let mut best: Option<(f64, ValidRecipe)> = None;
    for number in 0..count {
        let recipe = draw(&search, space.as_ref(), number, best.as_ref().map(|(_, recipe)| recipe))?;
        for measure in &mut measures {
            let all = measure.evaluator.all_search_documents();
            for (set, part) in [(DocumentSet::Search { rung: 0 }, 0), (all, 1)] {
                let scores = measure.evaluator.score(&recipe, set)?;
                for (objective, (_, values)) in objectives.iter().zip(&mut measured.objectives) {
                    let read = objective.loss();
                    let own = match read {
                        DocumentLoss::Unread | DocumentLoss::TaskIfGiven => DocumentLoss::Task,
                        read => read,
                    };
                    if own == measure.loss {
                        values[part].push(objective.value(&scores, &measure.reference));
                    }
                }
                if measure.loss == DocumentLoss::Task && part == 1 {
                    let retention = measure.reference.retention(&scores);
                    if best.as_ref().is_none_or(|(most, _)| retention > *most) {
                        best = Some((retention, recipe.clone()));
                    }
                    measured.scores.push(scores);
                }
            }
        }
        let all = test.evaluator.all_search_documents();
        measured.test.push(test.reference.retention(&test.evaluator.score(&recipe, all)?));
        if (number + 1) % 20 == 0 {
            eprintln!("{} of {count} recipes", number + 1);
        }
    }
    Ok(measured)
}

/// The recipe of a number: a point drawn evenly for every third, else a change of the best so far, of one to three
/// layers.
fn draw(search: &Search, space: &dyn RecipeSpace, number: usize, best: Option<&ValidRecipe>) -> Outcome<ValidRecipe> {
    let mut random = generator(search.study().seed, "objectives", TrialId(number as u64));
    let point = match best {
        Some(best) if !number.is_multiple_of(3) => {
            space.space().mutate(&space.encode(best.recipe())?, 1 + number % 3, &mut random)
        }
        _ => space.space().sample(&mut random)?,
    };
    Ok(space.decode(&point)?.validate(search.family(), search.registry())?)
}

/// A line of JSON for each recipe: what its documents gave.
fn dump(measured: &Measured, file: &std::path::Path) -> Outcome {
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    for (number, (scores, test)) in measured.scores.iter().zip(&measured.test).enumerate() {
        let tasks: Vec<_> = scores
            .iter()
            .map(|score| json!({"task": score.task, "metric": score.documents, "loss": score.losses}))
            .collect();
        let values: serde_json::Map<_, _> = measured
            .objectives
            .iter()
            .map(|(name, [first, all])| (name.clone(), json!([first[number], all[number]])))
            .collect();
        writeln!(out, "{}", json!({"test": test, "objectives": values, "tasks": tasks}))?;
    }
    Ok(())
}

/// The table, in Markdown.
fn print(measured: &Measured, choose_from: usize) {
    let Measured { objectives, test, .. } = measured;
    let recipes = test.len();
    let mut order: Vec<usize> = (0..recipes).collect();
    order.sort_by(|a, b| test[*b].total_cmp(&test[*a]));
    let all: Vec<usize> = (0..recipes).collect();
    let better = &order[..recipes / 2];
    println!(
        "{recipes} recipes; retention on test {:.1}% to {:.1}%",
        100.0 * test[order[recipes - 1]],
        100.0 * test[order[0]]
    );
    println!(
        "\n| objective | documents | correlation | of ranks | better half | of ranks | chosen of {choose_from}: test |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for (name, parts) in objectives {
        for (values, part) in parts.iter().zip(["first rung", "all"]) {
            let good: Vec<f64> = values.iter().map(|value| -value).collect();
            let of = |places: &[usize]| {
                let pick = |from: &[f64]| -> Vec<f64> { places.iter().map(|place| from[*place]).collect() };
                let (a, b) = (pick(&good), pick(test));
                (correlation(&a, &b), correlation(&ranks(&a), &ranks(&b)))
            };
            let ((whole, whole_ranks), (half, half_ranks)) = (of(&all), of(better));
            println!(
                "| {name} | {part} | {whole:.3} | {whole_ranks:.3} | {half:.3} | {half_ranks:.3} | {:.1}% |",
                100.0 * chosen(&good, test, choose_from)
            );
        }
    }
}

/// The mean over draws of what the best by `good` of some recipes has on `test`.
fn chosen(good: &[f64], test: &[f64], of: usize) -> f64 {
    use rand::seq::index::sample;
    let mut random = generator(1, "chosen", TrialId(0));
    let best = |_| {
        let drawn = sample(&mut random, good.len(), of.min(good.len()));
        drawn.into_iter().max_by(|a, b| good[*a].total_cmp(&good[*b])).map_or(f64::NAN, |place| test[place])
    };
    (0..DRAWS).map(best).sum::<f64>() / DRAWS as f64
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a_mean, b_mean) = (mean(a), mean(b));
    let product = |x: &[f64], x_mean: f64, y: &[f64], y_mean: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum()
    };
    product(a, a_mean, b, b_mean) / (product(a, a_mean, a, a_mean) * product(b, b_mean, b, b_mean)).sqrt()
}

/// The ranks of some values, equal ones by their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other == value).count() as f64;
    values.iter().map(|value| below(*value) + 0.5 * (equal(*value) - 1.0)).collect()
}
