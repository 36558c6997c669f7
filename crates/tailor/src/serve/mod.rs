//! A page in the browser that watches a study while it runs.
//!
//! The server reads the study as it grows, makes the parts of the page as HTML, and sends those that have changed to
//! whoever looks (server-sent events). It changes nothing: it answers GET alone, and serves no files.
//!
//! | file | what |
//! |---|---|
//! | `server.rs` | the addresses, and what is sent where |
//! | `guard.rs` | who may look: the token, the names of this machine, GET alone |
//! | `watch.rs` | the thread that reads the study and publishes the parts that have changed |
//! | `watched.rs` | what is known of the study: its history, its settings, its models |
//! | `overview.rs` | the numbers at the top: how far it is, how long it will take |
//! | `front.rs` | the trials that no other one beats |
//! | `trials.rs` | the table of the trials: a page of it, and one trial in full |
//! | `workers.rs` | who evaluates |
//! | `fragments.rs` | the parts of the page as HTML |
//! | `numbers.rs` | times and numbers as the page writes them |
//! | `page/` | templates, style and script |
//!
//! The pictures are those of the [report](crate::report).
//!
//! ```no_run
//! use tailor::serve::{ServeOptions, Server, Source};
//!
//! let server = Server::bind(Source::at("found"), ServeOptions::default())?;
//! println!("{}", server.url());
//! server.run_until(std::future::pending())?;
//! # Ok::<(), tailor::Error>(())
//! ```

mod fragments;
mod front;
mod guard;
mod numbers;
mod overview;
mod server;
mod trials;
mod watch;
mod watched;
mod workers;

pub use guard::Token;
pub use server::{DEFAULT_PORT, ServeOptions, Server};
pub use watched::Source;
