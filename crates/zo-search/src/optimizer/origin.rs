//! Where a trial's point comes from.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TrialId;

/// Where a trial's point comes from.
///
/// In a journal it is the text that it is displayed as: `initial`, `promotion of 12`, `mutation of 3`.
///
/// ```
/// # use zo_search::{Origin, TrialId};
/// assert_eq!(Origin::from("mutation of 3").proposed(), Some("mutation of 3"));
/// assert_eq!(Origin::Promotion(TrialId(12)).to_string(), "promotion of 12");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Given to the strategy to begin with.
    Initial,
    /// Known before the first ask, from another study.
    Injected,
    /// Asked before, as this trial, on fewer instances.
    Promotion(TrialId),
    /// Chosen by the strategy, which says here how: `random`, `mutation of 12`. For people to read.
    Proposed(Cow<'static, str>),
}

impl Origin {
    /// What a strategy says of its choice; [`None`] where the point was not its choice.
    #[must_use]
    pub fn proposed(&self) -> Option<&str> {
        if let Self::Proposed(text) = self { Some(text) } else { None }
    }

    /// The origin that is displayed as `text`.
    fn parse(text: &str) -> Self {
        let promoted = || text.strip_prefix(PROMOTION)?.parse().ok().map(TrialId);
        match text {
            "initial" => Self::Initial,
            "injected" => Self::Injected,
            _ => promoted().map_or_else(|| Self::Proposed(Cow::Owned(text.to_owned())), Self::Promotion),
        }
    }
}

/// How the text of a promotion begins; the number of the earlier trial follows.
const PROMOTION: &str = "promotion of ";

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initial => f.write_str("initial"),
            Self::Injected => f.write_str("injected"),
            Self::Promotion(from) => write!(f, "{PROMOTION}{from}"),
            Self::Proposed(text) => f.write_str(text),
        }
    }
}

impl From<&'static str> for Origin {
    fn from(text: &'static str) -> Self {
        Self::Proposed(Cow::Borrowed(text))
    }
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        Self::Proposed(Cow::Owned(text))
    }
}

/// The journal's form of a proposal whose text reads as another origin.
#[derive(Serialize, Deserialize)]
struct Quoted<T> {
    proposed: T,
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Proposed(text) if Self::parse(text) != *self => Quoted { proposed: text }.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Quoted(Quoted<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::parse(&text),
            Written::Quoted(Quoted { proposed }) => Self::from(proposed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_origin_comes_back_from_json_also_a_proposal_that_reads_as_another_one() -> Result<(), serde_json::Error> {
        let promotion = || Origin::Promotion(TrialId(12));
        let cases = [
            (Origin::Initial, r#""initial""#),
            (Origin::Injected, r#""injected""#),
            (promotion(), r#""promotion of 12""#),
            ("mutation of 3".into(), r#""mutation of 3""#),
            ("promotion of the best".into(), r#""promotion of the best""#),
            ("promotion of 12".into(), r#"{"proposed":"promotion of 12"}"#),
            ("initial".into(), r#"{"proposed":"initial"}"#),
        ];
        for (origin, json) in cases {
            assert_eq!(serde_json::to_string(&origin)?, json);
            assert_eq!(serde_json::from_str::<Origin>(json)?, origin, "{json}");
        }
        Ok(())
    }
}
