//! Parts of messages: lists, guesses at what was meant, values cut where they get long.

use std::fmt::Display;
use std::path::PathBuf;

use serde_json::Value;

/// Why there is no chat template to use: none of this name, no default one, or none at all.
pub(super) fn no_template(name: &Option<String>, known: &[String]) -> String {
    match (name, known) {
        (Some(name), [_, ..]) => format!("there is no chat template `{name}` beside it; there are {}", words(known)),
        (None, [_, ..]) => format!("no chat template beside it is the default one; name one of {}", words(known)),
        _ => "there is no chat template beside it, as base models have none: evaluate in plain text, or put one into \
              chat_template.jinja"
            .to_owned(),
    }
}

/// ` (did you mean ...?)`, or nothing without a name.
pub(super) fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", words(names)) }
}

/// Why a file cannot be read that may hold the name which is not found.
pub(super) fn or_unread(error: Option<&impl Display>) -> String {
    error.map_or_else(String::new, |error| format!("; a file there cannot be read: {error}"))
}

/// Names in backticks; `none` without one.
pub(super) fn words(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Paths, with commas between them.
pub(super) fn listed(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder".to_owned();
    }
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// `default` of, `default` or `data` within, or the root itself.
pub(super) fn within(folders: &[String]) -> String {
    let named: Vec<String> =
        folders.iter().filter(|folder| !folder.is_empty()).map(|folder| format!("`{folder}`")).collect();
    let own = if named.len() < folders.len() { ", or directly into" } else { " of" };
    format!("{}{own}", named.join(" or "))
}

/// The parser's words with its column, but without its line, which is 1 when one line was given to it.
pub(super) fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("{words} at column {}", error.column())
}

/// ` at row N`, once rows are being read.
pub(super) fn at_row(row: &Option<usize>) -> String {
    row.map_or_else(String::new, |row| format!(" at row {row}"))
}

/// Where the documents of a JSON file were looked for.
pub(super) fn under_field(name: &Option<String>) -> String {
    name.as_ref().map_or_else(
        || ": neither lines nor an array; set `dataset_kwargs.field` if they are in an object".to_owned(),
        |name| format!(" under `{name}`"),
    )
}

/// A value as JSON on one line, cut where it gets long.
pub(crate) fn short(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The first names of a list, and how many more there are.
pub(super) fn shortened(names: &[String]) -> String {
    const MANY: usize = 12;
    let shown = |name: &String| if name.is_empty() { "its folder itself".to_owned() } else { format!("`{name}`") };
    let mut list: Vec<String> = names.iter().take(MANY).map(shown).collect();
    if names.len() > MANY {
        list.push(format!("{} more", names.len() - MANY));
    }
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
