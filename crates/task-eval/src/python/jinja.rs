//! What Jinja2 takes from Python and minijinja does not: how values are printed, the methods of texts, lists and
//! dicts, and the filters that print.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, Value};

use super::methods;
use super::print::python_str;
use super::text::strip;

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

/// `trim`: without whitespace, or these characters, at the ends.
fn trim(value: &Value, characters: Option<String>) -> Result<String, Error> {
    let text = python_str(value)?;
    Ok(match characters {
        Some(characters) => text.trim_matches(|c| characters.contains(c)).to_owned(),
        None => strip(&text).to_owned(),
    })
}

/// `join`: the items, or an attribute of each, as texts with a separator between them.
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
