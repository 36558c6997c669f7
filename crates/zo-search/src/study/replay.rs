//! A study's state is a fold over its lines: `replay(lines)` gives the history that led to them, and hands each event
//! to the strategy before it is history, so that both stand where they stood when the last line was written.

use super::Header;
use super::history::History;
use super::injected::Injected;
use super::line::Line;
use crate::{Error, Optimizer, Outcome, Trial, TrialId};

/// What a line says to a strategy.
pub(super) enum Event<'a> {
    /// The header was read.
    Begun,
    /// Something was known before the first ask.
    Injected(&'a Injected),
    /// A new trial was asked.
    Asked(&'a Trial),
    /// A trial's last outcome was told; those that are tried again are none of a strategy's business.
    Told(TrialId, &'a Outcome),
}

/// Builds the history line by line; `each` sees every event before it is history.
///
/// # Errors
/// [`Error::NoHeader`], [`Error::DamagedStudy`] with the number of a line that does not fit those before it, and what
/// `each` says.
pub(super) fn replay(
    lines: Vec<Line>,
    location: &str,
    mut each: impl FnMut(&History, Event<'_>) -> Result<(), Error>,
) -> Result<History, Error> {
    let mut lines = lines.into_iter();
    let Some(Line::Header(header)) = lines.next() else {
        return Err(Error::NoHeader { location: location.to_owned() });
    };
    let mut history = History::new(*header);
    each(&history, Event::Begun)?;
    go_on(&mut history, lines.zip(2..), location, each)?;
    Ok(history)
}

/// Adds further lines, each with its number from 1, to a history.
///
/// # Errors
/// As [`replay`]. The history stands behind the last line that fitted.
pub(super) fn go_on(
    history: &mut History,
    lines: impl Iterator<Item = (Line, usize)>,
    location: &str,
    mut each: impl FnMut(&History, Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    for (line, number) in lines {
        let damaged = |problem| Error::DamagedStudy { location: location.to_owned(), line: number, problem };
        match line {
            Line::Header(_) => return Err(damaged("a second header")),
            Line::Inject { place, from, of, point, outcome, .. } => {
                if !history.trials().is_empty() {
                    return Err(damaged("something is injected behind the first trial"));
                }
                if place != history.injected().len() {
                    return Err(damaged("what is injected here is not what comes after the last"));
                }
                let known = Injected { from, id: of, point, outcome: *outcome };
                each(history, Event::Injected(&known))?;
                history.inject(known);
            }
            Line::Ask { id, point, fid, rung, why, more, w, .. } => {
                let trial = Trial { id, point, fidelity: fid, rung, origin: why };
                if id.0 != history.trials().len() as u64 {
                    return Err(damaged("this trial is not the one after the last"));
                }
                each(history, Event::Asked(&trial))?;
                history.asked(trial, more, w.into())?;
            }
            Line::Tell { id, retry, outcome, w, .. } => {
                if !history.accepts(id, &outcome).map_err(|_| damaged("an outcome that no trial waits for"))? {
                    return Err(damaged("an outcome that was told before"));
                }
                if retry {
                    history.retried(id, *outcome)?;
                } else {
                    each(history, Event::Told(id, &outcome))?;
                    history.told(id, *outcome, w.into())?;
                }
            }
        }
    }
    Ok(())
}

/// How many trials of the last batch are missing because its lines were cut off.
pub(super) fn missing_of_batch(lines: &[Line]) -> usize {
    let last = lines.iter().rev().find_map(|line| if let Line::Ask { more, .. } = line { Some(*more) } else { None });
    last.unwrap_or(0)
}

/// That a file's header is the one that this optimiser would begin with; under a name, seed and environment, if they
/// are given.
pub(super) fn same_search(
    recorded: &Header,
    given: Option<Header>,
    optimizer: &dyn Optimizer,
    location: &str,
) -> Result<(), Error> {
    let here = given.unwrap_or_else(|| recorded.clone()).of(optimizer);
    match recorded.difference(&here) {
        None => Ok(()),
        Some((what, recorded, given)) => {
            Err(Error::AnotherSearch { location: location.to_owned(), what, recorded, given })
        }
    }
}
