//! The page that watches a study, over plain HTTP. How it looks and moves in a browser: `tests/browser`.
#![cfg(feature = "serve")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Family, Result};
use tailor::serve::{ServeOptions, Server, Source, Token};
use zo_search::sharing::{HeldClaim, WorkerState};
use zo_search::{FailureKind, Fidelity, Header, Outcome, RandomSearch, Space, Study};

/// A study of a random search over something like layers, in `folder`, without models.
fn study(folder: &Path, name: &str) -> Result<Study> {
    let space = Space::new().subset("remove", 12, 3).categorical("head", ["base", "<b>math</b>"]).float("t", 0.0..=1.0);
    let mut study = Study::create(folder.join("journal.jsonl"), Header::new(name, 7), RandomSearch::new(space, 7))?;
    study.set_sync(false);
    Ok(study)
}

/// Evaluates so many trials: a quarter of them on all documents, every 50th fails.
fn grow(study: &mut Study, trials: usize) -> Result {
    for _ in 0..trials {
        let trial = study.ask()?;
        let harm = f64::from(u8::from(trial.point.subset("remove")?.contains(&3)));
        let objective = 0.3 + 0.2 * harm - 0.1 * trial.point.float("t")?;
        let outcome = match trial.id.0 {
            id if id % 50 == 9 => Outcome::failed(FailureKind::Invalid, "these layers do not fit"),
            id if id % 4 == 0 => Outcome::score(objective).with_instances(vec![objective; 40]),
            _ => Outcome::score(objective).with_instances(vec![objective; 10]).at(Fidelity::new(0.25)?),
        };
        let extra = serde_json::json!({ "retention": 1.0 - objective, "tasks": { "sums": 0.625 } });
        study.tell(trial.id, outcome.with_extra(extra))?;
    }
    Ok(())
}

/// Serves a page at any free port for as long as the test lives.
fn serve(folder: &Path) -> Result<SocketAddr> {
    start(Server::bind(Source::at(folder), ServeOptions { port: 0, ..ServeOptions::default() })?)
}

fn start(server: Server) -> Result<SocketAddr> {
    let address = server.address();
    std::thread::spawn(move || server.run_until(std::future::pending()));
    Ok(SocketAddr::from(([127, 0, 0, 1], address.port())))
}

/// An answer: its status, its headers in lower case, its body.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

fn send(server: SocketAddr, request: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// A worker on one GPU of many, with a task under a lease of so many seconds.
fn worker(name: &str, lease: Option<u64>) -> Result<WorkerState> {
    let info = serde_json::json!({ "id": name, "host": "node-7", "process": 4711, "device": "cuda:3" });
    let claim = HeldClaim { key: "trial-3".into(), attempt: 1, lease: lease.map(Duration::from_secs) };
    let silent = Duration::from_secs(1);
    Ok(WorkerState { info: serde_json::from_value(info)?, silent, claims: vec![claim], ended: false })
}

/// A request with a method, a path and further header lines; `Host` is this machine's, unless they have one.
fn ask(server: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Result<Answer> {
    let own = format!("Host: localhost:{}", server.port());
    let host = if headers.iter().any(|line| line.starts_with("Host:")) { "X-Own: 1" } else { &own };
    let lines = [&[host], headers].concat().join("\r\n");
    let mut stream = send(server, &format!("{method} {path} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n"))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok(Answer { status, headers: head.to_lowercase(), body: body.to_owned() })
}

fn get(server: SocketAddr, path: &str) -> Result<String> {
    let answer = ask(server, "GET", path, &[])?;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    Ok(answer.body)
}

/// The data of the events that a page gets.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(server: SocketAddr, query: &str) -> Result<Self> {
        let request = format!("GET /events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Ok(Self(BufReader::new(send(server, &request)?)))
    }

    /// The next event for which `wanted` holds.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        let mut line = String::new();
        while begun.elapsed() < Duration::from_secs(20) {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the server ended the events".into());
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data)?;
                if wanted(&data) {
                    return Ok(data);
                }
            }
        }
        Err("the event did not come".into())
    }
}

fn part<'a>(event: &'a Value, name: &str) -> &'a str {
    event["parts"][name].as_str().unwrap_or_default()
}

fn revision(page: &str) -> Result<String> {
    let (_, rest) = page.split_once("data-revision=\"").ok_or("no revision")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

#[test]
fn the_page_has_everything_before_any_script_runs() -> Result {
    let folder = tempfile::tempdir()?;
    let mut study = study(folder.path(), "first content")?;
    grow(&mut study, 120)?;
    study.ask()?;
    let server = serve(folder.path())?;
    let answer = ask(server, "GET", "/", &[])?;
    for header in [
        "content-security-policy: default-src 'self';",
        "content-type: text/html; charset=utf-8",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(answer.headers.contains(header), "{header}: {}", answer.headers);
    }
    let best = study.incumbent().ok_or("no incumbent")?.trial.id.0;
    let page = answer.body;
    for content in [
        "<h1>first content</h1>",
        "<span class=\"mark running\">running</span>",
        "<b>120</b>",
        "30 on all documents, 3 failed, 1 running",
        &format!("data-trials>{best}</a>"),
        "aria-label=\"Search curve\"",
        "Importance of layers",
        "One process evaluates",
        "no study file, which would name its models",
        "these layers do not fit",
        ">120</a></td><td>running",
        "before=71",
    ] {
        assert!(page.contains(content), "{content}: {page}");
    }
    // The layer that does harm leads the parameters.
    assert!(page.contains("<tbody><tr><td>remove 3</td>"), "{page}");
    // Nothing is fetched from elsewhere, and nothing stands in the page that its policy refuses.
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "{page}");
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="), "{page}");
    for (path, start) in [("/style.css", ":root"), ("/live.js", "// Keeps"), ("/icon.svg", "<svg")] {
        assert!(get(server, path)?.starts_with(start), "{path}");
    }
    Ok(())
}

#[test]
fn a_trial_is_sent_to_whoever_looks() -> Result {
    let folder = tempfile::tempdir()?;
    let mut study = study(folder.path(), "events")?;
    let server = serve(folder.path())?;
    let page = get(server, "/")?;
    assert!(page.contains("The curve begins with the first result"), "{page}");
    let mut events = Events::open(server, &format!("?since={}", revision(&page)?))?;
    grow(&mut study, 5)?;
    let dots = |event: &Value| part(event, "curve").matches("<circle").count();
    let event = events.wait(|event| dots(event) == 5)?;
    assert!(event["trials"] == true && part(&event, "state").contains("<b>5</b>"), "{event}");
    assert!(get(server, "/trials")?.contains("id=\"trial-4\""));
    // What has not changed is not sent again.
    grow(&mut study, 3)?;
    let event = events.wait(|event| dots(event) == 8)?;
    assert_eq!(event["parts"].get("front"), None, "{event}");
    // A page that has missed something gets it all.
    let event = Events::open(server, "?since=of-an-earlier-server")?.wait(|_| true)?;
    assert!(dots(&event) == 8 && event["parts"].as_object().map_or(0, serde_json::Map::len) == 6, "{event}");
    // The search is killed.
    drop(study);
    events.wait(|event| part(event, "state").contains("nobody is working"))?;
    Ok(())
}

#[test]
fn nothing_can_be_changed_and_no_file_is_read() -> Result {
    let folder = tempfile::tempdir()?;
    grow(&mut study(folder.path(), "read only")?, 3)?;
    let server = serve(folder.path())?;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        for path in ["/", "/trials", "/events", "/nothing"] {
            let answer = ask(server, method, path, &["Content-Length: 0"])?;
            assert!(answer.status == 405 && answer.headers.contains("allow: get"), "{method} {path}");
        }
    }
    for path in [
        "/journal.jsonl",
        "/../journal.jsonl",
        "/%2e%2e/journal.jsonl",
        "//etc/passwd",
        "/style.css/../x",
        "/study.toml",
    ] {
        assert_eq!(ask(server, "GET", path, &[])?.status, 404, "{path}");
    }
    Ok(())
}

#[test]
fn only_names_of_this_machine_are_answered() -> Result {
    let folder = tempfile::tempdir()?;
    grow(&mut study(folder.path(), "hosts")?, 3)?;
    let server = serve(folder.path())?;
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ] {
        for path in ["/", "/trials", "/live.js", "/nothing"] {
            let answer = ask(server, "GET", path, &[&format!("Host: {host}")])?;
            let expected = if status == 200 && path == "/nothing" { 404 } else { status };
            assert_eq!(answer.status, expected, "{host} {path}");
        }
    }
    Ok(())
}

#[test]
fn a_page_that_others_can_reach_needs_its_token() -> Result {
    let folder = tempfile::tempdir()?;
    grow(&mut study(folder.path(), "token")?, 3)?;
    let bind =
        |host: &str, token| Server::bind(Source::at(folder.path()), ServeOptions { host: host.into(), port: 0, token });
    let public = bind("0.0.0.0", None)?;
    let url = public.url();
    let token = url.rsplit_once("/?token=").ok_or("no token in the address")?.1.to_owned();
    assert!(public.is_public() && token.len() == 32 && url.starts_with("http://localhost:"), "{url}");
    let server = start(public)?;
    let named = format!("tailor-{}={token}", server.port());
    for path in ["/", "/trials", "/events", "/style.css", "/nothing"] {
        let answer = ask(server, "GET", path, &["Host: study.example"])?;
        assert!(answer.status == 401 && !answer.body.contains("<h1>"), "{path}");
    }
    let wrong = [format!("/?token={}0", &token[1..]), "/?token=".to_owned(), format!("/?token={token}x")];
    for path in wrong {
        assert_eq!(ask(server, "GET", &path, &[])?.status, 401, "{path}");
    }
    let answer = ask(server, "GET", &format!("/?token={token}"), &["Host: study.example"])?;
    let cookie = format!("set-cookie: {named}; path=/; httponly; samesite=strict");
    assert!(answer.status == 200 && answer.headers.contains(&cookie), "{}", answer.headers);
    let kept = [format!("Cookie: other=1; {named}"), format!("Authorization: Bearer {token}")];
    for header in &kept {
        assert_eq!(ask(server, "GET", "/trials", &[header])?.status, 200, "{header}");
    }
    for header in ["Cookie: tailor-1=x", &format!("Cookie: tailor-1={token}"), "Authorization: Bearer x", &token] {
        assert_eq!(ask(server, "GET", "/trials", &[&format!("X: {header}"), header])?.status / 100, 4, "{header}");
    }
    // A token of one's own, for this machine too.
    let own = start(bind("127.0.0.1", Some(Token::new("an-own-token-of-mine")?))?)?;
    assert_eq!(ask(own, "GET", "/", &[])?.status, 401);
    assert_eq!(ask(own, "GET", "/?token=an-own-token-of-mine", &[])?.status, 200);
    Ok(())
}

#[test]
fn text_from_elsewhere_is_no_markup() -> Result {
    let folder = tempfile::tempdir()?;
    let script = "<script>alert('\"&')</script>";
    let mut study = study(folder.path(), script)?;
    grow(&mut study, 30)?;
    let trial = study.ask()?;
    study.tell(trial.id, Outcome::failed(FailureKind::Invalid, format!("{script}\r\ndata: x\n\nid: 1{script}")))?;
    let trial = study.ask()?;
    let extra = serde_json::json!({ "tasks": { script: script }, "retention": script });
    study.tell(trial.id, Outcome::scores([0.1, 0.2]).with_extra(extra))?;
    let mut foreign = worker("w", Some(9))?;
    (foreign.info.id, foreign.info.host, foreign.info.device) = (script.into(), script.into(), script.into());
    foreign.claims[0].key = script.into();
    let server = Server::bind(Source::at(folder.path()), ServeOptions { port: 0, ..ServeOptions::default() })?;
    let server = start(server.with_workers(move || Ok(vec![foreign.clone()])))?;
    let event = Events::open(server, "")?.wait(|event| part(event, "workers").contains("working"))?;
    let mut texts = vec![get(server, "/")?, get(server, "/?trial=30")?, get(server, "/trials?trial=31")?];
    texts.push(get(server, "/?trial=31&state=%3Cscript%3E&before=%3Cscript%3E")?);
    // What no address may have is refused before it comes to the page.
    assert_eq!(ask(server, "GET", &format!("/?state={script}").replace(' ', "+"), &[])?.status, 400);
    texts.extend(event["parts"].as_object().into_iter().flatten().map(|(_, part)| part.as_str().unwrap_or("").into()));
    for text in &texts {
        let foreign = text.replace("<script src=\"live.js\" defer></script>", "");
        assert!(!foreign.contains("<script") && !foreign.contains("<b>math"), "{foreign}");
    }
    assert!(texts[0].contains("<h1>&lt;script&gt;alert") && texts[1].contains("<pre>&lt;script&gt;"), "{}", texts[1]);
    assert!(texts[2].contains("&lt;script&gt;") && part(&event, "workers").contains("&lt;script&gt;"));
    Ok(())
}

#[test]
fn a_worker_whose_lease_has_ended_is_shown_as_lost() -> Result {
    let folder = tempfile::tempdir()?;
    let mut study = study(folder.path(), "workers")?;
    grow(&mut study, 3)?;
    let (begun, steady, killed) = (Instant::now(), worker("steady", Some(30))?, worker("killed", Some(1))?);
    let workers = move || {
        let mut killed = killed.clone();
        if begun.elapsed() > Duration::from_millis(1500) {
            killed.claims[0].lease = None;
        }
        Ok(vec![steady.clone(), killed])
    };
    let server = Server::bind(Source::at(folder.path()), ServeOptions { port: 0, ..ServeOptions::default() })?;
    let server = start(server.with_workers(workers))?;
    let mut events = Events::open(server, "")?;
    let event = events.wait(|event| part(event, "workers").contains("killed"))?;
    assert!(!part(&event, "workers").contains("lost"), "{event}");
    let event = events.wait(|event| part(event, "workers").contains("lost"))?;
    let rows: Vec<&str> = part(&event, "workers").split("<tr class=").collect();
    assert!(part(&event, "workers").contains("1 of 2 workers lost"), "{event}");
    assert!(
        rows.iter().any(|row| row.starts_with("\"lost\"") && row.contains("killed") && row.contains("has run out"))
    );
    assert!(
        rows.iter().any(|row| row.starts_with("\"working\"") && row.contains("cuda:3") && row.contains("30 s left"))
    );
    Ok(())
}

/// Leaves its study in `target/tmp/serve-10000`, on which the browser test measures.
#[test]
fn ten_thousand_trials_are_a_page() -> Result {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve-10000");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let mut study = study(&folder, "ten thousand")?;
    grow(&mut study, 10_000)?;
    let best = study.incumbent().ok_or("no incumbent")?.trial.id.0;
    drop(study);
    let server = serve(&folder)?;
    let page = get(server, "/")?;
    assert!(page.len() < 300_000, "{} bytes", page.len());
    assert!(page.contains("<b>10000</b>") && page.contains(&format!("data-trials>{best}</a>")), "{page}");
    assert!(page.contains("failed <small>200</small>") && page.contains("full <small>2500</small>"));
    assert!(page.matches("<circle").count() < 800, "{}", page.matches("<circle").count());
    // Every trial is on one page of the table.
    let mut path = "/trials".to_owned();
    let mut seen = Vec::new();
    loop {
        let table = get(server, &path)?;
        let rows = table.split("<a id=\"trial-").skip(1).filter_map(|row| row.split('"').next()?.parse::<u64>().ok());
        seen.extend(rows);
        let Some((_, older)) = table.split_once("<a id=\"older\" href=\"") else { break };
        path = format!("/trials{}", older.split('#').next().unwrap_or_default().replace("&amp;", "&"));
    }
    assert!(seen.iter().copied().eq((0..10_000).rev()), "{} trials, the first {:?}", seen.len(), seen.first());
    let failed = get(server, "/trials?state=failed&before=5000")?;
    assert!(failed.contains("id=\"trial-4959\"") && !failed.contains("id=\"trial-4960\""), "{failed}");
    Ok(())
}

#[test]
fn a_search_is_shown_with_its_layer_map_and_without_its_models_says_why() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out found --quiet")?;
    let server = serve(&family.path("found"))?;
    let mut events = Events::open(server, "")?;
    let event = events.wait(|event| part(event, "map").contains("aria-label=\"Layer map\""))?;
    assert!(part(&event, "map").contains("of the best trial"), "{event}");
    let page = get(server, "/?trial=0")?;
    for content in ["mark finished", "of 12</small>", "report.html", "of the best parents", "<dt>words</dt>"] {
        assert!(page.contains(content), "{content}: {page}");
    }
    assert_eq!(page.matches("aria-label=\"Layer map\"").count(), 2, "the incumbent's and that of trial 0");

    std::fs::rename(family.path("models"), family.path("elsewhere"))?;
    let server = serve(&family.path("found"))?;
    let mut events = Events::open(server, "")?;
    let event = events.wait(|event| part(event, "map").contains("no picture"))?;
    assert!(part(&event, "map").contains("models"), "{event}");
    let page = get(server, "/?trial=0")?;
    assert!(page.contains("aria-label=\"Search curve\"") && page.contains("<dt>remove</dt>"), "{page}");
    Ok(())
}

#[test]
fn what_cannot_be_served_is_said_with_what_to_do() -> Result {
    let family = Family::new()?;
    let refused = |arguments: &str| family.fail(arguments);
    let nothing = refused("serve nowhere")?;
    assert!(nothing.contains("nowhere") && nothing.contains("tailor search"), "{nothing}");
    assert!(refused("serve models/base")?.contains("tailor search"));
    assert!(refused("serve missing.jsonl")?.contains("missing.jsonl"));
    grow(&mut study(&family.path("."), "refused")?, 2)?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let busy = refused(&format!("serve . --port {port}"))?;
    assert!(busy.contains(&port.to_string()) && busy.contains("another port, or 0"), "{busy}");
    assert!(refused("serve . --token short")?.contains("at least 16"));
    assert!(refused("serve . --host 203.0.113.1")?.contains("no such address"));
    Ok(())
}

#[test]
fn a_page_opened_before_the_first_trial_goes_on_with_it() -> Result {
    let folder = tempfile::tempdir()?;
    let family = Family::new()?;
    std::fs::copy(family.path("study.toml"), folder.path().join("study.toml"))?;
    let server = serve(folder.path())?;
    assert!(get(server, "/")?.contains("There is no trial yet"));
    let mut events = Events::open(server, "")?;
    grow(&mut study(folder.path(), "late")?, 2)?;
    let event = events.wait(|event| part(event, "curve").contains("<circle"))?;
    assert!(event["trials"] == true, "{event}");
    Ok(())
}
