//! Which process it is, so that its end is seen at once by others on the same machine.

use serde::{Deserialize, Serialize};

/// A process. Where the system does not say enough (not Linux), everything but the number is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The start of the machine, the space of process numbers (containers have their own) and the user, who may not
    /// see processes of others.
    machine: String,
    number: u32,
    /// When it started, in the machine's ticks: numbers are used again.
    started: String,
}

impl Process {
    /// This one.
    pub(super) fn this() -> Self {
        let number = std::process::id();
        let machine = machine().unwrap_or_default();
        Self { machine, number, started: started(number).ok().flatten().unwrap_or_default() }
    }

    /// Whether it certainly runs no more. `false` if that cannot be known, as of another machine.
    pub(super) fn is_gone(&self) -> bool {
        let known = !self.machine.is_empty() && !self.started.is_empty();
        let here = || machine().is_some_and(|here| here == self.machine);
        known && here() && started(self.number).is_ok_and(|started| started.as_ref() != Some(&self.started))
    }
}

#[cfg(target_os = "linux")]
fn machine() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let user = std::fs::metadata("/proc/self").ok()?.uid();
    Some(format!("{} {} {user}", boot.trim(), numbers.display()))
}

/// Field 22 of `/proc/PID/stat`: behind the program's name in brackets, which may contain anything. None if there is
/// no such process.
#[cfg(target_os = "linux")]
fn started(number: u32) -> std::io::Result<Option<String>> {
    match std::fs::read(format!("/proc/{number}/stat")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(stat) => {
            let stat = String::from_utf8_lossy(&stat);
            let field = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(19));
            field.map(|started| Some(started.to_owned())).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Option<String> {
    None
}

#[cfg(not(target_os = "linux"))]
fn started(_: u32) -> std::io::Result<Option<String>> {
    Ok(None)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_ended_is() -> std::io::Result<()> {
        let this = Process::this();
        assert!(!this.is_gone());
        assert!(Process { started: "1".into(), ..this.clone() }.is_gone(), "another process has its number");
        assert!(!Process { machine: "another".into(), started: "1".into(), ..this.clone() }.is_gone());
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let started = started(child.id())?.unwrap_or_default();
        let child_process = Process { number: child.id(), started, ..this };
        assert!(!child_process.is_gone());
        child.kill()?;
        child.wait()?;
        assert!(child_process.is_gone());
        Ok(())
    }
}
