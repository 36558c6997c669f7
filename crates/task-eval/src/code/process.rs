//! A process with limits on its time and its output.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::OUTPUT_BYTES;

/// How long the output of a process that has ended is waited for: somebody else may hold its pipes open.
const GRACE: Duration = Duration::from_secs(2);

/// What a process left behind.
pub(super) struct Finished {
    /// The beginning of what it wrote.
    pub stdout: String,
    /// The beginning of its complaints.
    pub stderr: String,
    /// Why it was killed, if it was.
    pub killed: Option<&'static str>,
}

/// Runs a process with this input, and kills it when its time is over or when it writes too much.
///
/// # Errors
/// What keeps the process from being started or waited for.
pub(super) fn run(command: &mut Command, input: String, time: Duration) -> io::Result<Finished> {
    let pipe = Stdio::piped;
    let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that does not read is no error here, and must not be waited for.
        thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    }
    let (full, is_full) = channel();
    let stdout = child.stdout.take().map(|pipe| read(pipe, full.clone()));
    let stderr = child.stderr.take().map(|pipe| read(pipe, full));
    let killed = wait(&mut child, &is_full, Instant::now() + time)?;
    let text = |output: Option<Receiver<Vec<u8>>>| {
        let bytes = output.and_then(|output| output.recv_timeout(GRACE).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Finished { stdout: text(stdout), stderr: text(stderr), killed })
}

/// Reads at most [`OUTPUT_BYTES`], and says so where there is more.
fn read(pipe: impl Read + Send + 'static, full: Sender<()>) -> Receiver<Vec<u8>> {
    let (done, output) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = pipe.take(OUTPUT_BYTES).read_to_end(&mut bytes);
        if bytes.len() as u64 == OUTPUT_BYTES {
            let _ = full.send(());
        }
        let _ = done.send(bytes);
    });
    output
}

/// Waits for the process's end, which comes at the deadline if not before.
fn wait(child: &mut Child, is_full: &Receiver<()>, deadline: Instant) -> io::Result<Option<&'static str>> {
    let mut pause = Duration::from_millis(1);
    let why = loop {
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        if is_full.try_recv().is_ok() {
            break "it writes without end";
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break "its time is over";
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    child.kill()?;
    child.wait()?;
    Ok(Some(why))
}
