//! Which documents become the shots of a prompt.
//!
//! The harness draws them document by document with one generator per task (Python's, seeded with 1234), so the shots
//! of a document depend on how many documents stand before it, and evaluating fewer documents changes none of them.
//! Where the evaluated document may be in the pool, one shot more is drawn than wanted, and the document itself is
//! dropped.
//!
//! Whether it may be is decided by the names of the splits as they are written: a pool that is named otherwise, but is
//! the same split, shows a document its own answer (the harness's issue 4145;
//! [`Options::never_show_the_answer`](crate::Options::never_show_the_answer)).

use crate::config::{Sampler, TaskConfig};
use crate::dataset::{Dataset, Document};
use crate::error::Error;
use crate::options::Options;
use crate::python::random::PythonRandom;

/// Draws shots document by document: one generator per task, so each draw depends on those before it.
pub(crate) struct FewshotSampler<'a> {
    /// The task's name, for errors.
    task: &'a str,
    /// The documents that may be drawn; empty for no shots.
    pool: Vec<Document>,
    sampler: Sampler,
    /// Whether a document is left out of its own shots.
    excluding: bool,
    /// Shots for each document.
    count: usize,
    random: PythonRandom,
}

impl<'a> FewshotSampler<'a> {
    /// `task` with the options' split already in its place.
    ///
    /// # Errors
    /// [`Error::NoShots`] for a task without a pool, and what keeps the pool's files from being read.
    pub(crate) fn new(task: &'a TaskConfig, dataset: &mut Dataset<'_>, options: &Options) -> Result<Self, Error> {
        let count = shot_count(task, options);
        let split = task.fewshot.split.as_deref();
        let pool = if count == 0 { Vec::new() } else { pool(task, dataset)? };
        let same_split = pool_split(task).is_some() && pool_split(task) == task.evaluated_split();
        Ok(Self {
            task: &task.task,
            pool,
            sampler: task.fewshot.sampler,
            // The harness compares the two keys, not the splits behind them; None equals None.
            excluding: split == task.test_split.as_deref() || (options.never_show_the_answer && same_split),
            count,
            random: PythonRandom::new(options.seed),
        })
    }

    /// The number of shots before each question.
    pub(crate) fn shots_per_document(&self) -> usize {
        self.count
    }

    /// The shots for `document`, in the prompt's order. To be called for the documents in their order, once each.
    ///
    /// # Errors
    /// [`Error::TooFewShots`] where the pool is too small.
    pub(crate) fn draw(&mut self, document: &Document) -> Result<Vec<Document>, Error> {
        let places = match self.sampler {
            _ if self.count == 0 => Vec::new(),
            Sampler::FirstN => self.first(document)?,
            Sampler::Default if self.excluding => self.drawn_without(document)?,
            Sampler::Default => {
                self.check(self.pool.len(), self.count)?;
                self.random.sample(self.pool.len(), self.count)
            }
        };
        Ok(places.into_iter().map(|place| self.pool[place].clone()).collect())
    }

    /// The first documents of the pool, without the evaluated one.
    fn first(&self, document: &Document) -> Result<Vec<usize>, Error> {
        let fits = |place: &usize| !self.excluding || self.pool[*place].values != document.values;
        let places: Vec<usize> = (0..self.pool.len()).filter(fits).take(self.count).collect();
        self.check(places.len(), self.count)?;
        Ok(places)
    }

    /// One more is drawn than wanted, and what equals the document is dropped; if too few remain, the draw is done
    /// again among the others.
    fn drawn_without(&mut self, document: &Document) -> Result<Vec<usize>, Error> {
        self.check(self.pool.len(), self.count.saturating_add(1))?;
        let drawn = self.random.sample(self.pool.len(), self.count + 1);
        let differs = |place: &usize| self.pool[*place].values != document.values;
        let kept: Vec<usize> = drawn.into_iter().filter(differs).take(self.count).collect();
        if kept.len() == self.count {
            return Ok(kept);
        }
        let others: Vec<usize> = (0..self.pool.len()).filter(differs).collect();
        self.check(others.len(), self.count)?;
        Ok(self.random.sample(others.len(), self.count).into_iter().map(|place| others[place]).collect())
    }

    /// Whether there are enough documents.
    fn check(&self, available: usize, needed: usize) -> Result<(), Error> {
        if needed <= available {
            return Ok(());
        }
        Err(Error::TooFewShots { task: self.task.to_owned(), asked: self.count, available, excluding: self.excluding })
    }
}

/// The number of shots: the run's, unless the task insists on none, or else the task's.
fn shot_count(task: &TaskConfig, options: &Options) -> usize {
    match (task.num_fewshot, options.num_fewshot) {
        (Some(0), _) | (None, None) => 0,
        (_, Some(count)) | (Some(count), None) => count,
    }
}

/// The split that shots come from, unless they are written in the task.
fn pool_split(task: &TaskConfig) -> Option<&str> {
    if task.fewshot.split.is_some() || task.fewshot.samples.is_some() {
        return task.fewshot.split.as_deref();
    }
    [&task.training_split, &task.validation_split, &task.test_split].into_iter().find_map(Option::as_deref)
}

/// The documents that shots come from, after their `process_docs`.
fn pool(task: &TaskConfig, dataset: &mut Dataset<'_>) -> Result<Vec<Document>, Error> {
    match (pool_split(task), &task.fewshot.samples) {
        (Some(split), _) if task.fewshot.split.is_some() && task.fewshot.process_docs != task.process_docs => {
            dataset.read(split, task.fewshot.process_docs)
        }
        (Some(split), _) => dataset.split(split).map(<[Document]>::to_vec),
        (None, Some(samples)) if !samples.is_empty() => Ok(samples.iter().cloned().map(Document::new).collect()),
        _ => Err(Error::NoShots { task: task.task.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn document(i: i64) -> Document {
        Document::new(Map::from_iter([("i".to_owned(), Value::from(i))]))
    }

    fn drawer(rows: &[i64], sampler: Sampler, excluding: bool, count: usize, seed: u64) -> FewshotSampler<'static> {
        let pool = rows.iter().map(|&i| document(i)).collect();
        FewshotSampler { task: "t", pool, sampler, excluding, count, random: PythonRandom::new(seed) }
    }

    /// `tests/golden/units.json`: what the harness's samplers draw, document after document.
    #[test]
    fn draws_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../tests/golden/units.json"))?;
        let plain: Vec<i64> = (0..12).collect();
        for (key, sampler, excluding) in [
            ("sampler_plain", Sampler::Default, false),
            ("sampler_excl", Sampler::Default, true),
            ("sampler_first_n", Sampler::FirstN, true),
        ] {
            let mut drawer = drawer(&plain, sampler, excluding, 3, 1234);
            for (evaluated, expected) in (0..).zip(units[key].as_array().ok_or("no list")?) {
                let evaluated = if key == "sampler_first_n" { [5, 1][evaluated as usize % 2] } else { evaluated };
                let drawn = drawer.draw(&document(evaluated))?;
                let drawn: Vec<Value> = drawn.into_iter().map(|shot| Value::Object(shot.values)).collect();
                assert_eq!(json!(drawn), *expected, "{key}, document {evaluated}");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_document_is_never_among_its_own_shots_when_excluded(
            seed: u64, n in 4_i64..60, count in 1_usize..3, evaluated in 0_i64..60,
        ) {
            let rows: Vec<i64> = (0..n).collect();
            let mut drawer = drawer(&rows, Sampler::Default, true, count, seed);
            let shots = drawer.draw(&document(evaluated)).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(shots.len(), count);
            prop_assert!(shots.iter().all(|shot| shot.values["i"] != json!(evaluated)));
        }
    }
}
