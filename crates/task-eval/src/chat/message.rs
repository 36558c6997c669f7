//! The messages of a prompt: as plain text they stand one after the other, with delimiters between them.

use crate::python::text::is_space;

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The system instruction and the task's description.
    System,
    /// A question.
    User,
    /// An answer, or the beginning of one.
    Assistant,
}

impl Role {
    /// As chat templates name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A message, and what follows it in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub role: Role,
    pub content: String,
    /// What stands after it in plain text. A template never sees it.
    delimiter: String,
}

/// A question with its answer, or with the beginning of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub question: &'a str,
    /// None for the evaluated document's question.
    pub answer: Option<&'a str>,
    /// How the answer begins; None or not empty.
    pub prefix: Option<&'a str>,
    /// Between question and answer.
    pub target_delimiter: &'a str,
    /// After the answer.
    pub fewshot_delimiter: &'a str,
}

impl Message {
    /// What stands before everything.
    pub(crate) fn system(content: String) -> Self {
        Self::of(Role::System, content)
    }

    /// A message that nothing follows.
    pub(crate) fn of(role: Role, content: String) -> Self {
        Self { role, content, delimiter: String::new() }
    }

    /// The message as plain text.
    fn text(&self) -> [&str; 2] {
        [&self.content, &self.delimiter]
    }
}

impl Turn<'_> {
    /// The question, and what is said of its answer: one message or two.
    ///
    /// An answer that is None leaves out both delimiters. With a prefix the answer is prefix, a space and answer, where
    /// no whitespace is at the seam.
    pub(crate) fn messages(self) -> Vec<Message> {
        let delimited = match self.prefix {
            Some(prefix) => !self.question.is_empty() && seam_is_open(self.question, prefix),
            None => self.answer.is_some(),
        };
        let delimiter = if delimited { self.target_delimiter } else { "" };
        let question = Message { role: Role::User, content: self.question.to_owned(), delimiter: delimiter.to_owned() };
        let said = match (self.answer, self.prefix) {
            (Some(answer), prefix) => Some((joined(prefix.unwrap_or_default(), answer, " "), self.fewshot_delimiter)),
            (None, Some(prefix)) => Some((prefix.to_owned(), "")),
            (None, None) => None,
        };
        let answer = said.map(|(content, delimiter)| Message {
            role: Role::Assistant,
            content,
            delimiter: delimiter.to_owned(),
        });
        std::iter::once(question).chain(answer).collect()
    }
}

/// A prompt in plain text.
pub(crate) fn as_text(messages: &[Message]) -> String {
    messages.iter().flat_map(Message::text).collect()
}

/// All that is no system message as one message of the user's, but for the beginning of an answer at the end.
pub(crate) fn as_single_turn(messages: &[Message]) -> Vec<Message> {
    let (system, rest) =
        messages.split_at(usize::from(messages.first().is_some_and(|first| first.role == Role::System)));
    let (asked, begun) =
        rest.split_at(rest.len() - usize::from(rest.last().is_some_and(|last| last.role == Role::Assistant)));
    let mut content = as_text(asked);
    // What follows the last question is not said.
    content.truncate(content.len() - asked.last().map_or(0, |last| last.delimiter.len()));
    let question = Message::of(Role::User, content);
    system.iter().cloned().chain([question]).chain(begun.iter().cloned()).collect()
}

/// `a` and `b`, with the delimiter between them unless either is empty or has whitespace at the seam.
pub(crate) fn joined(a: &str, b: &str, delimiter: &str) -> String {
    let delimiter = if a.is_empty() || b.is_empty() || !seam_is_open(a, b) { "" } else { delimiter };
    format!("{a}{delimiter}{b}")
}

/// Whether no whitespace stands where the two meet.
pub(crate) fn seam_is_open(a: &str, b: &str) -> bool {
    !a.ends_with(is_space) && !b.starts_with(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn<'a>(question: &'a str, answer: Option<&'a str>, prefix: Option<&'a str>) -> Turn<'a> {
        Turn { question, answer, prefix, target_delimiter: " ", fewshot_delimiter: "\n\n" }
    }

    #[test]
    fn delimiters_stand_where_no_whitespace_is() {
        for (question, answer, prefix, text) in [
            ("Q:", Some("a"), None, "Q: a\n\n"),
            ("Q:", None, None, "Q:"),
            ("Q:", None, Some("So"), "Q: So"),
            ("Q:\n", None, Some("So"), "Q:\nSo"),
            ("Q:", Some("a"), Some("So"), "Q: So a\n\n"),
            ("Q:", Some("a"), Some("So "), "Q: So a\n\n"),
            ("", Some("a"), Some("So"), "So a\n\n"),
        ] {
            assert_eq!(as_text(&turn(question, answer, prefix).messages()), text);
        }
    }

    #[test]
    fn a_single_turn_ends_with_the_question_or_the_beginning_of_its_answer() {
        let mut messages = vec![Message::system("Be brief.".to_owned())];
        messages.extend(turn("1?", Some("one"), None).messages());
        let shots = messages.len();
        messages.extend(turn("2?", None, Some("It is")).messages());
        let contents = |messages: &[Message]| -> Vec<(Role, String)> {
            as_single_turn(messages).into_iter().map(|message| (message.role, message.content)).collect()
        };
        let (system, question) = ((Role::System, "Be brief.".to_owned()), (Role::User, "1? one\n\n2?".to_owned()));
        assert_eq!(contents(&messages), [system, question, (Role::Assistant, "It is".to_owned())]);
        messages.truncate(shots);
        messages.extend(turn("2?", None, None).messages());
        assert_eq!(contents(&messages[1..]), [(Role::User, "1? one\n\n2?".to_owned())]);
    }
}
