//! The table of the trials: which of them a reader sees, and one trial in full.

use std::fmt::Write as _;

use zo_search::{History, Record};

/// How many trials a page of the table has.
pub(super) const PAGE: usize = 50;

/// How a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialState {
    /// It has no outcome yet.
    Running,
    /// A result on all search documents.
    Full,
    /// A result on some of them.
    Partial,
    /// An outcome that is no result.
    Failed,
}

impl TrialState {
    /// All states, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Running, Self::Full, Self::Partial, Self::Failed];

    /// Of a trial.
    pub fn of(record: &Record) -> Self {
        match &record.outcome {
            None => Self::Running,
            Some(outcome) if outcome.objective().is_none() => Self::Failed,
            Some(_) if record.full_objective().is_some() => Self::Full,
            Some(_) => Self::Partial,
        }
    }

    /// In a word, as in the address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// What a reader wants to see, as the address says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TrialQuery {
    /// Only trials in this state.
    pub state: Option<TrialState>,
    /// Only trials of lower numbers; none: from the newest on.
    pub before: Option<u64>,
    /// The trial that is shown in full.
    pub trial: Option<u64>,
}

/// The value of a parameter in the query of an address. Our values are plain text, so that nothing is decoded.
pub(super) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value)
}

impl TrialQuery {
    /// From the query of an address. What makes no sense is passed over.
    pub fn parse(query: Option<&str>) -> Self {
        let number = |name| parameter(query, name).and_then(|value| value.parse().ok());
        let state = parameter(query, "state");
        Self {
            state: TrialState::ALL.into_iter().find(|known| Some(known.name()) == state),
            before: number("before"),
            trial: number("trial"),
        }
    }

    /// The address that says this.
    pub fn link(&self) -> String {
        let mut link = String::from("?");
        if let Some(state) = self.state {
            let _ = write!(link, "state={}&", state.name());
        }
        for (name, value) in [("before", self.before), ("trial", self.trial)] {
            if let Some(value) = value {
                let _ = write!(link, "{name}={value}&");
            }
        }
        link.truncate(link.len() - 1);
        if link.is_empty() { "./".to_owned() } else { link }
    }
}

/// A page of the table.
pub(super) struct TrialPage<'a> {
    /// The trials, the newest first.
    pub trials: Vec<&'a Record>,
    /// Where the page of newer trials is, if there is one.
    pub newer: Option<TrialQuery>,
    /// Where the page of older trials is, if there is one.
    pub older: Option<TrialQuery>,
    /// How many trials are in each state, in the order of [`TrialState::ALL`].
    pub counts: [usize; 4],
}

impl<'a> TrialPage<'a> {
    /// What a reader wants to see of a study.
    pub fn of(history: &'a History, query: TrialQuery) -> Self {
        let all = history.trials();
        let mut counts = [0; 4];
        all.iter().for_each(|record| counts[TrialState::of(record) as usize] += 1);
        let wanted = |record: &&Record| query.state.is_none_or(|state| TrialState::of(record) == state);
        // A trial's number is its place.
        let end = query.before.map_or(all.len(), |before| all.len().min(usize::try_from(before).unwrap_or(usize::MAX)));
        let (old, new) = all.split_at(end);
        let mut trials: Vec<&Record> = old.iter().rev().filter(wanted).take(PAGE + 1).collect();
        let older = (trials.len() > PAGE).then(|| trials.pop()).flatten().and_then(|_| trials.last());
        let older = older.map(|last| TrialQuery { before: Some(last.trial.id.0), trial: None, ..query });
        let mut next = new.iter().filter(wanted).skip(PAGE - 1);
        let top = next.next().filter(|_| next.next().is_some()).map(|record| record.trial.id.0 + 1);
        let newer =
            new.iter().any(|record| wanted(&record)).then_some(TrialQuery { before: top, trial: None, ..query });
        Self { trials, newer, older, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zo_search::{FailureKind, Fidelity, Header, Outcome, RandomSearch, Space, Study};

    /// Of seven trials one is full, one failed, the others partial; the last one is running.
    fn history(trials: usize) -> Result<History, zo_search::Error> {
        let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 1);
        let mut study = Study::in_memory(Header::new("trials", 1), strategy)?;
        for number in 1..=trials {
            let trial = study.ask()?;
            let outcome = match number % 7 {
                0 => Outcome::score(0.5),
                1 => Outcome::failed(FailureKind::Invalid, "no"),
                _ => Outcome::score(0.5).at(Fidelity::new(0.5)?),
            };
            if number < trials {
                study.tell(trial.id, outcome)?;
            }
        }
        Ok(study.history().clone())
    }

    #[test]
    fn the_pages_have_every_trial_once_in_both_directions() -> Result<(), zo_search::Error> {
        for (trials, state) in [(1, None), (50, None), (51, None), (230, None), (900, Some(TrialState::Failed))] {
            let history = history(trials)?;
            let mut query = TrialQuery { state, ..TrialQuery::default() };
            let (mut seen, mut pages) = (Vec::new(), Vec::new());
            loop {
                let page = TrialPage::of(&history, query);
                pages.push(page.trials.iter().map(|record| record.trial.id.0).collect::<Vec<_>>());
                seen.extend(pages.last().cloned().unwrap_or_default());
                match page.older {
                    Some(older) => query = older,
                    None => break,
                }
            }
            let all = history.trials().iter().rev();
            let expected: Vec<u64> = all
                .filter(|record| state.is_none_or(|state| TrialState::of(record) == state))
                .map(|record| record.trial.id.0)
                .collect();
            assert_eq!(seen, expected, "{trials}");
            for before in pages.iter().rev().skip(1) {
                query = TrialPage::of(&history, query).newer.expect("a newer page");
                let page = TrialPage::of(&history, query);
                assert_eq!(page.trials.iter().map(|record| record.trial.id.0).collect::<Vec<_>>(), *before, "{trials}");
            }
            let newest = TrialPage::of(&history, query);
            assert!(newest.newer.is_none() && newest.counts.iter().sum::<usize>() == trials);
        }
        Ok(())
    }

    #[test]
    fn an_address_says_what_was_read_from_it() {
        let query = TrialQuery { state: Some(TrialState::Failed), before: Some(120), trial: Some(7) };
        assert_eq!(query.link(), "?state=failed&before=120&trial=7");
        assert_eq!(TrialQuery::parse(query.link().strip_prefix('?')), query);
        assert_eq!(TrialQuery::default().link(), "./");
        assert_eq!(TrialQuery::parse(Some("state=<script>&before=-1&trial=x&&=")), TrialQuery::default());
    }
}
