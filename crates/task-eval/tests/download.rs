//! Data sets of the hub, from a server that answers as the hub does.
#![cfg(feature = "download")]

#[path = "support/documents.rs"]
mod documents;
#[path = "support/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use documents::{Outcome, documents, golden};
use request::Request;
use serde_json::{Value, json};
use task_eval::{Download, Options};

/// What a server says at one address: the status, headers, and what follows them.
#[derive(Clone)]
struct Page {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

fn page(status: u16, body: impl Into<Vec<u8>>) -> Page {
    let body = body.into();
    Page { status, headers: format!("Content-Length: {}\r\n", body.len()), body }
}

/// Each request: its address, and its token.
type Asked = Mutex<Vec<(String, Option<String>)>>;

/// A server of pages. Of several at one address each is given once, the last one for ever.
struct Hub {
    endpoint: String,
    asked: Arc<Asked>,
}

impl Hub {
    fn new(pages: &[(&str, Vec<Page>)]) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let mut pages: BTreeMap<String, Vec<Page>> =
            pages.iter().map(|(path, pages)| ((*path).to_owned(), pages.clone())).collect();
        let asked: Arc<Asked> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is gone wants nothing.
                let _ = answer(stream, &mut pages, &log);
            }
        });
        Ok(Self { endpoint, asked })
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|(path, _)| path).collect()
    }
}

fn answer(mut stream: TcpStream, pages: &mut BTreeMap<String, Vec<Page>>, log: &Asked) -> std::io::Result<()> {
    let Request { path, authorization, body } = Request::read(&stream)?;
    assert!(body.is_empty(), "the hub is asked, and told nothing");
    log.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), authorization));
    let page = match pages.get_mut(&path) {
        Some(several) if several.len() > 1 => several.remove(0),
        Some(one) => one[0].clone(),
        None => page(404, r#"{"error": "Not Found"}"#),
    };
    write!(stream, "HTTP/1.1 {} X\r\n{}Connection: close\r\n\r\n", page.status, page.headers)?;
    stream.write_all(&page.body)
}

fn listing(sha: &str, files: &[&str]) -> Vec<Page> {
    let siblings: Vec<Value> = files.iter().map(|file| json!({"rfilename": file})).collect();
    vec![page(200, json!({"id": "some/data", "sha": sha, "siblings": siblings}).to_string())]
}

/// The documents of the test split of a data set that is nowhere but on the hub, or in the cache.
fn rows(data_set: &str, hub: &Hub, cache: &Path) -> Outcome<Vec<Value>> {
    let nowhere = tempfile::tempdir()?;
    let download = Download { endpoint: hub.endpoint.clone(), token: Some("secret".to_owned()) };
    let (data_root, hub_cache) = (nowhere.path().to_owned(), Some(cache.to_owned()));
    let options = Options { data_root, hub_cache, download: Some(download), ..Options::default() };
    documents(&format!("dataset_path: {data_set}"), &options)
}

const MAIN: &str = "/api/datasets/some/data/revision/main";
const CONVERTED: &str = "/api/datasets/some/data/revision/refs%2Fconvert%2Fparquet";

fn resolved(sha: &str, file: &str) -> String {
    format!("/datasets/some/data/resolve/{sha}/{file}")
}

#[test]
fn a_split_is_downloaded_once_and_lies_where_the_hubs_own_tools_lay_it() -> Outcome {
    let cache = tempfile::tempdir()?;
    let (first, second) = ("data/test-00000-of-00002.jsonl", "data/test-00001-of-00002.jsonl");
    let files = [".gitattributes", "README.md", "data/train-00000-of-00001.jsonl", second, first];
    let (of_first, of_second) = (resolved("abc1", first), resolved("abc1", second));
    // The file itself is elsewhere, as large files of the hub are; the token stays with the hub.
    let stored = Hub::new(&[("/blob", vec![page(200, "{\"n\": 2}\n")])])?;
    let location = format!("Location: {}/blob\r\nContent-Length: 0\r\n", stored.endpoint);
    let hub = Hub::new(&[
        (MAIN, listing("abc1", &files)),
        (&of_first, vec![page(200, "{\"n\": 1}\n")]),
        (&of_second, vec![Page { status: 302, headers: location, body: Vec::new() }]),
    ])?;

    assert_eq!(rows("some/data", &hub, cache.path())?, [json!({"n": 1}), json!({"n": 2})]);
    let token = Some("Bearer secret".to_owned());
    let asked = [MAIN.to_owned(), of_first, of_second].map(|path| (path, token.clone()));
    assert_eq!(hub.asked(), asked);
    assert_eq!(stored.asked(), [("/blob".to_owned(), None)]);

    let data_set = cache.path().join("datasets--some--data");
    assert_eq!(std::fs::read_to_string(data_set.join("refs/main"))?, "abc1");
    let names = |folder: &str| -> Outcome<Vec<String>> {
        let entries = std::fs::read_dir(data_set.join(folder))?.collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.sort();
        Ok(names)
    };
    assert_eq!(names("snapshots/abc1/data")?, ["test-00000-of-00002.jsonl", "test-00001-of-00002.jsonl"]);
    assert_eq!(rows("some/data", &hub, cache.path())?.len(), 2);
    assert!(hub.asked().is_empty());
    Ok(())
}

#[test]
fn what_the_hub_has_made_of_a_data_set_is_second_choice() -> Outcome {
    let cache = tempfile::tempdir()?;
    let parquet = page(200, std::fs::read(golden("formats/table.parquet"))?);
    let (whole, part) = (resolved("c0", "plain_text/test/0000.parquet"), resolved("c0", "part/test/0000.parquet"));
    let hub = Hub::new(&[
        (MAIN, listing("m0", &["data.py", "README.md"])),
        (
            CONVERTED,
            listing("c0", &["plain_text/test/0000.parquet", "part/test/0000.parquet", "part/train/0000.parquet"]),
        ),
        (&whole, vec![parquet.clone()]),
        (&part, vec![parquet]),
    ])?;
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden("formats/rows.json"))?)?;
    for (data_set, file) in [("some/data", whole.as_str()), ("some/data\ndataset_name: part", &part)] {
        assert_eq!(Value::from(rows(data_set, &hub, cache.path())?), expected["table.parquet"]);
        assert_eq!(hub.paths(), [MAIN, CONVERTED, file]);
        rows(data_set, &hub, cache.path())?;
        assert!(hub.asked().is_empty(), "{data_set}");
    }
    Ok(())
}

#[test]
fn what_fails_once_is_asked_again() -> Outcome {
    let cache = tempfile::tempdir()?;
    let file = resolved("a", "test.jsonl");
    let cut = Page { body: b"{\"n\"".to_vec(), ..page(200, "{\"n\": 1}\n") };
    let busy = page(503, "busy");
    let hub = Hub::new(&[
        (MAIN, [vec![busy], listing("a", &["test.jsonl"])].concat()),
        (&file, vec![cut, page(200, "{\"n\": 1}\n")]),
    ])?;
    assert_eq!(rows("some/data", &hub, cache.path())?, [json!({"n": 1})]);
    assert_eq!(hub.paths(), [MAIN, MAIN, &file, &file]);
    Ok(())
}

#[test]
fn a_refusal_says_what_to_do_and_leaves_nothing() -> Outcome {
    let gated = page(401, r#"{"error": "Access to dataset some/data is restricted"}"#);
    let (one, other) = (resolved("a", "test-0.jsonl"), resolved("a", "test-1.jsonl"));
    for (pages, words) in [
        (vec![(MAIN, vec![gated])], "answers 401: Access to dataset some/data is restricted; if the data set is gated"),
        (vec![], "answers 404: Not Found; is `dataset_path` right?"),
        (vec![(MAIN, vec![page(200, "<html>")])], "is `HF_ENDPOINT` the address of a hub?"),
        (
            vec![(MAIN, listing("a", &["train.csv"]))],
            "has no files of the split `test` in `default`, `data`, its folder itself, `plain_text`, `data`; \
             it has `train.csv`.",
        ),
        (vec![(MAIN, listing("a", &["../test.jsonl"]))], "`../test.jsonl` is no name of a file within a data set"),
        (
            vec![
                (MAIN, listing("a", &["test-0.jsonl", "test-1.jsonl"])),
                (&one, vec![page(200, "{}")]),
                (&other, vec![page(403, "no")]),
            ],
            "test-1.jsonl: the hub answers 403: no; if",
        ),
    ] {
        let cache = tempfile::tempdir()?;
        let error = rows("some/data", &Hub::new(&pages)?, cache.path()).expect_err("nothing to read").to_string();
        assert!(error.starts_with("task `t`: the data set `some/data` cannot be downloaded: http"), "{error}");
        assert!(error.contains(words), "{error}");
        let mut files = walk(cache.path())?;
        files.retain(|file| !file.is_dir());
        assert!(files.is_empty(), "{files:?}");
    }
    Ok(())
}

fn walk(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        found.push(path.clone());
        if path.is_dir() {
            found.extend(walk(&path)?);
        }
    }
    Ok(found)
}

#[test]
fn a_folder_is_never_asked_for() -> Outcome {
    let (cache, hub) = (tempfile::tempdir()?, Hub::new(&[])?);
    for folder in ["/no/such/folder", "./data", "a/b/c"] {
        let error = rows(folder, &hub, cache.path()).expect_err("nothing to read").to_string();
        assert!(error.contains("is not here; put it"), "{error}");
    }
    assert!(hub.asked().is_empty());
    Ok(())
}
