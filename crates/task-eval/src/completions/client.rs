//! One request after the other, each tried again while that may help.

use serde_json::Value;

use super::CompletionsOptions;
use super::answer::{Answer, Choice};
use super::error::CompletionsError;
use tailor_hub::http::{Retries, authorized, message};

/// An answer of thousands of long prompts stays far below.
const LARGEST_ANSWER: u64 = 1 << 30;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    /// The address that requests are sent to.
    url: String,
}

impl Client {
    /// The server at this address; nothing is sent yet.
    pub(super) fn new(url: &str, options: &CompletionsOptions) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            // The server's own words are in the body.
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), url: endpoint(url) }
    }

    /// The address that requests are sent to, for errors.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answers to the body's `asked` prompts, in their order.
    ///
    /// # Errors
    /// [`CompletionsError::Connection`], [`CompletionsError::Status`] and [`CompletionsError::NotCompletions`] once no
    /// try is left; [`CompletionsError::WrongCount`] for more or fewer answers.
    pub(super) fn complete(
        &self,
        body: &Value,
        asked: usize,
        options: &CompletionsOptions,
    ) -> Result<Vec<Choice>, CompletionsError> {
        let body = body.to_string();
        let retries = Retries { count: options.retries, wait: options.retry_wait };
        let send = || self.send(&body, options.api_key.as_deref());
        let answer = retries.until_answered(send, CompletionsError::may_pass)?;
        answer.in_order(asked).map_err(|answered| CompletionsError::WrongCount {
            url: self.url.clone(),
            asked,
            answered,
        })
    }

    /// Sends a body once and reads the answer.
    fn send(&self, body: &str, key: Option<&str>) -> Result<Answer, CompletionsError> {
        let url = || self.url.clone();
        let unreachable = |source| CompletionsError::Connection { url: url(), source: Box::new(source) };
        let request = self.agent.post(self.url.as_str()).header("Content-Type", "application/json");
        let mut response = authorized(request, key).send(body).map_err(unreachable)?;
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
}
