//! What a task's document asks, without any answer to it.

use super::error::ObjectiveError;
use crate::error::Error;
use crate::preparation::{Gold, PreparedDocument, RequestTexts, Requests};
use crate::prepared::PreparedTask;
use crate::python::text::rstrip;
use crate::tokenizer::ModelTokenizer;

/// What is before an answer.
pub(super) enum Prompt<'a> {
    /// Of a question.
    Tokens(Vec<u32>),
    /// The text of a rolling task, which asks nothing.
    Document(&'a str),
}

/// The prompt of one of a task's documents, whole. Made from its text, since the tokens of a request are cut to leave
/// room for an answer, which would tell how long that is.
pub(super) fn prompt<'a>(
    task: &'a PreparedTask,
    document: usize,
    tokenizer: &ModelTokenizer,
) -> Result<Prompt<'a>, ObjectiveError> {
    let unknown = || Error::NoSuchDocument { task: task.name().to_owned(), index: document, len: task.len() };
    let document = task.inner.documents.get(document).ok_or_else(unknown)?;
    let mut contexts = questions(document).iter().map(|argument| argument.context.as_str());
    Ok(match &document.requests {
        Requests::Rolling(_) => Prompt::Document(contexts.next().unwrap_or_default()),
        Requests::Generate(_) => Prompt::Tokens(common_beginning(contexts, |context| tokenizer.encode(context))?),
        // Whitespace at the end belongs to the answer, as in `ModelTokenizer::encode_pair`.
        Requests::Score(_) => Prompt::Tokens(common_beginning(contexts, |context| tokenizer.encode(rstrip(context)))?),
    })
}

/// The requests that ask the question, without those that ask how likely the choices are by themselves.
fn questions(document: &PreparedDocument) -> &[RequestTexts] {
    match &document.gold {
        Gold::Choice(choices) => document.arguments.get(..choices.characters.len()).unwrap_or_default(),
        Gold::Text(_) | Gold::Texts(_) => &document.arguments,
    }
}

/// The tokens with which all contexts begin.
fn common_beginning<'a>(
    contexts: impl Iterator<Item = &'a str>,
    encode: impl Fn(&str) -> Result<Vec<u32>, Error>,
) -> Result<Vec<u32>, Error> {
    let mut contexts = contexts.collect::<Vec<_>>();
    contexts.dedup();
    let mut beginning: Option<Vec<u32>> = None;
    for context in contexts {
        let tokens = encode(context)?;
        beginning = Some(match beginning {
            None => tokens,
            Some(mut common) => {
                common.truncate(common.iter().zip(&tokens).take_while(|(a, b)| a == b).count());
                common
            }
        });
    }
    Ok(beginning.unwrap_or_default())
}
