//! Whether the values of a study make sense by themselves, before any model or task is opened.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zo_search::{RandomSearch, SchedulerKind, Space};

use super::rows::{Configured, Rows, choose};
use super::{Study, StudyFile, TaskSettings};
use crate::space::{BridgeMethod, SpaceKind};
use crate::{Error, Tables};

impl StudyFile {
    /// The checked study, whose names are rows of our tables.
    ///
    /// # Errors
    /// [`Error::StudyValue`] names the key whose value makes no sense, [`Error::StudyChoice`] the one whose name or
    /// parameters are in no table.
    pub fn check(self) -> Result<Study, Error> {
        self.check_with(Tables::standard())
    }

    /// The checked study, whose names are rows of these tables, which may hold things of your own.
    ///
    /// # Errors
    /// As [`StudyFile::check`].
    pub fn check_with(mut self, tables: impl Into<Arc<Tables>>) -> Result<Study, Error> {
        let tables = tables.into();
        self.check_values()?;
        let (space, scheduler) = (self.check_space(&tables)?, self.check_scheduler(&tables)?);
        let rows = Rows::of(&self, &tables, space, scheduler)?;
        // From now on the number stands: a study that is given more trials later keeps its starting designs.
        self.search.designs = Some(self.search.designs());
        self.search.sequential.get_or_insert(self.space.bridge != BridgeMethod::Off);
        Ok(Study { checked: self, tables, rows })
    }

    /// Checks the parameters of the space, and writes their defaults out.
    fn check_space(&mut self, tables: &Tables) -> Result<Configured<dyn SpaceKind>, Error> {
        let (kind, settings) = choose(&tables.spaces, &self.space.choice(), &self.file, "space")?;
        kind.check(&settings).map_err(|error| error.in_file(&self.file))?;
        self.space.parameters = settings.values().clone();
        Ok((kind, settings))
    }

    /// Gives the scheduler its parameters that stand beside it, writes the defaults out, and tries it on an empty
    /// search.
    fn check_scheduler(&mut self, tables: &Tables) -> Result<Configured<dyn SchedulerKind>, Error> {
        let search = &mut self.search;
        let known =
            tables.schedulers.get(&search.scheduler.name).map_err(Error::choice(&self.file, "search.scheduler"))?;
        let beside = [("chance", search.chance.map(Value::from)), ("eta", search.eta.map(Value::from))];
        for (name, value) in beside {
            if let Some(value) = value
                && known.parameters().iter().any(|parameter| parameter.name == name)
            {
                search.scheduler.parameters.entry(name).or_insert(value);
            }
        }
        let (kind, settings) = choose(&tables.schedulers, &search.scheduler, &self.file, "search.scheduler")?;
        let nothing = Box::new(RandomSearch::new(Space::new().float("x", 0.0..=1.0), 0));
        kind.wrap(nothing, &search.rung_fractions(), &settings).map_err(|source| Error::Scheduler {
            file: self.file.clone(),
            name: search.scheduler.name.clone(),
            source: Box::new(source),
        })?;
        (search.chance, search.eta) = (None, None);
        search.scheduler.parameters = settings.values().clone();
        Ok((kind, settings))
    }

    /// Whether numbers lie in their ranges and lists are not empty.
    fn check_values(&self) -> Result<(), Error> {
        let path = self.file.as_path();
        self.check_models_and_tasks(path)?;
        self.check_search(path)?;
        self.check_bridges(path)?;
        let runtime = &self.runtime;
        for (key, number) in
            [("runtime.memory_mib", runtime.memory_mib), ("runtime.batch_tokens", runtime.batch_tokens)]
        {
            if number == 0 {
                return Err(Error::value(path, key, 0, "at least 1"));
            }
        }
        Ok(())
    }

    /// `space.ridge` and `[bridge]`.
    fn check_bridges(&self, path: &Path) -> Result<(), Error> {
        let (ridges, bridge) = (&self.space.ridge, &self.bridge);
        if ridges.is_empty() || !ridges.iter().all(|ridge| ridge.is_finite() && *ridge > 0.0) {
            return Err(Error::value(path, "space.ridge", format!("{ridges:?}"), "positive numbers, at least one"));
        }
        if bridge.tokens == 0 {
            return Err(Error::value(path, "bridge.tokens", 0, "at least 1"));
        }
        if bridge.memory_mib == 0 {
            return Err(Error::value(path, "bridge.memory_mib", 0, "at least 1"));
        }
        let judged = |task: &&TaskSettings| bridge.split.as_ref().is_some_and(|split| task.judges_on(split));
        match (self.tasks.iter().find(judged), &bridge.split) {
            (Some(task), Some(split)) => {
                let found = format!("\"{split}\", on which `{}` is judged", task.name);
                Err(Error::value(path, "bridge.split", found, "another split, or \"search\" for the search documents"))
            }
            _ => Ok(()),
        }
    }

    /// `[models]` and `[[tasks]]`.
    fn check_models_and_tasks(&self, path: &Path) -> Result<(), Error> {
        self.models.check_variants(path)?;
        if self.tasks.is_empty() {
            return Err(Error::value(path, "tasks", "empty", "at least one `[[tasks]]`"));
        }
        if let Some(task) = self.tasks.iter().find(|task| !(task.weight > 0.0 && task.weight.is_finite())) {
            return Err(Error::value(
                path,
                "tasks.weight",
                format!("{} for `{}`", task.weight, task.name),
                "a positive number",
            ));
        }
        let limits = |task: &TaskSettings| [("tasks.limit", task.limit), ("tasks.test_limit", task.test_limit)];
        let zero = |task| limits(task).into_iter().find(|(_, limit)| *limit == Some(0)).map(|(key, _)| (key, task));
        if let Some((key, task)) = self.tasks.iter().find_map(zero) {
            return Err(Error::value(path, key, format!("0 for `{}`", task.name), "at least 1, or absent"));
        }
        if let Some(task) = self.tasks.iter().find(|task| task.samples.is_some() && task.limit.is_some()) {
            let found = format!("there beside `limit` for `{}`", task.name);
            return Err(Error::value(path, "tasks.samples", found, "the one or the other"));
        }
        match self.evaluation.max_length {
            Some(0) => Err(Error::value(path, "evaluation.max_length", 0, "at least 1, or absent")),
            _ => Ok(()),
        }
    }

    /// `[search]`, but for what a table must say, and the seed.
    fn check_search(&self, path: &Path) -> Result<(), Error> {
        let search = &self.search;
        if search.trials == 0 {
            return Err(Error::value(path, "search.trials", 0, "at least 1"));
        }
        let rising = search.rungs.windows(2).all(|pair| pair[0] < pair[1]);
        let counts = search.rungs.iter().all(|rung| *rung >= 1.0 && rung.fract() == 0.0);
        let all = search.rungs.last() == Some(&1.0) || counts;
        if !rising || search.rungs.first().is_none_or(|first| *first <= 0.0) || !all {
            let expected = "rising fractions above 0 of which the last is 1.0, or rising numbers of documents";
            return Err(Error::value(path, "search.rungs", format!("{:?}", search.rungs), expected));
        }
        if (1..search.objectives.len()).any(|i| search.objectives[..i].contains(&search.objectives[i])) {
            return Err(Error::value(
                path,
                "search.objectives",
                "a list that names one twice",
                "a list without repetition",
            ));
        }
        let patience =
            [("search.patience", search.patience), ("search.patience_within_error", search.patience_within_error)];
        if let Some((key, _)) = patience.into_iter().find(|(_, trials)| *trials == Some(0)) {
            return Err(Error::value(path, key, 0, "at least 1, or absent"));
        }
        // Some hundred years: longer ones may be no durations any more.
        if let Some(hours) = search.hours.filter(|hours| !(*hours > 0.0 && *hours <= 1e6)) {
            return Err(Error::value(path, "search.hours", hours, "above 0 and at most a million, or absent"));
        }
        if !(0.0..=0.9).contains(&search.confirm_share) {
            return Err(Error::value(path, "search.confirm_share", search.confirm_share, "from 0 to 0.9"));
        }
        let lease = usize::try_from(search.lease).unwrap_or(usize::MAX);
        let counts =
            [("search.batch", search.batch), ("search.parts", Some(search.parts)), ("search.lease", Some(lease))];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
            return Err(Error::value(path, key, 0, "at least 1, or absent"));
        }
        if self.seed > i64::MAX as u64 {
            return Err(Error::value(path, "seed", self.seed, "below 2^63, as TOML holds no larger integer"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "
[models]
base = \"a\"
variants = { z = \"b\", m = \"c\" }
[space]
remove = 3
[[tasks]]
name = \"t\"
";

    fn refusal(text: &str) -> String {
        let study: Result<StudyFile, _> = toml::from_str(text);
        match study {
            Ok(study) => study.check().err().map_or_else(|| "accepted".into(), |error| error.to_string()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_study_survives_its_own_text() -> Result<(), Box<dyn std::error::Error>> {
        let study: StudyFile = toml::from_str(MINIMAL)?;
        assert_eq!(toml::from_str::<StudyFile>(&study.to_toml()?)?, study);
        assert_eq!(study.models.variants.keys().collect::<Vec<_>>(), ["z", "m"], "the order of the file");
        Ok(())
    }

    #[test]
    fn a_study_that_makes_no_sense_is_refused_by_its_key() {
        assert_eq!(refusal(MINIMAL), "accepted");
        let cases = [
            ("remove = 3", "remov = 3", "space `prune` has no parameter `remov`; there are `remove`, "),
            ("remove = 3", "remove = [1, 5]", "accepted"),
            ("remove = 3", "remove = [5, 1]", "`space.remove` is [5, 1]"),
            ("remove = 3", "remove = \"few\"", "`space.remove` is \"few\"; it must be a number of layers, or a range"),
            ("[space]", "[search]\nobjectives = [\"parameters\", \"tasks\"]\n[space]", "accepted"),
            ("[space]", "[search]\nobjectives = [\"tasks\", \"tasks\"]\n[space]", "`search.objectives` is"),
            ("remove = 3", "remove = 3\ncoefficient = [1.0, 0.0]", "`space.coefficient` is [1, 0]"),
            ("remove = 3", "remove = 3\nscales = [0.0, 2.0]", "`space.scales` is 0"),
            ("{ z = \"b\", m = \"c\" }", "{}", "accepted"),
            ("z = ", "base = ", "a variant named `base`"),
            ("name = \"t\"", "name = \"t\"\nweight = -1.0", "`tasks.weight` is -1 for `t`"),
            ("name = \"t\"", "name = \"t\"\nlimit = 0", "`tasks.limit` is 0 for `t`"),
            ("name = \"t\"", "name = \"t\"\ntest_limit = 0", "`tasks.test_limit` is 0 for `t`"),
            (
                "name = \"t\"",
                "name = \"t\"\nlimit = 3\nsamples = [0]",
                "`tasks.samples` is there beside `limit` for `t`",
            ),
            ("[space]", "[evaluation]\nmax_length = 0\n[space]", "`evaluation.max_length` is 0"),
            (
                "[space]",
                "[evaluation]\nbos = \"no\"\n[space]",
                "`evaluation.bos` is \"no\"; expected `auto`, `true` or `false`",
            ),
            ("[space]", "[evaluation]\nbos = false\napply_chat_template = \"chat\"\n[space]", "accepted"),
            ("[space]", "[search]\ntrials = 0\n[space]", "`search.trials` is 0"),
            ("[space]", "[search]\npatience = 0\n[space]", "`search.patience` is 0"),
            ("[space]", "[search]\npatience_within_error = 0\n[space]", "`search.patience_within_error` is 0"),
            ("[space]", "[search]\nhours = -1.0\n[space]", "`search.hours` is -1"),
            ("[space]", "[search]\nhours = nan\n[space]", "`search.hours` is NaN"),
            (
                "[space]",
                "[search]\nscheduler = \"halving\"\neta = 1\n[space]",
                "`search.scheduler`: scheduler `halving`: `eta` is 1; it must be a whole number of at least 2",
            ),
            ("[space]", "[search]\nchance = 1.0\n[space]", "scheduler `racing`"),
            ("[space]", "[search]\nscheduler = { name = \"racing\", eta = 3 }\n[space]", "no parameter `eta`"),
            ("[space]", "[search]\nscheduler = \"asha\"\n[space]", "no scheduler is named `asha`; there are `racing`"),
            (
                "[space]",
                "[search]\nstrategy = \"guessing\"\n[space]",
                "no strategy is named `guessing`; there are `tailor`",
            ),
            ("[space]", "[search]\nstrategy = { name = \"tpe\", speed = 3 }\n[space]", "no parameter `speed`"),
            ("[space]", "[search]\nobjective = \"best\"\n[space]", "no objective is named `best`"),
            ("[models]", "store = \"mysql\"\n[models]", "no store is named `mysql`"),
            ("[models]", "store = \"postgres\"\n[models]", "it must be a URL of such a store"),
            ("[models]", "store = \"postgresql://u:x@h/d\"\n[models]", "a URL with a password"),
            ("[models]", "store = \"postgresql://u@h/d\"\n[models]", "accepted"),
            ("[space]", "[search]\nbatch = 0\n[space]", "`search.batch` is 0"),
            ("[space]", "[search]\nlease = 0\n[space]", "`search.lease` is 0"),
            ("[space]", "[runtime]\ndevices = [\"cpu\", \"cpu\"]\nshare = \"trials\"\n[space]", "accepted"),
            ("[space]", "[search]\nrungs = [0.5]\n[space]", "`search.rungs` is [0.5]"),
            ("[space]", "[search]\nrungs = [111, 333, 1000]\n[space]", "accepted"),
            ("[space]", "[search]\nrungs = [0.5, 10]\n[space]", "`search.rungs` is [0.5, 10.0]"),
            ("[space]", "[search]\nconfirm_share = 1.0\n[space]", "`search.confirm_share` is 1"),
            ("[space]", "[runtime]\nbatch_tokens = 0\n[space]", "`runtime.batch_tokens` is 0"),
            ("remove = 3", "remove = 3\nbridge = \"refit\"\nridge = 0.01", "accepted"),
            ("remove = 3", "remove = 3\nbridge = \"rope\"", "unknown variant `rope`, expected one of `off`, `refit`"),
            ("remove = 3", "remove = 3\nridge = [0.1, 0.0]", "`space.ridge` is [0.1, 0.0]; it must be positive"),
            ("remove = 3", "remove = 3\nridge = []", "`space.ridge` is []"),
            ("remove = 3", "remove = 3\nridge = \"some\"", "expected a number or a list of numbers"),
            ("[space]", "[bridge]\ntokens = 0\n[space]", "`bridge.tokens` is 0"),
            ("[space]", "[bridge]\nmemory_mib = 0\n[space]", "`bridge.memory_mib` is 0"),
            ("[space]", "[bridge]\nsplit = \"test\"\n[space]", "`bridge.split` is \"test\", on which `t` is judged"),
            ("[space]", "[bridge]\nsplit = \"validation\"\n[space]", "or \"search\" for the search documents"),
        ];
        for (from, to, part) in cases {
            let refusal = refusal(&MINIMAL.replace(from, to));
            assert!(refusal.contains(part), "`{refusal}` does not say `{part}`");
        }
    }
}
