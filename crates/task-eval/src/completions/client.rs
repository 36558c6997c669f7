//! One request after the other, each tried again while that may help.

use std::time::Duration;

use serde_json::Value;

use super::CompletionsOptions;
use super::answer::{Answer, Choice};
use super::error::CompletionsError;

/// The longest wait between two tries, as the harness has it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// An answer of thousands of long prompts stays far below.
const LARGEST_ANSWER: u64 = 1 << 30;
/// Of a page that is not JSON, so many characters say enough.
const LONGEST_MESSAGE: usize = 300;

#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    pub(super) fn new(url: &str, options: &CompletionsOptions) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            // The server's own words are in the body.
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), url: endpoint(url) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answers to the body's `asked` prompts, in their order.
    pub(super) fn complete(
        &self,
        body: &Value,
        asked: usize,
        options: &CompletionsOptions,
    ) -> Result<Vec<Choice>, CompletionsError> {
        let body = body.to_string();
        let mut wait = options.retry_wait;
        let mut left = options.retries;
        let answer = loop {
            match self.send(&body, options.api_key.as_deref()) {
                Err(error) if left > 0 && error.may_pass() => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                    left -= 1;
                }
                outcome => break outcome?,
            }
        };
        answer.in_order(asked).map_err(|answered| CompletionsError::WrongCount {
            url: self.url.clone(),
            asked,
            answered,
        })
    }

    fn send(&self, body: &str, key: Option<&str>) -> Result<Answer, CompletionsError> {
        let url = || self.url.clone();
        let unreachable = |source| CompletionsError::Connection { url: url(), source: Box::new(source) };
        let mut request = self.agent.post(self.url.as_str()).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status();
        let bytes = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(unreachable)?;
        if !status.is_success() {
            return Err(CompletionsError::Status { url: url(), status: status.as_u16(), message: message(&bytes) });
        }
        serde_json::from_slice(&bytes).map_err(|source| CompletionsError::NotCompletions { url: url(), source })
    }
}

/// `http://host`, `http://host/v1` and `http://host/v1/completions` are all the same server.
fn endpoint(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let end = if url.ends_with("/completions") {
        ""
    } else if url.ends_with("/v1") {
        "/completions"
    } else {
        "/v1/completions"
    };
    format!("{url}{end}")
}

/// What servers say about a refusal: `error.message` (OpenAI, vLLM, llama.cpp), `message`, `detail`, or plain text.
fn message(bytes: &[u8]) -> String {
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
    fn an_address_may_be_the_servers_or_the_endpoints() {
        for url in ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/", "http://a:1/v1/completions"] {
            assert_eq!(endpoint(url), "http://a:1/v1/completions", "{url}");
        }
        assert_eq!(endpoint("http://a/proxy"), "http://a/proxy/v1/completions");
    }

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
