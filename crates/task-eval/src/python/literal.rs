//! `ast.literal_eval` for what templates render: numbers, strings, None, True, False, lists, tuples and dicts.

use serde_json::{Map, Number, Value};

/// How deep lists may lie in each other; CPython's parser has a limit as well.
const DEEPEST: usize = 90;

/// The value of a Python literal, or None where Python would raise. Tuples become lists.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']) };
    let value = parser.value(0)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(value)
}

/// What is left of the text. Each method takes what it reads; None means that Python would raise.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Takes whitespace, line feeds included.
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    }

    /// Takes `c` after whitespace.
    fn take(&mut self, c: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// One value, which lies `depth` deep in lists.
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.skip_space();
        match self.rest.chars().next()? {
            '[' => {
                self.take('[');
                self.items(']', depth).map(|(items, _)| Value::Array(items))
            }
            '(' => {
                self.take('(');
                let (mut items, comma) = self.items(')', depth)?;
                // `(1)` is 1 in brackets, `(1,)` a tuple.
                if items.len() == 1 && !comma { items.pop() } else { Some(Value::Array(items)) }
            }
            '{' => self.dict(depth),
            '\'' | '"' => self.strings().map(Value::String),
            'a'..='z' | 'A'..='Z' | '_' => self.name(),
            _ => self.number(),
        }
    }

    /// The items up to `close`, and whether a comma stands last.
    fn items(&mut self, close: char, depth: usize) -> Option<(Vec<Value>, bool)> {
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            if self.take(close) {
                return Some((items, comma));
            }
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value(depth + 1)?);
            comma = self.take(',');
        }
    }

    /// A dict. Keys that are no texts become texts, as JSON wants them; a set is refused.
    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.take('{');
        let (mut entries, mut comma) = (Map::new(), true);
        loop {
            if self.take('}') {
                return Some(Value::Object(entries));
            }
            if !comma {
                return None;
            }
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => super::text::python_repr(&other),
            };
            if !self.take(':') {
                return None;
            }
            entries.insert(key, self.value(depth + 1)?);
            comma = self.take(',');
        }
    }

    /// `None`, `True` or `False`.
    fn name(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name {
            "None" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => None,
        }
    }

    /// A whole number that fits 64 bits, or a float.
    fn number(&mut self) -> Option<Value> {
        let negative = if self.take('-') {
            true
        } else {
            self.take('+');
            false
        };
        self.skip_space();
        let is_part = |(place, c): (usize, char)| {
            let after_exponent = place > 0 && self.rest[..place].ends_with(['e', 'E']);
            c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '_') || (after_exponent && matches!(c, '+' | '-'))
        };
        let end = self.rest.char_indices().find(|&part| !is_part(part)).map_or(self.rest.len(), |(end, _)| end);
        let (digits, rest) = self.rest.split_at(end);
        let digits = without_underscores(digits)?;
        self.rest = rest;
        let sign = if negative { "-" } else { "" };
        if digits.contains(['.', 'e', 'E']) {
            return Number::from_f64(format!("{sign}{digits}").parse().ok()?).map(Value::Number);
        }
        // Python refuses `01`, but not `00`.
        if digits.len() > 1 && digits.starts_with('0') && !digits.trim_matches('0').is_empty() {
            return None;
        }
        let number = format!("{sign}{digits}");
        number.parse::<i64>().map(Value::from).or_else(|_| number.parse::<u64>().map(Value::from)).ok()
    }

    /// One string, or several side by side.
    fn strings(&mut self) -> Option<String> {
        let mut out = String::new();
        loop {
            self.string(&mut out)?;
            self.skip_space();
            if !self.rest.starts_with(['\'', '"']) {
                return Some(out);
            }
        }
    }

    /// One string, in single or double quotes, or in three of them.
    fn string(&mut self, out: &mut String) -> Option<()> {
        let quote = &self.rest[..1];
        let long = self.rest.starts_with(&quote.repeat(3));
        let end = if long { quote.repeat(3) } else { quote.to_owned() };
        self.rest = &self.rest[end.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(&end) {
                self.rest = rest;
                return Some(());
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\\' => self.escape(out)?,
                '\n' if !long => return None,
                c => out.push(c),
            }
        }
    }

    /// What a backslash means. An unknown escape stays as it is, as in Python.
    fn escape(&mut self, out: &mut String) -> Option<()> {
        let (before, c) = (self.rest, self.rest.chars().next()?);
        self.rest = &before[c.len_utf8()..];
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            'x' => out.push(self.code_point(2, 16)?),
            'u' => out.push(self.code_point(4, 16)?),
            'U' => out.push(self.code_point(8, 16)?),
            '0'..='7' => {
                self.rest = before;
                let digits = self.rest.chars().take(3).take_while(|c| ('0'..='7').contains(c)).count();
                out.push(self.code_point(digits, 8)?);
            }
            other => out.extend(['\\', other]),
        }
        Some(())
    }

    /// The character that so many digits name.
    fn code_point(&mut self, digits: usize, radix: u32) -> Option<char> {
        let code = u32::from_str_radix(self.rest.get(..digits)?, radix).ok()?;
        self.rest = &self.rest[digits..];
        char::from_u32(code)
    }
}

/// Digits without their separators; None where a separator stands alone.
fn without_underscores(digits: &str) -> Option<String> {
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!misplaced && digits.contains(|c: char| c.is_ascii_digit())).then(|| digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::text::python_repr;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn literals_read_as_python_reads_them() {
        for (text, expected) in [
            ("[1, 'a', \"it's\", None, True, 2.5,]", Some(json!([1, "a", "it's", null, true, 2.5]))),
            ("(1, 2)", Some(json!([1, 2]))),
            ("(1)", Some(json!(1))),
            ("{'k': [1e3]}", Some(json!({"k": [1000.0]}))),
            (r"['\x41\n\u00e9', 'a' 'b']", Some(json!(["A\né", "ab"]))),
            ("-7", Some(json!(-7))),
            ("1_000", Some(json!(1000))),
            ("01", None),
            ("[1 2]", None),
            ("['a", None),
            ("nope", None),
            ("", None),
            ("²", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_deep_nest_is_refused_instead_of_overflowing_the_stack() {
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e30..1e30).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_repr_writes_literal_reads_back(value in value()) {
            prop_assert_eq!(parse(&python_repr(&value)), Some(value));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
