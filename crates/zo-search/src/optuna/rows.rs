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

/// The tables all of whose rows of a trial are [`of_trial`]'s.
pub(super) const OF_TRIAL: [&str; 4] =
    ["trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"];
/// The table of attributes some of which may be somebody else's.
pub(super) const SYSTEM_ATTRIBUTES: &str = "trial_system_attributes";

/// What else is written of a trial: parameters, values, attributes.
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
    rows.extend(attribute_rows(SYSTEM_ATTRIBUTES, columns, trial_id, &trial.system_attributes));
    rows
}

/// The attribute by which a trial is known as ours, and as unchanged.
pub(super) fn hash_attribute(trial_id: i64, hash: &str) -> Row {
    Row {
        table: SYSTEM_ATTRIBUTES,
        columns: &["trial_id", "key", "value_json"],
        cells: vec![Cell::Integer(trial_id), TRIAL_KEY.into(), Cell::Text(dumps(&hash.into()))],
    }
}

/// A hash of all that is written of a trial, the same on every machine and in every database.
pub(super) fn hash(trial: &OptunaTrial) -> String {
    let mut hasher = blake3::Hasher::new();
    let rows = of_trial(0, trial);
    for cell in rows.iter().flat_map(|row| &row.cells).chain(&changing_cells(trial)) {
        let text = match cell {
            Cell::Null => String::new(),
            Cell::Integer(x) => x.to_string(),
            Cell::Real(x) => x.to_bits().to_string(),
            Cell::Text(text) => text.clone(),
            Cell::Name(name) => (*name).to_owned(),
            Cell::Time(time) => time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros().to_string(),
        };
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_string()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Outcome, RandomSearch, Space, Study};

    fn study(outcomes: &[Outcome]) -> Result<OptunaStudy, crate::Error> {
        let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
        let mut study = Study::in_memory(Header::new("a", 7), strategy)?.with_clock(|| SystemTime::UNIX_EPOCH);
        for outcome in outcomes {
            let trial = study.ask()?;
            study.tell(trial.id, outcome.clone())?;
        }
        study.ask()?;
        Ok(OptunaStudy::of(study.history()))
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() -> Result<(), crate::Error> {
        let study = study(&[Outcome::scores([0.5, f64::INFINITY]).with_violation(1.0).with_cost(2.0)])?;
        let mut rows = directions(&study, 3);
        rows.extend(study_attributes("study_user_attributes", 3, &study.user_attributes));
        rows.extend((0..).zip(&study.trials).map(|(number, it)| trial(3, number, it)));
        rows.extend(of_trial(5, &study.trials[0]));
        assert!(rows.iter().all(|row| row.columns.len() == row.cells.len()), "{rows:?}");
        let values: Vec<&[Cell]> =
            rows.iter().filter(|row| row.table == "trial_values").map(|row| &row.cells[1..]).collect();
        assert_eq!(values[0], [Cell::Integer(0), Cell::Real(0.5), Cell::Name("FINITE")]);
        assert_eq!(values[1], [Cell::Integer(1), Cell::Null, Cell::Name("INF_POS")]);
        Ok(())
    }

    #[test]
    fn the_hash_changes_with_what_is_written() -> Result<(), crate::Error> {
        let outcomes = [Outcome::score(0.5), Outcome::score(0.25), Outcome::score(0.5).with_cost(1.0)];
        let hashes =
            |outcomes: &[Outcome]| Ok::<_, crate::Error>(study(outcomes)?.trials.iter().map(hash).collect::<Vec<_>>());
        assert_eq!(hashes(&outcomes)?, hashes(&outcomes)?);
        let first = |outcome: &Outcome| Ok::<_, crate::Error>(hashes(std::slice::from_ref(outcome))?.swap_remove(0));
        let all = [first(&outcomes[0])?, first(&outcomes[1])?, first(&outcomes[2])?, hashes(&[])?.swap_remove(0)];
        assert!((0..4).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        Ok(())
    }
}
