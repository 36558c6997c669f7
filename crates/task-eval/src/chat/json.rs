//! `json.dumps(value, ensure_ascii=False)` of what a template holds.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::python::text::float_repr;
use crate::template::{DEEPEST, python_str};

/// The filter `tojson`, with `indent` as Python's; what else it takes there has no use in chat templates.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = String::new();
    write(&mut out, value, indent, 0)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value, indent: Option<usize>, level: usize) -> Result<(), Error> {
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
            let pair = |out: &mut String, key: &Value| {
                write_text(out, &python_str(key)?);
                out.push_str(": ");
                write(out, &value.get_item(key)?, indent, level + 1)
            };
            write_items(out, ['{', '}'], value, indent, level, pair)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let item = |out: &mut String, item: &Value| write(out, item, indent, level + 1);
            write_items(out, ['[', ']'], value, indent, level, item)?;
        }
        _ => return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {} is no JSON", value.kind()))),
    }
    Ok(())
}

fn write_items(
    out: &mut String,
    [open, close]: [char; 2],
    items: &Value,
    indent: Option<usize>,
    level: usize,
    write_one: impl Fn(&mut String, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(open);
    let mut count = 0;
    for item in items.try_iter()? {
        out.push_str(match (count, indent) {
            (0, _) => "",
            (_, None) => ", ",
            (_, Some(_)) => ",",
        });
        new_line(out, indent, level + 1);
        write_one(out, &item)?;
        count += 1;
    }
    if count > 0 {
        new_line(out, indent, level);
    }
    out.push(close);
    Ok(())
}

fn new_line(out: &mut String, indent: Option<usize>, level: usize) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent.saturating_mul(level).min(1 << 16)));
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
