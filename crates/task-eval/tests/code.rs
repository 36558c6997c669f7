//! Tasks that run what a model writes: MBPP and HumanEval, and programs that want out of their sandbox.
//!
//! The sandbox is bubblewrap: where it is not, these tests fail (`apt-get install bubblewrap`). They hold on Linux.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use task_eval::{
    CodeExecution, GenerateRequest, LanguageModel, ModelError, ModelTokenizer, Options, PreparedTask, Score,
    ScoreRequest, TaskConfig, TaskLibrary,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn tokenizer() -> Outcome<ModelTokenizer> {
    Ok(ModelTokenizer::load(golden("models/bos"))?)
}

/// Writes to each prompt the text of its place.
struct Parrot(Vec<Vec<u32>>);

impl Parrot {
    fn of(texts: &[&str]) -> Outcome<Self> {
        let tokenizer = tokenizer()?;
        Ok(Self(texts.iter().map(|text| tokenizer.encode_plain(text)).collect::<Result<_, _>>()?))
    }
}

impl LanguageModel for Parrot {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Err("this model only writes".into())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        if requests.len() == self.0.len() { Ok(self.0.clone()) } else { Err("another number of prompts".into()) }
    }
}

fn allowed(sandbox: Option<&str>) -> Options {
    let code_execution = Some(CodeExecution { sandbox: sandbox.map(str::to_owned) });
    Options { code_execution, max_length: Some(8192), ..Options::default() }
}

fn write(root: &Path, file: &str, rows: &[Value]) -> Outcome {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    Ok(std::fs::write(path, lines)?)
}

/// A task of our own whose programs stand in its documents: the prompt is not needed. `pass_at_1` of each.
fn passes(programs: &[&str], options: &Options) -> Outcome<Vec<bool>> {
    let root = tempfile::tempdir()?;
    let rows: Vec<Value> = programs.iter().map(|program| json!({"q": "x", "a": program})).collect();
    write(root.path(), "data.jsonl", &rows)?;
    let task = programs_task(root.path(), "metric_list: [{metric: pass_at_1}]")?;
    let prepared = PreparedTask::new(&task, &tokenizer()?, options)?;
    let result = prepared.evaluate(&mut Parrot(vec![Vec::new(); programs.len()]))?;
    Ok(result.documents.iter().map(|document| document.metric("pass_at_1,none") == Some(1.0)).collect())
}

fn programs_task(root: &Path, keys: &str) -> Outcome<TaskConfig> {
    let task = format!(
        "task: programs\noutput_type: generate_until\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
         dataset_path: json\ndataset_kwargs: {{data_files: {{test: data.jsonl}}}}\n{keys}\n"
    );
    std::fs::write(root.join("programs.yaml"), task)?;
    Ok(TaskLibrary::load(&[root.to_owned()])?.task("programs")?.remove(0))
}

#[test]
fn a_program_passes_if_it_ends_without_an_error() -> Outcome {
    let programs = [
        "assert 1 + 1 == 2",
        "assert 1 + 1 == 3",
        "def",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "import math, re, heapq, collections, itertools\nassert math.sqrt(4) == 2",
        "print('x' * 100)\ninput",
        "input()",
        "raise KeyboardInterrupt",
        "assert '\u{20ac}\u{1f600}\\\\' == chr(8364) + chr(0x1f600) + chr(92)",
        "if __name__ == '__main__':\n    raise ValueError",
        "import ctypes; ctypes.string_at(0)",
    ];
    let expected = [true, false, false, false, false, true, true, false, false, true, true, false];
    assert_eq!(passes(&programs, &allowed(None))?, expected);
    Ok(())
}

/// Each program passes if its way out is closed.
#[test]
fn nothing_is_reached_from_inside() -> Outcome {
    let closed = |attempt: &str| {
        let lines: String = attempt.lines().map(|line| format!("    {line}\n")).collect();
        format!("try:\n{lines}except (OSError, MemoryError, BlockingIOError):\n    pass\nelse:\n    raise SystemExit\n")
    };
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let attempts = [
        ("the network", closed("import socket\nsocket.create_connection(('1.1.1.1', 53), 2)")),
        ("the host's loopback", closed("import socket\nsocket.create_connection(('127.0.0.1', 22), 2)")),
        ("names of the network", closed("import socket\nsocket.getaddrinfo('example.com', 80)")),
        ("writing to the root", closed("open('/x', 'w')")),
        ("writing to /usr", closed("open('/usr/x', 'w')")),
        ("writing to /dev/shm", closed("open('/dev/shm/x', 'w')")),
        ("writing to /var/tmp", closed("open('/var/tmp/x', 'w')")),
        ("the home", closed(&format!("import os\nos.listdir({home:?})"))),
        ("the password file", closed("open('/etc/passwd')")),
        ("a large file", closed("open('/tmp/x', 'wb').write(bytes(80 << 20))")),
        ("many files", closed("for n in range(40):\n    open(f'/tmp/{n}', 'wb').write(bytes(4 << 20))")),
        ("memory", closed("bytearray(2 << 30)")),
        ("other processes", "import os\nassert len([p for p in os.listdir('/proc') if p.isdigit()]) <= 3".to_owned()),
        ("another namespace", closed("import ctypes, os\nif ctypes.CDLL(None).unshare(0x10000000): raise OSError")),
        ("becoming root", closed("import os\nos.setuid(0); os.mkdir('/x')")),
        (
            "secrets in the environment",
            "import os\nkept = {'PATH', 'HOME', 'LANG', 'PWD', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'LC_CTYPE'}\n\
             assert set(os.environ) <= kept, os.environ\n\
             for process in [p for p in os.listdir('/proc') if p.isdigit()]:\n\
             \x20   try: text = open(f'/proc/{process}/environ').read()\n\
             \x20   except OSError: continue\n\
             \x20   assert all(part.split('=')[0] in kept for part in text.split(chr(0)) if part), text"
                .to_owned(),
        ),
    ];
    let programs: Vec<&str> = attempts.iter().map(|(_, program)| program.as_str()).collect();
    let found = passes(&programs, &allowed(None))?;
    for ((name, program), closed) in attempts.iter().zip(found) {
        assert!(closed, "{name} is open:\n{program}");
    }
    Ok(())
}

/// Programs that never end by themselves, or leave others behind: all are over in time, and the next one runs.
#[test]
fn what_does_not_end_is_ended() -> Outcome {
    let programs = [
        "while True: pass",
        "import time\nwhile True: time.sleep(1000)",
        "while True: print('x' * 4096)",
        "import os\nwhile True:\n    for n in range(3, 64):\n        try: os.write(n, b'x' * 4096)\n        \
         except OSError: pass",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(1000,)).start()",
        "import signal, time\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, \
         ValueError): pass\nwhile True: time.sleep(1)",
        "x = []\nwhile True: x.append(bytearray(1 << 24))",
        // Leaves a process of this name behind; passes if it cannot.
        "import os, time\nchild = os.fork()\nif child == 0:\n    os.setsid()\n    \
         open('/proc/self/comm', 'w').write('tailor-left')\n    time.sleep(1000)\ntime.sleep(1)\n\
         if open(f'/proc/{child}/comm').read().strip() == 'tailor-left': raise SystemExit",
        "def f(): return f()\nf()",
    ];
    let start = Instant::now();
    assert_eq!(passes(&programs, &allowed(None))?, vec![false; programs.len()]);
    // Ten seconds each, at worst one after the other.
    assert!(start.elapsed() < Duration::from_secs(10 * programs.len() as u64 + 20), "{:?}", start.elapsed());
    let names = std::fs::read_dir("/proc")?
        .filter_map(|process| std::fs::read_to_string(process.ok()?.path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.trim() == "tailor-left").count(), 0, "processes that outlive their sandbox");
    assert_eq!(passes(&["assert True"], &allowed(None))?, [true]);
    Ok(())
}

#[test]
fn without_leave_the_task_is_refused_before_its_data_are_read() -> Outcome {
    for (name, metric) in [("mbpp", "pass_at_1"), ("humaneval", "pass@1")] {
        let task = TaskLibrary::load(&[])?.task(name)?.remove(0);
        let error = PreparedTask::new(&task, &tokenizer()?, &Options::default()).unwrap_err().to_string();
        for part in [name, metric, "--allow-code-execution"] {
            assert!(error.contains(part), "{error}");
        }
    }
    Ok(())
}

#[test]
fn a_command_that_is_no_sandbox_is_refused() -> Outcome {
    let root = tempfile::tempdir()?;
    write(root.path(), "data.jsonl", &[json!({"q": "x", "a": "pass"})])?;
    let task = programs_task(root.path(), "metric_list: [{metric: pass_at_1}]")?;
    for (command, part) in [
        ("python3 -I -", "`python3 -I -` is no sandbox: a program in it "),
        ("cat", "the sandbox `cat` does not run Python: it says nothing"),
        ("no-such-container-program run", "the sandbox `no-such-container-program run` fails: No such file"),
        ("  ", "the sandbox's command is empty"),
    ] {
        let error = PreparedTask::new(&task, &tokenizer()?, &allowed(Some(command))).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(error.contains("docker run") || part.contains("No such file"), "{error}");
    }
    Ok(())
}

/// A container command: bubblewrap again, as users would write it into a script of their own.
#[test]
fn a_container_command_runs_programs_as_well() -> Outcome {
    let command = "bwrap --unshare-all --ro-bind /usr /usr --ro-bind-try /bin /bin --ro-bind-try /lib /lib \
                   --ro-bind-try /lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp --remount-ro / --setenv HOME /tmp \
                   --setenv PATH /usr/bin:/bin --chdir /tmp python3 -I -";
    assert_eq!(passes(&["assert True", "assert False"], &allowed(Some(command)))?, [true, false]);
    Ok(())
}

#[test]
fn mbpp_and_humaneval_are_scored_as_in_the_harness() -> Outcome {
    let (root, library, tokenizer) = (tempfile::tempdir()?, TaskLibrary::load(&[])?, tokenizer()?);
    let options = Options { data_root: root.path().to_owned(), ..allowed(None) };
    let tests = ["assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(0, 0) == 0"];
    let row = json!({"task_id": 11, "text": "Write a function to add.", "code": "", "test_list": tests});
    write(root.path(), "google-research-datasets/mbpp/full/test.jsonl", &[row.clone(), row])?;
    let mbpp = PreparedTask::new(&library.task("mbpp")?[0], &tokenizer, &options)?;
    let mut model =
        Parrot::of(&["def add(a, b):\n    return a + b\n[DONE]\nThis is more.", "def add(a, b): return 3"])?;
    let result = mbpp.evaluate(&mut model)?;
    assert_eq!(result.metric("pass_at_1,none").map(|metric| metric.value), Some(0.5));
    let prompt = mbpp.samples(&result)?[0]["arguments"]["gen_args_0"]["arg_0"].clone();
    let prompt = prompt.as_str().ok_or("no prompt")?;
    assert_eq!(prompt.matches("[BEGIN]").count(), 4, "three shots and the question");

    let row = json!({
        "task_id": "HumanEval/0", "prompt": "def add(a, b):\n    \"\"\"Adds.\"\"\"\n", "entry_point": "add",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    });
    write(root.path(), "openai/openai_humaneval/test.jsonl", &[row.clone(), row.clone(), row])?;
    // The searches' wording of MBPP, whose answers say more than the program.
    let custom = PreparedTask::new(&library.task("mbpp_custom")?[0], &tokenizer, &options)?;
    let answer = "Sure:\n```python\ndef add(a, b):\n\treturn a + b\n```\nIt adds.";
    let result = custom.evaluate(&mut Parrot::of(&[answer, answer])?)?;
    assert_eq!(result.metric("pass_at_1,none").map(|metric| metric.value), Some(1.0));
    let prompt = custom.samples(&result)?[0]["arguments"]["gen_args_0"]["arg_0"].clone();
    let end = "### Instruction:\nCreate a Python script for this problem:\n\nWrite a function to add.\nTest examples:\n\
               assert add(1, 2) == 3\nassert add(2, 2) == 4\nassert add(0, 0) == 0\n\n### Response:";
    assert!(prompt.as_str().is_some_and(|prompt| prompt.ends_with(end)), "{prompt}");

    let humaneval = PreparedTask::new(&library.task("humaneval")?[0], &tokenizer, &options)?;
    let mut model = Parrot::of(&["    return a + b\ndef other():", "    return 4\n", "  syntax"])?;
    let result = humaneval.evaluate(&mut model)?;
    let pass = result.metric("pass@1,create_test").ok_or("no pass@1")?;
    assert!((pass.value - 1.0 / 3.0).abs() < 1e-12 && pass.higher_is_better);
    let sample = &humaneval.samples(&result)?[0];
    let program = "def add(a, b):\n    \"\"\"Adds.\"\"\"\n    return a + b";
    assert_eq!(sample["filtered_resps"], json!([[program]]));
    assert_eq!(humaneval.reported_metrics(), [("pass@1,create_test".to_owned(), true)]);
    Ok(())
}

#[test]
fn as_many_repeats_as_programs_are_tried_are_needed() -> Outcome {
    let root = tempfile::tempdir()?;
    write(
        root.path(),
        "openai/openai_humaneval/test.jsonl",
        &[json!({"prompt": "", "test": "pass", "entry_point": "str"})],
    )?;
    let task = TaskLibrary::load(&[])?.task("humaneval")?.remove(0);
    let options = Options { data_root: root.path().to_owned(), ..allowed(None) };
    for (repeats, outcome) in [(10, None), (9, Some("`pass@10` needs 10 answers, but gets 9"))] {
        let keys = json!({"repeats": repeats, "metric_list": [{"metric": "pass_at_k", "k": [10]}]});
        let task = task.with_overrides(keys.as_object().ok_or("no object")?)?;
        let prepared = PreparedTask::new(&task, &tokenizer()?, &options)?;
        match (prepared.evaluate(&mut Parrot(vec![Vec::new()])), outcome) {
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => assert!(found?.metric("pass@10").is_some()),
        }
    }
    Ok(())
}
