//! Python's methods of strings, lists and dicts, as templates call them: `{{ question.strip() }}`.
//!
//! | of | methods |
//! |---|---|
//! | texts | `strip` `lstrip` `rstrip` `split` `rsplit` `splitlines` `replace` `join` `startswith` `endswith` |
//! | | `count` `removeprefix` `removesuffix` `index` `find` `rindex` `rfind` `upper` `lower` `capitalize` `title` |
//! | | `isdigit` `isspace` `isalpha` `isalnum` `isupper` `islower` |
//! | lists | `count` `index` |
//! | dicts | `get` `keys` `values` `items` |
//!
//! Any other is an error of the template that names it. minijinja has some of them in a crate of its own, but not with
//! Python's whitespace, title case and errors.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::case::{capitalize, lower, title};
use super::print::python_str;
use super::text::{is_digit, is_space, strip};

/// Calls `value.name(arguments)`.
pub(super) fn call(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => of_string(text, name, arguments),
        (None, ValueKind::Map) => of_dict(value, name, arguments),
        (None, ValueKind::Seq | ValueKind::Iterable) => of_list(value, name, arguments),
        _ => Err(unknown(name)),
    }
}

/// The error of a method that is not built.
fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::UnknownMethod, format!("there is no method `{name}` here"))
}

/// The methods of texts.
fn of_string(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<String>,) = from_args(arguments)?;
            let goes = |c: char| characters.as_ref().map_or_else(|| is_space(c), |set| set.contains(c));
            Value::from(match name {
                "strip" => text.trim_matches(goes),
                "lstrip" => text.trim_start_matches(goes),
                _ => text.trim_end_matches(goes),
            })
        }
        "split" | "rsplit" => {
            let (separator, most): (Option<String>, Option<i64>) = from_args(arguments)?;
            let most = most.and_then(|most| usize::try_from(most).ok());
            Value::from(split(text, separator.as_deref(), most, name == "rsplit")?)
        }
        "splitlines" => Value::from(text.lines().map(str::to_owned).collect::<Vec<_>>()),
        "replace" => {
            let (from, to, count): (String, String, Option<usize>) = from_args(arguments)?;
            Value::from(text.replacen(&from, &to, count.unwrap_or(usize::MAX)))
        }
        "join" => {
            let (items,): (Value,) = from_args(arguments)?;
            let parts = items.try_iter()?.map(|item| python_str(&item)).collect::<Result<Vec<_>, _>>()?;
            Value::from(parts.join(text))
        }
        "startswith" | "endswith" | "count" | "removeprefix" | "removesuffix" => with_part(text, name, arguments)?,
        "index" | "find" | "rindex" | "rfind" => find(text, name, arguments)?,
        _ => {
            let () = from_args(arguments)?;
            without_arguments(text, name)?
        }
    })
}

/// Those of texts that take no argument.
fn without_arguments(text: &str, name: &str) -> Result<Value, Error> {
    let some = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    Ok(match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(lower(text)),
        "capitalize" => Value::from(capitalize(text)),
        "title" => Value::from(title(text)),
        "isdigit" => Value::from(is_digit(text)),
        "isspace" => Value::from(some(is_space)),
        "isalpha" => Value::from(some(char::is_alphabetic)),
        "isalnum" => Value::from(some(char::is_alphanumeric)),
        "isupper" => Value::from(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "islower" => Value::from(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        _ => return Err(unknown(name)),
    })
}

/// Those of texts that take one text and look for it.
fn with_part(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (part,): (String,) = from_args(arguments)?;
    Ok(match name {
        "startswith" => Value::from(text.starts_with(&part)),
        "endswith" => Value::from(text.ends_with(&part)),
        "removeprefix" => Value::from(text.strip_prefix(&part).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(&part).unwrap_or(text)),
        // Python counts the places between characters for an empty part.
        _ if part.is_empty() => Value::from(text.chars().count() + 1),
        _ => Value::from(text.matches(&part).count()),
    })
}

/// The place of a part, in characters.
fn find(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (part,): (String,) = from_args(arguments)?;
    let found = if name.starts_with('r') { text.rfind(&part) } else { text.find(&part) };
    match found {
        Some(byte) => Ok(Value::from(text[..byte].chars().count())),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("{name}: {part:?} does not occur"))),
    }
}

fn split(text: &str, separator: Option<&str>, most: Option<usize>, from_right: bool) -> Result<Vec<String>, Error> {
    if separator == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "split: the separator is empty"));
    }
    let most = most.unwrap_or(usize::MAX);
    let (mut parts, mut rest) = (Vec::new(), if separator.is_none() { strip(text) } else { text });
    if separator.is_none() && rest.is_empty() {
        return Ok(parts);
    }
    while parts.len() < most {
        let cut = match (separator, from_right) {
            (Some(separator), false) => rest.split_once(separator),
            (Some(separator), true) => rest.rsplit_once(separator),
            (None, false) => rest.split_once(is_space),
            (None, true) => rest.rsplit_once(is_space),
        };
        let Some((left, right)) = cut else { break };
        let (part, other) = if from_right { (right, left) } else { (left, right) };
        parts.push(part.to_owned());
        rest = match (separator, from_right) {
            (Some(_), _) => other,
            (None, false) => other.trim_start_matches(is_space),
            (None, true) => other.trim_end_matches(is_space),
        };
    }
    parts.push(rest.to_owned());
    if from_right {
        parts.reverse();
    }
    Ok(parts)
}

/// The methods of lists.
fn of_list(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = from_args(arguments)?;
    match name {
        "count" => Ok(Value::from(value.try_iter()?.filter(|item| *item == wanted).count())),
        "index" => match value.try_iter()?.position(|item| item == wanted) {
            Some(place) => Ok(Value::from(place)),
            None => Err(Error::new(ErrorKind::InvalidOperation, format!("index: {wanted} is not in the list"))),
        },
        _ => Err(unknown(name)),
    }
}

/// The methods of dicts; a view of keys, values or items is a list here.
fn of_dict(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    if name == "get" {
        let (key, default): (Value, Option<Value>) = from_args(arguments)?;
        let found = value.get_item(&key)?;
        return Ok(if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found });
    }
    let () = from_args(arguments)?;
    let keys = || value.try_iter();
    match name {
        "keys" => Ok(Value::from(keys()?.collect::<Vec<_>>())),
        "values" => Ok(Value::from(keys()?.map(|key| value.get_item(&key)).collect::<Result<Vec<_>, _>>()?)),
        "items" => {
            let pair = |key: Value| Ok(Value::from((key.clone(), value.get_item(&key)?)));
            Ok(Value::from(keys()?.map(pair).collect::<Result<Vec<Value>, Error>>()?))
        }
        _ => Err(unknown(name)),
    }
}
