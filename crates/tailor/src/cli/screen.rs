//! `tailor inspect --screen`: what each layer of a model does with a text, before any search.

use std::path::{Path, PathBuf};

use layer_ir::{Family, Hub, ValidRecipe};
use layer_runtime::{Runtime, RuntimeOptions, open_devices};
use merge_ops::Registry;
use recipe_search::baselines::whole_model;
use recipe_search::{Screening, Search, Split, Study, StudyFile, StudyFolder, right_answers, screen, token_text};
use serde_json::{Value, json};
use tailor::Error;
use tailor::report::screening_table;
use task_eval::{Calibration, CalibrationOptions, ModelTokenizer, Options, PreparedTask, TaskLibrary};

use super::console::Console;
use super::merge::DtypeName;
use super::target::{Target, open_model};

/// What text is walked through the models, and where they run.
#[derive(Debug, clap::Args)]
pub(super) struct ScreenArguments {
    /// Names of tasks, groups or tags, patterns, or task files, whose documents are read with their right answers;
    /// of a study without these, what its search sees.
    #[arg(long, value_delimiter = ',', requires = "screen")]
    tasks: Vec<String>,
    /// A folder with task files; may be given several times.
    #[arg(long, requires = "screen")]
    include: Vec<PathBuf>,
    /// The split of the tasks.
    #[arg(long, default_value = "train", requires = "screen")]
    split: String,
    /// A file of text: paragraphs of a .txt, or the column `text` of a .jsonl, .json, .csv or .parquet; may be given
    /// several times.
    #[arg(long, value_name = "FILE", requires = "screen")]
    text: Vec<PathBuf>,
    /// About so many tokens, in equal shares of the tasks and files.
    #[arg(long, default_value_t = 2000, requires = "screen")]
    tokens: usize,
    /// The folder of the data sets that tasks name by their hub id.
    #[arg(long, value_name = "DIR", default_value = task_eval::DEFAULT_DATA_ROOT, requires = "screen")]
    data: PathBuf,
    /// cpu, cuda[:i] or wgpu[:i] (see `tailor devices`).
    #[arg(long, default_value = "cpu", requires = "screen")]
    device: String,
    /// The type of weights and products: f32, or bf16 with sums in f32.
    #[arg(long, default_value = "f32", requires = "screen")]
    dtype: DtypeName,
}

/// The tokens of a piece of a text file.
const WINDOW: usize = 512;

/// Prints the table of each model: of a checkpoint or a recipe that one, of a study all of its family.
///
/// # Errors
/// [`Error::NoScreenText`] where no text is named; what task-eval says of tasks and files; when a model cannot be run.
pub(super) fn run(
    path: &Path,
    arguments: &ScreenArguments,
    hub: &Hub,
    as_json: bool,
    console: &Console,
) -> Result<(), Error> {
    let screened = match Target::of(path, hub)? {
        Target::Checkpoint(_) | Target::Recipe(_) => model(path, arguments, hub)?,
        Target::StudyFile(file) => study(StudyFile::read_with(&file, |_| hub.clone())?.check()?, arguments, hub)?,
        Target::StudyFolder(folder) => study(StudyFolder::new(folder).study()?, arguments, hub)?,
    };
    if as_json {
        let models: serde_json::Map<String, Value> =
            screened.into_iter().map(|(name, screening)| (name, json!(screening))).collect();
        return console.say(&format!("{:#}", json!({ "kind": "screening", "path": path, "models": models })));
    }
    let tables: Vec<String> = screened.iter().map(|(name, screening)| screening_table(name, screening)).collect();
    console.say(&tables.join("\n"))
}

/// A checkpoint or a recipe on the text of the arguments.
fn model(path: &Path, arguments: &ScreenArguments, hub: &Hub) -> Result<Vec<(String, Screening)>, Error> {
    let (family, recipe) = open_model(path, hub)?;
    let recipe = recipe.validate(&family, &Registry::standard())?;
    let text = texts(arguments, &[], &family, &token_text(&family, &recipe)?, hub)?;
    let device = open_devices(&arguments.device)?.remove(0);
    let options = RuntimeOptions { dtype: arguments.dtype.into(), ..RuntimeOptions::default() };
    let runtime = Runtime::new(family, Registry::standard(), device, options)?;
    Ok(vec![(path.display().to_string(), screen(&runtime, &recipe, &text)?)])
}

/// Every model of a study's family, on the text of the arguments, or else on that of the study's baselines.
fn study(study: Study, arguments: &ScreenArguments, hub: &Hub) -> Result<Vec<(String, Screening)>, Error> {
    let mut file = study.into_file();
    file.runtime.device.clone_from(&arguments.device);
    file.runtime.dtype = arguments.dtype.into();
    let search = Search::new(file.check()?)?;
    let (family, runtime) = (search.family(), search.runtime()?);
    let text = if arguments.tasks.is_empty() && arguments.text.is_empty() {
        search_documents(&search, arguments.tokens)?
    } else {
        texts(arguments, &search.study().include, family, &search.text()?, hub)?
    };
    let whole = |name: &str| -> Result<ValidRecipe, Error> { Ok(whole_model(family, name).validate(family, &())?) };
    family.names().map(|name| Ok((name.to_owned(), screen(&runtime, &whole(name)?, &text)?))).collect()
}

/// About so many tokens of documents that the search of a study sees, in equal shares of its tasks.
fn search_documents(search: &Search, tokens: usize) -> Result<Vec<Vec<u32>>, Error> {
    Ok(search.evaluator(Split::Validation)?.calibration_tokens(tokens))
}

/// About as many tokens as the arguments say, of their tasks and files.
///
/// # Errors
/// [`Error::NoScreenText`]; what task-eval says of tasks and files.
fn texts(
    arguments: &ScreenArguments,
    include: &[PathBuf],
    family: &Family,
    tokenizer: &ModelTokenizer,
    hub: &Hub,
) -> Result<Vec<Vec<u32>>, Error> {
    if arguments.tasks.is_empty() && arguments.text.is_empty() {
        return Err(Error::NoScreenText);
    }
    let include = [&arguments.include[..], include].concat();
    let options = Options {
        split: Some(arguments.split.clone()),
        data_root: arguments.data.clone(),
        download: hub.download.clone(),
        ..Options::default()
    };
    let mut tasks = Vec::new();
    if !arguments.tasks.is_empty() {
        for config in TaskLibrary::load(&include)?.select(&arguments.tasks)?.tasks {
            tasks.push(PreparedTask::new(&config, tokenizer, &options)?);
        }
    }
    let share = arguments.tokens.div_ceil((tasks.len() + arguments.text.len()).max(1));
    let window = family.base().config()?.max_position_embeddings;
    let mut texts: Vec<Vec<u32>> =
        tasks.iter().flat_map(|task| right_answers(task, 0..task.len(), window, share)).collect();
    for file in &arguments.text {
        let options = CalibrationOptions { window: Some(WINDOW.min(window)), ..Default::default() };
        let pieces = Calibration::from_file(file, tokenizer, &options).map_err(Error::text)?;
        let mut left = share;
        for piece in pieces.texts() {
            if left == 0 {
                break;
            }
            let piece = &piece[..piece.len().min(left)];
            left -= piece.len();
            texts.push(piece.to_vec());
        }
    }
    Ok(texts)
}
