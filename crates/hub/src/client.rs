//! Requests to the hub: the list of a revision's files, what a file's content is known by, and the content from a byte
//! on.
//!
//! Redirects are followed here, as the token must not go to the servers that large files are on: it goes to the
//! endpoint's scheme, host and port, and nowhere else. Messages have the hub's address of a file in them, never that of
//! a redirect, which may be signed.

use std::io::Read as _;
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{Method, Response, StatusCode, Uri};

use crate::http::{Retries, message};
use crate::listing::Answer;
use crate::{Download, Error, Event, FileInfo, Listing, Repo};

/// Until a server begins to answer, or goes on with an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a request is tried again that may succeed a little later.
pub(crate) const RETRIES: Retries = Retries { count: 6, wait: Duration::from_millis(100) };
/// The list of the files of a repository stays far below.
const LARGEST_LIST: u64 = 1 << 28;
/// No file is so many redirects away.
const MOST_REDIRECTS: usize = 10;
/// Headers of safetensors are smaller, by their format.
const LARGEST_HEADER: u64 = 100_000_000;
/// A first request for a header reads so much: most are smaller.
const FIRST_READ: u64 = 1 << 17;

/// The hub, asked.
pub(crate) struct Client<'a> {
    agent: ureq::Agent,
    download: &'a Download,
}

/// The content of a file, from a byte on.
pub(crate) struct Content {
    /// The first byte that comes.
    pub start: u64,
    /// How many come, if the server says it.
    pub length: Option<u64>,
    /// They.
    pub body: ureq::Body,
}

impl<'a> Client<'a> {
    pub fn new(download: &'a Download) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .max_redirects(0)
            // The hub's own words are in the body.
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), download }
    }

    /// The address of the hub without a slash behind it.
    fn endpoint(&self) -> &str {
        self.download.endpoint.trim_end_matches('/')
    }

    /// A repository's page.
    pub fn page(&self, repo: &Repo) -> String {
        format!("{}/{}{}", self.endpoint(), repo.kind().prefix(), repo.id())
    }

    /// The address of a file.
    pub fn file(&self, repo: &Repo, commit: &str, file: &str) -> String {
        format!("{}/resolve/{}/{}", self.page(repo), quoted(commit, "-._~"), quoted(file, "-._~/"))
    }

    /// The files of a repository at its revision.
    pub fn listing(&self, repo: &Repo) -> Result<Listing, Error> {
        let (api, revision) = (repo.kind().plural(), quoted(repo.revision(), "-._~"));
        let url = format!("{}/api/{api}/{}/revision/{revision}", self.endpoint(), repo.id());
        let bytes = self.retried(|| {
            let mut answer = self.send(&Method::GET, &url, "?blobs=true", None)?;
            answer.body_mut().with_config().limit(LARGEST_LIST).read_to_vec().map_err(unreachable(&url))
        })?;
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|source| Error::NotTheHub { url: url.clone(), source })?;
        answer.listing(&url)
    }

    /// What a file's content is known by, where the list has not said it.
    pub fn about(&self, url: &str) -> Result<FileInfo, Error> {
        let answer = self.retried(|| match self.send(&Method::HEAD, url, "", None) {
            // A server that knows no HEAD.
            Err(Error::Status { status: 405 | 501, .. }) => self.send(&Method::GET, url, "", None),
            answer => answer,
        })?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = header("x-linked-etag").or_else(|| header(ETAG.as_str())).map(plain_etag);
        let etag = etag.filter(|etag| !etag.is_empty()).ok_or_else(|| Error::NoEtag { url: url.to_owned() })?;
        let own = || header("content-length").filter(|_| answer.status().is_success());
        let size = header("x-linked-size").or_else(own).and_then(|size| size.parse().ok());
        Ok(FileInfo { size, blob_id: Some(etag.to_owned()), ..FileInfo::default() })
    }

    /// A file's content from a byte on, to its end or another byte; from the first, where the server does not know such
    /// requests. `None` where there is no such byte.
    pub fn content(&self, url: &str, from: u64, end: Option<u64>) -> Result<Option<Content>, Error> {
        let last = end.map_or_else(String::new, |end| (end - 1).to_string());
        let range = (from > 0 || end.is_some()).then(|| format!("bytes={from}-{last}"));
        let answer = match self.send(&Method::GET, url, "", range) {
            Err(Error::Status { status: 416, .. }) if from > 0 => return Ok(None),
            answer => answer?,
        };
        let start = if answer.status() == StatusCode::PARTIAL_CONTENT { first_byte(&answer) } else { Some(0) };
        let body = answer.into_body();
        Ok(start.map(|start| Content { start, length: body.content_length(), body }))
    }

    /// The header of a file of safetensors with the eight bytes before it, which say how long it is.
    pub fn header(&self, url: &str) -> Result<Vec<u8>, Error> {
        let (mut bytes, mut retries) = (Vec::new(), RETRIES);
        loop {
            let before = bytes.len();
            match self.read_header(url, &mut bytes) {
                Err(error) if error.may_pass() => {
                    if bytes.len() > before {
                        retries = RETRIES;
                    }
                    self.wait(error, &mut retries)?;
                }
                Err(error) => return Err(error),
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
            }
        }
    }

    /// Reads on until a header is whole; its length with the bytes before it.
    fn read_header(&self, url: &str, bytes: &mut Vec<u8>) -> Result<usize, Error> {
        let (from, needed) = (bytes.len() as u64, header_length(bytes, url)? as u64);
        let content = self.content(url, from, Some(needed.max(FIRST_READ)))?;
        let cut_off = |got| Error::CutOff { url: url.to_owned(), got, whole: needed };
        let content = content.ok_or_else(|| cut_off(from))?;
        if content.start != from {
            bytes.clear();
            if content.start > 0 {
                return Err(cut_off(0));
            }
        }
        let (mut reader, mut buffer) = (content.body.into_reader(), vec![0; 1 << 14]);
        loop {
            // A server that does not know ranges would send the whole file.
            let needed = header_length(bytes, url)?;
            if needed <= bytes.len() {
                return Ok(needed);
            }
            match reader.read(&mut buffer).map_err(|source| unreachable(url)(source.into()))? {
                0 => return Err(Error::CutOff { url: url.to_owned(), got: bytes.len() as u64, whole: needed as u64 }),
                got => bytes.extend(&buffer[..got]),
            }
        }
    }

    /// Sends a request until it is answered, or there is no hope.
    fn retried<T>(&self, send: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let mut retries = RETRIES;
        loop {
            match send() {
                Err(error) if error.may_pass() => self.wait(error, &mut retries)?,
                outcome => return outcome,
            }
        }
    }

    /// Waits before the next try; the error, if none is left.
    pub fn wait(&self, error: Error, retries: &mut Retries) -> Result<(), Error> {
        let Some(wait) = retries.next_wait(error.retry_after().map(Duration::from_secs)) else { return Err(error) };
        self.download.progress.tell(Event::Retrying { error: &error, wait });
        std::thread::sleep(wait);
        Ok(())
    }

    /// Sends a request once, and follows redirects. The answer of HEAD may be a redirect to another server, which says
    /// all that there is to know.
    fn send(
        &self,
        method: &Method,
        url: &str,
        query: &str,
        range: Option<String>,
    ) -> Result<Response<ureq::Body>, Error> {
        let mut at = format!("{url}{query}");
        for _ in 0..MOST_REDIRECTS {
            let mut request = ureq::http::Request::builder().method(method).uri(&at);
            // The bytes are counted, so none may be packed.
            request = request.header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.download.token.as_ref().filter(|_| self.is_own(&at)) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(range) = &range {
                request = request.header(RANGE, range);
            }
            let request = request.body(()).map_err(|source| unreachable(url)(source.into()))?;
            let answer = self.agent.run(request).map_err(unreachable(url))?;
            let location = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            match location.filter(|_| answer.status().is_redirection()).map(|place| joined(&at, place)) {
                Some(next) if *method == Method::HEAD && !self.is_own(&next) => return Ok(answer),
                Some(next) => at = next,
                None if answer.status().is_success() => return Ok(answer),
                None => return Err(self.refused(url, answer)),
            }
        }
        Err(Error::Redirects { url: url.to_owned(), times: MOST_REDIRECTS })
    }

    /// What the hub says about a refusal. A server that repeats the token is not repeated.
    fn refused(&self, url: &str, answer: Response<ureq::Body>) -> Error {
        let status = answer.status().as_u16();
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = seconds.and_then(|seconds| seconds.trim().parse().ok());
        let header = answer.headers().get("x-error-message").and_then(|words| words.to_str().ok()).map(str::to_owned);
        let body = answer.into_body().with_config().limit(1 << 20).read_to_vec();
        let mut message = message(&header.map_or_else(|| body.unwrap_or_default(), String::into_bytes));
        if let Some(token) = &self.download.token {
            message = message.replace(token.as_str(), "...");
        }
        Error::Status { url: url.to_owned(), status, message, retry_after }
    }

    /// Whether an address is on the server that the token is for.
    fn is_own(&self, url: &str) -> bool {
        matches!((origin(url), origin(self.endpoint())), (Some(found), Some(own)) if found == own)
    }
}

/// How many bytes the header of a file of safetensors has with the eight before it, as far as its beginning says it.
fn header_length(beginning: &[u8], url: &str) -> Result<usize, Error> {
    let Some(length) = beginning.first_chunk().map(|length| u64::from_le_bytes(*length)) else { return Ok(8) };
    if length > LARGEST_HEADER {
        return Err(Error::Header { url: url.to_owned(), length });
    }
    Ok(8 + length as usize)
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// The address that a redirect leads to.
fn joined(from: &str, place: &str) -> String {
    let absolute = place.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
    if absolute {
        return place.to_owned();
    }
    let (scheme, rest) = from.split_once("://").unwrap_or(("https", from));
    if place.starts_with("//") {
        return format!("{scheme}:{place}");
    }
    let path = rest.find('/').unwrap_or(rest.len());
    if place.starts_with('/') {
        return format!("{scheme}://{}{place}", &rest[..path]);
    }
    let without_query = rest.split(['?', '#']).next().unwrap_or(rest);
    let folder = without_query.rfind('/').map_or(without_query, |end| &without_query[..end]);
    format!("{scheme}://{folder}/{place}")
}

/// The first byte of a part of a file; none if the answer does not say it.
fn first_byte(answer: &Response<ureq::Body>) -> Option<u64> {
    let range = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim().split('-').next()?.parse().ok()
}

/// An ETag without its quotes and the mark of a weak one.
fn plain_etag(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/").trim_matches('"')
}

/// The error of a hub that cannot be reached.
pub(crate) fn unreachable(url: &str) -> impl Fn(ureq::Error) -> Error {
    let url = url.to_owned();
    move |source| Error::Connection { url: url.clone(), source: Box::new(source) }
}

/// A part of an address: all but letters, digits and the bytes of `plain` is quoted.
fn quoted(part: &str, plain: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte);
    part.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_it_says() {
        for (from, place, to) in [
            ("https://hub/a/b?c=d/e", "https://cdn/x?y", "https://cdn/x?y"),
            ("https://hub/a/b?c=d/e", "/x?u=https://y", "https://hub/x?u=https://y"),
            ("http://hub:80/a/b", "//cdn/x", "http://cdn/x"),
            ("http://hub:80/a/b?c/d", "x", "http://hub:80/a/x"),
            ("http://hub", "/x", "http://hub/x"),
        ] {
            assert_eq!(joined(from, place), to, "{from} {place}");
        }
    }

    #[test]
    fn the_token_is_for_one_server() {
        let download = Download::new("https://hub.example/", Some("secret".to_owned()));
        let client = Client::new(&download);
        assert!(client.is_own("https://HUB.example:443/x"));
        for other in [
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://cdn.hub.example/x",
            "https://hub.example.org",
        ] {
            assert!(!client.is_own(other), "{other}");
        }
    }
}
