//! How far a study is, and how long it will take: what stands at the top of the page.

use std::time::{Duration, SystemTime};

use zo_search::{History, Record};

/// Whether somebody goes on with a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// There is no trial yet.
    Beginning,
    /// Trials are being evaluated.
    Running,
    /// All trials are done, and the search is not over.
    Ending,
    /// There is a result.
    Finished,
    /// There is no result, and nobody works on it.
    Stopped,
}

impl Activity {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beginning => "no trial yet",
            Self::Running => "running",
            Self::Ending => "ending",
            Self::Finished => "finished",
            Self::Stopped => "nobody is working",
        }
    }

    /// The class of its mark.
    pub fn class(self) -> &'static str {
        match self {
            Self::Beginning | Self::Stopped => "waiting",
            Self::Running | Self::Ending => "running",
            Self::Finished => "finished",
        }
    }
}

/// What is known of a study beside its trials.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Surroundings {
    /// How many trials it is to have.
    pub trials: Option<usize>,
    /// After how long it is to end.
    pub time: Option<Duration>,
    /// Whether there is a result of the whole search.
    pub has_result: bool,
    /// Whether some process may write to it; none where that is not known.
    pub has_writer: Option<bool>,
}

/// The best trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Incumbent {
    pub trial: u64,
    pub objective: f64,
    /// What it retains of the best parents, a share; none in a study of something else.
    pub retention: Option<f64>,
}

/// The numbers at the top of the page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Overview {
    pub activity: Activity,
    /// Trials with an outcome.
    pub done: usize,
    /// Those of them without a result.
    pub failed: usize,
    /// Those of them with a result on all documents.
    pub full: usize,
    /// Trials that were asked and not told.
    pub pending: usize,
    /// From the first ask to now, or to the last outcome of a study that nobody works on.
    pub elapsed: Option<Duration>,
    /// Outcomes in a second, of late.
    pub rate: Option<f64>,
    /// How long it will take at that rate, at most.
    pub left: Option<Duration>,
    pub incumbent: Option<Incumbent>,
}

/// A study that cannot say whether somebody writes to it is called running for so long after its last event.
const PATIENCE: Duration = Duration::from_secs(120);
/// The rate is that of so many outcomes.
const RECENT: usize = 50;
/// A gap so many times as long as the median one is a pause between two runs.
const PAUSE: u32 = 20;

impl Overview {
    /// Of a study's history, as it is `now`.
    pub fn of(history: &History, around: &Surroundings, now: SystemTime) -> Self {
        let trials = history.trials();
        let outcomes = || trials.iter().filter_map(|record| record.outcome.as_ref());
        let done = outcomes().count();
        let activity = activity(trials, done, around, now);
        let alive = matches!(activity, Activity::Running | Activity::Ending);
        let elapsed = trials.first().map(|first| {
            let end = if alive { now } else { last_event(trials).unwrap_or(now) };
            end.duration_since(first.asked).unwrap_or_default()
        });
        let rate = rate(trials);
        let left = left(done, rate, elapsed, around).filter(|_| activity == Activity::Running);
        Self {
            activity,
            done,
            failed: outcomes().filter(|outcome| outcome.objective().is_none()).count(),
            full: trials.iter().filter(|record| record.full_objective().is_some()).count(),
            pending: trials.len() - done,
            elapsed,
            rate,
            left,
            incumbent: history.incumbent().and_then(incumbent),
        }
    }
}

/// A trial as the incumbent.
fn incumbent(record: &Record) -> Option<Incumbent> {
    let outcome = record.outcome.as_ref()?;
    let retention = outcome.extra.get("retention").and_then(serde_json::Value::as_f64);
    Some(Incumbent { trial: record.trial.id.0, objective: outcome.objective()?, retention })
}

fn activity(trials: &[Record], done: usize, around: &Surroundings, now: SystemTime) -> Activity {
    let recent = || last_event(trials).is_some_and(|last| now.duration_since(last).unwrap_or_default() < PATIENCE);
    let all = around.trials.is_some_and(|wanted| done >= wanted);
    match (around.has_writer.unwrap_or_else(recent), trials.is_empty()) {
        (true, _) if all => Activity::Ending,
        (true, false) => Activity::Running,
        (true, true) => Activity::Beginning,
        // A study that was given more trials has the result of the fewer.
        (false, _) if around.has_result => Activity::Finished,
        (false, true) => Activity::Beginning,
        (false, false) => Activity::Stopped,
    }
}

/// When something was last written down.
fn last_event(trials: &[Record]) -> Option<SystemTime> {
    trials.iter().flat_map(|record| [Some(record.asked), record.told]).flatten().max()
}

/// Outcomes in a second, of the last fifty; pauses between runs count nothing.
fn rate(trials: &[Record]) -> Option<f64> {
    let mut told: Vec<SystemTime> = trials.iter().filter_map(|record| record.told).collect();
    told.sort_unstable();
    let recent = &told[told.len().saturating_sub(RECENT + 1)..];
    let mut gaps: Vec<Duration> =
        recent.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default()).collect();
    gaps.sort_unstable();
    let median = *gaps.get(gaps.len() / 2)?;
    gaps.retain(|gap| median.is_zero() || *gap <= median * PAUSE);
    let seconds = gaps.iter().sum::<Duration>().as_secs_f64();
    (seconds > 0.0).then(|| gaps.len() as f64 / seconds)
}

/// How long the missing trials take, but not beyond the study's own limit of time.
fn left(done: usize, rate: Option<f64>, elapsed: Option<Duration>, around: &Surroundings) -> Option<Duration> {
    let missing = around.trials.map(|wanted| wanted.saturating_sub(done) as f64);
    let by_trials = missing.zip(rate).and_then(|(missing, rate)| Duration::try_from_secs_f64(missing / rate).ok());
    let by_time = around.time.zip(elapsed).map(|(limit, elapsed)| limit.saturating_sub(elapsed));
    by_trials.into_iter().chain(by_time).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use zo_search::{FailureKind, Fidelity, Header, Outcome, RandomSearch, Space, Study};

    /// A study whose trials take ten seconds each, with an hour's pause after the third; the fourth fails, the last of
    /// six is pending.
    fn study() -> Result<Study, zo_search::Error> {
        let clock = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&clock);
        let time = move || SystemTime::UNIX_EPOCH + Duration::from_secs(own.load(Ordering::Relaxed));
        let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 1);
        let mut study = Study::in_memory(Header::new("overview", 1), strategy)?.with_clock(time);
        for number in 0..6 {
            let trial = study.ask()?;
            clock.fetch_add(if number == 3 { 3600 } else { 10 }, Ordering::Relaxed);
            let outcome = match number {
                3 => Outcome::failed(FailureKind::Invalid, "no"),
                4 => Outcome::score(0.1).at(Fidelity::new(0.5)?),
                _ => Outcome::score(1.0 / f64::from(number + 1)),
            };
            if number < 5 {
                study.tell(trial.id, outcome)?;
            }
        }
        Ok(study)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_rate_passes_over_pauses_and_the_time_left_follows_from_it() -> Result<(), zo_search::Error> {
        let (study, wanted) = (study()?, Some(20));
        let around = Surroundings { trials: wanted, has_writer: Some(true), ..Surroundings::default() };
        let found = Overview::of(study.history(), &around, at(4000));
        assert_eq!((found.done, found.failed, found.full, found.pending), (5, 1, 3, 1));
        assert_eq!((found.activity, found.elapsed), (Activity::Running, Some(Duration::from_secs(4000))));
        assert_eq!((found.rate, found.left), (Some(0.1), Some(Duration::from_secs(150))));
        assert_eq!(found.incumbent.map(|best| (best.trial, best.retention)), Some((2, None)));
        let soon = Surroundings { time: Some(Duration::from_secs(4030)), ..around };
        assert_eq!(Overview::of(study.history(), &soon, at(4000)).left, Some(Duration::from_secs(30)));
        Ok(())
    }

    #[test]
    fn whether_somebody_works_is_said_by_the_writer_the_result_and_the_trials() -> Result<(), zo_search::Error> {
        let study = study()?;
        let activity = |trials, has_writer, has_result, now| {
            let around = Surroundings { trials, has_writer, has_result, time: None };
            Overview::of(study.history(), &around, at(now)).activity
        };
        assert_eq!(activity(Some(5), Some(true), false, 4000), Activity::Ending);
        assert_eq!(activity(Some(9), Some(false), false, 4000), Activity::Stopped);
        assert_eq!(activity(Some(5), Some(false), true, 4000), Activity::Finished);
        assert_eq!(activity(Some(9), Some(true), true, 4000), Activity::Running);
        // Where the store cannot tell.
        assert_eq!(activity(None, None, false, 3650), Activity::Running);
        assert_eq!(activity(None, None, false, 9000), Activity::Stopped);
        Ok(())
    }
}
