//! What can go wrong between here and a server.

use tailor_hub::http;

/// Why a server did not give the numbers; the source of [`Error::Model`](crate::Error::Model) during an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompletionsError {
    /// The server could not be reached, or fell silent.
    #[error("{url}: cannot be reached: {source}; {}", what_to_do(.source))]
    Connection {
        /// The address asked.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The server refused the request.
    #[error("{url}: the server answers {status}: {message}")]
    Status {
        /// The address asked.
        url: String,
        /// HTTP's number.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The answer is not one of a completions server.
    #[error("{url}: the answer is not a list of completions: {source}; is this the address of a completions server?")]
    NotCompletions {
        /// The address asked.
        url: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The server answered other prompts than it was asked, or not all of them.
    #[error(
        "{url}: {asked} prompts were sent and {answered} answered; if the server takes one at a time, set \
         `CompletionsOptions {{ batch_size: 1, .. }}`"
    )]
    WrongCount {
        /// The address asked.
        url: String,
        /// Prompts sent.
        asked: usize,
        /// Prompts answered.
        answered: usize,
    },
    /// The prompt's log-probabilities are not in the answer.
    #[error(
        "{url}: the answer has no `logprobs.{field}`; scoring needs a server that gives the log-probabilities of a \
         prompt (`echo` and `logprobs` together): vLLM does as it is, llama-cpp-python with `--logits_all true`, \
         llama.cpp's own server does not"
    )]
    NoLogProbabilities {
        /// The address asked.
        url: String,
        /// What is missing.
        field: &'static str,
    },
    /// There are not as many log-probabilities as tokens.
    #[error(
        "{url}: `logprobs.{field}` has {found} entries for a prompt of {tokens} tokens; does the server honour \
         `echo`, and does it take token ids as they are?"
    )]
    WrongLength {
        /// The address asked.
        url: String,
        /// The list.
        field: &'static str,
        /// Tokens sent.
        tokens: usize,
        /// Entries that came back.
        found: usize,
    },
    /// One token that is asked for has no log-probability.
    #[error(
        "{url}: `logprobs.{field}` has nothing for token {place} of the prompt; only for the first one is there \
         nothing"
    )]
    NoLogProbability {
        /// The address asked.
        url: String,
        /// The list.
        field: &'static str,
        /// The token's place in the prompt, from 0.
        place: usize,
    },
    /// The server has scored another prompt than the one sent.
    #[error(
        "{url}: token {place} of the prompt was sent as {sent}, but the server scored {scored}; is its tokenizer \
         another one, or does it add a begin token?"
    )]
    OtherPrompt {
        /// The address asked.
        url: String,
        /// The token's place in the prompt, from 0.
        place: usize,
        /// The token sent.
        sent: u32,
        /// The token that came back.
        scored: u32,
    },
    /// What the server wrote came back as text alone.
    #[error(
        "{url}: the answer has no token ids, and a text does not say which tokens it was written in; generation \
         needs a server that gives them: vLLM (`return_token_ids` or `return_tokens_as_token_ids`) or llama.cpp \
         (`id` in `logprobs.content`), and `CompletionsOptions {{ token_ids: true, .. }}`, which asks for them"
    )]
    NoTokenIds {
        /// The address asked.
        url: String,
    },
}

impl CompletionsError {
    /// Whether the same request may well succeed a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { source, .. } => http::connection_may_pass(source),
            Self::Status { status, .. } => http::status_may_pass(*status),
            _ => false,
        }
    }
}

/// What may help where the server cannot be reached.
fn what_to_do(source: &ureq::Error) -> &'static str {
    match source {
        ureq::Error::TlsRequired => "for https, turn on the feature `https` of task-eval",
        ureq::Error::Timeout(_) => "is the server overloaded? Raise `timeout` or lower `batch_size`",
        _ => "is the server running, and is this its address, as in http://localhost:8000/v1?",
    }
}
