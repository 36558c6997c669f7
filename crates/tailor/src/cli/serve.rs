//! `tailor serve`: a page in the browser that watches a study.

use std::path::PathBuf;

use tailor::Error;
use tailor::serve::{DEFAULT_PORT, ServeOptions, Server, Source, Token};

use super::console::Console;

/// Watch a study in the browser while it runs: how far it is, the search curve, the best recipe, all trials.
///
/// The page only shows; it may be opened before a search has its first trial, and after its end. Ctrl-C ends it, and no
/// search with it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the study, or the journal of one of zo-search's.
    study: PathBuf,
    /// The port; 0 for any free one.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The address to listen at. Only this machine reaches the page, unless another one is given (0.0.0.0: all).
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// What a reader must know, at least 16 letters, digits, `-` or `_`. A page that other machines reach gets a random
    /// one without it.
    #[arg(long)]
    token: Option<String>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let token = arguments.token.clone().map(Token::new).transpose()?;
    let options = ServeOptions { host: arguments.host.clone(), port: arguments.port, token };
    let server = Server::bind(Source::at(&arguments.study), options)?;
    console.say(&server.url())?;
    if server.is_public() {
        console.note("Whoever has this address sees the study; what is sent is not encrypted (docs/watching.md).");
    }
    console.note("Ctrl-C ends the page.");
    server.run_until(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // A system without signals ends the process itself.
            std::future::pending::<()>().await;
        }
    })
}
