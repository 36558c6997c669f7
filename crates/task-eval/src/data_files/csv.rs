//! Rows from CSV, typed column by column as pandas, and with it the harness, types them.
//!
//! CSV has texts alone; pandas makes numbers and truth values of a column if all of its cells are such. So one cell of
//! another kind makes texts of a whole column.

use std::path::Path;

use serde_json::{Map, Value};

use crate::builtins::Columns;
use crate::error::{DataError, Error};

/// What pandas takes for a missing value.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The rows of a file. Without `columns` the first line names them. A row may be shorter than the names: the missing
/// cells are null.
pub(super) fn read(file: &Path, separator: u8, columns: Option<&[String]>) -> Result<Vec<Columns>, Error> {
    let failed = |source| DataError::Csv { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut builder = csv::ReaderBuilder::new();
    let mut reader =
        builder.delimiter(separator).flexible(true).has_headers(columns.is_none()).from_reader(text.as_bytes());
    let names = match columns {
        Some(columns) => columns.to_vec(),
        None => names(reader.headers().map_err(failed)?),
    };
    let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    let mut count = 0;
    for (place, record) in reader.records().enumerate() {
        let record = record.map_err(failed)?;
        if record.len() > names.len() {
            let (file, row, columns, found) = (file.to_owned(), place + 1, names.len(), record.len());
            return Err(DataError::CsvRow { file, row, columns, found }.into());
        }
        for (column, cells) in cells.iter_mut().enumerate() {
            cells.push(record.get(column).filter(|cell| !MISSING.contains(cell)).map(str::to_owned));
        }
        count += 1;
    }
    let mut rows = vec![Map::new(); count];
    for (name, cells) in names.iter().zip(cells) {
        for (row, value) in rows.iter_mut().zip(typed(cells)) {
            row.insert(name.clone(), value);
        }
    }
    Ok(rows)
}

/// The columns' names as pandas makes them unique: nameless ones by their place, a second `a` as `a.1`.
fn names(header: &csv::StringRecord) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (place, cell) in header.iter().enumerate() {
        let name = if cell.is_empty() { format!("Unnamed: {place}") } else { cell.to_owned() };
        let with = |number: usize| if number == 0 { name.clone() } else { format!("{name}.{number}") };
        let free = (0..).map(with).find(|candidate| !names.contains(candidate));
        names.extend(free);
    }
    names
}

/// One column: whole numbers (fractions where a value is missing), fractions, truth values, or texts.
fn typed(cells: Vec<Option<String>>) -> Vec<Value> {
    let whole = |text: &str| text.trim().parse::<i64>().ok();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let all = |fits: &dyn Fn(&str) -> bool| cells.iter().flatten().all(|text| fits(text));
    let complete = cells.iter().all(Option::is_some);
    let read: &dyn Fn(&str) -> Value = if complete && all(&|text| whole(text).is_some()) {
        &|text| Value::from(whole(text))
    } else if all(&|text| number(text).is_some()) {
        &|text| Value::from(number(text))
    } else if all(&|text| truth(text).is_some()) {
        &|text| Value::from(truth(text))
    } else {
        &|text| Value::from(text)
    };
    cells.iter().map(|cell| cell.as_deref().map_or(Value::Null, read)).collect()
}

/// What pandas takes for a truth value.
fn truth(text: &str) -> Option<bool> {
    match text {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}
