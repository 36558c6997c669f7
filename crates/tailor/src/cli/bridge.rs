//! `tailor bridge`: a recipe whose layers before a gap are refitted, so that the layers behind it see about what they
//! saw before.

use std::path::{Path, PathBuf};

use layer_ir::{Family, Recipe};
use layer_runtime::{Runtime, RuntimeOptions, open_devices};
use merge_ops::Registry;
use recipe_search::bridges::{
    FittedBridge, FittedDelta, FittedOProj, SequentialBridge, SequentialSettings, Sink, StatisticsSettings, TaughtText,
    bridge, bridge_sequentially_with, gaps,
};
use recipe_search::{check_writable, right_answers, token_text, write_whole};
use tailor::Error;
use task_eval::{ModelTokenizer, Options};

use super::console::Console;
use super::merge::DtypeName;
use super::target::open_model;
use super::tasks::TaskArguments;

/// Mend a cut model in closed form: refit the layer before each gap of a recipe on the tasks' training documents, with
/// their right answers.
///
/// For each layer that a later one follows than in its model, one least-squares problem over calibration tokens gives a
/// change of its down projection. The recipe names the changes in files beside it, and stays a plain checkpoint when it
/// is merged.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A recipe (.yaml) that leaves layers out.
    recipe: PathBuf,
    /// The recipe to write; the bridges' files are written beside it.
    out: PathBuf,
    #[command(flatten)]
    tasks: TaskArguments,
    /// The split that the documents are read from; not the one that the model is judged on.
    #[arg(long, default_value = "train")]
    split: String,
    /// About so many calibration tokens, in equal shares of the tasks.
    #[arg(long, default_value_t = 8000)]
    tokens: usize,
    /// Ridges to choose from on a fifth of the text, in shares of the mean diagonal.
    #[arg(long, value_delimiter = ',', default_value = "0.001,0.01,0.1")]
    ridges: Vec<f64>,
    /// Refit every layer from the first gap on, one after the other, on what the cut model itself computes. Takes one
    /// walk of the text for each such layer, and merged layers too.
    #[arg(long)]
    sequential: bool,
    /// With --sequential refit the projection behind the attention too, before each layer's down projection.
    #[arg(long, requires = "sequential")]
    o_proj: bool,
    /// With --sequential the model of the recipe that the cut one is to follow; without it, the one that most of its
    /// layers come from.
    #[arg(long, value_name = "MODEL", requires = "sequential")]
    teacher: Option<String>,
    /// Memory for the statistics and the fits beside the model, in MiB; where it is too little for all gaps at once,
    /// the text is walked through several times.
    #[arg(long, default_value_t = 4096)]
    memory_mib: u64,
    /// cpu, cuda[:i] or wgpu[:i] (see `tailor devices`); of several the first computes.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The type of weights and products: f32, or bf16 with sums in f32.
    #[arg(long, default_value = "f32")]
    dtype: DtypeName,
}

/// Reads the recipe and the calibration text, fits the bridges, writes their files and then the recipe, which is so the
/// last to appear under its name.
///
/// # Errors
/// [`Error::NoGap`] for a recipe without a gap; what recipe-search says of too little calibration text or memory; what
/// task-eval says of the tasks; a file that cannot be written.
pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let folder = arguments.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })?;
    check_writable(&arguments.out)?;
    let (family, mut recipe) = open_model(&arguments.recipe, &arguments.tasks.hub(console))?;
    let whole = recipe.clone().validate(&family, &Registry::standard())?;
    let teacher = teacher(arguments, &family, &recipe)?;
    if !arguments.sequential && gaps(&recipe, family.base().num_layers()).is_empty() {
        return Err(Error::NoGap(arguments.recipe.clone()));
    }
    let calibration = calibration(arguments, &family, &token_text(&family, &whole)?, console)?;
    let options = RuntimeOptions { dtype: arguments.dtype.into(), ..RuntimeOptions::default() };
    let device = open_devices(&arguments.device)?.remove(0);
    let runtime = Runtime::new(family, Registry::standard(), device, options)?;
    let memory_bytes = arguments.memory_mib.saturating_mul(1 << 20);
    let settings = StatisticsSettings { memory_bytes, ..StatisticsSettings::default() };
    let tokens: usize = calibration.iter().map(Vec::len).sum();
    let ridges = &arguments.ridges;
    let table = if arguments.sequential {
        let taught = |tokens| TaughtText { tokens, teacher: teacher.clone() };
        let texts: Vec<TaughtText> = calibration.into_iter().map(taught).collect();
        let sequential = SequentialSettings { o_proj: arguments.o_proj };
        let bridges = bridge_sequentially_with(&runtime, &mut recipe, &texts, settings, ridges, sequential, folder)?;
        if bridges.is_empty() {
            return Err(Error::NoGap(arguments.recipe.clone()));
        }
        sequential_table(&bridges)
    } else {
        table(&bridge(&runtime, &mut recipe, &calibration, settings, ridges, folder)?)
    };
    localise(&mut recipe, folder)?;
    write_whole(&arguments.out, &recipe.to_yaml()?)?;
    console.say(&format!("{tokens} calibration tokens\n{table}"))
}

/// Makes the paths of a recipe such as a file in `folder` may name: what lies in there by its name, all else by its
/// absolute path.
///
/// # Errors
/// [`Error::Io`] where there is no working directory.
fn localise(recipe: &mut Recipe, folder: &Path) -> Result<(), Error> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|source| Error::Io { path: path.into(), source });
    for layer in recipe.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut()) {
        layer.file = match layer.file.strip_prefix(folder) {
            Ok(name) => name.to_path_buf(),
            Err(_) => absolute(&layer.file)?,
        };
    }
    for model in recipe.models.values_mut() {
        *model = absolute(Path::new(&*model))?.display().to_string();
    }
    Ok(())
}

/// Documents with their right answers, of each task by turns until there are enough tokens.
///
/// # Errors
/// What task-eval says of the tasks and their data.
fn calibration(
    arguments: &Arguments,
    family: &Family,
    text: &ModelTokenizer,
    console: &Console,
) -> Result<Vec<Vec<u32>>, Error> {
    let options = Options { split: Some(arguments.split.clone()), ..arguments.tasks.options(console) };
    let (_, tasks) = arguments.tasks.prepare(text, |_| options.clone())?;
    let window = family.base().config()?.max_position_embeddings;
    let share = arguments.tokens.div_ceil(tasks.len());
    Ok(tasks.iter().flat_map(|task| right_answers(task, 0..task.len(), window, share)).collect())
}

/// A line for each bridge: which layer, how many layers it bridges, the ridge that was chosen, and how much of the
/// squared error it leaves on text that the fit has not seen; and a warning where a layer is gone without which no
/// bridge helps.
fn table(bridges: &[FittedBridge]) -> String {
    let line = |FittedBridge { over, fitted, sink }: &FittedBridge| {
        let (after, length, place, model) = (over.gap.after, over.gap.length, over.place, &over.model);
        let mut line = format!("layer {place}: {model} {after}, {length} left out behind it: {}\n", quality(fitted));
        if let Some(Sink { layer, position, before, after, median, .. }) = sink {
            line += &format!(
                "  layer {layer} of {model}, which is left out, makes an attention sink: at position {position} it \
                 takes the stream's length from {before:.0} to {after:.0}, where other tokens have {median:.0}. \
                 No bridge mends its loss; keep this layer.\n"
            );
        } else if fitted.held_back_error().is_some_and(|error| error > 1.0) {
            line += "  It does harm on text held back: leave other layers out.\n";
        }
        line
    };
    bridges.iter().map(line).collect()
}

/// A line for each projection that was fitted by turns.
fn sequential_table(bridges: &[SequentialBridge]) -> String {
    let left = |kept| if kept { "" } else { "; left as it was" };
    let line = |SequentialBridge { place, target, fitted, kept, o_proj }: &SequentialBridge| {
        let attention = o_proj.as_ref().map_or_else(String::new, |FittedOProj { fitted, kept }| {
            format!("layer {place}: o_proj, towards the teacher after attention: {}{}\n", quality(fitted), left(*kept))
        });
        let (quality, left) = (quality(fitted), left(*kept));
        format!("{attention}layer {place}: towards the teacher before its layer {target}: {quality}{left}\n")
    };
    bridges.iter().map(line).collect()
}

/// The ridge that was chosen, and how much of the squared error is left.
fn quality<D>(fitted: &FittedDelta<D>) -> String {
    let error = fitted.held_back_error().map_or_else(String::new, |error| {
        format!(", leaves {:.0}% of the squared error on text held back", 100.0 * error)
    });
    let few = if fitted.few_tokens { "; few tokens for so wide a layer: more --tokens help" } else { "" };
    format!("ridge {}{error}{few}", fitted.ridge)
}

/// The teacher: the model that was named, or the one that most layers of the recipe come from; of several the first.
///
/// # Errors
/// [`Error::BadOption`] for a name that the recipe does not have.
fn teacher(arguments: &Arguments, family: &Family, recipe: &Recipe) -> Result<String, Error> {
    if let Some(name) = &arguments.teacher {
        return match family.get(name) {
            Ok(_) => Ok(name.clone()),
            Err(_) => {
                let (found, expected) = (name.clone(), "the name of a model of the recipe");
                Err(Error::BadOption { option: "teacher", found, expected })
            }
        };
    }
    let layers = |name: &&str| recipe.layers.iter().filter(|layer| layer.from.models().any(|of| of == *name)).count();
    let most = family.names().collect::<Vec<_>>().into_iter().rev().max_by_key(layers);
    Ok(most.unwrap_or(family.base_name()).to_owned())
}
