//! Several processes work on one study, and some of them are killed, paused, or lose their database: the finished study
//! is the same as that of one process that nothing happened to.
//!
//! `TAILOR_DISTURBANCES=100 cargo test --release -p tailor-llm --test workers -- --nocapture` tries longer.

mod support;

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};
use serde_json::Value;
use support::{Family, Result};
use zo_search::sharing::{DirectoryStore, PostgresStore, SharedStore};
use zo_search::storage::storage_at;
use zo_search::testing::PostgresServer;

/// Seconds. Leases of the workers.
const LEASE: u64 = 2;

/// A family with a study whose trials take a while, and the folder `alone` of a search that had them to itself.
fn family(trials: usize) -> Result<Family> {
    let family = Family::new()?;
    let settings = format!("trials = {trials}\nbatch = 4\nahead = 1\nparts = 2\nlease = {LEASE}");
    family.replace("study.toml", "trials = 12", &settings)?;
    family.replace("study.toml", "remove = 2", "remove = 2\nbridge = \"refit\"")?;
    family.run("search study.toml --out alone --quiet")?;
    Ok(family)
}

/// Lines without what differs from study to study.
fn plain(lines: Vec<String>) -> Result<Vec<Value>> {
    let plain = |line: String| -> Result<Value> {
        let mut line: Value = serde_json::from_str(&line)?;
        let fields = line.as_object_mut().ok_or("no object")?;
        // The time, the checksum; and of the first line the study's name.
        fields.retain(|name, _| !["w", "c", "study"].contains(&name.as_str()));
        Ok(line)
    };
    lines.into_iter().map(plain).collect()
}

/// That the study in the store and its result in `folder` are those of the search that was alone.
fn is_as_alone(family: &Family, store: &dyn SharedStore, folder: &str) -> Result {
    let alone = plain(storage_at(family.path("alone/journal.jsonl")).read()?)?;
    let shared = plain(store.lines().read()?)?;
    assert_eq!(alone.len(), shared.len(), "lines");
    for (number, (alone, shared)) in alone.iter().zip(&shared).enumerate() {
        assert_eq!(alone, shared, "line {number}");
    }
    let result = |folder: &str| -> Result<Value> {
        let mut result = family.json(&format!("{folder}/result.json"))?;
        let fields = result.as_object_mut().ok_or("no object")?;
        fields.remove("time");
        // What the report has added, where there is one.
        fields.remove("retention");
        Ok(result)
    };
    assert_eq!(result("alone")?, result(folder)?);
    Ok(())
}

/// Processes on one study.
struct Crowd<'a> {
    family: &'a Family,
    folder: &'a str,
    processes: Vec<Child>,
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl<'a> Crowd<'a> {
    /// A search that begins the study in `folder`, and so many workers.
    fn begin(family: &'a Family, folder: &'a str, workers: usize) -> Result<Self> {
        let mut crowd = Self { family, folder, processes: Vec::new() };
        crowd.add(&format!("search shared.toml --out {folder} --quiet"))?;
        let start = Instant::now();
        while !family.path(folder).join("study.toml").is_file() {
            assert!(start.elapsed() < Duration::from_secs(120), "no study is begun");
            sleep(Duration::from_millis(20));
        }
        for _ in 0..workers {
            crowd.add_worker()?;
        }
        Ok(crowd)
    }

    fn add(&mut self, arguments: &str) -> Result {
        let mut command = self.family.tailor(arguments);
        self.processes.push(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        Ok(())
    }

    fn add_worker(&mut self) -> Result {
        self.add(&format!("work {} --quiet", self.folder))
    }

    /// Kills a process, and another worker comes.
    fn kill(&mut self, place: usize) -> Result {
        let mut process = self.processes.swap_remove(place);
        let killed = process.kill();
        process.wait()?;
        killed?;
        self.add_worker()
    }

    /// Asks a process to end, as schedulers do, which is no failure of it.
    fn ask_to_end(&mut self, place: usize) -> Result {
        std::process::Command::new("kill").args(["-TERM", &self.processes[place].id().to_string()]).status()?;
        let mut process = self.processes.swap_remove(place);
        let status = process.wait()?;
        // One that has not begun is ended by the system, one whose study is finished at once.
        assert!(status.success() || matches!(status.code(), None | Some(1 | 143)), "{status}");
        self.add_worker()
    }

    /// Stops a process until what it has claimed is somebody else's.
    fn pause(&self, place: usize) -> Result {
        let id = self.processes[place].id().to_string();
        let signal = |name: &str| std::process::Command::new("kill").args([name, &id]).status();
        signal("-STOP")?;
        sleep(Duration::from_millis(1500 * LEASE));
        signal("-CONT")?;
        Ok(())
    }

    /// Whether a process has ended by itself, which it does when the study is finished. One that failed is an error.
    fn has_ended(&mut self) -> Result<bool> {
        for place in (0..self.processes.len()).rev() {
            if let Some(status) = self.processes[place].try_wait()? {
                let process = self.processes.swap_remove(place);
                let complaint = process.wait_with_output()?.stderr;
                assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&complaint));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until all have ended.
    fn end(mut self) -> Result {
        let start = Instant::now();
        while !self.processes.is_empty() {
            self.has_ended()?;
            assert!(start.elapsed() < Duration::from_secs(300), "{} processes do not end", self.processes.len());
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// How many disturbances a test tries at least.
fn disturbances() -> usize {
    std::env::var("TAILOR_DISTURBANCES").ok().and_then(|number| number.parse().ok()).unwrap_or(6)
}

/// Studies with four processes, something happening to one of them every now and then; each finished study is as if
/// nothing had. `store` gives the key `store` of the n-th study and the store; `cut` is what else may happen.
fn disturbed<S: SharedStore>(
    store: impl Fn(&Family, usize) -> (String, S),
    cut: &mut dyn FnMut(&mut ChaCha8Rng) -> Result<bool>,
) -> Result {
    let (family, mut random, mut happened) = (family(60)?, ChaCha8Rng::seed_from_u64(7), 0);
    for number in 0.. {
        let folder = format!("shared-{number}");
        let (key, store) = store(&family, number);
        let study = std::fs::read_to_string(family.path("study.toml"))?;
        family.write("shared.toml", &format!("name = \"{folder}\"\nstore = \"{key}\"\n{study}"))?;
        let mut crowd = Crowd::begin(&family, &folder, 3)?;
        while !crowd.has_ended()? {
            sleep(Duration::from_millis(random.random_range(50..1200)));
            if crowd.has_ended()? {
                break;
            }
            let place = random.random_range(0..crowd.processes.len());
            match random.random_range(0..10) {
                0 => crowd.pause(place)?,
                4 => crowd.ask_to_end(place)?,
                1..=3 if cut(&mut random)? => {}
                _ => crowd.kill(place)?,
            }
            happened += 1;
        }
        crowd.end()?;
        is_as_alone(&family, &store, &folder)?;
        if happened >= disturbances() {
            println!("{happened} disturbances of {} studies", number + 1);
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn processes_share_a_study_in_a_folder_whatever_happens_to_them() -> Result {
    let store = |family: &Family, number: usize| {
        let folder = family.path(&format!("shared-{number}"));
        ("directory".to_owned(), DirectoryStore::new(folder.join("shared")))
    };
    disturbed(store, &mut |_| Ok(false))
}

#[test]
fn processes_share_a_study_in_a_database_that_is_killed_too() -> Result {
    let server = PostgresServer::start()?;
    let store =
        |_: &Family, number: usize| (server.url(), PostgresStore::new(&server.url(), &format!("shared-{number}")));
    disturbed(store, &mut |random| {
        server.kill()?;
        sleep(Duration::from_millis(random.random_range(0..1500)));
        server.restart()?;
        Ok(true)
    })
}

#[test]
fn devices_of_one_process_share_the_trials() -> Result {
    let family = family(40)?;
    let study = std::fs::read_to_string(family.path("study.toml"))?;
    // With one of them the loss of a document is the divergence from a teacher, whom each worker has to know.
    for objective in ["retention", "divergence"] {
        let study = study.replace("[search]", &format!("[search]\nobjective = \"{objective}\""));
        family.write("one.toml", &study)?;
        let devices = "[runtime]\ndevices = [\"cpu\", \"cpu\"]\nshare = \"trials\"\n[baselines]";
        family.write("two.toml", &study.replace("[baselines]", devices))?;
        let journal = |name: &str| -> Result<Vec<Value>> {
            let folder = format!("{name}-{objective}");
            family.run(&format!("search {name}.toml --out {folder} --quiet"))?;
            plain(storage_at(family.path(&folder).join("journal.jsonl")).read()?)
        };
        assert_eq!(journal("two")?, journal("one")?, "{objective}");
    }
    Ok(())
}

#[test]
fn a_worker_with_other_models_is_refused() -> Result {
    let family = family(12)?;
    let study = std::fs::read_to_string(family.path("study.toml"))?;
    family.write("shared.toml", &format!("store = \"directory\"\n{study}"))?;
    family.run("search shared.toml --out shared --quiet")?;
    family.run("work shared --quiet")?;
    let text = std::fs::read_to_string(family.path("shared/study.toml"))?;
    let trials = text.replace("trials = 12", "trials = 400");
    std::fs::write(family.path("shared/study.toml"), trials)?;
    let store = DirectoryStore::new(family.path("shared/shared"));
    let told =
        || -> Result<usize> { Ok(store.lines().read()?.iter().filter(|line| line.contains("\"tell\"")).count()) };
    let before = told()?;
    let mut search = family.tailor("resume shared --quiet").stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
    // From then on it leads, and its own worker has opened the models.
    let start = Instant::now();
    while told()? == before && start.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(20));
    }
    std::fs::copy(family.path("models/code/model.safetensors"), family.path("models/math.new"))?;
    std::fs::rename(family.path("models/math.new"), family.path("models/math/model.safetensors"))?;
    let complaint = family.fail("work shared --quiet")?;
    // Nor does it work on, or lead, with a device that is not there.
    let device = family.fail("work shared --quiet --device abacus")?;
    assert!(device.contains("abacus"), "{device}");
    search.kill()?;
    search.wait()?;
    assert!(complaint.contains("models.math") && complaint.contains("the same models"), "{complaint}");
    Ok(())
}

#[test]
fn a_worker_waits_for_a_study_if_it_is_to() -> Result {
    let family = family(12)?;
    let study = std::fs::read_to_string(family.path("study.toml"))?;
    family.write("shared.toml", &format!("store = \"directory\"\n{study}"))?;
    let mut worker = family.tailor("work later --wait 60 --quiet").stdout(Stdio::null()).spawn()?;
    family.run("search shared.toml --out later --quiet")?;
    assert!(worker.wait()?.success());
    is_as_alone(&family, &DirectoryStore::new(family.path("later/shared")), "later")
}

#[test]
fn a_worker_needs_a_study_that_can_be_shared() -> Result {
    let family = family(12)?;
    let complaint = family.fail("work alone")?;
    assert!(complaint.contains("`journal` is for one process") && complaint.contains("directory"), "{complaint}");
    let complaint = family.fail("work nowhere")?;
    assert!(complaint.contains("nowhere: no study here"), "{complaint}");
    let complaint = family.fail("work postgresql://u:secret@localhost/none --study-name x")?;
    assert!(complaint.contains("PGPASSWORD") && !complaint.contains("secret"), "{complaint}");
    let complaint = family.fail("work postgresql://u@localhost/none")?;
    assert!(complaint.contains("--study-name"), "{complaint}");
    let complaint = family.fail("work ftp://somewhere/x --study-name x")?;
    assert!(complaint.contains("no store is named"), "{complaint}");
    assert!(!Path::new(&family.path("x-study")).exists());
    Ok(())
}
