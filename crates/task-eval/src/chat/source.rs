//! The chat templates that a model's folder has, and the special tokens that they write.
//!
//! Templates are Jinja texts. They lie in `chat_template.jinja` (the default one) and
//! `additional_chat_templates/*.jinja`, or, in older models, in `tokenizer_config.json` as one text or as a list of
//! names and texts.

use indexmap::IndexMap;
use serde_json::Value;

use crate::error::Error;
use crate::model_files::ModelFiles;

/// The template that is meant when none is named.
const DEFAULT: &str = "default";

/// Chat templates by name, and special tokens by theirs: `bos_token` and so on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChatSource {
    /// By name, the source of each.
    templates: IndexMap<String, String>,
    /// By the name of the setting, such as `bos_token`, the token's text.
    tokens: IndexMap<String, String>,
}

impl ChatSource {
    /// `settings` are tokenizer_config.json and special_tokens_map.json. Templates in files of their own win over
    /// those in them; of a token that both name, the first says it.
    ///
    /// # Errors
    /// [`Error::Read`] for a template's file that cannot be read.
    pub(crate) fn read(files: &ModelFiles<'_>, settings: &[Value]) -> Result<Self, Error> {
        let mut templates: IndexMap<String, String> =
            files.text("chat_template.jinja")?.map(|text| (DEFAULT.to_owned(), text)).into_iter().collect();
        templates.extend(files.texts_in("additional_chat_templates", "jinja")?);
        if templates.is_empty() {
            templates = settings.first().map(|settings| in_settings(&settings["chat_template"])).unwrap_or_default();
        }
        let mut tokens = IndexMap::new();
        for (name, value) in settings.iter().filter_map(Value::as_object).flatten() {
            let text = value.as_str().or_else(|| value.get("content")?.as_str());
            if let Some(text) = text.filter(|_| name.ends_with("_token")) {
                tokens.entry(name.clone()).or_insert_with(|| text.to_owned());
            }
        }
        Ok(Self { templates, tokens })
    }

    /// Tokens alone.
    pub(crate) fn without_template<'a>(tokens: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        Self { templates: IndexMap::new(), tokens }
    }

    /// The same tokens with one template.
    pub(crate) fn with_template(&self, template: &str) -> Self {
        let templates = IndexMap::from([(DEFAULT.to_owned(), template.to_owned())]);
        Self { templates, tokens: self.tokens.clone() }
    }

    /// The names of the templates.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// The template of this name, or the default one.
    pub(crate) fn template(&self, name: Option<&str>) -> Option<&str> {
        self.templates.get(name.unwrap_or(DEFAULT)).map(String::as_str)
    }

    /// The special tokens: name and text.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// One template as text, or several as `[{name: ..., template: ...}]`.
fn in_settings(value: &Value) -> IndexMap<String, String> {
    let named = |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry["template"].as_str()?.to_owned()));
    match value {
        Value::String(text) => IndexMap::from([(DEFAULT.to_owned(), text.clone())]),
        Value::Array(entries) => entries.iter().filter_map(named).collect(),
        _ => IndexMap::new(),
    }
}
