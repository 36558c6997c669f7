//! `str` and `repr`, whitespace and digits, as Python has them.

use std::fmt::Write;

use serde_json::Value;

/// `str.isspace` of one character: White_Space and the four information separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `text.split()`
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `text.strip()`
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `text.rstrip()`
pub(crate) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `text.isdigit()`: decimal digits of any script, and digits such as superscripts.
pub(crate) fn is_digit(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_digit_char)
}

/// `c.isdigit()`
fn is_digit_char(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && (is_decimal_of_a_script(c) || is_other_digit(c)))
}

/// Unicode 16's Numeric_Type=Digit: superscripts, subscripts, circled and similar digits.
fn is_other_digit(c: char) -> bool {
    const RANGES: [(u32, u32); 20] = [
        (0xb2, 0xb3),
        (0xb9, 0xb9),
        (0x1369, 0x1371),
        (0x19da, 0x19da),
        (0x2070, 0x2070),
        (0x2074, 0x2079),
        (0x2080, 0x2089),
        (0x2460, 0x2468),
        (0x2474, 0x247c),
        (0x2488, 0x2490),
        (0x24ea, 0x24ea),
        (0x24f5, 0x24fd),
        (0x24ff, 0x24ff),
        (0x2776, 0x277e),
        (0x2780, 0x2788),
        (0x278a, 0x2792),
        (0x10a40, 0x10a43),
        (0x10e60, 0x10e68),
        (0x11052, 0x1105a),
        (0x1f100, 0x1f10a),
    ];
    let c = u32::from(c);
    RANGES.iter().any(|&(from, to)| (from..=to).contains(&c))
}

/// Whether it is a decimal digit, but for ASCII's.
fn is_decimal_of_a_script(c: char) -> bool {
    !c.is_ascii() && decimal_value(c).is_some()
}

/// The value of a decimal digit of any script (general category Nd), 0 to 9.
pub(crate) fn decimal_value(c: char) -> Option<u32> {
    const ZEROS: [u32; 46] = [
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
        0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
        0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
        0x11450, 0x114d0, 0x1e950,
    ];
    let c = u32::from(c);
    // The mathematical digits are five runs of ten side by side.
    if (0x1d7ce..=0x1d7ff).contains(&c) {
        return Some((c - 0x1d7ce) % 10);
    }
    ZEROS.iter().find_map(|&zero| (zero..zero + 10).contains(&c).then(|| c - zero))
}

/// `str(value)`: a string is itself, everything else its `repr`.
pub(crate) fn python_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python_repr(other),
    }
}

/// `repr(value)`
pub(crate) fn python_repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// Appends `repr(value)`.
fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(n), _, _) => out.push_str(&n.to_string()),
            (_, Some(n), _) => out.push_str(&n.to_string()),
            (_, _, Some(x)) => out.push_str(&float_repr(x)),
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_quoted(out, text),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (place, (key, item)) in entries.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_quoted(out, key);
                out.push_str(": ");
                write_repr(out, item);
            }
            out.push('}');
        }
    }
}

/// `repr` of a float: the shortest digits that read back, in positional form for exponents from -4 to 15.
pub(crate) fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = shortest(x);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if let -4..16 = exponent {
        let digits = mantissa.chars().filter(char::is_ascii_digit).count();
        // As many places after the point as the digits need, and at least one.
        let places = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0).max(1);
        return format!("{x:.places$}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The fewest digits that read back, the nearest of them, and of two equally near the even one, which Rust does not
/// promise.
fn shortest(x: f64) -> String {
    let text = format!("{x:e}");
    let digits = text.split('e').next().unwrap_or_default().chars().filter(char::is_ascii_digit).count();
    let rounded = format!("{x:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(x) { rounded } else { text }
}

/// `repr` of a string: single quotes unless it holds one and no double quote.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => write_escape(out, u32::from(c)),
        }
    }
    out.push(quote);
}

/// Appends a code point that is not printed as itself: `\x`, `\u` or `\U` with its hexadecimal digits.
fn write_escape(out: &mut String, code: u32) {
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `str.isprintable` of one character, but that unassigned code points count as printable.
fn is_printable(c: char) -> bool {
    const FORMAT_AND_PRIVATE: [(u32, u32); 24] = [
        (0xad, 0xad),
        (0x600, 0x605),
        (0x61c, 0x61c),
        (0x6dd, 0x6dd),
        (0x70f, 0x70f),
        (0x890, 0x891),
        (0x8e2, 0x8e2),
        (0x180e, 0x180e),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x2064),
        (0x2066, 0x206f),
        (0xe000, 0xf8ff),
        (0xfeff, 0xfeff),
        (0xfff9, 0xfffb),
        (0x110bd, 0x110bd),
        (0x110cd, 0x110cd),
        (0x13430, 0x1343f),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0001, 0xe0001),
        (0xe0020, 0xe007f),
        (0xf0000, 0xffffd),
        (0x10_0000, 0x10_fffd),
    ];
    if c == ' ' {
        return true;
    }
    let code = u32::from(c);
    !c.is_control() && !c.is_whitespace() && !FORMAT_AND_PRIVATE.iter().any(|&(from, to)| (from..=to).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (x, text) in [
            (2.0, "2.0"),
            (-0.0, "-0.0"),
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (f64::from(-16.666_214_f32), "-16.666213989257812"),
        ] {
            assert_eq!(float_repr(x), text);
        }
    }

    proptest! {
        #[test]
        fn floats_read_back(x in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            prop_assert_eq!(float_repr(x).parse::<f64>(), Ok(x));
        }
    }
}
