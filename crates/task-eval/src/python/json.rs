//! `json.dumps(value, ensure_ascii=False)`: of JSON with two spaces a level, whose bytes are hashed, and of what a
//! template holds.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value as JinjaValue};
use serde_json::Value;

use super::print::{DEEPEST, python_str};
use super::text::float_repr;

/// The text, with two spaces per level and Python's numbers.
pub(crate) fn dump_indented(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// A value that stands `level` deep, without the whitespace before it.
fn write(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Number(number) if number.is_f64() => {
            out.push_str(&float_repr(number.as_f64().unwrap_or(f64::NAN)));
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                new_line(out, place, level + 1);
                write(out, item, level + 1);
            }
            new_line(out, 0, level);
            out.push(']');
        }
        Value::Object(entries) if !entries.is_empty() => {
            out.push('{');
            for (place, (key, item)) in entries.iter().enumerate() {
                new_line(out, place, level + 1);
                write_text(out, key);
                out.push_str(": ");
                write(out, item, level + 1);
            }
            new_line(out, 0, level);
            out.push('}');
        }
        Value::String(text) => write_text(out, text),
        other => out.push_str(&other.to_string()),
    }
}

/// The beginning of an item's line: a comma behind the one before, and two spaces a level.
fn new_line(out: &mut String, place: usize, level: usize) {
    out.push_str(if place == 0 { "\n" } else { ",\n" });
    out.extend(std::iter::repeat_n("  ", level));
}

/// A text in double quotes; only what JSON must escape is escaped.
fn write_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

/// The filter `tojson`, with `indent` as Python's; what else it takes there has no use in chat templates.
pub(crate) fn tojson(value: &JinjaValue, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = String::new();
    write_value(&mut out, value, indent, 0)?;
    Ok(out)
}

/// As [`write`], of what a template holds; on one line without `indent`.
fn write_value(out: &mut String, value: &JinjaValue, indent: Option<usize>, level: usize) -> Result<(), Error> {
    if level > DEEPEST {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: a value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&float_repr(f64::try_from(value.clone())?)),
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            let pair = |out: &mut String, key: &JinjaValue| {
                write_text(out, &python_str(key)?);
                out.push_str(": ");
                write_value(out, &value.get_item(key)?, indent, level + 1)
            };
            write_items(out, ['{', '}'], value, indent, level, pair)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let item = |out: &mut String, item: &JinjaValue| write_value(out, item, indent, level + 1);
            write_items(out, ['[', ']'], value, indent, level, item)?;
        }
        _ => return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {} is no JSON", value.kind()))),
    }
    Ok(())
}

/// The items of a list or a dict, between brackets.
fn write_items(
    out: &mut String,
    [open, close]: [char; 2],
    items: &JinjaValue,
    indent: Option<usize>,
    level: usize,
    write_one: impl Fn(&mut String, &JinjaValue) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(open);
    let mut count = 0;
    for item in items.try_iter()? {
        out.push_str(match (count, indent) {
            (0, _) => "",
            (_, None) => ", ",
            (_, Some(_)) => ",",
        });
        indented_line(out, indent, level + 1);
        write_one(out, &item)?;
        count += 1;
    }
    if count > 0 {
        indented_line(out, indent, level);
    }
    out.push(close);
    Ok(())
}

/// A new line with its spaces, if lines are indented at all. No line has more than 65536.
fn indented_line(out: &mut String, indent: Option<usize>, level: usize) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent.saturating_mul(level).min(1 << 16)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/golden/units.json`: a document as the harness hashes it.
    #[test]
    fn the_dump_and_its_hash_are_the_harnesss() -> Result<(), serde_json::Error> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let case = &units["hash"];
        let ours = dump_indented(&case["doc"]);
        assert_eq!(Some(ours.as_str()), case["dump"].as_str());
        assert_eq!(Some(crate::hashes::sha256(&ours).as_str()), case["doc_hash"].as_str());
        Ok(())
    }
}
