//! The parts of the page as HTML. Names, messages and values come from elsewhere: the templates escape whatever is not
//! a picture of ours.

use std::collections::BTreeMap;
use std::time::SystemTime;

use minijinja::{Environment, Value, context};
use zo_search::sharing::WorkerState;
use zo_search::{Outcome, Record};

use super::front::{front, full};
use super::numbers::{duration, number, precise, rate, short};
use super::overview::{Activity, Incumbent, Overview};
use super::trials::{TrialPage, TrialQuery, TrialState};
use super::watch::Parts;
use super::watched::Watched;
use super::workers;
use crate::Error;
use crate::report::{CurvePoint, ItemEffects, ObjectivePair, objective_pairs, parameter_shares, percent, search_curve};

/// The templates by name. Those whose names end in `.html` are escaped.
const TEMPLATES: [(&str, &str); 9] = [
    ("live.html", include_str!("page/live.html")),
    ("state.html", include_str!("page/state.html")),
    ("curve.html", include_str!("page/curve.html")),
    ("map.html", include_str!("page/map.html")),
    ("front.html", include_str!("page/front.html")),
    ("importance.html", include_str!("page/importance.html")),
    ("workers.html", include_str!("page/workers.html")),
    ("trials.html", include_str!("page/trials.html")),
    ("trial.html", include_str!("page/trial.html")),
];

/// How many of the parameters are shown.
const PARAMETERS: usize = 12;
/// How many members of the front are listed.
const MEMBERS: usize = 40;

/// Makes the parts.
pub(super) struct Pages(Environment<'static>);

impl Pages {
    /// # Errors
    /// [`Error::Template`]; a defect of ours.
    pub fn new() -> Result<Self, Error> {
        let mut environment = Environment::new();
        for (name, template) in TEMPLATES {
            environment.add_template(name, template).map_err(Error::Template)?;
        }
        Ok(Self(environment))
    }

    fn render(&self, template: &str, context: Value) -> Result<String, Error> {
        self.0.get_template(template).and_then(|template| template.render(context)).map_err(Error::Template)
    }

    /// The whole page: its parts as they are, and the table that a reader asks for.
    pub fn page(&self, watched: &Watched, parts: &Parts, query: TrialQuery) -> Result<String, Error> {
        let html = |part: &str| Value::from_safe_string(part.to_owned());
        let mut all: BTreeMap<&str, Value> = parts.parts.iter().map(|(name, part)| (*name, html(part))).collect();
        all.insert("trials", html(&self.trials(watched, query)?));
        self.render("live.html", context! { name => watched.name(), revision => parts.revision.as_str(), parts => all })
    }

    /// The numbers at the top; `problem` is what went wrong when the study was read last.
    pub fn state(
        &self,
        watched: &Watched,
        overview: Option<&Overview>,
        problem: Option<String>,
    ) -> Result<String, Error> {
        let header = watched.history().map(zo_search::History::header);
        let activity = overview.map_or(Activity::Beginning, |overview| overview.activity);
        let wanted = watched.settings().map(|study| study.search.trials);
        let setup = watched.settings().map(|study| {
            let search = &study.search;
            format!("{}, {}, space {}", search.strategy.name, search.scheduler.name, study.space.kind)
        });
        let seed = header.map(|header| header.seed().to_owned());
        self.render(
            "state.html",
            context! {
                name => watched.name(),
                activity => activity.name(),
                class => activity.class(),
                setup => setup.or_else(|| header.map(|header| header.strategy().to_owned())),
                seed => seed.or_else(|| watched.settings().map(|study| study.seed.to_string())),
                location => watched.location(),
                in_folder => watched.folder().is_some(),
                stopped => activity == Activity::Stopped,
                finished => activity == Activity::Finished,
                wanted => wanted,
                known => overview.is_some(),
                done => overview.map(|overview| overview.done),
                details => overview.map(counts),
                elapsed => overview.and_then(|overview| overview.elapsed).map(duration),
                left => overview.and_then(|overview| overview.left).map(duration),
                rate => overview.and_then(|overview| overview.rate).map(rate),
                best => overview.and_then(|overview| overview.incumbent).map(best),
                problem => problem,
            },
        )
    }

    /// The parts that change with the trials: curve, layer map, front, importance.
    pub fn of_trials(&self, watched: &Watched) -> Result<Vec<(&'static str, String)>, Error> {
        Ok(vec![
            ("curve", self.curve(watched)?),
            ("map", self.map(watched)?),
            ("front", self.front(watched)?),
            ("importance", self.importance(watched)?),
        ])
    }

    fn curve(&self, watched: &Watched) -> Result<String, Error> {
        let points = watched.history().map(CurvePoint::all).unwrap_or_default();
        let curve = (!points.is_empty()).then(|| safe(search_curve(&points)));
        let objective = watched.settings().map(|study| study.search.objective.name.clone());
        self.render("curve.html", context! { curve, objective })
    }

    fn map(&self, watched: &Watched) -> Result<String, Error> {
        let best = watched.history().and_then(zo_search::History::incumbent);
        let map = best.map(|best| watched.layer_map(&best.trial.point));
        let (map, missing) = match map {
            Some(Ok(map)) => (Some(safe(map.to_svg())), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        self.render("map.html", context! { trial => best.map(|best| best.trial.id.0), map, missing })
    }

    /// Empty for a study with one objective.
    fn front(&self, watched: &Watched) -> Result<String, Error> {
        let Some(history) = watched.history() else { return Ok(String::new()) };
        let count = full(history).map(|(_, outcome)| outcome.objectives.len()).next().unwrap_or(0);
        if count == 0 {
            return Ok(String::new());
        }
        let names = watched.objective_names(count);
        let mut members: Vec<(&Record, &Outcome)> =
            front(history).into_iter().filter_map(|record| Some((record, record.outcome.as_ref()?))).collect();
        let picture = (count == 2).then(|| {
            let on_front: Vec<u64> = members.iter().map(|(record, _)| record.trial.id.0).collect();
            let pairs: Vec<ObjectivePair> = full(history)
                .filter_map(|(record, outcome)| {
                    let (trial, objectives) = (record.trial.id.0, outcome.objectives.as_slice().try_into().ok()?);
                    Some(ObjectivePair { trial, objectives, on_front: on_front.binary_search(&trial).is_ok() })
                })
                .collect();
            safe(objective_pairs(&pairs, [&names[0], &names[1]]))
        });
        members.sort_by(|a, b| b.1.objectives[count - 1].total_cmp(&a.1.objectives[count - 1]));
        let rows: Vec<Value> = members.iter().take(MEMBERS).map(|(record, outcome)| member(record, outcome)).collect();
        self.render("front.html", context! { names, picture, rows, members => members.len(), shown => MEMBERS })
    }

    /// Empty while there are too few trials.
    fn importance(&self, watched: &Watched) -> Result<String, Error> {
        let Some(history) = watched.history() else { return Ok(String::new()) };
        let effects = ItemEffects::of(history);
        let shares: Vec<Value> = parameter_shares(history)
            .into_iter()
            .take(PARAMETERS)
            .map(|of| {
                let width = format!("{:.1}", 100.0 * of.share);
                context! { name => of.name, width, share => percent(of.share), trials => of.trials }
            })
            .collect();
        if effects.is_none() && shares.is_empty() {
            return Ok(String::new());
        }
        let layers = effects.as_ref().is_some_and(|effects| effects.dimension == "remove");
        let (picture, note) = (effects.as_ref().map(|of| safe(of.to_svg())), effects.as_ref().map(ItemEffects::note));
        self.render("importance.html", context! { layers, picture, note, shares })
    }

    /// Who evaluates, and what is being evaluated.
    pub fn workers(
        &self,
        watched: &Watched,
        overview: Option<&Overview>,
        workers: &[WorkerState],
    ) -> Result<String, Error> {
        let now = SystemTime::now();
        let pending = watched.history().into_iter().flat_map(zo_search::History::pending);
        let running: Vec<Value> = pending
            .take(MEMBERS)
            .map(|record| {
                let since = now.duration_since(record.asked).unwrap_or_default();
                context! { trial => record.trial.id.0, since => duration(since), documents => share(record) }
            })
            .collect();
        let alive = overview.is_some_and(|overview| matches!(overview.activity, Activity::Running | Activity::Ending));
        let lost = workers.iter().filter(|worker| worker.is_lost()).count();
        let device = watched.settings().map(|study| study.runtime.device.clone());
        let (there, ended): (Vec<&WorkerState>, Vec<&WorkerState>) = workers.iter().partition(|worker| !worker.ended);
        let workers: Vec<Value> = there.iter().map(|of| worker(of)).collect();
        self.render("workers.html", context! { workers, ended => ended.len(), lost, running, alive, device })
    }

    /// A page of the table of trials, with the trial that is shown in full.
    pub fn trials(&self, watched: &Watched, query: TrialQuery) -> Result<String, Error> {
        let Some(history) = watched.history() else { return self.render("trials.html", context! {}) };
        let page = TrialPage::of(history, query);
        let best = history.incumbent().map(|best| best.trial.id);
        // The table stays where it is while a trial is open, also when there are newer ones.
        let here = query.before.or_else(|| page.trials.first().map(|first| first.trial.id.0 + 1));
        let mut rows = Vec::new();
        for record in &page.trials {
            let (id, open) = (record.trial.id.0, query.trial == Some(record.trial.id.0));
            let toggled =
                TrialQuery { before: if open { query.before } else { here }, trial: (!open).then_some(id), ..query };
            let full = if open { Some(safe(self.trial(watched, record)?)) } else { None };
            let best = best == Some(record.trial.id);
            rows.push(context! { best, open, full, link => toggled.link(), ..row(record) });
        }
        let states = TrialState::ALL.iter().zip(page.counts).map(|(state, count)| (Some(*state), state.name(), count));
        let all = std::iter::once((None, "all", history.trials().len()));
        let filters: Vec<Value> = all
            .chain(states)
            .map(|(state, name, count)| {
                let link = TrialQuery { state, ..TrialQuery::default() }.link();
                context! { name, count, link, current => state == query.state }
            })
            .collect();
        let link = |query: Option<TrialQuery>| query.map(|query| query.link());
        self.render(
            "trials.html",
            context! { rows, filters, newer => link(page.newer), older => link(page.older), some => true },
        )
    }

    /// One trial in full.
    fn trial(&self, watched: &Watched, record: &Record) -> Result<String, Error> {
        let outcome = record.outcome.as_ref();
        let objectives = outcome.map(|outcome| outcome.objectives.as_slice()).unwrap_or_default();
        let names = watched.objective_names(objectives.len());
        let objectives: Vec<Value> =
            names.iter().zip(objectives).map(|(name, value)| context! { name, value => number(*value) }).collect();
        let tasks = outcome.and_then(|outcome| outcome.extra.get("tasks")?.as_object().cloned()).unwrap_or_default();
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|(name, score)| context! { name, score => score.as_f64().map_or_else(|| score.to_string(), number) })
            .collect();
        let point: Vec<Value> =
            record.trial.point.iter().map(|(name, value)| context! { name, value => value.to_string() }).collect();
        let failures = record.retried.iter().chain(outcome).filter_map(|outcome| outcome.failure.as_ref());
        let failures: Vec<Value> = failures
            .map(|failure| context! { kind => format!("{:?}", failure.kind), message => failure.message.as_str() })
            .collect();
        let map = watched.layer_map(&record.trial.point);
        self.render(
            "trial.html",
            context! {
                objectives, tasks, point, failures,
                map => map.as_ref().ok().map(|map| safe(map.to_svg())),
                missing => map.as_ref().err(),
                documents => outcome.map(|outcome| outcome.instances.len()),
                fidelity => share(record),
                rung => record.trial.rung.map(|rung| rung.0),
                cost => outcome.and_then(|outcome| outcome.cost).map(number),
                violation => outcome.map(|outcome| outcome.violation).filter(|by| *by > 0.0).map(number),
                origin => record.trial.origin.to_string(),
            },
        )
    }
}

/// A picture of ours, in which what comes from elsewhere is escaped.
fn safe(svg: String) -> Value {
    Value::from_safe_string(svg)
}

/// A row of the table of trials.
fn row(record: &Record) -> Value {
    let outcome = record.outcome.as_ref();
    let retention = outcome.and_then(|outcome| outcome.extra.get("retention")?.as_f64());
    let state = TrialState::of(record);
    let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
    let took = record.told.map(|told| told.duration_since(record.asked).unwrap_or_default());
    context! {
        trial => record.trial.id.0,
        state => state.name(),
        failure => failure.map(|failure| short(&failure.message)),
        objective => outcome.and_then(Outcome::objective).map(|objective| format!("{objective:.4}")),
        retention => retention.map(percent),
        documents => outcome.map(|outcome| outcome.instances.len()).filter(|documents| *documents > 0),
        fidelity => share(record),
        took => took.map(precise),
        origin => record.trial.origin.to_string(),
    }
}

/// A member of the front.
fn member(record: &Record, outcome: &Outcome) -> Value {
    let retention = outcome.extra.get("retention").and_then(serde_json::Value::as_f64);
    let values: Vec<String> = outcome.objectives.iter().map(|value| format!("{value:.4}")).collect();
    context! { trial => record.trial.id.0, values, retention => retention.map(percent) }
}

/// A worker's row.
fn worker(worker: &WorkerState) -> Value {
    let lease = worker.claims.iter().map(|claim| claim.lease).min().map(|lease| match lease {
        Some(left) => format!("{} left", duration(left)),
        None => "has run out".to_owned(),
    });
    let tasks: Vec<String> = worker
        .claims
        .iter()
        .map(|claim| match claim.attempt {
            0 | 1 => claim.key.clone(),
            attempt => format!("{} (attempt {attempt})", claim.key),
        })
        .collect();
    context! {
        name => worker.info.id.as_str(),
        host => worker.info.host.as_str(),
        process => worker.info.process,
        device => worker.info.device.as_str(),
        tasks => tasks.join(", "),
        state => workers::state(worker),
        lease => lease,
        silent => duration(worker.silent),
    }
}

/// What is known of the trials in numbers.
fn counts(overview: &Overview) -> String {
    let Overview { failed, full, pending, .. } = overview;
    let mut text = format!("{full} on all documents");
    for (count, what) in [(failed, "failed"), (pending, "running")] {
        if *count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// The best trial's numbers.
fn best(best: Incumbent) -> Value {
    let link = TrialQuery { before: Some(best.trial + 1), trial: Some(best.trial), ..TrialQuery::default() }.link();
    let objective = format!("{:.4}", best.objective);
    context! { trial => best.trial, link, objective, retention => best.retention.map(percent) }
}

/// The share of the documents that a trial has or gets.
fn share(record: &Record) -> String {
    let told = record.outcome.as_ref().and_then(|outcome| outcome.fidelity);
    let fraction = told.unwrap_or(record.trial.fidelity).fraction();
    if fraction >= 1.0 { "all".to_owned() } else { format!("{:.3}%", 100.0 * fraction).replace(".000", "") }
}

#[cfg(test)]
mod tests;
