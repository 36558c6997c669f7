//! How models whose tokens differ share one vocabulary.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::ModelRef;

/// The vocabulary of a model that is made of models with different tokens: embeddings and heads are brought into its
/// order, row by row, before they are merged. What happens to each row stands at [`crate::Alignment`].
///
/// Its text is one word, or a mapping:
/// ```yaml
/// vocabulary: union
/// ```
/// ```yaml
/// vocabulary:
///   align: {model: chat}
///   tokens:
///     <|im_start|>: {from: {model: chat}, force: true}
///     <pad>: {from: zero}
///     <tool>: {from: {model: chat, token: <|im_start|>}}
///   pad_to_multiple_of: 64
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub struct Vocabulary {
    /// Which tokens there are.
    pub align: Align,
    /// Where the rows of single tokens come from. A token that the vocabulary does not have is added to it.
    pub tokens: IndexMap<String, TokenRow>,
    /// The model whose row a model takes for a token that it lacks and several others have; absent: the mean of theirs.
    /// A merge that has a base takes its base's instead.
    pub prefer: Option<String>,
    /// Rows are added at the end up to a multiple of this; each is the mean of all others.
    pub pad_to_multiple_of: Option<usize>,
}

/// Which tokens a shared vocabulary has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AlignText", into = "AlignText")]
pub enum Align {
    /// Those of the recipe's base that have a row in it, as mergekit's `base`.
    Base,
    /// Those of the base, then what the other listed models have beyond it, as mergekit's `union`.
    Union,
    /// Those of one model, as mergekit's `tokenizer_source` with a model.
    Model(String),
    /// Those of the base, then the added tokens of the models that embedding and head are made of, as GPTailor's
    /// reference: a model takes the mean of its own rows for a token that it lacks.
    Gptailor,
}

/// Where the row of a token comes from, in a model that lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRow {
    /// Absent: every model must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RowOf>,
    /// Whether models that have the token take this row, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A row that is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RowText", into = "RowText")]
pub enum RowOf {
    /// Zeros.
    Zero,
    /// The same token's of a model.
    Model(String),
    /// Another token's of a model.
    Token {
        /// The model.
        model: String,
        /// The token.
        token: String,
    },
    /// A row of a model by its number.
    Id {
        /// The model.
        model: String,
        /// The row, from 0.
        id: usize,
    },
}

impl Vocabulary {
    /// With nothing said beyond the tokens that there are.
    #[must_use]
    pub fn new(align: Align) -> Self {
        Self { align, tokens: IndexMap::new(), prefer: None, pad_to_multiple_of: None }
    }

    /// The models that it names.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        let of_align = match &self.align {
            Align::Model(model) => Some(model.as_str()),
            Align::Base | Align::Union | Align::Gptailor => None,
        };
        let of_rows = self.tokens.values().filter_map(|row| row.from.as_ref()?.model());
        of_align.into_iter().chain(self.prefer.as_deref()).chain(of_rows)
    }

    /// The same, to be named otherwise.
    pub(crate) fn models_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let of_align = match &mut self.align {
            Align::Model(model) => Some(model),
            Align::Base | Align::Union | Align::Gptailor => None,
        };
        let of_rows = self.tokens.values_mut().filter_map(|row| row.from.as_mut()?.model_mut());
        of_align.into_iter().chain(self.prefer.as_mut()).chain(of_rows)
    }

    /// What it says that its alignment has no use for.
    pub(super) fn surplus(&self) -> Option<&'static str> {
        match self.align {
            Align::Gptailor if !self.tokens.is_empty() => Some("tokens"),
            Align::Gptailor if self.prefer.is_some() => Some("prefer"),
            _ if self.pad_to_multiple_of == Some(0) => Some("pad_to_multiple_of"),
            _ => None,
        }
    }
}

impl RowOf {
    /// The model that it names.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Zero => None,
            Self::Model(model) | Self::Token { model, .. } | Self::Id { model, .. } => Some(model),
        }
    }

    /// The same, to be named otherwise.
    fn model_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Zero => None,
            Self::Model(model) | Self::Token { model, .. } | Self::Id { model, .. } => Some(model),
        }
    }
}

/// `union`, or the keys of a mapping.
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "not `base`, `union`, `gptailor` or a mapping of `align`, `tokens`, `prefer` and `pad_to_multiple_of`"
)]
enum Text {
    Word(AlignWord),
    Whole(Whole),
}

/// The keys of a vocabulary that says more than which tokens there are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    align: Align,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    tokens: IndexMap<String, TokenRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pad_to_multiple_of: Option<usize>,
}

impl From<Text> for Vocabulary {
    fn from(text: Text) -> Self {
        match text {
            Text::Word(word) => Self::new(AlignText::Word(word).into()),
            Text::Whole(Whole { align, tokens, prefer, pad_to_multiple_of }) => {
                Self { align, tokens, prefer, pad_to_multiple_of }
            }
        }
    }
}

impl From<Vocabulary> for Text {
    fn from(vocabulary: Vocabulary) -> Self {
        if vocabulary == Vocabulary::new(vocabulary.align.clone())
            && let AlignText::Word(word) = vocabulary.align.clone().into()
        {
            return Self::Word(word);
        }
        let Vocabulary { align, tokens, prefer, pad_to_multiple_of } = vocabulary;
        Self::Whole(Whole { align, tokens, prefer, pad_to_multiple_of })
    }
}

/// `union`, or `{model: chat}`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "not `base`, `union`, `gptailor` or a mapping of `model`")]
enum AlignText {
    Word(AlignWord),
    Of(ModelRef),
}

/// The alignments that are one word.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AlignWord {
    Base,
    Union,
    Gptailor,
}

impl From<AlignText> for Align {
    fn from(text: AlignText) -> Self {
        match text {
            AlignText::Word(AlignWord::Base) => Self::Base,
            AlignText::Word(AlignWord::Union) => Self::Union,
            AlignText::Word(AlignWord::Gptailor) => Self::Gptailor,
            AlignText::Of(ModelRef { model }) => Self::Model(model),
        }
    }
}

impl From<Align> for AlignText {
    fn from(align: Align) -> Self {
        match align {
            Align::Base => Self::Word(AlignWord::Base),
            Align::Union => Self::Word(AlignWord::Union),
            Align::Gptailor => Self::Word(AlignWord::Gptailor),
            Align::Model(model) => Self::Of(ModelRef { model }),
        }
    }
}

/// `zero`, or the keys of a row.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "not `zero` or a mapping of `model` and at most one of `token` and `id`")]
enum RowText {
    Word(Zero),
    Of(RowKeys),
}

/// The word `zero`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Zero {
    Zero,
}

/// `{model: chat}`, `{model: chat, token: a}` or `{model: chat, id: 3}`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowKeys {
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
}

impl TryFrom<RowText> for RowOf {
    type Error = &'static str;

    fn try_from(text: RowText) -> Result<Self, &'static str> {
        match text {
            RowText::Word(Zero::Zero) => Ok(Self::Zero),
            RowText::Of(RowKeys { model, token: None, id: None }) => Ok(Self::Model(model)),
            RowText::Of(RowKeys { model, token: Some(token), id: None }) => Ok(Self::Token { model, token }),
            RowText::Of(RowKeys { model, token: None, id: Some(id) }) => Ok(Self::Id { model, id }),
            RowText::Of(_) => Err("write either `token` or `id`"),
        }
    }
}

impl From<RowOf> for RowText {
    fn from(row: RowOf) -> Self {
        let of = |model, token, id| Self::Of(RowKeys { model, token, id });
        match row {
            RowOf::Zero => Self::Word(Zero::Zero),
            RowOf::Model(model) => of(model, None, None),
            RowOf::Token { model, token } => of(model, Some(token), None),
            RowOf::Id { model, id } => of(model, None, Some(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vocabulary, serde_yaml_ng::Error> {
        serde_yaml_ng::from_str(text)
    }

    #[test]
    fn a_word_is_enough_and_everything_can_be_said() -> Result<(), serde_yaml_ng::Error> {
        for (word, align) in [("base", Align::Base), ("union", Align::Union), ("gptailor", Align::Gptailor)] {
            assert_eq!(read(word)?, Vocabulary::new(align.clone()));
            assert_eq!(serde_yaml_ng::to_string(&Vocabulary::new(align))?.trim(), word);
        }
        let text = "
align: {model: chat}
prefer: chat
pad_to_multiple_of: 8
tokens:
  a: {from: zero}
  b: {from: {model: chat}, force: true}
  c: {from: {model: chat, token: d}}
  e: {from: {model: chat, id: 3}}
  f: {}
";
        let all = read(text)?;
        assert_eq!((all.tokens.len(), all.models().count()), (5, 5));
        assert_eq!(all.tokens["e"].from, Some(RowOf::Id { model: "chat".to_owned(), id: 3 }));
        assert_eq!(read(&serde_yaml_ng::to_string(&all)?)?, all);
        Ok(())
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        let message = |text: &str| read(text).err().map_or_else(String::new, |error| error.to_string());
        assert!(message("unoin").contains("not `base`, `union`, `gptailor` or a mapping"), "{}", message("unoin"));
        assert!(message("{align: union, pad: 8}").contains("a mapping of `align`"));
        assert!(message("{align: union, tokens: {a: {from: {modle: b}}}}").contains("`align`"));
    }
}
