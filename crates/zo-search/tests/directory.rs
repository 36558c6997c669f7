//! A store in a folder: its laws, many threads and processes, processes that are killed and stopped.
//!
//! `TAILOR_TEST_DIR` says in which folder the tests make theirs, so that they can be run on another file system.
//! `TAILOR_TEST_DIR_ALSO` is another mount of it, as if on another machine: every other process works there.

mod interrupted;
mod processes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use interrupted::{finish, header, killed_it_ends_as_one_that_was_not, strategy, uninterrupted};
use processes::{Child, LEASE, Role, expected, folder, quick, result_of, task, until};
use zo_search::sharing::{DirectoryStore, Finished, SharedStore, TaskCounts, WorkerInfo};
use zo_search::testing::{check_queue, check_storage};
use zo_search::{Error, Study};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[test]
fn it_keeps_the_laws_of_lines() -> Tested {
    let folder = folder()?;
    let store = DirectoryStore::new(folder.path());
    check_storage(|| store.lines())?;
    let place = folder.path().join("not/there/yet");
    Ok(check_storage(|| DirectoryStore::new(&place).lines())?)
}

#[test]
fn it_keeps_the_laws_of_tasks() -> Tested {
    let (one, other) = (folder()?, folder()?);
    let store = DirectoryStore::new(one.path());
    check_queue(|| store.queue())?;
    // Each connection with a memory of its own, as in processes of their own.
    Ok(check_queue(|| DirectoryStore::new(other.path()).queue())?)
}

#[test]
fn a_study_in_a_folder_is_that_in_a_journal() -> Tested {
    let folder = folder()?;
    let digest = uninterrupted(&folder.path().join("study.jsonl"), 40, 4)?;
    assert_eq!(uninterrupted(&folder.path().join("another.store"), 40, 4)?, digest);
    let store = DirectoryStore::new(folder.path().join("study.store"));
    assert!(!store.lines().exists()?);
    assert!(matches!(Study::read(store.lines()), Err(Error::Io { action: "open", .. })));
    let mut study = Study::create(store.lines(), header(), strategy()?)?;
    finish(&mut study, 20, 4)?;
    assert!(matches!(Study::resume(store.lines(), strategy()?), Err(Error::StudyLocked { .. })));
    assert!(matches!(Study::create(store.lines(), header(), strategy()?), Err(Error::StudyLocked { .. })));
    drop(study);
    assert!(matches!(Study::create(store.lines(), header(), strategy()?), Err(Error::StudyExists { .. })));
    let mut study = Study::resume(store.lines(), strategy()?)?;
    finish(&mut study, 40, 4)?;
    assert_eq!(study.history().digest(), digest);
    assert_eq!(Study::read(store.lines())?.digest(), digest);
    Ok(())
}

#[test]
fn a_study_that_is_killed_ends_as_one_that_was_not() -> Tested {
    let folder = folder()?;
    killed_it_ends_as_one_that_was_not(&folder.path().join("study.store"), &folder.path().join("whole.jsonl"))
}

#[test]
fn small_files_are_replaced_whole_and_names_are_checked() -> Tested {
    let folder = folder()?;
    let store = DirectoryStore::new(folder.path());
    assert_eq!(store.read("space.json")?, None);
    for content in [b"one".as_slice(), b"", b"three"] {
        store.write("space.json", content)?;
        assert_eq!(store.read("space.json")?.as_deref(), Some(content));
    }
    for name in ["", "a/b", "../x", "a b", "ü", "a+b"] {
        assert!(matches!(store.write(name, b""), Err(Error::Io { action: "name a file", .. })), "{name}");
        assert!(matches!(store.queue()?.post(&[task(name)]), Err(Error::Io { action: "name a task", .. })), "{name}");
    }
    store.write("..", b"dots")?;
    assert_eq!(store.read("..")?.as_deref(), Some(b"dots".as_slice()));
    assert_eq!(store.read("space.json")?.as_deref(), Some(b"three".as_slice()));
    store.queue()?.post(&[task("."), task("..")])?;
    let mut queue = store.queue()?;
    let claims = queue.exchange(&WorkerInfo::here("h", ""), &[], 9, LEASE)?.claims;
    assert_eq!(claims.iter().map(|claim| claim.task.key.as_str()).collect::<Vec<_>>(), [".", ".."]);
    std::fs::write(folder.path().join("format"), "2")?;
    let error = store.queue().err().ok_or("a later format is read")?;
    assert!(format!("{error:?}").contains("its format is 2"), "{error:?}");
    Ok(())
}

/// Claims by threads until all tasks are done. Returns how often each task was claimed.
fn claimed_by_threads(store: &DirectoryStore, threads: usize, tasks: usize) -> Result<BTreeMap<String, usize>, Error> {
    let work = || -> Result<Vec<String>, Error> {
        let (worker, mut queue) = (WorkerInfo::here("thread", "cpu"), store.queue()?);
        let (mut finished, mut claimed) = (Vec::new(), Vec::new());
        loop {
            let exchange = queue.exchange(&worker, &finished, 1, Duration::from_secs(60))?;
            assert!(exchange.refused.is_empty());
            finished = exchange.claims.iter().map(result_of).collect();
            claimed.extend(exchange.claims.into_iter().map(|claim| claim.task.key));
            if finished.is_empty() && queue.counts()?.done == tasks {
                return Ok(claimed);
            }
        }
    };
    let mut times = BTreeMap::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for key in thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                *times.entry(key).or_default() += 1;
            }
        }
        Ok(times)
    })
}

#[test]
fn eight_threads_claim_each_task_once() -> Tested {
    const TASKS: usize = 1000;
    let folder = folder()?;
    let store = quick(folder.path());
    let tasks: Vec<_> = (0..TASKS).map(|number| task(&format!("t{number}"))).collect();
    store.queue()?.post(&tasks)?;
    let times = claimed_by_threads(&store, 8, TASKS)?;
    assert_eq!(times.len(), TASKS);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    Ok(())
}

#[test]
fn four_processes_claim_each_task_once() -> Tested {
    const TASKS: usize = 1000;
    let folder = folder()?;
    let (store, keys) = (quick(folder.path()), (0..TASKS).map(|number| format!("t{number}")).collect::<Vec<_>>());
    let mut queue = store.queue()?;
    let children = (0..4).map(|_| Child::start(Role::PatientWorker, folder.path())).collect::<Result<Vec<_>, _>>()?;
    for batch in keys.chunks(50) {
        queue.post(&batch.iter().map(|key| task(key)).collect::<Vec<_>>())?;
    }
    until(|| Ok(queue.counts()?.done == TASKS))?;
    queue.close(true)?;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for child in children {
        for line in child.end()?.lines() {
            *times.entry(line.to_owned()).or_default() += 1;
        }
    }
    let once: BTreeMap<String, usize> = keys.iter().map(|key| (format!("{key} (attempt 1)"), 1)).collect();
    assert_eq!(times, once);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(queue.results(&keys)?.len(), TASKS);
    assert_eq!(queue.counts()?, TaskCounts { waiting: 0, claimed: 0, done: TASKS });
    assert!(queue.workers()?.iter().all(|worker| worker.ended && worker.claims.is_empty()));
    Ok(())
}

#[test]
fn killed_at_a_hundred_moments_it_tells_every_task_once_in_order() -> Tested {
    const KILLS: usize = 100;
    let folder = folder()?;
    let store = quick(folder.path());
    let roles = [Role::Leader, Role::Leader, Role::Worker, Role::Worker, Role::Worker, Role::Worker];
    let start = |role| Child::start(role, folder.path());
    let mut children = roles.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    until(|| store.lines().exists())?;
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(rand::random_range(0..60)));
        let victim = rand::random_range(0..children.len());
        let role = children[victim].role;
        std::mem::replace(&mut children[victim], start(role)?).kill()?;
    }
    store.write("end", b"")?;
    for child in children {
        child.end()?;
    }
    let lines = store.lines().read()?;
    assert!(lines.len() > KILLS / 2, "only {} lines were written", lines.len());
    assert_eq!(lines, expected(lines.len()));
    let counts = store.queue()?.counts()?;
    assert_eq!(counts, TaskCounts { waiting: 0, claimed: 0, done: lines.len() - 1 });
    let names = |rest| -> std::io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder.path().join(rest))?;
        names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    for rest in ["claimed", "finished"] {
        let names = |rest| names(rest).map(|names| names.into_iter().filter(|name| name.contains('+')).collect());
        let names: Vec<String> = names(rest)?;
        assert_eq!(names, Vec::<String>::new(), "in {rest}");
    }
    // Who is killed while it posts may leave a token that stands for no task.
    for token in names("waiting")? {
        let parts: Vec<&str> = token.split('+').collect();
        if parts.len() < 4 {
            continue;
        }
        let task = std::fs::read_to_string(folder.path().join(format!("tasks/{}.json", parts[3]))).unwrap_or_default();
        assert!(!task.contains(&parts[..2].join("+")), "{token} waits");
    }
    Ok(())
}

#[test]
fn a_worker_that_was_stopped_past_its_lease_changes_nothing() -> Tested {
    let folder = folder()?;
    let store = quick(folder.path());
    let (mut queue, worker) = (store.queue()?, WorkerInfo::here("here", "cpu"));
    queue.post(&[task("one")])?;
    let child = Child::start(Role::StoppedWorker, folder.path())?;
    until(|| Ok(store.read("ready")?.is_some()))?;
    child.signal("STOP")?;
    let mut claims = Vec::new();
    until(|| {
        claims.extend(queue.exchange(&worker, &[], 1, Duration::from_secs(60))?.claims);
        Ok(!claims.is_empty())
    })?;
    assert_eq!(claims[0].attempt, 2);
    let lost = queue.workers()?;
    child.signal("CONT")?;
    store.write("go", b"")?;
    assert_eq!(child.end()?, "refused: [\"one\"]\n");
    assert!(queue.results(&["one"])?.is_empty(), "a result of who lost the claim: {lost:?}");
    let ours = Finished { key: "one".into(), attempt: 2, result: Ok(serde_json::json!("ours")) };
    assert!(queue.exchange(&worker, &[ours], 0, LEASE)?.refused.is_empty());
    assert_eq!(queue.results(&["one"])?, [(0, Ok(serde_json::json!("ours")))]);
    Ok(())
}

#[test]
fn a_leader_that_was_stopped_past_its_lease_adds_no_line() -> Tested {
    let folder = folder()?;
    let store = quick(folder.path());
    let lines = expected(4);
    drop(store.lines().create(&lines[..1])?);
    let child = Child::start(Role::StoppedLeader, folder.path())?;
    until(|| Ok(store.read("ready")?.is_some()))?;
    assert_eq!(store.lines().read()?, lines[..2]);
    assert!(matches!(store.lines().open(), Err(Error::StudyLocked { .. })));
    child.signal("STOP")?;
    let mut opened = None;
    until(|| match store.lines().open() {
        Err(Error::StudyLocked { .. }) => Ok(false),
        other => other.map(|other| opened = Some(other)).map(|()| true),
    })?;
    let (mut writer, found) = opened.ok_or("not opened")?;
    assert_eq!(found, lines[..2]);
    writer.append(&lines[2..3], true)?;
    child.signal("CONT")?;
    store.write("go", b"")?;
    assert_eq!(child.end()?, "another process leads this study by now\n");
    writer.append(&lines[3..], true)?;
    assert_eq!(store.lines().read()?, lines);
    Ok(())
}

#[test]
fn what_does_not_fit_on_the_disk_was_not_appended() -> Tested {
    let folder = folder()?;
    let store = quick(folder.path());
    drop(store.lines().create(&expected(1))?);
    // Files of up to 8 or 16 KiB, by the unit of the shell.
    let child =
        Child::start_by(&["sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""], Role::Filler, folder.path())?;
    let appended: usize = child.end()?.trim().parse()?;
    let (mut writer, lines) = store.lines().open()?;
    assert!(appended > 10, "{appended} lines are not 8 KiB");
    assert_eq!(lines, expected(appended + 1));
    writer.append(&expected(appended + 2)[appended + 1..], true)?;
    assert_eq!(store.lines().read()?, expected(appended + 2));
    Ok(())
}

/// Median and 99th percentile, in milliseconds, of claiming a task and of handing its result in, by 8 threads.
fn cost_of_a_task(store: &DirectoryStore, name: &str, tasks: usize) -> Result<String, Error> {
    let posted: Vec<_> = (0..tasks).map(|number| task(&format!("{name}{number}"))).collect();
    let start = Instant::now();
    store.queue()?.post(&posted)?;
    let post = start.elapsed().as_secs_f64() * 1e3 / tasks as f64;
    let left = AtomicUsize::new(1000);
    let work = || -> Result<Vec<[Duration; 2]>, Error> {
        let (worker, mut queue) = (WorkerInfo::here("thread", "cpu"), store.queue()?);
        let mut times = Vec::new();
        while left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            let start = Instant::now();
            let claims = queue.exchange(&worker, &[], 1, Duration::from_secs(60))?.claims;
            let claimed = start.elapsed();
            let finished: Vec<_> = claims.iter().map(result_of).collect();
            queue.exchange(&worker, &finished, 0, Duration::from_secs(60))?;
            times.push([claimed, start.elapsed() - claimed]);
        }
        Ok(times)
    };
    let times: Vec<[Duration; 2]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("a thread panicked"));
        times.collect::<Result<Vec<_>, _>>().map(|times| times.concat())
    })?;
    let mut said = format!("{name}: post {post:.2} ms");
    for (place, what) in ["claim", "hand in"].iter().enumerate() {
        let mut times: Vec<f64> = times.iter().map(|times| times[place].as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        said += &format!(", {what} {:.2} ms (99%: {:.2})", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
    Ok(said)
}

#[test]
#[ignore = "a measurement: cargo test --release -p zo-search --test directory -- --ignored --nocapture"]
fn what_a_claim_and_its_result_cost() -> Tested {
    for sync in [false, true] {
        let folder = folder()?;
        let store = DirectoryStore::new(folder.path()).with_sync(sync);
        println!("forced to disk: {sync}");
        println!("{}", cost_of_a_task(&store, "few", 1000)?);
        for number in 0..100_000 {
            for kind in ["tasks", "results"] {
                std::fs::write(folder.path().join(format!("{kind}/done{number}.json")), "{}")?;
            }
        }
        println!("{}", cost_of_a_task(&store, "many-done", 1000)?);
        if !sync {
            println!("{}", cost_of_a_task(&store, "many-waiting-too", 10_000)?);
            println!("{}", cost_of_a_task(&store, "still-many", 1)?);
        }
        let start = Instant::now();
        println!("{:?} counted in {:?}", store.queue()?.counts()?, start.elapsed());
    }
    Ok(())
}
