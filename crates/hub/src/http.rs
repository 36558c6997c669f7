//! What all that speaks HTTP has in common (the hub, and clients of completions servers): tries, tokens, and
//! the words of a refusal.

use std::time::Duration;

use serde_json::Value;

/// The longest wait between two tries, as the harness has it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// No server is waited for longer, whatever it wants.
const LONGEST_WANTED: Duration = Duration::from_secs(120);
/// Of a page that is not JSON, so many characters say enough.
const LONGEST_MESSAGE: usize = 300;

/// How often what failed is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Tries after the first; 0 asks once.
    pub count: usize,
    /// Before the first one; each later wait is twice as long.
    pub wait: Duration,
}

impl Retries {
    /// Tries until there is an answer, an error that will stay, or no try left.
    ///
    /// # Errors
    /// That of the last try.
    pub fn until_answered<T, E>(
        mut self,
        mut send: impl FnMut() -> Result<T, E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        loop {
            match send() {
                Err(error) if may_pass(&error) => std::thread::sleep(self.next_wait(None).ok_or(error)?),
                outcome => return outcome,
            }
        }
    }

    /// Takes one try: how long to wait before it, at least as long as the server wants; `None` if none is left.
    pub fn next_wait(&mut self, wanted: Option<Duration>) -> Option<Duration> {
        self.count = self.count.checked_sub(1)?;
        let wait = self.wait.max(wanted.unwrap_or_default().min(LONGEST_WANTED));
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

/// A request with a bearer's token, if there is one.
#[must_use]
pub fn authorized<B>(request: ureq::RequestBuilder<B>, token: Option<&str>) -> ureq::RequestBuilder<B> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// Whether the same request may well find somebody a little later.
#[must_use]
pub fn connection_may_pass(error: &ureq::Error) -> bool {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    matches!(error, Io(_) | Timeout(_) | Protocol(_) | ConnectionFailed | HostNotFound)
}

/// Whether a server that answers so may well answer otherwise a little later.
#[must_use]
pub fn status_may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What servers say about a refusal: `error.message` (OpenAI, vLLM, llama.cpp), `message`, `error` (the hub),
/// `detail`, or plain text.
#[must_use]
pub fn message(bytes: &[u8]) -> String {
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
