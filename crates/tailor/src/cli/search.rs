//! `tailor search`: from a study file to the best recipe.
//!
//! The study is checked and its models and tasks are opened before the folder is made: a mistake in it costs seconds
//! and leaves nothing behind.

use std::path::{Path, PathBuf};

use recipe_search::{Search, StudyFile, StudyFolder, Tables};
use tailor::Error;

use super::console::Console;
use super::finish::Ending;
use super::hub::{HubArguments, hub};
use super::merge::DtypeName;
use super::optuna::OptunaCopy;
use super::progress::Progress;
use super::work::ending_on_request;

/// Search for the best recipe of a study.
///
/// The folder of the study gets its journal, its result (result.json, best.yaml) and its report (report.html). A search
/// that was cut off goes on with `tailor resume DIR`.
#[derive(Debug, clap::Args)]
#[command(after_help = MINIMAL, after_long_help = what_a_study_can_name())]
pub(super) struct Arguments {
    /// The study file.
    study: PathBuf,
    /// How many trials, in place of the study's number.
    #[arg(long)]
    trials: Option<usize>,
    /// The seed, in place of the study's.
    #[arg(long)]
    seed: Option<u64>,
    /// The type of weights and products, in place of the study's: f32 or bf16.
    #[arg(long)]
    dtype: Option<DtypeName>,
    /// Begin with what another study found out: the folder of one with the same models and tasks, or the
    /// `runhistory.json` of a search by auto-merge-llm.
    #[arg(long, value_name = "DIR|FILE")]
    warm_start: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArguments,
    /// Print how a trial would be computed, and search nothing.
    #[arg(long)]
    explain: bool,
    /// The folder of the study, in place of the study's `out`; without either, NAME-study beside it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    ending: Ending,
    /// While searching, keep the trials in this database as Optuna would have them, for
    /// `optuna-dashboard sqlite:///FILE` (SQLite) or `optuna-dashboard postgresql://...`.
    #[arg(long, value_name = "FILE|URL")]
    optuna: Option<PathBuf>,
}

/// What stands below `tailor search -h`.
const MINIMAL: &str = concat!("A minimal study file:\n\n", include_str!("minimal.toml"));

/// The methods of bridges, which are no table.
const BRIDGES: &str =
    "`space.bridge`: `off`, `refit` or `replaceme`: how the layer before removed ones is mended in closed form.";

/// What stands below `tailor search --help`: the minimal study, and the rows of the tables.
fn what_a_study_can_name() -> String {
    let tables = Tables::standard();
    let rows = [
        ("search.strategy", tables.strategies.help()),
        ("search.scheduler", tables.schedulers.help()),
        ("search.objective", tables.objectives.help()),
        ("search.objectives", tables.further_objectives.help()),
        ("space.kind", tables.spaces.help()),
        ("baselines.methods", tables.baselines.help()),
        ("store", tables.stores.help()),
    ];
    let rows =
        rows.map(|(key, rows)| format!("`{key}`, by name or with parameters, {{ name = \"...\", ... }}:\n{rows}"));
    format!("{MINIMAL}\n{}\n{BRIDGES}", rows.join("\n"))
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let download = |study: &StudyFile| study.download || arguments.hub.download;
    let mut study = StudyFile::read_with(&arguments.study, |study| hub(download(study), console))?;
    study.download = download(&study);
    study.search.trials = arguments.trials.unwrap_or(study.search.trials);
    study.seed = arguments.seed.unwrap_or(study.seed);
    study.runtime.dtype = arguments.dtype.map_or(study.runtime.dtype, Into::into);
    if let Some(other) = &arguments.warm_start {
        study.warm_start =
            Some(std::path::absolute(other).map_err(|source| Error::Io { path: other.clone(), source })?);
    }
    let study = study.check()?;
    if arguments.explain {
        return console.say(&Search::new(study)?.explain()?);
    }
    let out = arguments.out.clone().or_else(|| study.out.clone()).unwrap_or_else(|| default_out(&arguments.study));
    let folder = StudyFolder::new(out);
    arguments.ending.check(&folder)?;
    let mut optuna = OptunaCopy::new(&folder, arguments.optuna.as_deref())?;

    let search = ending_on_request(Search::new(study)?, &folder)?;
    let mut progress = Progress::new(console, search.meter());
    let finished = search.run(&folder, &mut |event| {
        optuna.follow(&event, console);
        progress.show(event);
    });
    let written = optuna.write();
    arguments.ending.finish(&search, &folder, &finished?, progress, console)?;
    written
}

/// The folder of a study that names none: `NAME-study` beside `NAME.toml`.
fn default_out(study: &Path) -> PathBuf {
    let name = study.file_stem().unwrap_or_default().to_string_lossy();
    study.with_file_name(format!("{name}-study"))
}
