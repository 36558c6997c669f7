//! Results to stdout, everything else to stderr: so `tailor inspect --json MODEL | jq` gets nothing but JSON.

use std::io::Write as _;

use tailor::Error;

/// Where a command says what it has to say.
#[derive(Debug, Clone)]
pub(super) struct Console {
    /// Whether remarks and progress are left out (`--quiet`). Results and errors are never.
    pub quiet: bool,
}

impl Console {
    /// A result: goes to stdout, with one line end behind it.
    ///
    /// # Errors
    /// [`Error::Io`] when stdout cannot be written, such as on a full disk; not when its reader has gone.
    pub fn say(&self, text: &str) -> Result<(), Error> {
        match writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n')) {
            // Whoever reads has seen enough, as in `tailor inspect ... | head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|source| Error::Io { path: "stdout".into(), source }),
        }
    }

    /// A remark: goes to stderr, unless there are to be none.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // Nobody can be told that stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

/// An error and its causes: goes to stderr in any case.
pub(super) fn complain(error: &Error) {
    let text = error.with_causes("\n  because: ");
    let _ = writeln!(std::io::stderr().lock(), "tailor: {text}");
}
