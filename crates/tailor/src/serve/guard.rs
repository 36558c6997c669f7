//! Who may look at the page.
//!
//! A page on this machine alone is for everybody on it, but not for other pages in their browsers: these could have
//! their own name lead here (DNS rebinding), so that only requests for this machine's own names are answered. A page
//! that other machines can reach needs a token.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::RngExt as _;

use super::trials::parameter;
use crate::Error;

/// What the reader of a page has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The least length of a token.
const LEAST: usize = 16;

impl Token {
    /// A token of your own: letters, digits, `-` and `_`, at least 16 of them.
    ///
    /// # Errors
    /// [`Error::BadToken`].
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if text.len() < LEAST {
            return Err(Error::BadToken("too few characters"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.bytes().all(plain) { Ok(Self(text)) } else { Err(Error::BadToken("other characters")) }
    }

    /// A token of 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::rng().random::<u128>()))
    }

    /// As text, to be shown to who may look.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token. Compares hashes, in a time that says nothing of either.
    fn is(&self, given: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }
}

/// Not the token, which would come into logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a request must have.
pub(super) struct Guard {
    /// None: nothing is asked for.
    pub token: Option<Token>,
    /// Whether the page is for this machine alone.
    pub loopback: bool,
    /// The cookie that holds the token. Cookies are of a machine and not of a port, so the port is in its name.
    pub cookie: String,
}

/// What a page may load, and from where: its own server.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The address may hold the token.
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses, or lets pass and gives the reader the token as a cookie, so that the address needs it once.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Err((status, text)) => {
            let mut refused = (status, text).into_response();
            if status == StatusCode::METHOD_NOT_ALLOWED {
                refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            refused
        }
        Ok(given) => {
            let mut response = next.run(request).await;
            let cookie = given.map(|token| format!("{}={token}; Path=/; HttpOnly; SameSite=Strict", guard.cookie));
            if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Guard {
    /// Whether a request is answered, and the token if it stands in its address.
    fn check(&self, request: &Request) -> Result<Option<String>, (StatusCode, &'static str)> {
        if request.method() != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "This page only shows; it is read by GET.\n"));
        }
        if self.loopback && !is_own_name(request.headers().get(header::HOST)) {
            let text = "This page is for this machine alone: open it as localhost, 127.0.0.1 or [::1].\n";
            return Err((StatusCode::FORBIDDEN, text));
        }
        let Some(token) = &self.token else { return Ok(None) };
        if let Some(given) = parameter(request.uri().query(), "token").filter(|given| token.is(given)) {
            return Ok(Some(given.to_owned()));
        }
        let kept = cookie(request.headers(), &self.cookie).or_else(|| bearer(request.headers()));
        match kept {
            Some(kept) if token.is(kept) => Ok(None),
            _ => Err((
                StatusCode::UNAUTHORIZED,
                "This page needs its token: open the address that `tailor serve` printed, with ?token= in it.\n",
            )),
        }
    }
}

/// Whether a request was meant for a name that is always this machine.
fn is_own_name(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    pairs.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        let own = |host: &'static str| is_own_name(Some(&HeaderValue::from_static(host)));
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8246", "[::1]:8246", "[::1]"] {
            assert!(own(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8246",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "::1x",
            "localhost:80x",
        ] {
            assert!(!own(host), "{host}");
        }
        assert!(!is_own_name(None));
    }

    #[test]
    fn a_token_is_long_and_plain_and_not_printed() {
        assert!(Token::new("short").is_err() && Token::new("sixteen letters;").is_err());
        let token = Token::random();
        assert!(token.as_str().len() == 32 && Token::new(token.as_str()).is_ok() && Token::random() != token);
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(token.is(token.as_str()) && !token.is("") && !token.is(&token.as_str()[1..]));
    }
}
