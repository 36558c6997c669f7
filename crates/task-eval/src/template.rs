//! Jinja as the harness runs it: Python's formatting and methods, strict about what is undefined.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use crate::methods;
use crate::python::regex::PythonRegex;
use crate::python::text::{float_repr, strip, write_quoted};

/// How deep values may lie in each other when they are printed.
pub(crate) const DEEPEST: usize = 100;

/// A task's templates, each parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        // Only odd delimiters can make this fail, and these are the default ones.
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default());
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        add_python(&mut environment);
        environment.add_filter("regex_replace", regex_replace);
        Self { environment }
    }

    /// Parses `source`; a second time costs nothing.
    pub(crate) fn add(&mut self, source: &str) -> Result<(), Error> {
        self.environment.add_template_owned(source.to_owned(), source.to_owned())
    }

    /// Renders a template that was added.
    pub(crate) fn render(&self, source: &str, context: &Value) -> Result<String, Error> {
        self.environment.get_template(source)?.render(context)
    }
}

/// So many steps of a template are enough for any prompt; loops within loops could otherwise run for days.
const MOST_STEPS: u64 = 10_000_000;

/// Values printed as Python does, its methods, and the filters that print; and an end to it.
pub(crate) fn add_python(environment: &mut Environment<'static>) {
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, _, value| {
        // Jinja2 prints it as nothing. Where that is strict, only `x if y` without `else` comes so far.
        if value.is_undefined() {
            return Ok(());
        }
        out.write_str(&python_str(value)?).map_err(Error::from)
    });
    environment.set_fuel(Some(MOST_STEPS));
    environment.set_unknown_method_callback(|_, value, name, arguments| methods::call(value, name, arguments));
    environment.add_filter("string", |value: &Value| python_str(value));
    environment.add_filter("trim", trim);
    environment.add_filter("join", join);
}

/// A document as templates see it.
pub(crate) fn context(values: &Map<String, Json>) -> Value {
    Value::from_pairs(values.iter().map(|(name, value)| (name.as_str(), from_json(value))))
}

pub(crate) fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(n), _, _) => Value::from(n),
            (_, Some(n), _) => Value::from(n),
            (_, _, x) => Value::from(x.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(entries) => context(entries),
    }
}

fn trim(value: &Value, characters: Option<String>) -> Result<String, Error> {
    let text = python_str(value)?;
    Ok(match characters {
        Some(characters) => text.trim_matches(|c| characters.contains(c)).to_owned(),
        None => strip(&text).to_owned(),
    })
}

fn join(values: &Value, separator: Option<String>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = options.get("attribute")?;
    options.assert_all_used()?;
    let text = |value: Value| match &attribute {
        Some(name) => python_str(&value.get_attr(name)?),
        None => python_str(&value),
    };
    let parts = values.try_iter()?.map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join(separator.as_deref().unwrap_or_default()))
}

/// The harness's own filter: Python's `re.sub(pattern, repl, string, count)`.
fn regex_replace(text: &str, pattern: &str, with: &str, count: Option<usize>) -> Result<String, Error> {
    let pattern = PythonRegex::new(pattern).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "regex_replace: the pattern cannot be compiled").with_source(error)
    })?;
    pattern.replace(text, with, count.unwrap_or(0)).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "regex_replace: the pattern gives up on this text").with_source(error)
    })
}

/// Python's `str(value)`.
pub(crate) fn python_str(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let mut out = String::new();
            write_repr(&mut out, value, 0)?;
            Ok(out)
        }
    }
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply to be printed"));
    }
    match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&float_repr(f64::try_from(value.clone())?)),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            out.push('{');
            for (place, key) in value.try_iter()?.enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => write_sequence(out, value, depth)?,
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn write_sequence(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
    out.push(open);
    let mut count = 0;
    for item in value.try_iter()? {
        out.push_str(if count == 0 { "" } else { ", " });
        write_repr(out, &item, depth + 1)?;
        count += 1;
    }
    if value.is_tuple() && count == 1 {
        out.push(',');
    }
    out.push(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str) -> Result<String, Error> {
        let mut templates = Templates::new();
        templates.add(source)?;
        templates.render(source, &context(&Map::from_iter([("a".to_owned(), Json::from("x"))])))
    }

    #[test]
    fn an_if_without_else_prints_nothing_but_what_is_undefined_is_an_error() -> Result<(), Error> {
        assert_eq!(rendered("{{ a }}{{ '!' if a == 'y' }}")?, "x");
        assert!(rendered("{{ b }}").is_err());
        Ok(())
    }

    #[test]
    fn a_template_that_runs_forever_is_an_error() {
        let forever = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert!(rendered(forever).is_err_and(|error| error.kind() == ErrorKind::OutOfFuel));
    }
}
