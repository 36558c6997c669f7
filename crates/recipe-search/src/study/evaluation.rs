//! How a study's prompts become tokens.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use task_eval::{ChatOptions, Options};

/// How the documents of all tasks become prompts and tokens, at the search and at the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Whether a text begins with the tokenizer's BOS token: `auto`, the default, as the tokenizer has it, which is the
    /// rule of lm-evaluation-harness 0.4.13; `false` as 0.4.7 had it, with which GPTailor was searched; or `true`.
    pub bos: Bos,
    /// Tokens of a prompt with its answer; longer prompts lose their beginning. Absent: the model's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Prompts as conversations in the base's chat template: `true`, or the name of one of several. By default `false`.
    #[serde(skip_serializing_if = "ApplyChatTemplate::is_off")]
    pub apply_chat_template: ApplyChatTemplate,
    /// Whether each example before a question is a turn of its own; by default it is.
    pub fewshot_as_multiturn: bool,
    /// What the model is told first; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<String>,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self {
            bos: Bos::Auto,
            max_length: None,
            apply_chat_template: ApplyChatTemplate::default(),
            fewshot_as_multiturn: true,
            system_instruction: None,
        }
    }
}

impl EvaluationSettings {
    /// The options of task-eval with these settings; whether there is a BOS token is the tokenizer's.
    #[must_use]
    pub fn options(&self, options: Options) -> Options {
        let chat = |template: &Option<String>| ChatOptions {
            template: template.clone(),
            single_turn: !self.fewshot_as_multiturn,
            ..ChatOptions::default()
        };
        Options {
            max_length: self.max_length,
            system_instruction: self.system_instruction.clone(),
            chat: self.apply_chat_template.template().map(|template| chat(&template)),
            ..options
        }
    }
}

/// Whether texts begin with the BOS token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bos {
    /// As the tokenizer has it.
    #[default]
    Auto,
    /// Always, or never.
    Is(bool),
}

impl Bos {
    /// The tokenizer with this habit.
    #[must_use]
    pub fn of(self, text: task_eval::ModelTokenizer) -> task_eval::ModelTokenizer {
        match self {
            Self::Auto => text,
            Self::Is(add) => text.with_bos(add),
        }
    }
}

impl std::str::FromStr for Bos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Is(true)),
            "false" => Ok(Self::Is(false)),
            _ => Err("expected `auto`, `true` or `false`".to_owned()),
        }
    }
}

impl Serialize for Bos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Is(add) => serializer.serialize_bool(*add),
        }
    }
}

impl<'de> Deserialize<'de> for Bos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match FlagOrText::deserialize(deserializer)? {
            FlagOrText::Flag(add) => Ok(Self::Is(add)),
            FlagOrText::Text(text) => text
                .parse()
                .map_err(|expected| de::Error::custom(format!("`evaluation.bos` is \"{text}\"; {expected}"))),
        }
    }
}

/// Whether prompts are conversations, and by which template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ApplyChatTemplate {
    /// Prompts are plain text.
    #[default]
    Off,
    /// In the default template.
    Default,
    /// In the template of this name.
    Named(String),
}

impl ApplyChatTemplate {
    /// Whether prompts are plain text.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// The template's name, without one the default; none where prompts are plain text.
    fn template(&self) -> Option<Option<String>> {
        match self {
            Self::Off => None,
            Self::Default => Some(None),
            Self::Named(name) => Some(Some(name.clone())),
        }
    }
}

impl Serialize for ApplyChatTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::Default => serializer.serialize_bool(true),
            Self::Named(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for ApplyChatTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match FlagOrText::deserialize(deserializer)? {
            FlagOrText::Flag(false) => Self::Off,
            FlagOrText::Flag(true) => Self::Default,
            FlagOrText::Text(name) => Self::Named(name),
        })
    }
}

/// A value that TOML writes as a flag or as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum FlagOrText {
    Flag(bool),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Options, toml::de::Error> {
        Ok(toml::from_str::<EvaluationSettings>(text)?.options(Options::default()))
    }

    #[test]
    fn settings_become_options_of_every_task() -> Result<(), toml::de::Error> {
        assert_eq!(options("")?, Options::default());
        let all = "max_length = 9\napply_chat_template = \"tool\"\nfewshot_as_multiturn = false\n\
                   system_instruction = \"Be brief.\"";
        let chat = ChatOptions { template: Some("tool".to_owned()), single_turn: true, ..ChatOptions::default() };
        let expected = Options {
            max_length: Some(9),
            chat: Some(chat),
            system_instruction: Some("Be brief.".to_owned()),
            ..Options::default()
        };
        assert_eq!(options(all)?, expected);
        assert_eq!(options("apply_chat_template = true")?.chat, Some(ChatOptions::default()));
        Ok(())
    }

    #[test]
    fn settings_survive_their_text() -> Result<(), Box<dyn std::error::Error>> {
        for text in ["bos = false", "bos = \"auto\"\napply_chat_template = true", "apply_chat_template = \"tool\""] {
            let settings: EvaluationSettings = toml::from_str(text)?;
            assert_eq!(toml::from_str::<EvaluationSettings>(&toml::to_string(&settings)?)?, settings);
        }
        Ok(())
    }
}
