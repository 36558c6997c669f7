//! `tailor work`: evaluates the trials of a study that other processes work on too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use recipe_search::{Search, StudyFile, StudyFolder, WorkSettings, Worked, study_in_store};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tailor::Error;

use super::console::Console;
use super::progress::Progress;

/// Who waits for a study looks after this time again.
const AGAIN: Duration = Duration::from_secs(2);

/// Work on a study with other processes, on this machine or others, until it is finished.
///
/// A worker claims one piece of work after the other and hands in what came out. It can be started and ended at any time;
/// what a lost worker had claimed goes to another one when its lease has run out. While nobody leads the study, which
/// whoever began it does at first, a worker leads it too.
#[derive(Debug, clap::Args)]
#[command(after_help = "The study's `store` must be `directory` or a PostgreSQL URL; see docs/cluster.md.")]
pub(super) struct Arguments {
    /// The folder of the study, on a disk that the machines share; or the URL of its database, without a password.
    #[arg(value_name = "DIR|URL")]
    study: PathBuf,
    /// The name of the study in the database, unless the URL says it as `?study=NAME`.
    #[arg(long, value_name = "NAME")]
    study_name: Option<String>,
    /// Devices to work on in place of the study's, apart by commas: each has workers of its own.
    #[arg(long, value_delimiter = ',', value_name = "DEVICE")]
    device: Vec<String>,
    /// How many workers each device has.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    slots: u64,
    /// After so many seconds without a sign of life what a worker has claimed is given to another one, in place of the
    /// study's number.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    lease: Option<u64>,
    /// Wait up to so many seconds until somebody has begun the study.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    wait: u64,
    /// With a URL, the folder of what this process writes of the study; without it, NAME-study.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let stop = on_request()?;
    let (file, folder) = begun(arguments, console)?;
    let settings = WorkSettings {
        devices: arguments.device.clone(),
        slots: arguments.slots as usize,
        lease: arguments.lease.map(Duration::from_secs),
        stop,
        ..WorkSettings::default()
    };
    let search = Search::new(file.check()?)?;
    let mut progress = Progress::new(console, search.meter());
    let Worked { finished, left, work, .. } = search.work(&folder, &settings, &mut |event| progress.show(event))?;
    progress.end();
    let (done, refused): (usize, usize) =
        (work.iter().map(|one| one.finished).sum(), work.iter().map(|one| one.refused).sum());
    let late = if refused > 0 { format!(", {refused} more came too late") } else { String::new() };
    let state = if left { "The study goes on without this process" } else { "The study is finished" };
    console.say(&format!("{state}; {done} pieces of work were done here{late}."))?;
    match finished {
        Some(_) => console.say(&format!("Its result is in {0}: `tailor report {0}`.", folder.path().display())),
        None => Ok(()),
    }
}

/// Set when the process is asked to end, by a signal as schedulers send it or by Ctrl-C; a second one ends it at once.
///
/// # Errors
/// When the system takes no handlers.
fn on_request() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let at_once = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop));
        at_once.and_then(|_| flag::register(signal, Arc::clone(&stop))).map_err(Error::Signals)?;
    }
    Ok(stop)
}

/// A search that other processes share ends on request as a worker does; another one at once.
///
/// # Errors
/// As of [`on_request`].
pub(super) fn ending_on_request(search: Search, folder: &StudyFolder) -> Result<Search, Error> {
    Ok(if search.is_shared(folder) { search.with_stop(on_request()?) } else { search })
}

/// The study, and its folder, when somebody has begun it.
fn begun(arguments: &Arguments, console: &Console) -> Result<(StudyFile, StudyFolder), Error> {
    let start = Instant::now();
    loop {
        match study(arguments) {
            Err(error) if is_unbegun(&error) && start.elapsed() < Duration::from_secs(arguments.wait) => {
                console.note("nobody has begun the study yet");
                std::thread::sleep(AGAIN);
            }
            found => return found,
        }
    }
}

/// Whether somebody may begin the study still.
fn is_unbegun(error: &Error) -> bool {
    use recipe_search::Error::{NoStudyInStore, NotAStudy};
    matches!(error, Error::Search(NoStudyInStore { .. } | NotAStudy(_)))
}

/// The study, and its folder.
fn study(arguments: &Arguments) -> Result<(StudyFile, StudyFolder), Error> {
    let url = arguments.study.to_str().filter(|text| text.contains("://"));
    let Some(url) = url else {
        let folder = StudyFolder::new(&arguments.study);
        return Ok((folder.study_file()?, folder));
    };
    let Some(name) = arguments.study_name.as_deref().or_else(|| named_in(url)) else {
        let expected = "the name of the study, as the database holds many";
        return Err(Error::BadOption { option: "study-name", found: "absent".to_owned(), expected });
    };
    let out = arguments.out.clone().unwrap_or_else(|| Path::new(&format!("{name}-study")).to_path_buf());
    let folder = StudyFolder::new(out);
    Ok((study_in_store(url, name, &folder)?, folder))
}

/// The name of the study that a URL says, if it is one that is written there as it is.
fn named_in(url: &str) -> Option<&str> {
    let (_, parameters) = url.split_once('?')?;
    let name = parameters.split('&').find_map(|parameter| parameter.strip_prefix("study="))?;
    Some(name).filter(|name| !name.is_empty() && !name.contains(['%', '+']))
}
