//! Damaged task files and data are refused with a word on where, and never with a panic.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use task_eval::{ModelError, ModelTokenizer, Options, PreparedTask, TaskLibrary};

type Outcome<T = ()> = Result<T, ModelError>;

/// Of each data file, so many lines are enough to try everything.
const LINES: usize = 8;

/// Tasks, each with a data file that it reads.
const USES: &[(&str, &str)] = &[
    ("g_mc_basic.yaml", "mc_test.jsonl"),
    ("g_fs_train_default.yaml", "mc_train.jsonl"),
    ("g_gen.yaml", "gen_test.jsonl"),
    ("g_gen.yaml", "gen_train.jsonl"),
    ("g_ll.yaml", "ll_test.jsonl"),
    ("g_roll.yaml", "roll_test.jsonl"),
    ("g_wino.yaml", "wg_val.jsonl"),
    ("g_binary.yaml", "bin_test.jsonl"),
];

const YAML_LINES: &[&str] = &[
    "num_fewshot: -1",
    "num_fewshot: 99999999999999999999",
    "include: damaged.yaml",
    "include: [no_such_file]",
    "doc_to_text: \"{{ question\"",
    "doc_to_text: \"{{ question[0].x.y }}{% for a in 3 %}{% endfor %}\"",
    "doc_to_target: 5",
    "doc_to_choice: 7",
    "metric_list: [{metric: acc, aggregation: median}]",
    "metric_list: 1",
    "generation_kwargs: {until: [], max_gen_toks: 0}",
    "process_docs: !function utils.run",
    "fewshot_config: {sampler: first_n, split: nowhere}",
    "dataset_kwargs: {data_files: 3}",
    "output_type: loglikelihood",
    "filter_list: [{name: a, filter: [{function: regex, regex_pattern: \"(\"}]}]",
    "repeats: 0",
    "metadata: {version: [1, {a: b}]}",
    "x: &a [*a]",
    "<<: 3",
    "? [a]\n: b",
    "- a",
    "---",
    "\t",
    "\u{0}",
];

const GROUP_LINES: &[&str] = &[
    "task: 3",
    "task: [no_such_task]",
    "task: [g_ll, g_ll]",
    "task: [{task: g_ll, num_fewshot: -1}]",
    "task: [{group: inner, task: [g_roll, {group: inmost, task: []}]}]",
    "task: [{group: inner}]",
    "task: [[g_ll]]",
    "task:\n- g_group_w",
    "group: [a]",
    "group: g_group_u",
    "group_alias: {a: b}",
    "aggregate_metric_list: [{metric: acc, aggregation: median}]",
    "aggregate_metric_list: [{aggregation: mean}]",
    "aggregate_metric_list: {metric: acc, weight_by_size: 2}",
    "aggregate_metric_list: acc",
    "metadata: 7",
    "num_fewshot: 99999999999999999999",
    "output_type: loglikelihood",
    "include: damaged.yaml",
    "? [a]\n: b",
    "- a",
];

const DATA_LINES: &[&str] = &[
    "{}",
    "[]",
    "null",
    "{\"question\": 1, \"choices\": [1, null, {}], \"label\": true}",
    "{\"question\": \"\", \"choices\": [], \"label\": 0}",
    "{\"question\": {\"a\": [[]]}, \"label\": -1}",
    "{\"label\": 99}",
    "{\"label\": 1e400}",
    "{\"question\": \"\\ud800\"}",
    "\u{feff}{\"question\": \"a\"}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\
     [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

#[derive(Debug, Clone)]
enum Damage {
    /// One bit of one byte.
    Flip(Index, u8),
    /// So many bytes from there on.
    Cut(Index, usize),
    /// A line of its own.
    Insert(Index, &'static str),
}

fn damages(lines: &'static [&'static str]) -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        (any::<Index>(), 1..60_usize).prop_map(|(place, count)| Damage::Cut(place, count)),
        (any::<Index>(), select(lines)).prop_map(|(place, line)| Damage::Insert(place, line)),
    ];
    vec(one, 1..4)
}

fn damaged(text: &str, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for damage in damages.iter().filter(|_| !text.is_empty()) {
        let length = bytes.len().max(1);
        match damage {
            Damage::Flip(place, bit) => {
                if let Some(byte) = bytes.get_mut(place.index(length)) {
                    *byte ^= 1 << bit;
                }
            }
            Damage::Cut(place, count) => {
                let start = place.index(length).min(bytes.len());
                bytes.drain(start..bytes.len().min(start + count));
            }
            Damage::Insert(place, line) => {
                let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1);
                let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
                let start = *place.get(&starts);
                bytes.splice(start..start, line.bytes().chain(*b"\n"));
            }
        }
    }
    bytes
}

/// A folder with task files in `tasks` and beginnings of their data in `data`.
struct Folder {
    root: tempfile::TempDir,
    text: ModelTokenizer,
    library: TaskLibrary,
}

impl Folder {
    fn new() -> Outcome<Self> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir(root.path().join("tasks"))?;
        std::fs::create_dir(root.path().join("data"))?;
        std::fs::copy(golden("tasks/_mc_common_yaml"), root.path().join("tasks/_mc_common_yaml"))?;
        for (name, text) in files("data", "jsonl")? {
            std::fs::write(root.path().join("data").join(name), text)?;
        }
        Ok(Self { root, text: ModelTokenizer::load(golden("models/bos"))?, library: TaskLibrary::load(&[])? })
    }

    /// Loads and prepares the task file; what goes wrong, in words.
    fn problem(&self, file: &str) -> Result<(), String> {
        let path = self.root.path().join("tasks").join(file).display().to_string();
        let tasks = self.library.task(&path).map_err(|error| error.to_string())?;
        for task in tasks {
            PreparedTask::new(&task, &self.text, &Options::default()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// The golden files of a folder, but groups, by name; of data, the first lines.
fn files(folder: &str, extension: &str) -> Outcome<Vec<(String, String)>> {
    Ok(all_files(folder, extension)?.into_iter().filter(|(name, _)| !name.starts_with("g_group")).collect())
}

fn all_files(folder: &str, extension: &str) -> Outcome<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(golden(folder))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path)?;
            let most = if extension == "jsonl" { LINES } else { usize::MAX };
            files.push((name, text.split_inclusive('\n').take(most).collect()));
        }
    }
    files.sort();
    Ok(files)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn a_damaged_task_file_is_refused_by_name() -> Outcome {
    let folder = Folder::new()?;
    let path = folder.root.path().join("tasks/damaged.yaml");
    runner(400).run(&(select(files("tasks", "yaml")?), damages(YAML_LINES)), |((name, text), damages)| {
        std::fs::write(&path, damaged(&text, &damages))?;
        if let Err(problem) = folder.problem("damaged.yaml") {
            // The file and the one it includes lie in the folder; what a task makes of its documents names the task.
            let place = folder.root.path().display().to_string();
            prop_assert!(problem.contains(&place) || problem.contains("task `"), "{name}: {problem}");
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_damaged_group_file_is_refused_by_name() -> Outcome {
    let folder = Folder { library: TaskLibrary::load(&[golden("tasks")])?, ..Folder::new()? };
    let path = folder.root.path().join("tasks/damaged.yaml");
    let groups: Vec<(String, String)> =
        all_files("tasks", "yaml")?.into_iter().filter(|(name, _)| name.starts_with("g_group")).collect();
    runner(400).run(&(select(groups), damages(GROUP_LINES)), |((name, text), damages)| {
        std::fs::write(&path, damaged(&text, &damages))?;
        if let Err(problem) = folder.problem("damaged.yaml") {
            // A group's key may contradict one of a task's own, whose file is named then.
            let places = [&path.display().to_string(), "task `", "tests/golden/tasks/g_"];
            let named = places.iter().any(|place| problem.contains(*place));
            prop_assert!(named, "{name}: {problem}");
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn what_a_group_says_wrongly_is_found_in_the_groups_file() -> Outcome {
    let folder = Folder { library: TaskLibrary::load(&[golden("tasks")])?, ..Folder::new()? };
    let path = folder.root.path().join("tasks/group.yaml");
    for (text, part) in [
        ("group: g\ntask: [g_ll]\nnum.fewshott: 3\n", "unknown key `num.fewshott`"),
        ("group: g\ntask: [{task: g_ll, num_fewshot: -1}]\n", "`num_fewshot` should be a whole number"),
        ("group: g\ntask: [{group: h, task: [g_ll], output_type: x}]\n", "`output_type: x` is not supported"),
    ] {
        std::fs::write(&path, text)?;
        let problem = folder.problem("group.yaml").err().ok_or("no problem")?;
        let beginning = format!("{}: what this group says for its tasks is refused: ", path.display());
        assert!(problem.starts_with(&beginning) && problem.contains(part), "{problem}");
    }
    std::fs::write(&path, "group: g\ntask: [g_lll]\n")?;
    let problem = folder.problem("group.yaml").err().ok_or("no problem")?;
    assert!(problem.starts_with(&format!("{}: `task` holds `g_lll`, but", path.display())), "{problem}");
    Ok(())
}

#[test]
fn damaged_data_are_refused_with_their_file_or_document() -> Outcome {
    let folder = Folder::new()?;
    for (name, text) in files("tasks", "yaml")? {
        std::fs::write(folder.root.path().join("tasks").join(name), text)?;
    }
    runner(400).run(&(select(USES), damages(DATA_LINES)), |((task, data), damages)| {
        let path = folder.root.path().join("data").join(data);
        let whole = std::fs::read_to_string(&path)?;
        std::fs::write(&path, damaged(&whole, &damages))?;
        let outcome = folder.problem(task);
        std::fs::write(&path, whole)?;
        if let Err(problem) = outcome {
            prop_assert!(problem.contains(data) || problem.contains("task `g_"), "{task}, {data}: {problem}");
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn undamaged_files_load() -> Outcome {
    let folder = Folder::new()?;
    for name in ["g_mc_basic.yaml", "g_gen.yaml", "g_ll.yaml", "g_roll.yaml", "g_wino.yaml", "g_binary.yaml"] {
        std::fs::copy(golden("tasks").join(name), folder.root.path().join("tasks").join(name))?;
        folder.problem(name).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}
