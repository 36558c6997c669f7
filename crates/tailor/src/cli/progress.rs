//! A running search for whoever watches it: trials done, the incumbent's score, the time left.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recipe_search::{Event, Incumbent};
use zo_search::WarmStart;

use super::console::Console;

const SPINNER: &str = "{spinner} {msg}";
const TRIALS: &str = "{bar:28} {pos}/{len} trials · {msg} · {eta} left";
/// Without a terminal, a line after each of so many parts of the trials.
const PARTS: usize = 10;

/// Shows the events of a search.
pub(super) struct Progress<'a> {
    console: &'a Console,
    bar: ProgressBar,
    live: bool,
    finished: usize,
    trials: usize,
}

impl<'a> Progress<'a> {
    pub fn new(console: &'a Console) -> Self {
        let live = !console.quiet && std::io::stderr().is_terminal();
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(SPINNER));
        Self { console, bar, live, finished: 0, trials: 0 }
    }

    /// Shows one event.
    pub fn show(&mut self, event: Event) {
        match event {
            Event::Scoring(what) => self.stage(format!("scoring {what}")),
            Event::Confirming(candidates) => {
                self.stage(format!(
                    "scoring the best {candidates} candidates on documents that the search has not seen"
                ));
            }
            Event::Started { finished, trials } => self.start(finished, trials),
            Event::WarmStart(taken) => self.warm_start(taken),
            Event::Failed { id, message, again } => {
                let then = if again { "; it is tried once more" } else { "" };
                self.note(&format!("trial {id} failed{then}: {message}"));
            }
            Event::Stopped(reason) => self.note(&format!("the search ends: {reason}")),
            Event::Exhausted { trials } => {
                self.note(&format!("the search ends after {trials} trials: the space has no further point"));
            }
            Event::Trial { incumbent, .. } => self.trial(incumbent),
            _ => {}
        }
    }

    /// Something else that takes a while.
    pub fn stage(&mut self, what: String) {
        if self.live {
            self.bar.set_style(style(SPINNER));
            self.bar.set_message(what);
            self.bar.tick();
        } else {
            self.console.note(&what);
        }
    }

    fn warm_start(&self, taken: WarmStart) {
        let WarmStart { injected, outside, unfinished, .. } = taken;
        self.note(&format!(
            "{injected} trials of the other study are known; {outside} lie outside of this study's space, {unfinished} say nothing"
        ));
    }

    /// A remark that stays, above the bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| self.console.note(text));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn start(&mut self, finished: usize, trials: usize) {
        (self.finished, self.trials) = (finished, trials);
        self.bar.set_style(style(TRIALS));
        self.bar.set_length(trials as u64);
        self.bar.set_position(finished as u64);
        self.bar.reset_eta();
        self.bar.set_message("no candidate yet");
        if !self.live {
            self.console.note(&format!("{finished} of {trials} trials are known"));
        }
    }

    fn trial(&mut self, incumbent: Option<Incumbent>) {
        self.finished += 1;
        let best = incumbent.map_or_else(
            || "no candidate yet".to_string(),
            |best| {
                let (trial, retention) = (best.trial, 100.0 * best.retention);
                format!("best: trial {trial} at {:.4}, retains {retention:.1}%", best.objective)
            },
        );
        if self.live {
            self.bar.set_message(best);
            self.bar.inc(1);
        } else if self.finished.is_multiple_of(self.trials.div_ceil(PARTS).max(1)) {
            self.console.note(&format!("{} of {} trials, {best}", self.finished, self.trials));
        }
    }
}

/// A bar of so many steps, hidden without a terminal or when there is to be no progress.
pub(super) fn steps(console: &Console, count: usize) -> ProgressBar {
    bar(console, count as u64, "{bar:28} {pos}/{len} {msg} · {eta} left")
}

/// A bar of bytes that are written, hidden likewise.
pub(super) fn bytes(console: &Console) -> ProgressBar {
    bar(console, 0, "{bar:28} {bytes} of {total_bytes} · {bytes_per_sec} · {eta} left")
}

fn bar(console: &Console, length: u64, template: &str) -> ProgressBar {
    let live = !console.quiet && std::io::stderr().is_terminal();
    let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(Some(length), target).with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
