//! What keeps programs from being run.

/// A container command that has all limits.
const CONTAINER: &str = "--code-sandbox 'docker run --rm -i --network none --read-only --tmpfs /tmp:size=64m \
                         --memory 1g --pids-limit 32 --cap-drop ALL --user 65534 python:3-slim timeout -s KILL 15 \
                         python3 -I -'";

/// Why programs that a model wrote cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Nobody allowed it.
    #[error(
        "its metric `{metric}` runs programs that the model writes, which is off; allow it by --allow-code-execution \
         (`allow_code_execution = true` in a study), or leave the task out"
    )]
    NotAllowed {
        /// The metric.
        metric: String,
    },
    /// There is nothing to run them in.
    #[error(
        "there is no sandbox to run programs in: bubblewrap (`bwrap`) is not in PATH; install it (`apt-get install \
         bubblewrap`), or name a container command that runs a Python script from its standard input, such as \
         {CONTAINER}"
    )]
    NoSandbox,
    /// A container command without a word.
    #[error("the sandbox's command is empty; name one such as {CONTAINER}")]
    EmptyCommand,
    /// The sandbox does not start.
    #[error(
        "the sandbox `{command}` does not run Python: {reason}; as another, name a container command such as {CONTAINER}"
    )]
    DoesNotRun {
        /// Its command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// It is no sandbox.
    #[error("`{command}` is no sandbox: a program in it {leak}; name a command such as {CONTAINER}")]
    Leaks {
        /// Its command.
        command: String,
        /// What a program can do in it.
        leak: String,
    },
    /// The sandbox's process cannot be started or waited for.
    #[error("the sandbox `{command}` fails: {source}")]
    Process {
        /// Its command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
}
