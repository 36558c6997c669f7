//! The chat template of a recipe's model: one that the recipe writes out, ChatML, or what most of its models have.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::tokens::{read, read_object};
use crate::{Error, Family, Recipe};

/// Of OpenAI's ChatML.
const CHATML: &str = "{% for message in messages %}\
                      {{ '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] ~ '<|im_end|>\\n' }}{% endfor %}\
                      {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Whether a recipe's template is a known word or may be a template, by mergekit's rule.
pub(crate) fn check(template: &str) -> Result<(), Error> {
    let known = ["auto", "chatml"].contains(&template);
    if known || template.len() >= 20 && template.contains('{') {
        return Ok(());
    }
    Err(Error::ChatTemplate { found: template.to_owned() })
}

/// The template that the recipe's model gets, if that is not its tokenizer's own.
pub(super) fn text(family: &Family, recipe: &Recipe) -> Result<Option<String>, Error> {
    let Some(template) = &recipe.chat_template else { return Ok(None) };
    check(template)?;
    match template.as_str() {
        "chatml" => Ok(Some(CHATML.to_owned())),
        "auto" => most_frequent(family, recipe),
        text => Ok(Some(text.to_owned())),
    }
}

/// The template of most models; of several, that of the first.
fn most_frequent(family: &Family, recipe: &Recipe) -> Result<Option<String>, Error> {
    let mut counts: IndexMap<String, usize> = IndexMap::new();
    for model in recipe.used_models() {
        if let Some(template) = of_model(family.get(model)?.dir())? {
            *counts.entry(template).or_default() += 1;
        }
    }
    let most = counts.values().max().copied();
    Ok(counts.into_iter().find(|(_, count)| Some(*count) == most).map(|(template, _)| template))
}

/// A model's own template, of `chat_template.jinja` or `tokenizer_config.json`; of several named ones the default.
fn of_model(folder: &Path) -> Result<Option<String>, Error> {
    let file = folder.join("chat_template.jinja");
    if let Some(bytes) = read(&file)? {
        return Ok(text_of(&String::from_utf8_lossy(&bytes)));
    }
    let config = read_object(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    Ok(match config.get("chat_template") {
        Some(Value::String(template)) => text_of(template),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|template| template["name"] == "default");
            default.and_then(|template| template["template"].as_str()).and_then(text_of)
        }
        _ => None,
    })
}

/// A template without the white space around it; `None` if nothing is left.
fn text_of(template: &str) -> Option<String> {
    Some(template.trim().to_owned()).filter(|template| !template.is_empty())
}
