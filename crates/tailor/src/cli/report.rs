//! `tailor report`: the page of a finished study.
//!
//! Scores in `test.json` are used again if they are of this result, so that a second report runs no model.

use std::path::PathBuf;

use recipe_search::{FinishedSearch, Search, StudyFolder};
use tailor::Error;
use tailor::report::{front_rows, front_table, healed_models, healing_table, subject_table, task_table, write_report};

use super::console::Console;
use super::finish::{conclusions, tested};
use super::optuna::write_optuna;
use super::progress::Progress;

/// Write the report of a finished study (report.html) anew, scoring on the test split what was not scored there yet.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the study.
    dir: PathBuf,
    /// Print the scores of the tasks of each group too.
    #[arg(long)]
    subjects: bool,
    /// In place of the report, write the trials into this database as Optuna would have them, for
    /// `optuna-dashboard sqlite:///FILE` (SQLite) or `optuna-dashboard postgresql://...`. An unfinished study has them
    /// too; a database that exists is brought up to date.
    #[arg(long, value_name = "FILE|URL", conflicts_with = "subjects")]
    optuna: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let folder = StudyFolder::new(&arguments.dir);
    if let Some(path) = &arguments.optuna {
        return write_optuna(&folder, path, console);
    }
    let study = folder.study()?;
    let finished = FinishedSearch::read(&folder)?;
    let search = Search::new(study)?;
    let mut progress = Progress::new(console, search.meter());
    let test = tested(&search, &folder, &finished, None, &mut progress)?;
    write_report(&search, &folder, &finished, &test)?;
    progress.end();
    let (layers, kept) = (search.family().base().num_layers(), finished.result.best.recipe.layers.len());
    let subjects = if arguments.subjects { subject_table(&test) } else { String::new() };
    console.say(&format!(
        "{}\n{subjects}{}{}{}{}",
        task_table(&test, layers, kept),
        conclusions(&finished, &test, layers),
        front_table(&front_rows(&finished.result, &test)),
        healing_table(&healed_models(&folder)?, &test),
        folder.file("report.html").display()
    ))
}
