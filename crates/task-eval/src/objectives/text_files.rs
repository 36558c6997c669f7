//! Documents of plain text from files: paragraphs of a text file, or the column `text` of a table.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use super::error::ObjectiveError;
use crate::builtins::Columns;
use crate::data_files;
use crate::error::Error;

/// The column that holds the text.
const COLUMN: &str = "text";

/// The documents of a file that are not blank, at least one.
///
/// # Errors
/// [`ObjectiveError::UnknownFormat`], [`ObjectiveError::NoTextInFile`], [`ObjectiveError::NoTextColumn`], and
/// [`ObjectiveError::Data`] for a file that cannot be read.
pub(super) fn read_texts(file: &Path) -> Result<Vec<String>, ObjectiveError> {
    let mut texts = match file.extension().and_then(OsStr::to_str) {
        Some("txt") => paragraphs(file)?,
        Some("jsonl" | "json" | "csv" | "parquet") => {
            let rows = data_files::rows_of_file(file)?.into_iter().enumerate();
            rows.map(|(place, row)| text_of(file, place + 1, row)).collect::<Result<_, _>>()?
        }
        _ => return Err(ObjectiveError::UnknownFormat { file: file.to_owned() }),
    };
    texts.retain(|text| !text.trim().is_empty());
    if texts.is_empty() {
        return Err(ObjectiveError::NoTextInFile { file: file.to_owned() });
    }
    Ok(texts)
}

/// What is between blank lines.
fn paragraphs(file: &Path) -> Result<Vec<String>, ObjectiveError> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    Ok(lines.split(|line| line.trim().is_empty()).map(|lines| lines.join("\n")).collect())
}

/// The text of a row of a table, from 1; empty where the cell is.
fn text_of(file: &Path, row: usize, mut values: Columns) -> Result<String, ObjectiveError> {
    match values.get_mut(COLUMN).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        // An empty cell of a table.
        Some(Value::Null) => Ok(String::new()),
        _ => {
            let columns = values.keys().cloned().collect();
            Err(ObjectiveError::NoTextColumn { file: file.to_owned(), row, columns })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn texts(name: &str, content: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(name);
        std::fs::write(&file, content)?;
        Ok(read_texts(&file)?)
    }

    #[test]
    fn a_text_file_is_cut_at_blank_lines() -> Outcome {
        let found = texts("a.txt", "\u{feff}\nOne\n two.\r\n \t\r\n\n\nThree.\n")?;
        assert_eq!(found, ["One\n two.", "Three."]);
        Ok(())
    }

    #[test]
    fn a_table_gives_its_column_named_text() -> Outcome {
        assert_eq!(
            texts("a.jsonl", "{\"text\": \"One\\n\\ntwo\"}\n{\"text\": \" \"}\n{\"text\": null}\n")?,
            ["One\n\ntwo"]
        );
        assert_eq!(texts("a.csv", "id,text\n1,\"One, two\"\n")?, ["One, two"]);
        Ok(())
    }

    #[test]
    fn a_file_without_texts_is_refused_with_what_it_has() {
        for (name, content, part) in [
            ("a.txt", " \n\n", "holds no text that is not blank"),
            (
                "a.jsonl",
                "{\"text\": \"a\"}\n{\"page\": \"b\", \"id\": 1}",
                "row 2 has no text in a column `text`; its columns: page, id",
            ),
            ("a.jsonl", "{\"text\": 3}", "row 1 has no text in a column `text`"),
            ("a.jsonl", "{\"text\": ", "a.jsonl:1: is not valid JSON"),
            ("a.docx", "", "calibration text is read from .txt"),
        ] {
            let error = texts(name, content).map_or_else(|error| error.to_string(), |texts| format!("{texts:?}"));
            assert!(error.contains(part), "{error}");
        }
    }
}
