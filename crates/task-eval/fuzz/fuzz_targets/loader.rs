//! Task files, what they include, groups and data, all damaged: each is loaded, prepared and evaluated, or refused
//! with an error that names the file or the task.
//!
//! An input is a folder as text. A line `=== NAME` begins a file; the first one is what is asked for.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use task_eval::{
    ChatOptions, Error, GenerateRequest, LanguageModel, Limit, ModelError, ModelTokenizer, Options, PreparedTask,
    Score, ScoreRequest, TaskLibrary,
};

/// The files that an input may have.
const NAMES: [&str; 6] = ["main.yaml", "other.yaml", "_template_yaml", "data.jsonl", "data.csv", "utils.py"];

struct Setting {
    /// Holds the files of the current input.
    folder: tempfile::TempDir,
    library: TaskLibrary,
    tokenizer: ModelTokenizer,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    Setting {
        folder: tempfile::tempdir().expect("a folder for the files"),
        library: TaskLibrary::load(&[golden.join("tasks")]).expect("the golden tasks"),
        tokenizer: ModelTokenizer::load(golden.join("models/bos"))
            .expect("the golden tokenizer")
            .with_chat_template("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"),
    }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(main) = write(input) else { return Corpus::Reject };
    if let Err(error) = run(main) {
        check(&error.to_string());
    }
    Corpus::Keep
});

/// Writes the input's files, removes all others, and names the first.
fn write(input: &[u8]) -> Option<&'static str> {
    let folder = SETTING.folder.path();
    let parts: Vec<(&'static str, &[u8])> = parts(input);
    for name in NAMES {
        let path = folder.join(name);
        match parts.iter().find(|(other, _)| *other == name) {
            Some((_, content)) => std::fs::write(path, content).expect("a file that can be written"),
            None => drop(std::fs::remove_file(path)),
        }
    }
    parts.first().map(|(name, _)| *name).filter(|name| name.ends_with(".yaml"))
}

/// The files of an input, each by its name; what stands before the first mark belongs to none.
fn parts(input: &[u8]) -> Vec<(&'static str, &[u8])> {
    const MARK: &[u8] = b"=== ";
    let (mut parts, mut begun, mut place) = (Vec::new(), None, 0);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let named = line.strip_prefix(MARK).map(<[u8]>::trim_ascii);
        if let Some(name) = NAMES.into_iter().find(|name| named == Some(name.as_bytes())) {
            parts.extend(begun.map(|(name, start)| (name, &input[start..place])));
            begun = Some((name, place + line.len()));
        }
        place += line.len();
    }
    parts.extend(begun.map(|(name, start)| (name, &input[start..])));
    parts
}

fn run(main: &str) -> Result<(), Error> {
    let Setting { folder, library, tokenizer } = &*SETTING;
    let selection = library.select(&[folder.path().join(main).display().to_string()])?;
    for task in selection.tasks.iter().take(3) {
        for chat in [None, Some(ChatOptions::default())] {
            let data_root = folder.path().to_owned();
            let hub_cache = Some(data_root.clone());
            let limit = Some(Limit::Count(2));
            let options = Options { chat, limit, data_root, hub_cache, bootstrap_iterations: 2, ..Options::default() };
            let prepared = PreparedTask::new(task, tokenizer, &options)?;
            let result = prepared.evaluate(&mut Uniform)?;
            prepared.samples(&result)?;
        }
    }
    Ok(())
}

/// An error says which file or which task. A key of a group may contradict one of a task, or be a template, which is
/// parsed when its task is prepared: the task's file is the one that is named then.
fn check(problem: &str) {
    let place = SETTING.folder.path().display().to_string();
    let named =
        [place.as_str(), "task `", "tests/golden/tasks/", "<task-eval>"].iter().any(|part| problem.contains(part));
    assert!(named, "neither file nor task: {problem}");
}

/// Finds every continuation equally likely, and writes the same tokens as each answer.
struct Uniform;

impl LanguageModel for Uniform {
    fn max_length(&self) -> usize {
        2048
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(requests.iter().map(|_| Score { log_likelihood: -1.0, greedy: false }).collect())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(requests.iter().map(|_| (10..30).collect()).collect())
    }
}
