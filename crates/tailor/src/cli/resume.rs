//! `tailor resume`: goes on with a search that was cut off.
//!
//! The study is the one in its folder, in which the command line's wishes of `tailor search` stand already. Only the
//! number of trials may change.

use std::path::PathBuf;

use recipe_search::{Search, StudyFolder};
use tailor::Error;

use super::console::Console;
use super::finish::Ending;
use super::optuna::OptunaCopy;
use super::progress::Progress;
use super::work::ending_on_request;

/// Go on with a search that was cut off; the finished study is the same as one that was not. A finished one can be
/// given more trials.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the study.
    dir: PathBuf,
    /// How many trials in all, in place of the study's number; it is kept in the study.
    #[arg(long)]
    trials: Option<usize>,
    #[command(flatten)]
    ending: Ending,
    /// While searching, keep the trials in this database as Optuna would have them, for
    /// `optuna-dashboard sqlite:///FILE` (SQLite) or `optuna-dashboard postgresql://...`.
    #[arg(long, value_name = "FILE|URL")]
    optuna: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let folder = StudyFolder::new(&arguments.dir);
    let mut file = folder.study_file()?;
    file.search.trials = arguments.trials.unwrap_or(file.search.trials);
    let search = ending_on_request(Search::new(file.check()?)?, &folder)?;
    arguments.ending.check(&folder)?;
    let mut optuna = OptunaCopy::new(&folder, arguments.optuna.as_deref())?;
    let mut progress = Progress::new(console, search.meter());
    let finished = search.resume(&folder, &mut |event| {
        optuna.follow(&event, console);
        progress.show(event);
    });
    let written = optuna.write();
    arguments.ending.finish(&search, &folder, &finished?, progress, console)?;
    written
}
