//! A peer's optimiser as one of ours: `benches/peers/search/bridge.py` in a process of its own.
//!
//! Both write a line of JSON and wait for the other's. We send the space and the strategy's name, and get `{"ready":
//! "library version"}`; then `{"ask": 1}`, and get `{"trials": [{"point": ..}]}`, none when the space is exhausted; and
//! `{"tell": id, "cost": .., "objectives": ..}`, which has no answer.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use zo_search::{Error, Fidelity, Ledger, Optimizer, Outcome, Point, Space, Trial, TrialId};

/// Where the bridge and the Python that has the peers are.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// A Python with smac, optuna, cmaes and cma.
    pub python: PathBuf,
    /// `bridge.py`.
    pub script: PathBuf,
}

impl Bridge {
    /// The bridge of this repository; the environment that `benches/peers/search.sh` makes.
    #[must_use]
    pub fn of_repository(root: &Path) -> Self {
        let folder = root.join("benches/peers");
        Self { python: folder.join(".venv-search/bin/python"), script: folder.join("search/bridge.py") }
    }
}

/// An optimiser behind the bridge. It cannot be restored from a journal otherwise than by asking and telling again.
pub struct Bridged {
    space: Space,
    /// The strategy's name in `bridge.py`.
    name: String,
    /// The peer's library and its version.
    version: String,
    /// What errors name.
    script: PathBuf,
    /// Our own book of what was asked and told.
    ledger: Ledger,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Bridged {
    /// Starts `strategy` of the bridge for so many `trials`, with initial points and options that `bridge.py`
    /// describes.
    ///
    /// # Errors
    /// [`Error::Io`] when Python does not start, or the strategy does not get ready; what it said is on the standard
    /// error.
    pub fn start(
        bridge: &Bridge,
        strategy: &str,
        space: &Space,
        seed: u64,
        trials: usize,
        initial: &[Point],
        options: &Value,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Io { action: "start", location: bridge.script.display().to_string(), source };
        let mut child = Command::new(&bridge.python)
            .arg(&bridge.script)
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let missing = || failed(std::io::Error::other("its input or output is closed"));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut started = Self {
            space: space.clone(),
            name: strategy.to_string(),
            version: String::new(),
            script: bridge.script.clone(),
            ledger: Ledger::new(),
            child,
            stdin,
            stdout,
        };
        started.send(&json!({
            "space": space, "strategy": strategy, "seed": seed, "trials": trials, "initial": initial,
            "options": options,
        }))?;
        let ready = started.receive()?;
        started.version = ready["ready"].as_str().unwrap_or_default().to_string();
        Ok(started)
    }

    /// The peer's library and its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The error of a bridge that cannot be talked to.
    fn failed(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, location: self.script.display().to_string(), source }
    }

    /// Sends one message.
    fn send(&mut self, message: &Value) -> Result<(), Error> {
        let sent = writeln!(self.stdin, "{message}").and_then(|()| self.stdin.flush());
        sent.map_err(|source| self.failed("write to", source))
    }

    /// Waits for one message.
    fn receive(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        let value = read.and_then(|_| serde_json::from_str(&line).map_err(std::io::Error::other));
        value.map_err(|source| self.failed("read an answer of", source))
    }
}

impl Optimizer for Bridged {
    fn ask(&mut self) -> Result<Trial, Error> {
        self.send(&json!({ "ask": 1 }))?;
        let answer = self.receive()?;
        let Some(trial) = answer["trials"].get(0) else {
            return Err(Error::Exhausted { points: self.ledger.distinct() });
        };
        let point: Point = serde_json::from_value(trial["point"].clone())
            .map_err(|source| self.failed("read a point of", std::io::Error::other(source)))?;
        let point = self.space.canonical(&point)?;
        Ok(self.ledger.issue(point, Fidelity::FULL, self.name.clone()))
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let message = json!({ "tell": id, "cost": outcome.objective(), "objectives": outcome.result() });
        self.ledger.tell(id, outcome)?;
        self.send(&message)
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Bridged {
    fn drop(&mut self) {
        // Nothing to be done about a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
