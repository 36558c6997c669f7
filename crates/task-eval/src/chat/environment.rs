//! Jinja as transformers runs chat templates: lenient about what is undefined, blocks trimmed, with `break`, `raise_exception`,
//! `strftime_now` and a `tojson` that escapes nothing.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::{clock, json};
use crate::template::add_python;

/// An environment with one template; its name is the same.
pub(super) const NAME: &str = "chat template";

pub(super) fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // Only odd delimiters can make this fail, and these are the default ones.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default());
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    add_python(&mut environment);
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| clock::strftime_now(format));
    environment.add_template_owned(NAME, without_generation(source))?;
    Ok(environment)
}

/// `{% generation %}` marks what a model is trained on and changes no text: a condition that always holds stands in its place.
fn without_generation(source: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(start) = rest.find("{%") {
        let (before, block) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = block.find("%}") else {
            rest = block;
            break;
        };
        let (inside, after) = block.split_at(end);
        let words = inside[2..].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        match words {
            "generation" => out.push_str(&inside.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&inside.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(inside),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
