//! Data sets of the hub, from a server that answers as the hub does.
#![cfg(feature = "download")]

#[path = "support/documents.rs"]
mod documents;
#[path = "../../hub/tests/support/fake_hub.rs"]
mod fake_hub;

use std::path::{Path, PathBuf};

use documents::{Outcome, documents, golden};
use fake_hub::{BRANCH, FakeHub};
use serde_json::{Value, json};
use task_eval::{Download, Options};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const MAIN: &str = "/api/datasets/some/data/revision/main?blobs=true";
const CONVERTED: &str = "/api/datasets/some/data/revision/refs%2Fconvert%2Fparquet?blobs=true";

fn options(hub: &FakeHub, cache: &Path) -> Outcome<(tempfile::TempDir, Options)> {
    let nowhere = tempfile::tempdir()?;
    let download = Download::new(&hub.endpoint, Some("secret".to_owned()));
    let (data_root, hub_cache) = (nowhere.path().to_owned(), Some(cache.to_owned()));
    Ok((nowhere, Options { data_root, hub_cache, download: Some(download), ..Options::default() }))
}

/// The documents of the test split of a data set that is nowhere but on the hub, or in the cache.
fn rows(data_set: &str, hub: &FakeHub, cache: &Path) -> Outcome<Vec<Value>> {
    let (_nowhere, options) = options(hub, cache)?;
    documents(&format!("dataset_path: {data_set}"), &options)
}

fn resolved(commit: &str, file: &str) -> String {
    format!("/datasets/some/data/resolve/{commit}/{file}")
}

/// All files below a folder but those that are locked.
fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.retain(|file| file.extension().is_none_or(|ending| ending != "lock"));
    Ok(found)
}

#[test]
fn a_split_is_downloaded_once_and_lies_where_the_hubs_own_tools_lay_it() -> Outcome {
    let cache = tempfile::tempdir()?;
    let (first, second) = ("data/test-00000-of-00002.jsonl", "data/test-00001-of-00002.jsonl");
    let hub = FakeHub::new(
        "datasets/some/data",
        &[
            (".gitattributes", Vec::new()),
            ("README.md", b"# Data".to_vec()),
            ("data/train-00000-of-00001.jsonl", b"{}".to_vec()),
            (second, b"{\"n\": 2}\n".to_vec()),
            (first, b"{\"n\": 1}\n".to_vec()),
        ],
    )?;
    assert_eq!(rows("some/data", &hub, cache.path())?, [json!({"n": 1}), json!({"n": 2})]);
    let mut asked = hub.paths();
    asked.sort_unstable();
    assert_eq!(asked, [MAIN, &resolved(COMMIT, first), &resolved(COMMIT, second)]);

    let data_set = cache.path().join("datasets--some--data");
    assert_eq!(std::fs::read_to_string(data_set.join("refs/main"))?, COMMIT);
    let mut lie = files(&data_set.join("snapshots"))?;
    lie.sort_unstable();
    let snapshot = data_set.join("snapshots").join(COMMIT);
    assert_eq!(lie, [snapshot.join(first), snapshot.join(second)]);
    assert_eq!(rows("some/data", &hub, cache.path())?.len(), 2);
    assert!(hub.paths().is_empty());
    Ok(())
}

#[test]
fn what_the_hub_has_made_of_a_data_set_is_second_choice() -> Outcome {
    let cache = tempfile::tempdir()?;
    let parquet = std::fs::read(golden("formats/table.parquet"))?;
    let hub = FakeHub::new("datasets/some/data", &[("data.py", Vec::new()), ("README.md", Vec::new())])?;
    let (whole, part) = ("plain_text/test/0000.parquet", "part/test/0000.parquet");
    let made = [(whole, parquet.clone()), (part, parquet.clone()), ("part/train/0000.parquet", parquet)];
    hub.add("datasets/some/data@refs/convert/parquet", &made);
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden("formats/rows.json"))?)?;
    for (data_set, file) in [("some/data", whole), ("some/data\ndataset_name: part", part)] {
        assert_eq!(Value::from(rows(data_set, &hub, cache.path())?), expected["table.parquet"]);
        let here: Vec<String> =
            hub.asked().into_iter().filter(|asked| !asked.elsewhere).map(|asked| asked.path).collect();
        // The same content is not downloaded twice.
        let file = resolved(BRANCH, file);
        let paths = if data_set == "some/data" { vec![MAIN, CONVERTED, &file] } else { vec![MAIN, CONVERTED] };
        assert_eq!(here, paths);
        rows(data_set, &hub, cache.path())?;
        assert!(hub.asked().is_empty(), "{data_set}");
    }
    Ok(())
}

#[test]
fn a_part_of_a_split_is_not_taken_for_the_whole() -> Outcome {
    let cache = tempfile::tempdir()?;
    let parts = [("test-0.jsonl", b"{\"n\": 1}\n".to_vec()), ("test-1.jsonl", b"{\"n\": 2}\n".to_vec())];
    let hub = FakeHub::new("datasets/some/data", &parts)?;
    rows("some/data", &hub, cache.path())?;
    let second = cache.path().join("datasets--some--data/snapshots").join(COMMIT).join("test-1.jsonl");
    std::fs::remove_file(&second)?;
    let (_nowhere, options) = options(&hub, cache.path())?;
    let options = Options { download: None, ..options };
    assert!(documents("dataset_path: some/data", &options).is_err());
    hub.asked();
    assert_eq!(rows("some/data", &hub, cache.path())?.len(), 2);
    assert_eq!(hub.paths(), [MAIN], "its content is here");
    Ok(())
}

#[test]
fn what_fails_once_is_asked_again() -> Outcome {
    let cache = tempfile::tempdir()?;
    let hub = FakeHub::new("datasets/some/data", &[("test.jsonl", b"{\"n\": 1}\n".to_vec())])?;
    hub.state().failures = [("main".to_owned(), [503].into())].into();
    hub.state().cut = Some(5);
    assert_eq!(rows("some/data", &hub, cache.path())?, [json!({"n": 1})]);
    let file = resolved(COMMIT, "test.jsonl");
    assert_eq!(hub.paths(), [MAIN, MAIN, &file, &file]);
    Ok(())
}

#[test]
fn a_refusal_says_what_to_do_and_leaves_nothing() -> Outcome {
    type Behaviour = fn(&mut fake_hub::State);
    /// The files of the data set, what the hub does, and words of the message.
    type Case<'a> = (&'a [(&'a str, Vec<u8>)], Behaviour, &'a str);
    let two = [("test-0.jsonl", b"{}".to_vec()), ("test-1.jsonl", b"{ }".to_vec())];
    let cases: [Case; 5] = [
        (
            &two,
            |state| state.token = Some("another".to_owned()),
            "cannot be downloaded: http://127.0.0.1: the hub answers 401: Access is restricted; Bearer ... is no \
             token; is the name right? If it is gated or private, accept its terms on its page and set `HF_TOKEN`",
        ),
        (&[], |state| state.repos.clear(), "answers 404: Not Found; are the name and the revision right?"),
        (
            &[("train.csv", Vec::new())],
            |_| (),
            "has no files of the split `test` in `default`, `data`, its folder itself, `plain_text`, `data`; \
             it has `train.csv`.",
        ),
        (&[("../test.jsonl", Vec::new())], |_| (), "`../test.jsonl` is no name of a file within a repository"),
        (
            &two,
            |state| state.failures = [("test-1.jsonl".to_owned(), [403].into())].into(),
            "test-1.jsonl: the hub answers 403: later; is the name right?",
        ),
    ];
    for (files_there, behaviour, words) in cases {
        let (cache, hub) = (tempfile::tempdir()?, FakeHub::new("datasets/some/data", files_there)?);
        behaviour(&mut hub.state());
        let error = rows("some/data", &hub, cache.path()).expect_err("nothing to read").to_string();
        let address = format!("{}/api/datasets/some/data/revision/main", hub.endpoint);
        assert!(error.replace(&address, "http://127.0.0.1").contains(words), "{error}");
        assert!(error.starts_with("task `t`: the data set `some/data`"), "{error}");
        let there = cache.path().join("datasets--some--data/snapshots");
        assert!(!there.exists() || files(&there)?.is_empty(), "{:?}", files(cache.path())?);
    }
    Ok(())
}

#[test]
fn a_folder_is_never_asked_for() -> Outcome {
    let (cache, hub) = (tempfile::tempdir()?, FakeHub::empty()?);
    for folder in ["/no/such/folder", "./data", "a/b/c"] {
        let error = rows(folder, &hub, cache.path()).expect_err("nothing to read").to_string();
        assert!(error.contains("is not here; put it"), "{error}");
    }
    assert!(hub.asked().is_empty());
    Ok(())
}
