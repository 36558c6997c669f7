//! What all that speaks http has in common (the completions client and the download of data sets): tries, tokens, and
//! the words of a refusal.

use std::time::Duration;

use serde_json::Value;

/// The longest wait between two tries, as the harness has it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Of a page that is not JSON, so many characters say enough.
const LONGEST_MESSAGE: usize = 300;

/// How often what failed is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    /// Tries after the first; 0 asks once.
    pub count: usize,
    /// Before the first one; each later wait is twice as long.
    pub wait: Duration,
}

impl Retries {
    /// Tries until there is an answer, an error that will stay, or no try left.
    pub fn until_answered<T, E>(
        self,
        mut send: impl FnMut() -> Result<T, E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let Self { mut count, mut wait } = self;
        loop {
            match send() {
                Err(error) if count > 0 && may_pass(&error) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                    count -= 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A request with a bearer's token, if there is one.
pub(crate) fn authorized<B>(request: ureq::RequestBuilder<B>, token: Option<&str>) -> ureq::RequestBuilder<B> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// Whether the same request may well find somebody a little later.
pub(crate) fn connection_may_pass(error: &ureq::Error) -> bool {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    matches!(error, Io(_) | Timeout(_) | Protocol(_) | ConnectionFailed | HostNotFound)
}

/// Whether a server that answers so may well answer otherwise a little later.
pub(crate) fn status_may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What servers say about a refusal: `error.message` (OpenAI, vLLM, llama.cpp), `message`, `error` (the hub),
/// `detail`, or plain text.
pub(crate) fn message(bytes: &[u8]) -> String {
    let json: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let words =
        ["/error/message", "/message", "/error", "/detail"].iter().find_map(|place| json.pointer(place)?.as_str());
    let text = words.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned);
    if text.trim().is_empty() { "(no words)".to_owned() } else { text.trim().chars().take(LONGEST_MESSAGE).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_in_the_servers_words() {
        for (body, words) in [
            (r#"{"error": {"message": "too long", "code": 400}}"#, "too long"),
            (r#"{"object": "error", "message": "too long"}"#, "too long"),
            (r#"{"error": "too long"}"#, "too long"),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            ("Bad gateway\n", "Bad gateway"),
            ("", "(no words)"),
        ] {
            assert_eq!(message(body.as_bytes()), words, "{body}");
        }
    }
}
