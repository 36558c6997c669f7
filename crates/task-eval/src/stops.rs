//! When a generated answer ends: with an end token, or where a stop string is written, which may begin inside a token
//! and end inside another.

use crate::error::Error;
use crate::tokenizer::ModelTokenizer;

/// The strings and tokens that end an answer.
#[derive(Debug, Clone)]
pub(crate) struct StopStrings {
    tokenizer: ModelTokenizer,
    /// Each with the number of last tokens in which it is looked for.
    strings: Vec<(String, usize)>,
}

impl StopStrings {
    /// The task's strings, in its order, and then the text of the end token. Empty ones are left out.
    ///
    /// # Errors
    /// A string that the tokenizer refuses.
    pub(crate) fn new(tokenizer: &ModelTokenizer, until: &[String]) -> Result<Self, Error> {
        let eos = tokenizer.eos().map(|(_, eos)| eos.to_owned());
        let strings = until
            .iter()
            .cloned()
            .chain(eos)
            .filter(|stop| !stop.is_empty())
            // Two more than its own tokens: it may begin and end inside other tokens.
            .map(|stop| tokenizer.encode_plain(&stop).map(|tokens| (stop, tokens.len() + 2)))
            .collect::<Result<_, _>>()?;
        Ok(Self { tokenizer: tokenizer.clone(), strings })
    }

    /// Whether the last of these new tokens ends the answer.
    pub(crate) fn reached(&self, new: &[u32]) -> bool {
        let Some(last) = new.last() else { return false };
        self.tokenizer.is_end(*last)
            || self.strings.iter().any(|(stop, look_back)| {
                let tail = &new[new.len().saturating_sub(*look_back)..];
                self.tokenizer.decode_raw(tail).is_some_and(|text| text.contains(stop))
            })
    }

    /// The answer's text: for one stop string after the other, what precedes it. Whitespace at the ends stays.
    ///
    /// # Errors
    /// Tokens that the tokenizer cannot decode.
    pub(crate) fn cut(&self, new: &[u32]) -> Result<String, Error> {
        let mut text = self.tokenizer.decode(new)?;
        for (stop, _) in &self.strings {
            if let Some(place) = text.find(stop) {
                text.truncate(place);
            }
        }
        Ok(text)
    }
}
