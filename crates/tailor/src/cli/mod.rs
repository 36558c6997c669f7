//! The command line: what may be said, and what becomes of errors. One file per command.
//!
//! | file | what |
//! |---|---|
//! | `inspect.rs`, `eval.rs`, `merge.rs`, `export.rs`, `devices.rs` | the commands for models |
//! | `import.rs` | results of auto-merge-llm become recipes |
//! | `screen.rs` | `inspect --screen` |
//! | `bridge.rs`, `heal.rs` | the commands that mend a cut model |
//! | `search.rs`, `resume.rs`, `work.rs`, `report.rs` | the commands for studies |
//! | `serve.rs` | the page that watches a study |
//! | `finish.rs` | how `search` and `resume` end |
//! | `target.rs` | what a path is: a checkpoint, a recipe, a study |
//! | `hub.rs` | `--download`, the same for all commands |
//! | `console.rs` | results to stdout, all else to stderr |
//! | `progress.rs`, `counted.rs` | what is shown while one waits |
//!
//! A command is a struct `Arguments`, whose comments are its `--help`, and a function `run` over it. `run` returns an
//! error before anything was written, or leaves what its documentation says: `tests/bad_input.rs` holds it to that.

mod console;
mod counted;
mod hub;
mod progress;
mod target;
mod tasks;

mod bridge;
mod devices;
mod eval;
mod export;
mod finish;
mod heal;
mod import;
mod inspect;
mod merge;
mod optuna;
mod report;
mod resume;
mod screen;
mod search;
#[cfg(feature = "serve")]
mod serve;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::Console;
use tailor_simd::instruction_set;

/// Cut and stitch a base LLM and its fine-tunes into one smaller model.
#[derive(Debug, Parser)]
#[command(name = "tailor", version, propagate_version = true)]
struct Arguments {
    /// No progress, no notes: only results and errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(Box<inspect::Arguments>),
    Eval(Box<eval::Arguments>),
    Merge(merge::Arguments),
    Import(Box<import::Arguments>),
    Bridge(bridge::Arguments),
    Search(search::Arguments),
    Resume(resume::Arguments),
    Work(work::Arguments),
    Report(report::Arguments),
    #[cfg(feature = "serve")]
    Serve(serve::Arguments),
    Export(export::Arguments),
    Heal(Box<heal::Arguments>),
    Devices(devices::Arguments),
}

/// Runs the command that the process was started with. The exit code is 0, or 1 for an error of ours; clap ends the
/// process with 2 for words that it does not know.
pub(crate) fn run() -> ExitCode {
    let Arguments { quiet, command } = Arguments::parse();
    let console = Console { quiet };
    let done =
        instruction_set().map_err(|error| layer_runtime::Error::from(error).into()).and_then(|_| match command {
            Command::Inspect(arguments) => inspect::run(&arguments, &console),
            Command::Eval(arguments) => eval::run(&arguments, &console),
            Command::Merge(arguments) => merge::run(&arguments, &console),
            Command::Import(arguments) => import::run(&arguments, &console),
            Command::Bridge(arguments) => bridge::run(&arguments, &console),
            Command::Search(arguments) => search::run(&arguments, &console),
            Command::Resume(arguments) => resume::run(&arguments, &console),
            Command::Work(arguments) => work::run(&arguments, &console),
            Command::Report(arguments) => report::run(&arguments, &console),
            #[cfg(feature = "serve")]
            Command::Serve(arguments) => serve::run(&arguments, &console),
            Command::Export(arguments) => export::run(&arguments, &console),
            Command::Heal(arguments) => heal::run(&arguments, &console),
            Command::Devices(devices::Arguments {}) => devices::run(&console),
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_help_lists_the_tables() {
        let mut command = <Arguments as clap::CommandFactory>::command();
        let mut help = |name: &str| {
            command.find_subcommand_mut(name).map_or_else(String::new, |own| own.render_long_help().to_string())
        };
        let (search, eval) = (help("search"), help("eval"));
        for name in ["regularised_evolution", "hyperband", "divergence", "prune", "greedy", "sqlite"] {
            assert!(search.contains(name), "{name}");
        }
        for name in ["exact_match", "take_first"] {
            assert!(eval.contains(name), "{name}");
        }
    }

    #[test]
    fn the_study_in_the_help_is_a_study() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for model in ["base", "math", "code"] {
            std::fs::create_dir_all(folder.path().join("models").join(model))?;
        }
        let file = folder.path().join("study.toml");
        std::fs::write(&file, include_str!("minimal.toml"))?;
        assert_eq!(recipe_search::StudyFile::read(&file)?.tasks.len(), 2);
        Ok(())
    }
}
