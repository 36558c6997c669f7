//! What is shown while one waits: of a search the trials done, the incumbent's score and the time left; of models that
//! are scored the documents done; of a checkpoint the bytes written.
//!
//! On a terminal these are bars that are drawn anew in place. Elsewhere, as in a log file, a search leaves a line for
//! each stage and each tenth of the trials, and everything else is silent.

use std::fmt;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use layer_train::TrainEvent;
use recipe_search::{DocumentMeter, Event, Incumbent};
use zo_search::WarmStart;

use super::console::Console;

const SPINNER: &str = "{spinner} {msg}{documents}";
const TRIALS: &str = "{bar:28} {pos}/{len} trials · {msg} · {eta} left";
const TASKS: &str = "{bar:28} {pos}/{len} tasks{documents} · {elapsed}";
/// How often a bar is drawn anew, so that one sees a long call go on.
const REDRAW: Duration = Duration::from_millis(250);
/// Without a terminal, a line after each of so many parts of the trials.
const PARTS: usize = 10;

/// Shows the events of a search.
pub(super) struct Progress<'a> {
    console: &'a Console,
    bar: ProgressBar,
    /// Whether somebody looks at a terminal.
    live: bool,
    /// What shows how far the present evaluation is.
    meter: DocumentMeter,
    /// Trials that are done.
    finished: usize,
    /// Trials in all.
    trials: usize,
}

impl<'a> Progress<'a> {
    /// Nothing to show yet but what the meter of the search shows.
    pub fn new(console: &'a Console, meter: &DocumentMeter) -> Self {
        let bar = bar(console, None, style(SPINNER, meter));
        Self { console, bar, live: is_live(console), meter: meter.clone(), finished: 0, trials: 0 }
    }

    /// Shows one event.
    pub fn show(&mut self, event: Event) {
        match event {
            Event::Scoring(what) => self.stage(format!("scoring {what}")),
            Event::Gathering(model) => self.stage(format!("statistics of {model} for bridges")),
            Event::Confirming(candidates) => {
                self.stage(format!(
                    "scoring the best {candidates} candidates on documents that the search has not seen"
                ));
            }
            Event::Refitting(name) => self.stage(format!("refitting {name} layer by layer")),
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

    /// Something that takes a while and has no steps, such as the scoring of a model: a spinner, with the documents
    /// done behind it while a model is asked about some.
    pub fn stage(&mut self, what: String) {
        if self.live {
            self.bar.set_style(style(SPINNER, &self.meter));
            self.bar.set_message(what);
            self.bar.tick();
        } else {
            self.console.note(&what);
        }
    }

    /// What became of the other study's trials.
    fn warm_start(&self, taken: WarmStart) {
        let WarmStart { injected, outside, unfinished, .. } = taken;
        self.note(&format!(
            "{injected} trials of the other study are known; {outside} lie outside of this study's space, \
             {unfinished} say nothing"
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

    /// The bar of the trials, of which some are known from an earlier run; the time left counts from now.
    fn start(&mut self, finished: usize, trials: usize) {
        (self.finished, self.trials) = (finished, trials);
        self.bar.set_message("no candidate yet");
        self.bar.set_style(style(TRIALS, &self.meter));
        self.bar.set_length(trials as u64);
        self.bar.set_position(finished as u64);
        self.bar.reset_eta();
        if !self.live {
            self.console.note(&format!("{finished} of {trials} trials are known"));
        }
    }

    /// One more trial is done.
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

/// Shows a training: the tokens done, their rate, the time left, the last losses.
pub(super) struct TrainingProgress<'a> {
    console: &'a Console,
    bar: ProgressBar,
    /// The loss of held-back text that was measured last.
    held_back: f64,
    /// Tokens that an earlier run has done.
    before: usize,
}

impl<'a> TrainingProgress<'a> {
    /// Nothing to show yet.
    pub fn new(console: &'a Console) -> Self {
        let template = "{bar:28} {pos}/{len} tokens · {per_sec} · {msg} · {eta} left";
        let bar = bar(console, Some(0), style(template, &DocumentMeter::default()));
        Self { console, bar, held_back: f64::NAN, before: 0 }
    }

    /// Shows one event.
    pub fn show(&mut self, event: TrainEvent) {
        match event {
            TrainEvent::Started { done, steps, tokens, of_tokens } => {
                self.before = tokens;
                self.bar.set_length(of_tokens as u64);
                self.bar.set_position(tokens as u64);
                self.bar.reset_eta();
                if done > 0 {
                    self.note(&format!("{done} of {steps} steps are done already"));
                }
            }
            TrainEvent::Step { tokens, loss, .. } => {
                self.bar.inc(tokens as u64);
                self.bar.set_message(format!("loss {loss:.4}, held back {:.4}", self.held_back));
            }
            TrainEvent::Validated { point, best } => {
                self.held_back = point.validation;
                let learnt = point.loss.map_or_else(String::new, |loss| format!("loss {loss:.4}, "));
                let best = if best && point.step > 0 { ", the best so far" } else { "" };
                let rate = (point.tokens - self.before) as f64 / self.bar.elapsed().as_secs_f64().max(1e-9);
                let rate = if point.step > 0 { format!(", {rate:.0} tokens a second") } else { String::new() };
                self.note(&format!(
                    "step {}, {} tokens: {learnt}held back {:.4}{best}{rate}",
                    point.step, point.tokens, point.validation
                ));
            }
            TrainEvent::Stopped { validations } => {
                self.note(&format!("the training ends: {validations} validations in a row brought nothing better"));
            }
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A remark that stays, above the bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| self.console.note(text));
    }
}

/// A bar of so many tasks and of the documents of the present one, hidden without a terminal or when there is to be no
/// progress.
pub(super) fn tasks_bar(console: &Console, count: usize, meter: &DocumentMeter) -> ProgressBar {
    bar(console, Some(count as u64), style(TASKS, meter))
}

/// A bar of bytes that are written, hidden likewise.
pub(super) fn bytes(console: &Console) -> ProgressBar {
    let template = "{bar:28} {bytes} of {total_bytes} · {bytes_per_sec} · {eta} left";
    bar(console, Some(0), style(template, &DocumentMeter::default()))
}

/// Whether there is a terminal to draw on, and somebody who wants it.
fn is_live(console: &Console) -> bool {
    !console.quiet && std::io::stderr().is_terminal()
}

/// A bar of `length` steps, or a spinner; without a terminal one that draws nothing.
fn bar(console: &Console, length: Option<u64>, style: ProgressStyle) -> ProgressBar {
    if !is_live(console) {
        return ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(REDRAW);
    bar
}

/// `{documents}` in a template is what the meter shows whenever the bar is drawn.
fn style(template: &str, meter: &DocumentMeter) -> ProgressStyle {
    let meter = meter.clone();
    let documents = move |_: &ProgressState, text: &mut dyn fmt::Write| {
        if let Some(done) = meter.read() {
            // A bar that cannot be written is no reason to stop.
            let _ = write!(text, " · {done}");
        }
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("documents", documents)
}
