//! Downloads from a server that answers as the hub does, or badly.
#![cfg(feature = "download")]

#[path = "support/fake_hub.rs"]
mod fake_hub;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fake_hub::{FakeHub, Outcome, safetensors};
use tailor_hub::{Download, Error, Event, FoundModel, Hub, Progress, Repo};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const INDEX: &[u8] = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

/// A model in two shards, and all that models are uploaded with.
fn model() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (".gitattributes", b"*.bin lfs".to_vec()),
        ("README.md", b"# A model".to_vec()),
        ("config.json", br#"{"model_type": "llama"}"#.to_vec()),
        ("consolidated.safetensors", safetensors(&["x"], 10)),
        ("generation_config.json", b"{}".to_vec()),
        ("model-1.safetensors", safetensors(&["a"], 20_000)),
        ("model-2.safetensors", safetensors(&["b"], 30_000)),
        ("model.safetensors.index.json", INDEX.to_vec()),
        ("pytorch_model.bin", vec![7; 1000]),
        ("tokenizer.json", b"{\"version\": \"1.0\"}".to_vec()),
        ("training_args.bin", vec![8; 1000]),
    ]
}

/// What of that is needed.
const NEEDED: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "model-1.safetensors",
    "model-2.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
];

fn hub(server: &FakeHub, cache: &Path) -> Hub {
    let download = Download::new(&server.endpoint, Some("hf_secret".to_owned()));
    Hub { cache: cache.to_owned(), download: Some(download), ..Hub::default() }
}

/// The whole model.
fn fetch(hub: &Hub, name: &str) -> Result<PathBuf, Error> {
    let found: FoundModel = hub.model(&Repo::model(name)?)?;
    hub.complete(&found)?;
    Ok(found.folder)
}

/// The names of all files below a folder.
fn files(folder: &Path) -> Outcome<BTreeSet<String>> {
    fn walk(top: &Path, folder: &Path, into: &mut BTreeSet<String>) -> Outcome {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                walk(top, &path, into)?;
            } else {
                into.insert(path.strip_prefix(top)?.display().to_string());
            }
        }
        Ok(())
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found)?;
    Ok(found)
}

/// Every file of a final name is what the server has: blobs by what they are called, those of the snapshot by theirs.
fn nothing_is_half_written(server: &FakeHub, cache: &Path) -> Outcome {
    let state = server.state();
    let repo = cache.join("models--org--name");
    let known = &state.repos["models/org/name"];
    for blob in files(&repo.join("blobs"))?.iter().filter(|blob| !blob.ends_with(".incomplete")) {
        let file = known.values().find(|file| file.etag() == **blob).ok_or_else(|| format!("a blob {blob}"))?;
        assert!(std::fs::read(repo.join("blobs").join(blob))? == file.bytes, "{blob}");
    }
    let snapshot = repo.join("snapshots").join(COMMIT);
    for name in files(&snapshot)? {
        assert!(std::fs::read(snapshot.join(&name))? == known[&name].bytes, "{name}");
    }
    Ok(())
}

#[test]
fn a_model_is_downloaded_once_and_lies_as_the_hubs_own_tools_lay_it() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    let hub = hub(&server, cache.path());
    let folder = fetch(&hub, "org/name")?;
    let repo = cache.path().join("models--org--name");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    assert_eq!(files(&folder)?, NEEDED.map(str::to_owned).into());
    assert_eq!(std::fs::read_to_string(repo.join("refs/main"))?, COMMIT);
    for name in NEEDED {
        let etag = server.state().repos["models/org/name"][name].etag();
        #[cfg(unix)]
        assert_eq!(std::fs::read_link(folder.join(name))?, Path::new("../../blobs").join(&etag), "{name}");
        assert!(repo.join("blobs").join(etag).is_file());
    }
    nothing_is_half_written(&server, cache.path())?;

    let paths = server.paths();
    assert_eq!(paths[0], "/api/models/org/name/revision/main?blobs=true");
    let first_shard = paths.iter().position(|path| path.contains("model-")).ok_or("no shard")?;
    assert!(paths[1..first_shard].iter().any(|path| path.ends_with("model.safetensors.index.json")), "{paths:?}");

    // Again, by branch and by commit, and without a hub: nothing is asked.
    assert_eq!(fetch(&hub, "org/name")?, folder);
    assert_eq!(fetch(&hub, &format!("org/name@{COMMIT}"))?, folder);
    assert_eq!(fetch(&Hub { download: None, ..hub }, "org/name")?, folder);
    assert!(server.paths().is_empty());
    Ok(())
}

#[test]
fn names_and_shapes_come_before_numbers() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    let hub = Hub { headers_only: true, ..hub(&server, cache.path()) };
    let found = hub.model(&Repo::model("org/name")?)?;
    assert!(found.has_outline() && !found.is_whole());
    hub.complete(&found)?;
    let whole = safetensors(&["a"], 20_000);
    let header = tailor_hub::header_file(&found.folder, "model-1.safetensors").ok_or("no header")?;
    let header = std::fs::read(header)?;
    assert!(header.len() < 200 && whole.starts_with(&header), "{}", header.len());
    assert!(!files(&found.folder)?.iter().any(|name| name.ends_with(".safetensors")));
    // No branch is known of yet: without the hub there is no such model.
    let local = Hub { download: None, ..hub };
    assert!(matches!(local.model(&Repo::model("org/name")?), Err(Error::NotHere { .. })));
    let commit = Repo::model(&format!("org/name@{COMMIT}"))?;
    assert!(matches!(local.model(&commit), Err(Error::Incomplete { missing, .. }) if missing == "model-1.safetensors"));
    Ok(())
}

#[test]
fn the_token_goes_to_the_hub_alone_and_into_no_message() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    server.state().token = Some("hf_secret".to_owned());
    fetch(&hub(&server, cache.path()), "org/name")?;
    for asked in server.asked() {
        let token = (!asked.elsewhere).then(|| "Bearer hf_secret".to_owned());
        assert_eq!(asked.token, token, "{}", asked.path);
    }
    server.state().token = Some("another".to_owned());
    let error = fetch(&hub(&server, tempfile::tempdir()?.path()), "org/name").expect_err("refused");
    let text = format!("{error} {error:?}");
    assert!(text.contains("answers 401: Access is restricted") && text.contains("set `HF_TOKEN`"), "{text}");
    assert!(!text.contains("hf_secret"), "{text}");
    Ok(())
}

#[test]
fn a_connection_that_breaks_at_any_byte_goes_on_there() -> Outcome {
    for cut in [9_000, 14_096, 33_333, 79_999, 119_999] {
        let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
        server.state().cut = Some(cut);
        fetch(&hub(&server, cache.path()), "org/name")?;
        nothing_is_half_written(&server, cache.path())?;
        let ranges = server.asked().into_iter().filter_map(|asked| asked.range).collect::<Vec<_>>();
        assert!(ranges.contains(&format!("bytes={cut}-")), "{cut}: {ranges:?}");
    }
    Ok(())
}

#[test]
fn a_server_without_ranges_is_asked_from_the_beginning() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    server.state().cut = Some(50_000);
    let hub = hub(&server, cache.path());
    let found = hub.model(&Repo::model("org/name")?)?;
    server.state().ignores_ranges = true;
    // It never comes to an end so.
    let error = hub.complete(&found).expect_err("cut off").to_string();
    assert!(error.contains("resolve") && !error.contains("signature"), "{error}");
    nothing_is_half_written(&server, cache.path())?;
    server.state().cut = None;
    fetch(&hub, "org/name")?;
    nothing_is_half_written(&server, cache.path())
}

#[test]
fn content_of_another_hash_is_never_taken() -> Outcome {
    for name in ["config.json", "model-2.safetensors"] {
        let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
        server.state().damaged.insert(name.to_owned());
        let hub = hub(&server, cache.path());
        let error = fetch(&hub, "org/name").expect_err("damaged");
        assert!(matches!(&error, Error::WrongHash { url, .. } if url.ends_with(name)), "{error}");
        let etag = server.state().repos["models/org/name"][name].etag();
        let blobs = files(&cache.path().join("models--org--name/blobs"))?;
        assert!(!blobs.iter().any(|blob| blob.starts_with(&etag)), "{blobs:?}");
        nothing_is_half_written(&server, cache.path())?;
        server.state().damaged.clear();
        fetch(&hub, "org/name")?;
    }
    Ok(())
}

#[test]
fn a_broken_beginning_is_thrown_away() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    let etag = server.state().repos["models/org/name"]["model-1.safetensors"].etag();
    let blobs = cache.path().join("models--org--name/blobs");
    for beginning in [vec![0; 5000], vec![0; 1_000_000], safetensors(&["a"], 20_000)] {
        std::fs::create_dir_all(&blobs)?;
        std::fs::write(blobs.join(format!("{etag}.incomplete")), beginning)?;
        fetch(&hub(&server, cache.path()), "org/name")?;
        nothing_is_half_written(&server, cache.path())?;
        std::fs::remove_dir_all(cache.path().join("models--org--name"))?;
    }
    Ok(())
}

#[test]
fn a_busy_hub_is_asked_again() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    let failures = [("revision/main", 503), ("config.json", 500), ("model-1.safetensors", 429)];
    server.state().failures = failures.map(|(end, status)| (end.to_owned(), [status].into())).into();
    let (waits, log) = std::sync::mpsc::channel();
    let mut hub = hub(&server, cache.path());
    if let Some(download) = &mut hub.download {
        download.progress = Progress::new(move |event| {
            if let Event::Retrying { wait, .. } = event {
                let _ = waits.send(wait);
            }
        });
    }
    fetch(&hub, "org/name")?;
    let waits: Vec<Duration> = log.try_iter().collect();
    assert!(waits.len() == 3 && waits.contains(&Duration::from_secs(1)), "the hub wants a second: {waits:?}");
    Ok(())
}

#[test]
fn a_list_of_names_alone_is_enough() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    server.state().names_only = true;
    fetch(&hub(&server, cache.path()), "org/name")?;
    nothing_is_half_written(&server, cache.path())?;
    let asked = server.asked();
    assert!(asked.iter().any(|asked| asked.method == "HEAD" && !asked.elsewhere));
    assert!(!asked.iter().any(|asked| asked.method == "HEAD" && asked.elsewhere));
    fetch(&hub(&server, cache.path()), "org/name")?;
    assert!(server.asked().is_empty());
    Ok(())
}

#[test]
fn pickles_are_taken_where_there_is_nothing_better() -> Outcome {
    let index = br#"{"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}"#.to_vec();
    let parts = |names: &[&'static str]| -> Vec<(&'static str, Vec<u8>)> {
        let bytes = |name: &str| match name {
            "pytorch_model.bin.index.json" => index.clone(),
            _ => name.as_bytes().to_vec(),
        };
        names.iter().map(|name| (*name, bytes(name))).collect()
    };
    let several = ["config.json", "pytorch_model-1.bin", "pytorch_model-2.bin", "pytorch_model.bin.index.json"];
    for names in [&["config.json", "pytorch_model.bin"][..], &several] {
        let server = FakeHub::new("models/org/name", &parts(names))?;
        let cache = tempfile::tempdir()?;
        let hub = hub(&server, cache.path());
        let found = hub.model(&Repo::model("org/name")?)?;
        assert!(!found.has_outline());
        assert_eq!(tailor_hub::pickles_not_here(&found.folder), names.last().copied());
        hub.complete(&found)?;
        assert_eq!(tailor_hub::pickles_not_here(&found.folder), None);
        assert_eq!(files(&found.folder)?, names.iter().map(|name| (*name).to_owned()).collect());
        server.asked();
    }
    let server = FakeHub::new("models/org/name", &parts(&["config.json", "model.gguf"]))?;
    let error = fetch(&hub(&server, tempfile::tempdir()?.path()), "org/name").expect_err("no weights");
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
    Ok(())
}

#[test]
fn what_may_not_be_downloaded_is_an_error() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    let mut hub = hub(&server, cache.path());
    if let Some(download) = &mut hub.download {
        download.offline = true;
    }
    let error = fetch(&hub, "org/name").expect_err("offline");
    assert!(error.to_string().contains("`HF_HUB_OFFLINE` forbids"), "{error}");
    let error = fetch(&Hub { download: None, ..hub }, "org/name").expect_err("not here");
    assert!(matches!(error, Error::NotHere { .. }), "{error}");
    assert!(server.asked().is_empty());
    Ok(())
}

#[test]
fn a_list_cannot_lead_out_of_the_cache() -> Outcome {
    let cache = tempfile::tempdir()?;
    for name in ["../config.json", "/config.json", "a/../../config.json", "C:/config.json"] {
        let server = FakeHub::new("models/org/name", &[("config.json", b"{}".to_vec()), (name, b"{}".to_vec())])?;
        let error = fetch(&hub(&server, cache.path()), "org/name").expect_err("outside");
        assert!(matches!(&error, Error::BadFileName { name: found, .. } if found == name), "{error}");
    }
    let index = br#"{"weight_map": {"a": "../../model.safetensors"}}"#.to_vec();
    let files = [("config.json", b"{}".to_vec()), ("model.safetensors.index.json", index)];
    let error = fetch(&hub(&FakeHub::new("models/org/name", &files)?, cache.path()), "org/name").expect_err("outside");
    assert!(matches!(error, Error::BadFileName { .. }), "{error}");
    Ok(())
}

#[test]
fn several_at_once_share_a_cache() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    server.state().slow = Some(Duration::from_millis(1));
    std::thread::scope(|scope| {
        let downloads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| fetch(&hub(&server, cache.path()), "org/name").map(drop))).collect();
        for download in downloads {
            download.join().expect("no panic").expect("downloaded");
        }
    });
    nothing_is_half_written(&server, cache.path())?;
    let of_shards = |asked: &fake_hub::Asked| asked.elsewhere && asked.range.is_none();
    assert_eq!(server.asked().iter().filter(|asked| of_shards(asked)).count(), 2, "each shard comes once");
    Ok(())
}

/// Not a test by itself: what [`a_killed_download_goes_on`] kills.
#[test]
#[ignore = "is started by `a_killed_download_goes_on`"]
fn a_download_of_its_own() -> Outcome {
    let variable = |name: &str| std::env::var(name);
    let download = Download::new(variable("TEST_ENDPOINT")?, None);
    let hub = Hub { cache: variable("TEST_CACHE")?.into(), download: Some(download), ..Hub::default() };
    fetch(&hub, "org/name")?;
    Ok(())
}

#[test]
fn a_killed_download_goes_on() -> Outcome {
    let (server, cache) = (FakeHub::new("models/org/name", &model())?, tempfile::tempdir()?);
    server.state().slow = Some(Duration::from_millis(3));
    let start = || {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["--exact", "a_download_of_its_own", "--ignored", "--quiet"]);
        command.env("TEST_ENDPOINT", &server.endpoint).env("TEST_CACHE", cache.path());
        command.stdout(std::process::Stdio::null()).spawn()
    };
    let local = Hub { cache: cache.path().to_owned(), ..Hub::default() };
    let mut kills = 0;
    for milliseconds in (5..).step_by(7) {
        let mut child = start()?;
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill()?;
        let whole = child.wait()?.success();
        nothing_is_half_written(&server, cache.path())?;
        let found = local.model(&Repo::model("org/name")?).is_ok();
        assert!(!found || files(&cache.path().join("models--org--name/snapshots"))?.len() == NEEDED.len());
        if whole || found {
            break;
        }
        kills += 1;
    }
    assert!(kills > 3, "{kills}");
    server.asked();
    fetch(&hub(&server, cache.path()), "org/name")?;
    nothing_is_half_written(&server, cache.path())
}

/// With huggingface_hub 2.4.0: what each has downloaded the other finds, and goes on with.
#[test]
#[ignore = "needs Python with huggingface_hub: sh crates/hub/tests/huggingface_hub.sh"]
fn the_python_package_and_we_find_each_others_downloads() -> Outcome {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let server = FakeHub::new("models/org/name", &model())?;
    let run = |cache: &Path, offline: &str, arguments: &str| -> Outcome<String> {
        let code = format!("import huggingface_hub as h; print(h.snapshot_download('org/name', {arguments}))");
        let mut command = std::process::Command::new(&python);
        command.args(["-c", &code]).env("HF_HUB_CACHE", cache).env("HF_HOME", cache.join("home"));
        command.env("HF_ENDPOINT", &server.endpoint).env("HF_HUB_OFFLINE", offline).env("HF_HUB_DISABLE_XET", "1");
        let output = command.output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };

    let ours = tempfile::tempdir()?;
    let folder = fetch(&hub(&server, ours.path()), "org/name")?;
    server.asked();
    for arguments in ["local_files_only=True", &format!("revision='{COMMIT}', local_files_only=True")] {
        assert_eq!(Path::new(&run(ours.path(), "1", arguments)?), folder.canonicalize()?);
    }
    assert!(server.asked().is_empty());
    // Online it takes what it has not got, and nothing of ours a second time.
    assert_eq!(
        Path::new(&run(ours.path(), "0", "allow_patterns=['*.safetensors', '*.json']")?),
        folder.canonicalize()?
    );
    let again = server.asked().into_iter().filter(|asked| asked.elsewhere).count();
    assert_eq!(again, 1, "consolidated.safetensors is the only one");

    let theirs = tempfile::tempdir()?;
    let folder = run(theirs.path(), "0", "allow_patterns=['*.json', 'model*.safetensors']")?;
    server.asked();
    for hub in [Hub { download: None, ..hub(&server, theirs.path()) }, hub(&server, theirs.path())] {
        assert_eq!(fetch(&hub, "org/name")?.canonicalize()?, Path::new(&folder));
    }
    assert!(server.asked().is_empty());

    // A part of it, without weights: we bring the rest.
    let partly = tempfile::tempdir()?;
    run(partly.path(), "0", "allow_patterns=['*.json']")?;
    server.asked();
    fetch(&hub(&server, partly.path()), "org/name")?;
    assert!(!server.asked().iter().any(|asked| asked.path.ends_with("tokenizer.json")));
    nothing_is_half_written(&server, partly.path())?;
    Ok(())
}
