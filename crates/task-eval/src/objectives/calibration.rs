//! The texts on which models are compared, as tokens.
//!
//! They come from a program's own tokens, from plain documents, from a file, or from a task's prompts. All are cut to a
//! window of tokens, so that a model sees each of them whole.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::ObjectiveError;
use super::prompts::{Prompt, prompt};
use super::text_files::read_texts;
use crate::prepared::PreparedTask;
use crate::tokenizer::ModelTokenizer;

/// How much text a [`Calibration`] takes. The default takes all of it, in the model's own window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CalibrationOptions {
    /// The most tokens of a text, at least 2; the model's window if None. Long documents are cut into several texts.
    pub window: Option<usize>,
    /// At most so many texts.
    pub max_texts: Option<usize>,
    /// At most so many tokens in all, in whole texts: the first text that would exceed it ends the calibration.
    pub max_tokens: Option<usize>,
}

/// Token texts on which models are compared: at least one, none empty. Cloning it is cheap.
///
/// ```
/// use task_eval::{Calibration, CalibrationOptions, ModelTokenizer};
///
/// let text = ModelTokenizer::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/bos"))?;
/// let options = CalibrationOptions { window: Some(4), ..CalibrationOptions::default() };
/// let calibration = Calibration::from_documents(["the cat sat on the mat", "two dogs"], &text, &options)?;
/// assert!(calibration.len() > 2, "the first document is cut");
/// assert_eq!(calibration.texts()[0][0], text.prefix_token());
/// # Ok::<(), task_eval::ObjectiveError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Arc<[u32]>>", into = "Vec<Arc<[u32]>>")]
pub struct Calibration {
    texts: Arc<[Arc<[u32]>]>,
}

impl Calibration {
    /// Texts that are tokens already, begin token included.
    ///
    /// # Errors
    /// [`ObjectiveError::NoText`] without a text, [`ObjectiveError::EmptyText`] for one without tokens.
    pub fn new(texts: Vec<Arc<[u32]>>) -> Result<Self, ObjectiveError> {
        if texts.is_empty() {
            return Err(ObjectiveError::NoText);
        }
        match texts.iter().position(|text| text.is_empty()) {
            Some(text) => Err(ObjectiveError::EmptyText { text }),
            None => Ok(Self { texts: texts.into() }),
        }
    }

    /// Plain documents.
    ///
    /// A document begins with [`ModelTokenizer::prefix_token`], once. (A rolling log-likelihood has it twice where the
    /// tokenizer adds a begin token of its own, as in the harness; here no model is judged by how it follows one begin
    /// token with another.) One that is longer than the window is cut into texts of equal length, but for one token;
    /// as in a rolling log-likelihood each begins with the last token of the one before, so that every token is
    /// predicted once.
    ///
    /// # Errors
    /// [`ObjectiveError::WindowTooSmall`] for a window below 2 tokens, [`ObjectiveError::EmptyText`] for a document
    /// without tokens, [`ObjectiveError::NothingWithinLimits`] where the limits leave nothing,
    /// [`ObjectiveError::Data`] for a text that the tokenizer refuses.
    pub fn from_documents<D: AsRef<str>>(
        documents: impl IntoIterator<Item = D>,
        text: &ModelTokenizer,
        options: &CalibrationOptions,
    ) -> Result<Self, ObjectiveError> {
        let mut gathering = Gathering::new(text, options)?;
        for (number, document) in documents.into_iter().enumerate() {
            if gathering.is_full() {
                break;
            }
            gathering.add_document(number, document.as_ref())?;
        }
        gathering.finish()
    }

    /// The prompts of some of a task's documents, named by their places from 0: text `i` is the prompt of
    /// `documents[i]`, as far as the limits let it in.
    ///
    /// No answer is in them, neither a right nor a wrong one, but for those of the shots
    /// ([`Options::never_show_the_answer`](crate::Options::never_show_the_answer) keeps a document out of its own):
    /// they are what they would be if the documents had other labels. Where each choice has a prompt of its own, as in
    /// WinoGrande, they are the tokens with which all of these begin. A prompt that is longer than the window loses
    /// its beginning; one without tokens is the prefix token alone. The texts of a rolling task have no label and are
    /// taken as [`Calibration::from_documents`] takes them.
    ///
    /// # Errors
    /// As [`Calibration::from_documents`]; a document that the task does not have is
    /// [`Error::NoSuchDocument`](crate::Error::NoSuchDocument).
    pub fn from_prompts(
        task: &PreparedTask,
        documents: &[usize],
        text: &ModelTokenizer,
        options: &CalibrationOptions,
    ) -> Result<Self, ObjectiveError> {
        let mut gathering = Gathering::new(text, options)?;
        for (number, &document) in documents.iter().enumerate() {
            if gathering.is_full() {
                break;
            }
            match prompt(task, document, text)? {
                Prompt::Tokens(tokens) => gathering.add_prompt(tokens),
                Prompt::Document(document) => gathering.add_document(number, document)?,
            }
        }
        gathering.finish()
    }

    /// The documents of a file: of a `.txt` file the pieces between blank lines, of a `.jsonl`, `.json`, `.csv` or
    /// `.parquet` file the column `text`. Blank documents are left out. They become texts as in
    /// [`Calibration::from_documents`].
    ///
    /// # Errors
    /// As [`Calibration::from_documents`]; [`ObjectiveError::UnknownFormat`], [`ObjectiveError::NoTextColumn`] and
    /// [`ObjectiveError::NoTextInFile`] for a file that gives no text.
    pub fn from_file(
        file: impl AsRef<Path>,
        text: &ModelTokenizer,
        options: &CalibrationOptions,
    ) -> Result<Self, ObjectiveError> {
        Self::from_documents(read_texts(file.as_ref())?, text, options)
    }

    /// The texts, each at least one token.
    pub fn texts(&self) -> &[Arc<[u32]>] {
        &self.texts
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no text; never true, as making such a calibration is an error.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The number of tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.texts.iter().map(|text| text.len()).sum()
    }
}

impl TryFrom<Vec<Arc<[u32]>>> for Calibration {
    type Error = ObjectiveError;

    fn try_from(texts: Vec<Arc<[u32]>>) -> Result<Self, ObjectiveError> {
        Self::new(texts)
    }
}

impl From<Calibration> for Vec<Arc<[u32]>> {
    fn from(calibration: Calibration) -> Self {
        calibration.texts.to_vec()
    }
}

/// A calibration that is being filled.
struct Gathering<'a> {
    text: &'a ModelTokenizer,
    /// The most tokens of a text.
    window: usize,
    max_texts: usize,
    max_tokens: usize,
    /// What has been let in.
    texts: Vec<Arc<[u32]>>,
    /// The tokens of all of them.
    tokens: usize,
    /// The length of the text that did not fit.
    left_out: Option<usize>,
}

impl<'a> Gathering<'a> {
    fn new(text: &'a ModelTokenizer, options: &CalibrationOptions) -> Result<Self, ObjectiveError> {
        let window = options.window.unwrap_or(text.max_length());
        if window < 2 {
            return Err(ObjectiveError::WindowTooSmall { window });
        }
        let (max_texts, max_tokens) =
            (options.max_texts.unwrap_or(usize::MAX), options.max_tokens.unwrap_or(usize::MAX));
        Ok(Self { text, window, max_texts, max_tokens, texts: Vec::new(), tokens: 0, left_out: None })
    }

    /// Whether a text did not fit: nothing is let in after it.
    fn is_full(&self) -> bool {
        self.left_out.is_some()
    }

    /// A document, cut where it is longer than the window.
    fn add_document(&mut self, number: usize, document: &str) -> Result<(), ObjectiveError> {
        let prefix = self.text.prefix_token();
        let tokens = self.text.encode(document)?;
        let tokens = tokens.strip_prefix(&[prefix]).unwrap_or(&tokens);
        if tokens.is_empty() {
            return Err(ObjectiveError::EmptyText { text: number });
        }
        for text in windows(&[&[prefix], tokens].concat(), self.window) {
            self.add(text);
        }
        Ok(())
    }

    /// A prompt, without its beginning where it is longer than the window.
    fn add_prompt(&mut self, tokens: Vec<u32>) {
        let kept = &tokens[tokens.len().saturating_sub(self.window)..];
        let prefix = [self.text.prefix_token()];
        self.add(if kept.is_empty() { &prefix } else { kept });
    }

    /// A text, if the limits let it in.
    fn add(&mut self, text: &[u32]) {
        if self.is_full() {
            return;
        }
        let fits = self.texts.len() < self.max_texts && text.len() <= self.max_tokens - self.tokens;
        if fits {
            self.tokens += text.len();
            self.texts.push(text.into());
        } else {
            self.left_out = Some(text.len());
        }
    }

    /// The calibration, of at least one text.
    fn finish(self) -> Result<Calibration, ObjectiveError> {
        match self.left_out.filter(|_| self.texts.is_empty()) {
            Some(tokens) => Err(ObjectiveError::NothingWithinLimits { tokens }),
            None => Calibration::new(self.texts),
        }
    }
}

/// As few windows as hold all tokens, of equal length but for one token; each begins with the last token of the one
/// before, so that each token but the first is predicted once. None of fewer than two tokens.
fn windows(tokens: &[u32], window: usize) -> impl Iterator<Item = &[u32]> {
    let predicted = tokens.len().saturating_sub(1);
    let count = predicted.div_ceil(window - 1);
    (0..count).map(move |place| &tokens[predicted * place / count..=predicted * (place + 1) / count])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_predict_each_token_once_and_are_of_equal_length(n in 2_u32..200, window in 2_usize..40) {
            let tokens: Vec<u32> = (0..n).collect();
            let cut: Vec<&[u32]> = windows(&tokens, window).collect();
            let predicted: Vec<u32> = cut.iter().flat_map(|text| text[1..].to_vec()).collect();
            prop_assert_eq!(&predicted, &tokens[1..]);
            prop_assert!(cut.iter().all(|text| text[0] + 1 == text[1]));
            let lengths = || cut.iter().map(|text| text.len());
            let (shortest, longest) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
            prop_assert!(longest <= window && longest - shortest <= 1 && shortest >= 2);
        }
    }
}
