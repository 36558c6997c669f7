//! Where programs run: bubblewrap, or a container command of the user's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::CodeError;
use super::program::Script;
use super::{FILES_BYTES, Verdict, WALL_SECONDS, process};
use crate::hashes::sha256;
use crate::options::CodeExecution;

/// A container may take a while to start, and longer to be fetched the first time.
const CONTAINER_SECONDS: u64 = 60;
/// The user and the group of programs where this process is root, whose processes no limit counts.
#[cfg(unix)]
const NOBODY: u32 = 65_534;
/// Raises what a program in a sandbox must not be able to do.
const PROBE: &str = r#"
import os, socket
others = [name for _, name in socket.if_nameindex() if name not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0")]
if others:
    raise SystemError("has a network: " + ", ".join(others))
for folder in ("/", "/usr", os.path.expanduser("~")):
    path = os.path.join(folder, ".tailor-probe")
    if folder != "/tmp":
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        os.unlink(path)
        raise SystemError("can write to " + folder)
"#;

/// Runs programs, each of them once: what became of it is kept.
pub(crate) struct Sandbox {
    kind: Kind,
    /// By the SHA-256 of a program.
    verdicts: Mutex<HashMap<String, Verdict>>,
}

enum Kind {
    /// `bwrap` at this path, and whether it can forbid further namespaces.
    Bubblewrap { path: PathBuf, forbids_namespaces: bool },
    /// A command and its arguments.
    Container(Vec<String>),
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("command", &self.name()).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// The sandbox that is asked for, or bubblewrap; tried by a program that wants out.
    ///
    /// # Errors
    /// [`CodeError::NoSandbox`], [`CodeError::EmptyCommand`]; [`CodeError::DoesNotRun`] and [`CodeError::Leaks`] for
    /// one that is none; [`CodeError::Process`].
    pub(crate) fn open(wanted: &CodeExecution) -> Result<Self, CodeError> {
        let kind = match &wanted.sandbox {
            Some(command) => {
                let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
                if words.is_empty() {
                    return Err(CodeError::EmptyCommand);
                }
                Kind::Container(words)
            }
            None => {
                let path = in_path("bwrap").ok_or(CodeError::NoSandbox)?;
                let help = Command::new(&path).arg("--help").output().map(|output| output.stdout).unwrap_or_default();
                let forbids_namespaces = String::from_utf8_lossy(&help).contains("--disable-userns");
                Kind::Bubblewrap { path, forbids_namespaces }
            }
        };
        let sandbox = Self { kind, verdicts: Mutex::default() };
        match sandbox.run(PROBE)? {
            Verdict::Passed => Ok(sandbox),
            Verdict::Failed(why) => Err(sandbox.refusal(&why)),
        }
    }

    /// The error of a probe that failed.
    fn refusal(&self, why: &str) -> CodeError {
        let command = self.name();
        match why.strip_prefix("SystemError: ") {
            Some(leak) => CodeError::Leaks { command, leak: leak.trim_matches(['\'', '"']).to_owned() },
            None => CodeError::DoesNotRun { command, reason: why.to_owned() },
        }
    }

    /// What becomes of a program; it is run if it has not been before.
    ///
    /// # Errors
    /// [`CodeError::DoesNotRun`] and [`CodeError::Process`], which say nothing of the program.
    pub(crate) fn verdict(&self, program: &str) -> Result<Verdict, CodeError> {
        let key = sha256(program);
        // A panic elsewhere leaves the map whole.
        if let Some(known) = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        // A machine under load may once be too slow to start a sandbox.
        let verdict = self.run(program).or_else(|_| self.run(program))?;
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verdict.clone());
        Ok(verdict)
    }

    /// Runs a program.
    fn run(&self, program: &str) -> Result<Verdict, CodeError> {
        let script = Script::new(program);
        let (mut command, seconds) = match &self.kind {
            Kind::Bubblewrap { path, forbids_namespaces } => (bubblewrap(path, *forbids_namespaces), WALL_SECONDS),
            Kind::Container(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                (command, CONTAINER_SECONDS)
            }
        };
        let finished = process::run(&mut command, script.text.clone(), Duration::from_secs(seconds))
            .map_err(|source| CodeError::Process { command: self.name(), source })?;
        script.verdict(&finished).ok_or_else(|| {
            // As much of its complaints as a line of an error can hold.
            let lines: Vec<&str> = finished.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let said: String = lines.join("; ").chars().take(400).collect();
            let silent = finished.killed.unwrap_or("it says nothing");
            CodeError::DoesNotRun {
                command: self.name(),
                reason: if said.is_empty() { silent.to_owned() } else { said },
            }
        })
    }

    /// The command's name, for errors.
    fn name(&self) -> String {
        match &self.kind {
            Kind::Bubblewrap { path, .. } => path.display().to_string(),
            Kind::Container(words) => words.join(" "),
        }
    }
}

/// Python in namespaces of its own, with the system's programs and libraries, read-only, and a `/tmp` of its own.
fn bubblewrap(path: &Path, forbids_namespaces: bool) -> Command {
    let mut command = Command::new(path);
    // Bubblewrap's own environment could be read from inside, through `/proc`.
    command.env_clear().args(["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]);
    if forbids_namespaces {
        command.arg("--disable-userns");
    }
    command.args(["--cap-drop", "ALL", "--clearenv"]);
    for (name, value) in [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        // Libraries that start a thread for each core run into the limit of processes.
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
    ] {
        command.args(["--setenv", name, value]);
    }
    command.args(["--ro-bind", "/usr", "/usr"]);
    for place in ["/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"] {
        command.args(["--ro-bind-try", place, place]);
    }
    command.args(["--proc", "/proc", "--dev", "/dev", "--size", &FILES_BYTES.to_string(), "--tmpfs", "/tmp"]);
    command.args(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "python3", "-I", "-"]);
    as_nobody(&mut command);
    command
}

/// Gives the command another user, where this process is root's.
#[cfg(unix)]
fn as_nobody(command: &mut Command) {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
}

/// There is no root elsewhere.
#[cfg(not(unix))]
fn as_nobody(_: &mut Command) {}

/// The file of this name in the first folder of `PATH` that has it.
fn in_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
