//! Jinja as the harness runs it: Python's formatting and methods, strict about what is undefined.
//!
//! minijinja renders; what Python adds is in [`python::jinja`](crate::python::jinja). A task's templates live in one
//! environment under their own text, so the same text in two keys is parsed once.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use crate::python::jinja::add_python;
use crate::python::regex::PythonRegex;

/// A task's templates, each parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// No template yet.
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

/// A document as templates see it.
pub(crate) fn context(values: &Map<String, Json>) -> Value {
    Value::from_pairs(values.iter().map(|(name, value)| (name.as_str(), from_json(value))))
}

/// A JSON value as templates see it.
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

/// The harness's own filter: Python's `re.sub(pattern, repl, string, count)`.
fn regex_replace(text: &str, pattern: &str, with: &str, count: Option<usize>) -> Result<String, Error> {
    let pattern = PythonRegex::new(pattern).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "regex_replace: the pattern cannot be compiled").with_source(error)
    })?;
    pattern.replace(text, with, count.unwrap_or(0)).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "regex_replace: the pattern gives up on this text").with_source(error)
    })
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
