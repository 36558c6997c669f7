//! Studies and tasks in PostgreSQL, on a server that each test starts for itself.
//!
//! Run by `cargo test -p zo-search --features postgres --test postgres`; needs Debian's package `postgresql`.
#![cfg(unix)]

mod interrupted;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use interrupted::{Tested, header, killed_it_ends_as_one_that_was_not, strategy, uninterrupted};
use serde_json::json;
use zo_search::sharing::{Finished, PostgresStore, SharedStore, Task, WorkerInfo};
use zo_search::storage::storage_at;
use zo_search::testing::{PostgresServer, check_queue, check_storage};
use zo_search::{Error, Outcome, RandomSearch, Space, Study};

const LEASE: Duration = Duration::from_secs(60);

/// A URL that names its study.
fn study_at(server: &PostgresServer, study: &str) -> String {
    format!("{}&study={study}", server.url())
}

fn io_kind<T>(result: Result<T, Error>) -> Result<(ErrorKind, String), String> {
    match result {
        Err(error @ Error::Io { .. }) => {
            let Error::Io { source, .. } = &error else { unreachable!() };
            Ok((source.kind(), format!("{error}: {source}; {error:?}")))
        }
        Err(error) => Err(format!("{error:?}")),
        Ok(_) => Err("no error".to_owned()),
    }
}

#[test]
fn it_keeps_the_laws() -> Tested {
    let server = PostgresServer::start()?;
    for name in ["a", "b; --'\"ü"] {
        let store = PostgresStore::new(&server.url(), name);
        check_storage(|| store.lines())?;
        check_queue(|| store.queue())?;
    }
    let url = study_at(&server, "c");
    check_storage(|| storage_at(&url))?;
    Ok(())
}

#[test]
fn a_database_says_what_a_journal_says() -> Tested {
    let server = PostgresServer::start()?;
    let folder = tempfile::tempdir()?;
    let (whole, again) = (study_at(&server, "whole"), study_at(&server, "again"));
    let digest = uninterrupted(&folder.path().join("study.jsonl"), 20, 4)?;
    assert_eq!(uninterrupted(Path::new(&whole), 20, 4)?, digest);
    assert_eq!(Study::verify(whole.as_str(), strategy()?)?.digest(), digest);
    Study::read(whole.as_str())?.save(again.as_str())?;
    Study::read(again.as_str())?.save(folder.path().join("copy.jsonl"))?;
    assert_eq!(Study::verify(folder.path().join("copy.jsonl"), strategy()?)?.digest(), digest);
    let mut study = Study::resume(again.as_str(), strategy()?)?;
    assert!(matches!(Study::resume(again.as_str(), strategy()?), Err(Error::StudyLocked { .. })));
    assert!(matches!(Study::create(again.as_str(), header(), strategy()?), Err(Error::StudyLocked { .. })));
    let trial = study.ask()?;
    assert_eq!(Study::read(again.as_str())?.trials().last().map(|record| &record.trial), Some(&trial));
    drop(study);
    assert!(matches!(Study::create(again.as_str(), header(), strategy()?), Err(Error::StudyExists { .. })));
    let (kind, words) = io_kind(Study::resume(study_at(&server, "missing").as_str(), strategy()?))?;
    assert!(kind == ErrorKind::NotFound && words.contains("no such study"), "{words}");
    Ok(())
}

#[test]
fn a_killed_study_ends_as_one_that_was_not() -> Tested {
    let server = PostgresServer::start()?;
    let (killed, whole) = (study_at(&server, "killed"), study_at(&server, "whole"));
    killed_it_ends_as_one_that_was_not(Path::new(&killed), Path::new(&whole))
}

#[test]
fn a_changed_or_missing_line_is_named() -> Tested {
    let server = PostgresServer::start()?;
    for (number, damage) in ["UPDATE zo_search.lines SET line = replace(line, 'x', 'y')", "DELETE FROM zo_search.lines"]
        .into_iter()
        .enumerate()
    {
        let url = study_at(&server, &format!("s{number}"));
        uninterrupted(Path::new(&url), 4, 1)?;
        server.execute(&format!("{damage} WHERE number = 5"))?;
        let error = Study::resume(url.as_str(), strategy()?).err().ok_or("resumed")?;
        assert!(matches!(error, Error::DamagedStudy { line: 5, .. }), "{damage}: {error}");
    }
    Ok(())
}

#[test]
fn eight_come_at_once_and_claim_each_task_once() -> Tested {
    const TASKS: usize = 2000;
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "many");
    let other = PostgresStore::new(&server.url(), "other");
    other.queue()?.post(&[Task::new("t0", json!("another study's"))])?;
    let worker = |_| -> Result<Vec<(String, u32)>, Error> {
        let (mut queue, worker) = (store.queue()?, WorkerInfo::here("test", "cpu"));
        let (mut finished, mut done) = (Vec::new(), Vec::new());
        loop {
            let exchange = queue.exchange(&worker, &finished, 3, LEASE)?;
            assert!(exchange.refused.is_empty(), "{exchange:?}");
            if exchange.claims.is_empty() && exchange.closed {
                return Ok(done);
            }
            if exchange.claims.is_empty() {
                queue.wait(Duration::from_millis(100))?;
            }
            done.extend(exchange.claims.iter().map(|claim| (claim.task.key.clone(), claim.attempt)));
            let result = |task: Task| Finished { key: task.key, attempt: 1, result: Ok(task.payload) };
            finished = exchange.claims.into_iter().map(|claim| result(claim.task)).collect();
        }
    };
    let done: Vec<_> = std::thread::scope(|scope| -> Result<_, Error> {
        let workers: Vec<_> = (0..8).map(|number| scope.spawn(move || worker(number))).collect();
        let mut lead = store.queue()?;
        let tasks: Vec<Task> = (0..TASKS).map(|number| Task::new(format!("t{number}"), json!(number))).collect();
        tasks.chunks(500).try_for_each(|some| lead.post(some))?;
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let results = loop {
            let results = lead.results(&keys)?;
            if results.len() == TASKS {
                break results;
            }
            lead.wait(Duration::from_secs(1))?;
        };
        assert!(results.iter().enumerate().all(|(place, found)| *found == (place, Ok(json!(place)))));
        lead.close(true)?;
        assert_eq!(lead.counts()?.done, TASKS);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Result<Vec<_>, _>>()
    })?;
    assert!(done.iter().all(|own| !own.is_empty()), "a worker had nothing to do");
    let mut keys: Vec<&str> = done.iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), done.iter().flatten().count()), (TASKS, TASKS));
    assert!(done.iter().flatten().all(|(_, attempt)| *attempt == 1));
    assert_eq!(other.queue()?.counts()?.waiting, 1, "the other study's task is still there");
    Ok(())
}

#[test]
fn waiting_ends_when_something_comes() -> Tested {
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "a");
    let (mut lead, mut queue, worker) = (store.queue()?, store.queue()?, WorkerInfo::here("test", "cpu"));
    // The first wait of a connection comes back at once.
    queue.exchange(&worker, &[], 1, LEASE)?;
    queue.wait(LEASE)?;
    lead.results(&["t"])?;
    lead.wait(LEASE)?;
    queue.exchange(&worker, &[], 1, LEASE)?;
    lead.results(&["t"])?;
    let start = Instant::now();
    queue.wait(Duration::from_millis(150))?;
    assert!(start.elapsed() >= Duration::from_millis(140), "it waits while nothing comes");
    std::thread::scope(|scope| -> Tested {
        let waiting = scope.spawn(move || queue.wait(LEASE).map(|()| queue));
        std::thread::sleep(Duration::from_millis(50));
        lead.post(&[Task::new("t", json!(1))])?;
        let mut queue = waiting.join().unwrap()?;
        let claim = queue.exchange(&worker, &[], 1, LEASE)?.claims.remove(0);
        let waiting = scope.spawn(move || lead.wait(LEASE).map(|()| lead));
        std::thread::sleep(Duration::from_millis(50));
        let result = Finished { key: claim.task.key, attempt: 1, result: Ok(json!(2)) };
        queue.exchange(&worker, &[result], 0, LEASE)?;
        let mut lead = waiting.join().unwrap()?;
        assert_eq!(lead.results(&["t"])?, [(0, Ok(json!(2)))]);
        let waiting = scope.spawn(move || queue.wait(LEASE).map(|()| queue));
        std::thread::sleep(Duration::from_millis(50));
        lead.close(true)?;
        assert!(waiting.join().unwrap()?.exchange(&worker, &[], 1, LEASE)?.closed);
        Ok(())
    })?;
    assert!(start.elapsed() < LEASE / 2);
    Ok(())
}

#[test]
fn strange_values_come_back_as_they_were_and_views_show_them() -> Tested {
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "strange");
    let payload =
        json!({"zero": "\u{0}", "big": u64::MAX, "small": 5e-324, "precise": 0.1, "b": 1, "a": "\u{1F600}\\u0000"});
    let (mut queue, worker) = (store.queue()?, WorkerInfo::here("test", "cuda:0"));
    queue.post(&[Task::new("t", payload.clone())])?;
    let claim = queue.exchange(&worker, &[], 1, LEASE)?.claims.remove(0);
    assert_eq!(claim.task.payload.to_string(), payload.to_string());

    let space = Space::new().float("x", 0.0..=1.0).int("n", 1..=3);
    let mut study = Study::create(study_at(&server, "strange").as_str(), header(), RandomSearch::new(space, 1))?;
    let outcomes = [
        Outcome::scores([0.5, 1e300]).with_lead(0.25).with_extra(json!("\u{0}")),
        Outcome::scores([f64::NAN, f64::INFINITY]),
        Outcome::failed(zo_search::FailureKind::Invalid, "\u{0} \"odd\""),
    ];
    for outcome in outcomes {
        let id = study.ask()?.id;
        study.tell(id, outcome)?;
    }
    study.ask()?;
    let mut client = server.connect()?;
    let rows = client.query(
        "SELECT state, objective, objectives, failed, message, told >= asked FROM zo_search.trials ORDER BY id",
        &[],
    )?;
    let states: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(states, ["ok", "no result", "no result", "pending"]);
    let objectives: Vec<Option<f64>> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(objectives, [Some(0.25), None, None, None]);
    assert_eq!(rows[0].get::<_, Vec<f64>>(2), [0.5, 1e300]);
    let strange: Vec<f64> = rows[1].get(2);
    assert!(strange[0].is_nan() && strange[1] == f64::INFINITY);
    assert_eq!((rows[2].get(3), rows[2].get(4)), ("invalid", "\u{fffd} \"odd\""));
    assert_eq!(rows[0].get::<_, Option<bool>>(5), Some(true));
    let values = client.query("SELECT name, type FROM zo_search.trial_values WHERE trial = 0 ORDER BY name", &[])?;
    let values: Vec<(&str, &str)> = values.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(values, [("n", "int"), ("x", "float")]);
    let workers = client.query_one("SELECT device, state, claims FROM zo_search.worker_status", &[])?;
    assert_eq!((workers.get(0), workers.get(1), workers.get(2)), ("cuda:0", "busy", 1_i64));
    let tasks = client.query_one("SELECT waiting, claimed, done FROM zo_search.task_status", &[])?;
    assert_eq!((tasks.get(0), tasks.get(1), tasks.get(2)), (0_i64, 1_i64, 0_i64));
    Ok(())
}

#[test]
fn small_files_are_kept() -> Tested {
    let server = PostgresServer::start()?;
    let (a, b) = (PostgresStore::new(&server.url(), "a"), PostgresStore::new(&server.url(), "b"));
    assert_eq!(a.read("study.toml")?, None, "before there is a schema");
    for bytes in [&b"\x00\xff one"[..], b"", &[7; 3 << 20]] {
        a.write("study.toml", bytes)?;
        assert!(a.read("study.toml")?.as_deref() == Some(bytes));
    }
    assert_eq!((b.read("study.toml")?, a.read("other")?), (None, None));
    assert!(!a.lines().exists()?, "a file is no study");
    Ok(())
}

/// What each of these says of where it is, and why it does not work; never the password.
#[test]
fn what_cannot_be_reached_says_why_and_never_the_password() -> Tested {
    let server = PostgresServer::start()?;
    server.execute("CREATE USER ann PASSWORD 's3cret'")?;
    server.execute("CREATE DATABASE shared")?;
    let store = PostgresStore::new(&server.url(), "a");
    drop(store.queue()?);
    server.put("pg_hba.conf", b"local all test trust\nlocal all all scram-sha-256\n")?;
    server.stop("fast")?;
    server.restart()?;
    let host = format!("host={}", server.folder().display());
    let fails = |url: &str, kind: ErrorKind, words: &str| -> Tested {
        let store = PostgresStore::new(url, "a");
        let (found, said) = io_kind(store.queue().map(drop))?;
        assert!(found == kind && said.contains(words), "{found:?} {said}");
        assert!(said.contains("study=a"), "{said}");
        let all = format!("{said} {store:?} {} {}", store.location(), store.lines().location());
        assert!(!all.contains("s3cret") && !all.contains("wr0ng"), "{all}");
        Ok(())
    };
    fails(&format!("postgresql://ann:wr0ng@/test?{host}"), ErrorKind::PermissionDenied, "PGPASSWORD")?;
    fails(&format!("postgresql://ann@/test?{host}&passfile=/none"), ErrorKind::PermissionDenied, "PGPASSWORD")?;
    fails(&format!("postgresql://test:s3cret@/none?{host}"), ErrorKind::NotFound, "createdb none")?;
    fails("postgresql://u:s3cret@/none?host=/no/such/folder", ErrorKind::NotFound, "running")?;
    fails("postgresql://u:s3cret@127.0.0.1:1/none", ErrorKind::ConnectionRefused, "running")?;
    fails("postgresql://u:s3cret@[::1/none", ErrorKind::InvalidInput, "host")?;
    fails(&format!("postgresql://ann:s3cret@/test?{host}"), ErrorKind::PermissionDenied, "rights in the schema")?;
    let (kind, words) = io_kind(PostgresStore::at(&server.url()).queue().map(drop))?;
    assert!(kind == ErrorKind::InvalidInput && words.contains("?study=NAME"), "{words}");

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("passwords");
    std::fs::write(&file, format!("{}:5432:shared:ann:s3cret\n", server.folder().display()))?;
    let own = format!("postgresql://ann@/shared?{host}&passfile={}", file.display());
    fails(&own, ErrorKind::PermissionDenied, "chmod 600")?;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    fails(&own, ErrorKind::PermissionDenied, "right to create a schema")?;
    server.execute("GRANT CREATE ON DATABASE shared TO ann")?;
    PostgresStore::new(&own, "a").queue()?;

    server.execute("INSERT INTO zo_search.schema_version (version) VALUES (99)")?;
    for error in [store.queue().err(), store.lines().exists().err(), Study::read(store.lines()).err()] {
        assert!(matches!(error, Some(Error::NewerDatabase { found: 99, known: 1, .. })), "{error:?}");
    }
    Ok(())
}

#[test]
fn connections_are_encrypted_and_servers_verified() -> Tested {
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/postgres_tls");
    let server = PostgresServer::start()?;
    for name in ["server.crt", "server.key"] {
        server.put(name, &std::fs::read(certificates.join(name))?)?;
    }
    server.put("pg_hba.conf", b"local all all trust\nhostssl all all all trust\n")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    server.configure(&format!("ssl = on\nlisten_addresses = '127.0.0.1'\nport = {port}\n"))?;
    server.stop("fast")?;
    server.restart()?;
    let authority = |name: &str| certificates.join(name).display().to_string();
    let at = |host: &str, settings: &str| {
        let url = format!("postgresql://test@{host}:{port}/test?{settings}");
        PostgresStore::new(&url, "a").queue().map(drop)
    };
    let (own, other) = (authority("authority.crt"), authority("other.crt"));
    let mut outcomes = HashMap::new();
    for (host, settings, works) in [
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
        ("localhost", format!("sslmode=verify-full&sslrootcert={own}"), true),
        ("localhost", format!("sslmode=require&sslrootcert={own}"), true),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={own}"), false),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
        ("localhost", "sslmode=verify-full&sslrootcert=/none".to_owned(), false),
    ] {
        let found = at(host, &settings);
        assert_eq!(found.is_ok(), works, "{host} {settings}: {found:?}");
        outcomes.insert((host, settings), found);
    }
    Ok(())
}
