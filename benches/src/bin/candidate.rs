//! Our side of `benches/peers/candidate.sh`: candidates of a search, as mergekit configurations and as the search
//! scores them.
//!
//! `candidate STUDY.toml COUNT MODE`, a line of JSON for each candidate:
//! - `recipes`: what mergekit is to merge;
//! - `warm`: seconds and scores, from a evaluator that has scored the parents, as a search has before its first trial;
//! - `likelihoods`: the log-likelihood of every choice of every document.
//!
//! The candidates are points of the study's space, drawn at random. Of those the first are kept whose embedding comes
//! from the model of the first layer, and head and norm from that of the last: mergekit can say no other. All
//! validation documents are scored.

use std::time::Instant;

use layer_ir::{Expr, LayerExpr, LayerRef, OuterExpr, OutputLayer, Recipe};
use recipe_search::{DocumentSet, RecipeEvaluator, Search, Split, StudyFile, baselines};
use serde_json::{Value, json};
use task_eval::{Options, PreparedTask, Response, TaskLibrary};
use zo_search::{TrialId, generator};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What goes wrong ends the program.
type Failure = Box<dyn std::error::Error>;

/// How many points are drawn at most. Many: mergekit can say the outer tensors of one point in a hundred.
const DRAWS: u64 = 100_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [study, count, mode] = arguments.as_slice() else {
        return Err("usage: candidate STUDY.toml COUNT recipes|warm|likelihoods".into());
    };
    let mut study = StudyFile::read(study.as_ref())?;
    study.search.rungs = vec![1.0];
    study.search.confirm_share = 0.0;
    let search = Search::new(study.check()?)?;
    let recipes = candidates(&search, count.parse()?)?;
    match mode.as_str() {
        "recipes" => recipes.iter().try_for_each(|recipe| print(&mergekit(recipe)?)),
        "warm" => warm(&search, recipes),
        "likelihoods" => recipes.into_iter().try_for_each(|recipe| print(&likelihoods(&search, recipe)?)),
        _ => Err(format!("{mode}: no such mode").into()),
    }
}

/// One line.
fn print(value: &Value) -> Result<(), Failure> {
    println!("{value}");
    Ok(())
}

/// The first points, by the study's seed, that mergekit can express.
fn candidates(search: &Search, count: usize) -> Result<Vec<Recipe>, Failure> {
    let space = search.space()?;
    let mut found = Vec::with_capacity(count);
    for draw in 0..DRAWS {
        if found.len() == count {
            break;
        }
        let mut random = generator(search.study().seed, "candidate", TrialId(draw));
        let recipe = space.decode(&space.space().sample(&mut random)?)?;
        if outer_tensors_follow_the_layers(&recipe) {
            found.push(recipe);
        }
    }
    if found.len() < count {
        return Err(format!("only {} of {DRAWS} points are such that mergekit can express them", found.len()).into());
    }
    Ok(found)
}

/// Whether embedding, norm and head come from the models of the first and the last layer.
fn outer_tensors_follow_the_layers(recipe: &Recipe) -> bool {
    let follows = |layer: Option<&OutputLayer>, outer: &OuterExpr| {
        let (Some(Expr::Take(source)), Expr::Take(outer)) = (layer.map(|layer| &layer.from), outer) else {
            return false;
        };
        source.model == outer.model
    };
    let (first, last) = (recipe.layers.first(), recipe.layers.last());
    follows(first, &recipe.outer.embedding)
        && follows(last, &recipe.outer.final_norm)
        && follows(last, &recipe.outer.head)
}

/// The configuration by which mergekit makes the recipe in one go: a slice of task arithmetic for each layer, in which
/// a layer that is taken from one model is the base and that model's whole difference to it.
fn mergekit(recipe: &Recipe) -> Result<Value, Failure> {
    let path = |model: &str| recipe.models.get(model).ok_or_else(|| format!("{model}: no model of the recipe"));
    let slices = recipe.layers.iter().map(|layer| {
        let (sources, coefficient) = differences(&layer.from)?;
        let layer = sources.first().ok_or("a layer without a source")?.layer;
        let base = LayerRef { model: recipe.base.clone(), layer };
        let others = sources.into_iter().filter(|source| source.model != recipe.base);
        let source = |of: &LayerRef| -> Result<Value, Failure> {
            let range = [of.layer, of.layer + 1];
            Ok(json!({"model": path(&of.model)?, "layer_range": range, "parameters": {"weight": 1.0}}))
        };
        let sources = others.chain([&base]).map(source).collect::<Result<Vec<_>, Failure>>()?;
        Ok(json!({"sources": sources, "parameters": {"lambda": coefficient}}))
    });
    let slices = slices.collect::<Result<Vec<_>, Failure>>()?;
    Ok(json!({
        "merge_method": "task_arithmetic", "base_model": path(&recipe.base)?, "dtype": "float32", "slices": slices,
    }))
}

/// Layers whose differences to the base are added, and their coefficient.
fn differences(layer: &LayerExpr) -> Result<(Vec<&LayerRef>, f64), Failure> {
    match layer {
        Expr::Take(source) => Ok((vec![source], 1.0)),
        Expr::Merge(merge) if merge.method == "gptailor_task_arithmetic" => {
            let coefficient = merge.parameters.number("coefficient", "")?.ok_or("a merge without a coefficient")?;
            Ok((merge.sources.iter().map(|source| &source.of).collect(), coefficient))
        }
        Expr::Merge(merge) => Err(format!("{}: not a method of the prune space", merge.method).into()),
    }
}

/// All validation documents, ready to be scored.
fn evaluator(search: &Search) -> Result<RecipeEvaluator, Failure> {
    Ok(search.evaluator(Split::Validation)?)
}

/// The candidates one after the other, by an evaluator that has scored the parents: their layers are in the bank then.
fn warm(search: &Search, recipes: Vec<Recipe>) -> Result<(), Failure> {
    let mut evaluator = evaluator(search)?;
    for model in search.family().names() {
        scored(search, &mut evaluator, baselines::whole_model(search.family(), model), Instant::now())?;
    }
    for recipe in recipes {
        print(&scored(search, &mut evaluator, recipe, Instant::now())?)?;
    }
    Ok(())
}

/// Seconds since `started`, and the scores by task: `{"seconds": 0.4, "scores": {"task": 0.8}}`.
fn scored(
    search: &Search,
    evaluator: &mut RecipeEvaluator,
    recipe: Recipe,
    started: Instant,
) -> Result<Value, Failure> {
    let scores =
        evaluator.score(&recipe.validate(search.family(), search.registry())?, DocumentSet::Search { rung: 0 })?;
    let seconds = started.elapsed().as_secs_f64();
    let scores: serde_json::Map<_, _> = scores.into_iter().map(|task| (task.task, task.score.into())).collect();
    Ok(json!({"seconds": seconds, "scores": scores}))
}

/// By task, for each document in order, the log-likelihoods of its choices; `null` for an answer that is no choice.
fn likelihoods(search: &Search, recipe: Recipe) -> Result<Value, Failure> {
    let (text, library) = (search.text()?, TaskLibrary::load(&search.study().include)?);
    let mut model = search.runtime()?.model(recipe.validate(search.family(), search.registry())?)?;
    let mut tasks = serde_json::Map::new();
    for settings in &search.study().tasks {
        let options = Options { split: Some(settings.validation.clone()), ..Options::default() };
        for config in library.task(&settings.name)? {
            let task = PreparedTask::new(&config, &text, &options)?;
            let documents = task.evaluate(&mut model)?.documents.into_iter();
            let choices = |responses: Vec<Response>| -> Vec<Option<f64>> {
                let likelihood = |response| match response {
                    Response::Score { log_likelihood, .. } => Some(log_likelihood),
                    _ => None,
                };
                responses.into_iter().map(likelihood).collect()
            };
            tasks.insert(
                task.name().to_owned(),
                json!(documents.map(|document| choices(document.responses)).collect::<Vec<_>>()),
            );
        }
    }
    Ok(tasks.into())
}
