//! `tailor export`: a trial of a study as a checkpoint.
//!
//! The study need not have ended: a trial is decoded from its point in the journal, and no model is run.

use std::path::PathBuf;
use std::str::FromStr;

use merge_ops::RecipeTensors;
use recipe_search::{Search, StudyFolder};
use tailor::Error;

use super::console::Console;
use super::merge::{Writing, write};

/// Write a recipe that a study found as a Hugging Face checkpoint.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the study.
    dir: PathBuf,
    /// The folder to write; it must be empty, or not there yet.
    out: PathBuf,
    /// `best` (the confirmed result, or before the end of the search the best trial so far) or the number of a trial.
    #[arg(long, default_value = "best")]
    trial: Choice,
    #[command(flatten)]
    writing: Writing,
}

/// Which recipe of the study is written.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// That of the result; before there is one, that of the best trial so far.
    Best,
    /// That of the trial with this number, which must have finished.
    Trial(u64),
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "best" => Ok(Self::Best),
            _ => text.parse().map(Self::Trial).map_err(|_| "write `best` or the number of a trial"),
        }
    }
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let folder = StudyFolder::new(&arguments.dir);
    let search = Search::new(folder.study()?)?;
    let trial = match arguments.trial {
        Choice::Best => None,
        Choice::Trial(id) => Some(id),
    };
    let recipe = search.recipe_of(&folder, trial)?.validate(search.family(), search.registry())?;
    let source = RecipeTensors { family: search.family(), recipe: &recipe, registry: search.registry() };
    write(source, &arguments.out, &arguments.writing.options()?, console)
}
