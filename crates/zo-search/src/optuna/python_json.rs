//! JSON as Python's `json.dumps` writes it, to the byte: what Optuna writes into its columns.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// A value as `json.dumps(value)` writes it.
pub(super) fn dumps(value: &Value) -> String {
    let mut bytes = Vec::new();
    // A vector takes every byte, and a value has string keys alone.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Python));
    String::from_utf8(bytes).unwrap_or_default()
}

/// A finite float as Python's `repr` has it: the shortest digits, and an exponent of at least two digits below 1e-4 and
/// from 1e16 on. Rust has the same but for the exponent's form.
fn repr(x: f64) -> String {
    let text = format!("{x:?}");
    match text.split_once('e').map(|(digits, exponent)| (digits, exponent.strip_prefix('-'), exponent)) {
        Some((digits, Some(below), _)) => format!("{digits}e-{below:0>2}"),
        Some((digits, None, above)) => format!("{digits}e+{above:0>2}"),
        None => text,
    }
}

/// `, ` and `: ` between things, floats by [`repr`], and everything outside of ASCII escaped.
struct Python;

impl Formatter for Python {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(repr(value).as_bytes())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            if (' '..='~').contains(&character) {
                write!(writer, "{character}")?;
            } else {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right sides: `json.dumps` of Python 3.11.
    #[test]
    fn values_are_written_as_python_writes_them() {
        let cases = [
            (serde_json::json!({"a": [1, null, true], "b": {}}), r#"{"a": [1, null, true], "b": {}}"#),
            (
                serde_json::json!([0.0, -1.5, 1e-4, 1e-5, 1.5e-7, 1e15, 1e16, 2.5e100]),
                "[0.0, -1.5, 0.0001, 1e-05, 1.5e-07, 1000000000000000.0, 1e+16, 2.5e+100]",
            ),
            (serde_json::json!("é\"\\\n\u{7f}\u{1}😀"), r#""\u00e9\"\\\n\u007f\u0001\ud83d\ude00""#),
        ];
        for (value, text) in cases {
            assert_eq!(dumps(&value), text);
        }
    }
}
