//! `tailor inspect`: what a checkpoint, a recipe or a study is made of.
//!
//! Configs, shapes and recipes are read, but no weight (unless `--screen` asks for a look at the layers: `screen.rs`).
//! Everything is put together as one JSON object, the facts; for people its keys become lines, `null` none.

use std::path::{Path, PathBuf};

use layer_ir::{Checkpoint, Cost, Dtype, Family, Hub, ValidRecipe, mergekit};
use merge_ops::Registry;
use recipe_search::baselines::whole_model;
use recipe_search::{Search, Study, StudyFile, StudyFolder};
use serde_json::{Value, json};
use tailor::{Error, LayerMap};

use super::console::Console;
use super::hub::hub;
use super::screen::{self, ScreenArguments};
use super::target::{Target, open_model, read_recipe};

/// Show layers, parameters, bytes and cost of a checkpoint, a recipe or a study.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A checkpoint (folder or hub id, `org/name@revision`), a recipe (.yaml), a study file (.toml) or the folder of a
    /// study.
    path: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Of a recipe: the mergekit file that makes the same model.
    #[arg(long, conflicts_with = "json")]
    mergekit: bool,
    /// Walk some text through the model, or through each model of a study, and show what every layer does: block
    /// influence, angular distance, the length of the residual stream behind it, whether it makes an attention sink,
    /// and the loss without it.
    #[arg(long, conflicts_with = "mergekit")]
    screen: bool,
    /// Of models of the hub that are nowhere here, download the config and the headers of the weights (`HF_ENDPOINT`,
    /// `HF_TOKEN`); with --screen or --mergekit all that is needed.
    #[arg(long)]
    download: bool,
    #[command(flatten)]
    screening: ScreenArguments,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let hub = hub(arguments.download, console);
    if arguments.mergekit {
        return console.say(&as_mergekit(&arguments.path, &hub)?);
    }
    if arguments.screen {
        return screen::run(&arguments.path, &arguments.screening, &hub, arguments.json, console);
    }
    let hub = Hub { headers_only: true, ..hub };
    let (facts, picture) = match Target::of(&arguments.path, &hub)? {
        Target::Checkpoint(folder) => (checkpoint(&folder)?, String::new()),
        Target::Recipe(file) => recipe(&file, &hub)?,
        Target::StudyFile(file) => {
            (study(StudyFile::read_with(&file, |_| Hub::default())?.check()?, &file, None)?, String::new())
        }
        Target::StudyFolder(path) => {
            let folder = StudyFolder::new(&path);
            (study(folder.study()?, &path, Some(&folder))?, String::new())
        }
    };
    if arguments.json {
        return console.say(&format!("{facts:#}"));
    }
    let mut text = String::new();
    lines(&facts, 0, &mut text);
    console.say(&(text + &picture))
}

/// The mergekit file that makes the same model; refused where mergekit has no words for the recipe.
fn as_mergekit(path: &Path, hub: &Hub) -> Result<String, Error> {
    let (family, recipe) = open_model(path, hub)?;
    let methods = Registry::standard();
    Ok(mergekit::to_yaml(&recipe.validate(&family, &methods)?, &family, &methods)?)
}

/// The facts of a checkpoint, of any architecture with numbered layers.
fn checkpoint(folder: &Path) -> Result<Value, Error> {
    let checkpoint = Checkpoint::open_outline(folder)?;
    let cost = Cost::of_checkpoint(&checkpoint, checkpoint.num_layers(), checkpoint.dtype());
    Ok(with_cost(json!({ "kind": "checkpoint", "path": folder }), &checkpoint, cost, checkpoint.dtype()))
}

/// The facts of a recipe, and its layer map over the deepest of its models.
fn recipe(file: &Path, hub: &Hub) -> Result<(Value, String), Error> {
    let recipe = read_recipe(file, hub)?;
    let family = recipe.open_outline()?;
    let recipe = recipe.validate(&family, &Registry::standard())?;
    let base = family.base();
    let dtype = recipe.dtype.unwrap_or_else(|| base.dtype());
    let head = json!({ "kind": "recipe", "path": file, "models": recipe.models, "base": recipe.base });
    let facts = with_cost_of(head, base, &recipe, dtype);
    let deepest = family.names().filter_map(|name| family.get(name).ok()).map(Checkpoint::num_layers).max();
    let map = LayerMap::of(&recipe, deepest.unwrap_or(0));
    Ok((facts, format!("\n{}", map.to_text())))
}

/// The facts of a study: its space, and the size of the largest model that it can give. `folder` is that of a started
/// study, whose finished trials are counted; `path` is what the user named.
fn study(study: Study, path: &Path, folder: Option<&StudyFolder>) -> Result<Value, Error> {
    let search = Search::new(study)?;
    let (study, family) = (search.study(), search.family());
    let base = family.base();
    let space = search.space()?;
    let layers = base.num_layers();
    let removed = space.layers().map(|kept| [*kept.end(), *kept.start()].map(|kept| layers.saturating_sub(kept)));
    let kept = space.layers().map_or(layers, |kept| *kept.end());
    // All layers are alike: the base's stand for those of any recipe of the space, more than once for a deeper one.
    let mut largest = whole_model(family, StudyFile::BASE);
    largest.layers = largest.layers.iter().cycle().take(kept).cloned().collect();
    let largest = largest.validate(family, search.registry())?;
    let tasks: Vec<&str> = study.tasks.iter().map(|task| task.name.as_str()).collect();
    let head = json!({
        "kind": "study",
        "path": path,
        "name": study.name,
        "models": models(family),
        "tasks": tasks,
        "strategy": study.search.strategy.name,
        "trials": study.search.trials,
        "finished_trials": folder.map(finished).transpose()?,
        "dimensions": space.space().dimensions().len(),
        "layers_of_the_models": layers,
        "layers_removed": removed.map(|[least, most]| if least == most { json!(least) } else { json!([least, most]) }),
        "most_layers": (kept > layers).then_some(kept),
        "seed": study.seed,
    });
    Ok(with_cost_of(head, base, &largest, base.dtype()))
}

/// How many trials have finished; 0 before the first one was asked.
fn finished(folder: &StudyFolder) -> Result<usize, Error> {
    if folder.lines()?.is_none() {
        return Ok(0);
    }
    Ok(folder.history()?.trials().iter().filter(|record| record.outcome.is_some()).count())
}

/// The models' folders by their names, the base first.
fn models(family: &Family) -> Value {
    family.paths().into_iter().map(|(name, path)| (name, Value::from(path))).collect::<serde_json::Map<_, _>>().into()
}

/// The sizes of the model that would be written of a recipe behind the head; a vocabulary of its own counts,
/// and bridges are named.
fn with_cost_of(head: Value, base: &Checkpoint, recipe: &ValidRecipe, dtype: Dtype) -> Value {
    let mut facts = with_cost(head, base, Cost::of_recipe(base, recipe, dtype), dtype);
    if let Some(alignment) = recipe.alignment() {
        facts["vocabulary"] = json!(alignment.rows());
    }
    let bridge = |layer| {
        let bridge = recipe.bridge(layer)?;
        let tensors: Vec<&str> = bridge.deltas().map(|delta| delta.name.as_str()).collect();
        let facts = json!({ "file": bridge.file(), "hash": bridge.hash(), "tensors": tensors });
        Some((format!("layer_{layer}"), facts))
    };
    let bridges: serde_json::Map<_, _> = (0..recipe.layers.len()).filter_map(bridge).collect();
    if !bridges.is_empty() {
        facts["bridges"] = bridges.into();
    }
    facts
}

/// The sizes behind the head, of a model that is made as this checkpoint.
fn with_cost(mut head: Value, made_as: &Checkpoint, cost: Cost, dtype: Dtype) -> Value {
    // Of an unknown architecture, what its config says in the usual words.
    let stated = |key: &str| made_as.raw_config().get(key).cloned().unwrap_or_default();
    let config = made_as.config().ok();
    let size = |known: Option<usize>, key| known.map_or_else(|| stated(key), Value::from);
    let sizes = [
        ("architecture", json!(made_as.architecture().to_string())),
        ("dtype", json!(dtype)),
        ("layers", json!(cost.layers)),
        ("parameters", json!(cost.parameters)),
        ("bytes", json!(cost.bytes)),
        ("flops_per_token", json!(cost.flops_per_token)),
        ("kv_bytes_per_token", json!(cost.kv_bytes_per_token)),
        ("hidden_size", size(config.map(|config| config.hidden_size), "hidden_size")),
        ("vocabulary", size(config.map(|config| config.vocab_size), "vocab_size")),
        ("window", size(config.map(|config| config.max_position_embeddings), "max_position_embeddings")),
    ];
    for (key, value) in sizes {
        head[key] = value;
    }
    head
}

/// An object as lines of `key  value` for people, objects in it as lines that are indented by two more.
fn lines(facts: &Value, indent: usize, text: &mut String) {
    for (key, value) in facts.as_object().into_iter().flatten() {
        let label = format!("{:indent$}{:<21}", "", key.replace('_', " "));
        match value {
            Value::Null => {}
            Value::Object(_) => {
                text.push_str(&format!("{}\n", label.trim_end()));
                lines(value, indent + 2, text);
            }
            Value::Array(items) => {
                let word = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                let items: Vec<String> = items.iter().map(word).collect();
                text.push_str(&format!("{label} {}\n", items.join(", ")));
            }
            Value::String(word) => text.push_str(&format!("{label} {word}\n")),
            number => text.push_str(&format!("{label} {}\n", grouped(&number.to_string()))),
        }
    }
}

/// A whole number with its thousands apart.
fn grouped(number: &str) -> String {
    let mut text = String::new();
    for (place, digit) in number.chars().enumerate() {
        if place > 0 && (number.len() - place).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
