//! A server that answers as the hub does, and as badly as a test wants.
//!
//! Large files are on a second server, as the hub has them elsewhere; both count what they are asked.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sha1::Digest;

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The commit of all branches but `main`.
pub const BRANCH: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A file of a repository.
#[derive(Clone)]
pub struct File {
    pub bytes: Vec<u8>,
    /// Whether it is on the other server, and known by its SHA-256.
    pub large: bool,
}

impl File {
    /// What it is known by, as the hub has it.
    pub fn etag(&self) -> String {
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.large {
            return digits(&sha2::Sha256::digest(&self.bytes));
        }
        digits(
            &sha1::Sha1::new()
                .chain_update(format!("blob {}\0", self.bytes.len()))
                .chain_update(&self.bytes)
                .finalize(),
        )
    }
}

/// A request, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub token: Option<String>,
    pub range: Option<String>,
    /// Whether the other server was asked.
    pub elsewhere: bool,
}

/// What the servers have, and how they behave.
#[derive(Default)]
pub struct State {
    /// By `models/org/name` or `datasets/org/name`; other branches than `main` have `@branch` behind it.
    pub repos: BTreeMap<String, BTreeMap<String, File>>,
    pub commit: String,
    /// The token without which all is refused.
    pub token: Option<String>,
    /// Answers before the right one: statuses, by the part that the path ends with.
    pub failures: BTreeMap<String, VecDeque<u16>>,
    /// Connections break after so many bytes of a file.
    pub cut: Option<usize>,
    /// Whether ranges are passed over.
    pub ignores_ranges: bool,
    /// Files whose last byte is another one than it should be.
    pub damaged: BTreeSet<String>,
    /// Whether lists name files and nothing else.
    pub names_only: bool,
    /// Pauses between pieces of 4 KiB.
    pub slow: Option<Duration>,
    pub asked: Vec<Asked>,
}

pub struct FakeHub {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    /// With one repository, `models/org/name` or `datasets/org/name`.
    pub fn new(repo: &str, files: &[(&str, Vec<u8>)]) -> Outcome<Self> {
        let hub = Self::empty()?;
        hub.add(repo, files);
        Ok(hub)
    }

    /// One more repository or branch.
    pub fn add(&self, repo: &str, files: &[(&str, Vec<u8>)]) {
        let file = |(name, bytes): &(&str, Vec<u8>)| {
            let large = name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".parquet");
            ((*name).to_owned(), File { bytes: bytes.clone(), large })
        };
        self.state().repos.insert(repo.to_owned(), files.iter().map(file).collect());
    }

    /// Without a repository.
    pub fn empty() -> Outcome<Self> {
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let state = Arc::new(Mutex::new(State { commit, ..State::default() }));
        let elsewhere = serve(Arc::clone(&state), None)?;
        let endpoint = serve(Arc::clone(&state), Some(elsewhere))?;
        Ok(Self { endpoint, state })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// The same, paths alone.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

/// A server on a thread; its address.
fn serve(state: Arc<Mutex<State>>, elsewhere: Option<String>) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, elsewhere) = (Arc::clone(&state), elsewhere.clone());
            thread::spawn(move || {
                // A client that is gone wants nothing.
                let _ = answer(stream, &state, elsewhere.as_deref());
            });
        }
    });
    Ok(address)
}

/// An answer: a status, headers, and a body, perhaps not all of it.
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    cut: Option<usize>,
    slow: Option<Duration>,
}

impl Answer {
    fn new(status: u16, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: headers.to_owned(), body: body.into(), cut: None, slow: None }
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>, elsewhere: Option<&str>) -> io::Result<()> {
    let asked = read(&stream, elsewhere.is_none())?;
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(asked.clone());
        state.answer(&asked, elsewhere)
    };
    let Answer { status, headers, body, cut, slow } = answer;
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    let sent = &body[..cut.map_or(body.len(), |cut| cut.min(body.len()))];
    for piece in sent.chunks(4096) {
        stream.write_all(piece)?;
        if let Some(pause) = slow {
            thread::sleep(pause);
        }
    }
    Ok(())
}

fn read(stream: &TcpStream, elsewhere: bool) -> io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked = Asked { method, path, token: None, range: None, elsewhere };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { return Ok(asked) };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => asked.token = Some(value.trim().to_owned()),
            "range" => asked.range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

impl State {
    fn answer(&mut self, asked: &Asked, elsewhere: Option<&str>) -> Answer {
        let path = asked.path.split('?').next().unwrap_or_default();
        let failures = self.failures.iter_mut().find(|(end, failures)| path.ends_with(&**end) && !failures.is_empty());
        if let Some(status) = failures.and_then(|(_, failures)| failures.pop_front()) {
            let after = if status == 429 { "Retry-After: 1\r\n" } else { "" };
            return Answer::new(status, after, r#"{"error": "later"}"#);
        }
        let Some(elsewhere) = elsewhere else { return self.blob(path, asked) };
        if self.token.as_ref().is_some_and(|token| asked.token != Some(format!("Bearer {token}"))) {
            let words = format!(r#"{{"error": "Access is restricted; {:?} is no token"}}"#, asked.token);
            return Answer::new(401, "", words.replace("Some(\"", "").replace("\")", ""));
        }
        self.listing(path).or_else(|| self.tree(path)).or_else(|| self.file(path, asked, elsewhere)).unwrap_or_else(
            || {
                let header = if path.contains("/resolve/") { "X-Error-Code: EntryNotFound\r\n" } else { "" };
                Answer::new(404, header, r#"{"error": "Not Found"}"#)
            },
        )
    }

    /// `/api/models/org/name/revision/main`.
    fn listing(&self, path: &str) -> Option<Answer> {
        let (repo, revision) = path.strip_prefix("/api/")?.split_once("/revision/")?;
        let (files, commit) = self.find(repo, &revision.replace("%2F", "/"))?;
        let siblings: Vec<String> = files.iter().map(|(name, file)| self.sibling(name, file)).collect();
        let siblings = siblings.join(", ");
        let id = repo.split_once('/')?.1;
        let list = format!(r#"{{"id": "{id}", "modelId": "{id}", "sha": "{commit}", "siblings": [{siblings}]}}"#);
        Some(Answer::new(200, "Content-Type: application/json\r\n", list))
    }

    /// The files of a repository at a branch or commit, and the commit.
    fn find(&self, repo: &str, revision: &str) -> Option<(&BTreeMap<String, File>, &str)> {
        if revision == "main" || revision == self.commit {
            return Some((self.repos.get(repo)?, &self.commit));
        }
        let branch = self.repos.keys().find(|key| key.strip_prefix(repo).is_some_and(|rest| rest.starts_with('@')))?;
        let is_it = revision == BRANCH || branch.ends_with(&format!("@{revision}"));
        is_it.then(|| (&self.repos[branch], BRANCH))
    }

    fn sibling(&self, name: &str, file: &File) -> String {
        let (size, etag) = (file.bytes.len(), file.etag());
        match (self.names_only, file.large) {
            (true, _) => format!(r#"{{"rfilename": "{name}"}}"#),
            (_, false) => format!(r#"{{"rfilename": "{name}", "size": {size}, "blobId": "{etag}"}}"#),
            (_, true) => {
                let lfs = format!(r#"{{"sha256": "{etag}", "size": {size}, "pointerSize": 134}}"#);
                let pointer = "a".repeat(40);
                format!(r#"{{"rfilename": "{name}", "size": {size}, "blobId": "{pointer}", "lfs": {lfs}}}"#)
            }
        }
    }

    /// `/api/models/org/name/tree/COMMIT`, which the Python package asks for.
    fn tree(&self, path: &str) -> Option<Answer> {
        let (repo, _) = path.strip_prefix("/api/")?.split_once("/tree/")?;
        let entry = |(name, file): (&String, &File)| {
            let (size, etag) = (file.bytes.len(), file.etag());
            let lfs = format!(r#", "lfs": {{"oid": "{etag}", "size": {size}, "pointerSize": 134}}"#);
            let (oid, lfs) = if file.large { ("a".repeat(40), lfs) } else { (etag, String::new()) };
            format!(r#"{{"type": "file", "path": "{name}", "size": {size}, "oid": "{oid}"{lfs}}}"#)
        };
        let entries: Vec<String> = self.repos.get(repo)?.iter().map(entry).collect();
        Some(Answer::new(200, "Content-Type: application/json\r\n", format!("[{}]", entries.join(", "))))
    }

    /// `/org/name/resolve/COMMIT/FILE`.
    fn file(&self, path: &str, asked: &Asked, elsewhere: &str) -> Option<Answer> {
        let (repo, rest) = path.split_once("/resolve/")?;
        let (revision, name) = rest.split_once('/')?;
        let repo = if repo.starts_with("/datasets/") { repo[1..].to_owned() } else { format!("models{repo}") };
        let (files, commit) = self.find(&repo, revision)?;
        let file = files.get(name)?;
        let etag = file.etag();
        let about = format!("X-Repo-Commit: {commit}\r\nX-Linked-Size: {}\r\nETag: \"{etag}\"\r\n", file.bytes.len());
        if !file.large {
            return Some(self.content(name, file, asked, &about));
        }
        let place = format!("Location: {elsewhere}/{etag}?signature=abc\r\n");
        Some(Answer::new(302, &format!("{about}X-Linked-ETag: \"{etag}\"\r\n{place}"), "Found"))
    }

    /// A file on the other server.
    fn blob(&self, path: &str, asked: &Asked) -> Answer {
        let found = self.repos.values().flatten().find(|(_, file)| path.strip_prefix('/') == Some(&file.etag()));
        let content = found.map(|(name, file)| self.content(name, file, asked, "ETag: \"of-this-server\"\r\n"));
        content.unwrap_or_else(|| Answer::new(404, "", "no such blob"))
    }

    /// The bytes of a file, as many as were asked for.
    fn content(&self, name: &str, file: &File, asked: &Asked, headers: &str) -> Answer {
        let mut bytes = file.bytes.clone();
        if self.damaged.contains(name)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        let whole = bytes.len();
        let range =
            asked.range.as_deref().filter(|_| !self.ignores_ranges).and_then(|range| range.strip_prefix("bytes="));
        let (cut, slow) = (self.cut, self.slow);
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Answer { cut, slow, ..Answer::new(200, headers, bytes) };
        };
        let first: usize = first.parse().unwrap_or(0);
        let end = last.parse().map_or(whole, |last: usize| whole.min(last + 1));
        if first >= whole {
            return Answer::new(416, &format!("Content-Range: bytes */{whole}\r\n"), "");
        }
        let range = format!("Content-Range: bytes {first}-{}/{whole}\r\n", end - 1);
        Answer { cut, slow, ..Answer::new(206, &format!("{headers}{range}"), &bytes[first..end]) }
    }
}

/// A file of safetensors with some tensors of f32 in it, by their names.
pub fn safetensors(names: &[&str], elements: usize) -> Vec<u8> {
    let entry = |(at, name): (usize, &&str)| {
        let (start, end) = (at * elements * 4, (at + 1) * elements * 4);
        format!(r#""{name}": {{"dtype": "F32", "shape": [{elements}], "data_offsets": [{start}, {end}]}}"#)
    };
    let header = format!("{{{}}}", names.iter().enumerate().map(entry).collect::<Vec<_>>().join(", "));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend((0..names.len() * elements).flat_map(|at| (at as f32).sin().to_le_bytes()));
    bytes
}
