//! Recorded evaluations of recipes: a line of JSON for each recipe and split, only ever appended to.
//!
//! ```json
//! {"key": "..", "split": "validation", "objective": 0.2, "retention": 0.8,
//!  "tasks": {"t": {"score": 0.5, "loss": 1.2, "documents": "0110"}}}
//! ```
//! `key` is the recipe's hash; `documents` the metric of each document (0 or 1), in the order of the study's evaluator;
//! `objective` and `retention` are absent for the parents, which these are relative to. Several processes may share a
//! file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use recipe_search::{Scores, TaskScore};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// One recorded evaluation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The recipe's hash.
    pub key: String,
    /// `validation` (the documents that a search sees) or `test`.
    pub split: String,
    /// 1 - retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// The share of the best parents' scores that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<f64>,
    /// In the study's order.
    pub tasks: Vec<TaskRow>,
}

/// A recipe's result on one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task's name.
    pub task: String,
    /// The mean of the metric.
    pub score: f64,
    /// The mean dense loss.
    pub loss: Option<f64>,
    /// The metric of each document, a digit each.
    pub documents: String,
}

impl Row {
    /// The row of a evaluator's scores.
    ///
    /// # Errors
    /// When a document's metric is neither 0 nor 1: it would not fit into a digit.
    pub fn new(key: String, split: &str, scores: &Scores, retention: Option<f64>) -> Outcome<Self> {
        let digits = |score: &TaskScore| -> Outcome<TaskRow> {
            let digit = |value: &f32| match *value {
                0.0 => Ok('0'),
                1.0 => Ok('1'),
                other => Err(format!("{}: a document has metric {other}, the table keeps 0 and 1", score.task)),
            };
            let documents = score.documents.iter().map(digit).collect::<Result<String, String>>()?;
            Ok(TaskRow { task: score.task.clone(), score: score.score, loss: score.loss, documents })
        };
        let tasks = scores.iter().map(digits).collect::<Outcome<_>>()?;
        Ok(Self { key, split: split.to_string(), objective: retention.map(|kept| 1.0 - kept), retention, tasks })
    }

    /// The scores on the first `fraction` of each task's documents, rounded up to whole ones. The loss is that of all.
    #[must_use]
    pub fn scores(&self, fraction: f64) -> Scores {
        let task = |row: &TaskRow| {
            let count = (row.documents.len() as f64 * fraction).ceil() as usize;
            let values = row.documents.bytes().take(count).map(|digit| f32::from(digit - b'0')).collect();
            TaskScore { loss: row.loss, ..TaskScore::of(&row.task, values, &[]) }
        };
        self.tasks.iter().map(task).collect()
    }
}

/// The file, and what it says.
pub struct RecipeTable {
    file: File,
    /// How many bytes of it were read.
    read: u64,
    /// By key and split.
    rows: HashMap<(String, String), Row>,
}

impl RecipeTable {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be read or written, or holds something else.
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut table = Self { file, read: 0, rows: HashMap::new() };
        table.catch_up()?;
        Ok(table)
    }

    /// Reads what was appended since, by us or others, up to the last whole line.
    fn catch_up(&mut self) -> Outcome {
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut text = Vec::new();
        self.file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row: Row = serde_json::from_slice(line)?;
            self.rows.insert((row.key.clone(), row.split.clone()), row);
        }
        self.read += whole as u64;
        Ok(())
    }

    /// What is recorded of a recipe on a split.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get(&mut self, key: &str, split: &str) -> Outcome<Option<Row>> {
        let place = (key.to_string(), split.to_string());
        if !self.rows.contains_key(&place) {
            self.catch_up()?;
        }
        Ok(self.rows.get(&place).cloned())
    }

    /// Records an evaluation: a line is written in one piece, so that those of several processes do not mix.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, row: Row) -> Outcome {
        self.file.write_all(format!("{}\n", serde_json::to_string(&row)?).as_bytes())?;
        self.rows.insert((row.key.clone(), row.split.clone()), row);
        Ok(())
    }
}
