//! `json.dumps(value, indent=2, ensure_ascii=False)`, whose bytes are hashed.

use serde_json::Value;

use super::text::float_repr;

/// The text, with two spaces per level and Python's numbers.
pub(crate) fn dump_indented(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

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

fn new_line(out: &mut String, place: usize, level: usize) {
    out.push_str(if place == 0 { "\n" } else { ",\n" });
    out.extend(std::iter::repeat_n("  ", level));
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
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
        assert_eq!(Some(crate::samples::sha256(&ours).as_str()), case["doc_hash"].as_str());
        Ok(())
    }
}
