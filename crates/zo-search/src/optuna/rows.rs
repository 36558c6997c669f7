//! The rows of Optuna's tables: names of columns and typed values, for whatever database.

use std::time::SystemTime;

use serde_json::{Map, Value};

use super::identity::TRIAL_KEY;
use super::python_json::dumps;
use super::{OptunaStudy, OptunaTrial};

/// A row to be inserted. The database gives it its primary key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub cells: Vec<Cell>,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// One of the names of an enumerated type, where the database has such types.
    Name(&'static str),
    /// A local time without a zone.
    Time(SystemTime),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The directions of a study: everything is minimised.
pub(super) fn directions(study: &OptunaStudy, study_id: i64) -> Vec<Row> {
    let row = |objective| Row {
        table: "study_directions",
        columns: &["study_id", "direction", "objective"],
        cells: vec![Cell::Integer(study_id), Cell::Name("MINIMIZE"), Cell::Integer(objective)],
    };
    (0..study.objectives as i64).map(row).collect()
}

/// Attributes of a study.
pub(super) fn study_attributes(table: &'static str, study_id: i64, attributes: &Map<String, Value>) -> Vec<Row> {
    attribute_rows(table, &["study_id", "key", "value_json"], study_id, attributes)
}

fn attribute_rows(
    table: &'static str,
    columns: &'static [&'static str],
    id: i64,
    attributes: &Map<String, Value>,
) -> Vec<Row> {
    let cells = |(key, value): (&String, &Value)| {
        vec![Cell::Integer(id), Cell::from(key.as_str()), dumps(value).as_str().into()]
    };
    attributes.iter().map(|attribute| Row { table, columns, cells: cells(attribute) }).collect()
}

/// The row of a trial itself, which gets its primary key when it is inserted.
pub(super) fn trial(study_id: i64, number: i64, trial: &OptunaTrial) -> Row {
    let [state, started, completed] = changing_cells(trial);
    Row {
        table: "trials",
        columns: &["study_id", "number", "state", "datetime_start", "datetime_complete"],
        cells: vec![Cell::Integer(study_id), Cell::Integer(number), state, started, completed],
    }
}

/// State, begin and end of a trial.
pub(super) fn changing_cells(trial: &OptunaTrial) -> [Cell; 3] {
    let completed = trial.completed.map_or(Cell::Null, Cell::Time);
    [Cell::Name(trial.state.name()), Cell::Time(trial.started), completed]
}

/// The tables whose rows [`of_trial`] gives, all rows of a trial.
pub(super) const OF_TRIAL: [&str; 4] =
    ["trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"];
/// The table of attributes some of which may be somebody else's.
pub(super) const SYSTEM_ATTRIBUTES: &str = "trial_system_attributes";

/// What else is written of a trial: parameters, values, attributes, and the hash of all that.
pub(super) fn of_trial(trial_id: i64, trial: &OptunaTrial) -> Vec<Row> {
    let id = || Cell::Integer(trial_id);
    let mut rows = Vec::new();
    for parameter in &trial.parameters {
        let distribution = dumps(&parameter.distribution.to_json());
        let (name, value) = (parameter.name.as_str().into(), Cell::Real(parameter.value));
        rows.push(Row {
            table: "trial_params",
            columns: &["trial_id", "param_name", "param_value", "distribution_json"],
            cells: vec![id(), name, value, Cell::Text(distribution)],
        });
    }
    for (objective, value) in (0..).zip(&trial.values) {
        let [value, kind] = number(*value);
        rows.push(Row {
            table: "trial_values",
            columns: &["trial_id", "objective", "value", "value_type"],
            cells: vec![id(), Cell::Integer(objective), value, kind],
        });
    }
    for (step, value) in &trial.intermediate_values {
        let [value, kind] = number(*value);
        rows.push(Row {
            table: "trial_intermediate_values",
            columns: &["trial_id", "step", "intermediate_value", "intermediate_value_type"],
            cells: vec![id(), Cell::Integer(i64::from(*step)), value, kind],
        });
    }
    let columns = &["trial_id", "key", "value_json"];
    rows.extend(attribute_rows("trial_user_attributes", columns, trial_id, &trial.user_attributes));
    let mut system = trial.system_attributes.clone();
    system.insert(TRIAL_KEY.to_owned(), trial.hash().into());
    rows.extend(attribute_rows(SYSTEM_ATTRIBUTES, columns, trial_id, &system));
    rows
}

/// A number and what kind of one it is: Optuna's columns hold no NaN and no infinities.
fn number(x: f64) -> [Cell; 2] {
    let kind = match x {
        x if x.is_nan() => "NAN",
        f64::INFINITY => "INF_POS",
        f64::NEG_INFINITY => "INF_NEG",
        _ => return [Cell::Real(x), Cell::Name("FINITE")],
    };
    [Cell::Null, Cell::Name(kind)]
}

impl OptunaTrial {
    /// A hash of all that is written of it.
    pub(super) fn hash(&self) -> String {
        blake3::hash(format!("{self:?}").as_bytes()).to_hex()[..32].to_string()
    }
}
