//! `--download`: whether what lies on the hub is downloaded, and how one sees that it is.

use std::sync::Arc;

use layer_ir::Hub;
use tailor_hub::{Event, Progress};
use task_eval::Download;

use super::console::Console;
use super::progress;

/// The same word for all commands that name models and no tasks.
#[derive(Debug, clap::Args)]
pub(super) struct HubArguments {
    /// Download models that are nowhere here from the hub (`HF_ENDPOINT`, `HF_TOKEN`) into its local cache.
    #[arg(long)]
    pub download: bool,
}

impl HubArguments {
    /// The hub as the environment has it; with a bar while it sends.
    pub fn hub(&self, console: &Console) -> Hub {
        hub(self.download, console)
    }
}

/// The hub as the environment has it; what is not in its cache is downloaded or not, with a bar while it comes.
pub(super) fn hub(download: bool, console: &Console) -> Hub {
    Hub { download: download.then(|| self::download(console)), ..Hub::default() }
}

/// Where the environment says that downloads come from, with a bar while something comes.
pub(super) fn download(console: &Console) -> Download {
    let (console, bar) = (console.clone(), Arc::new(progress::bytes(console)));
    let show = move |event: Event<'_>| {
        let note = |text: &str| bar.suspend(|| console.note(text));
        match event {
            Event::Started { repo, files, bytes } => {
                bar.reset();
                bar.set_length(bytes);
                note(&format!("downloading {files} files of {repo}, {:.3} GB", bytes as f64 / 1e9));
            }
            Event::Bytes(here) => bar.set_position(here),
            Event::Waiting { file } => note(&format!("another process is downloading {file}; waiting for it")),
            Event::Retrying { error, wait } => note(&format!("{error}; again in {:.1} s", wait.as_secs_f64())),
            Event::Finished => bar.finish_and_clear(),
            _ => {}
        }
    };
    Download { progress: Progress::new(show), ..Download::from_environment() }
}
