//! `pytorch_model.bin`: the same tensors as safetensors, whatever form torch wrote, and nothing but tensors.
//!
//! `golden/pickles/`: torch 2.15; made by `golden/pickles/make.py`.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layer_ir::{Checkpoint, Error, PickleError};
use serde_json::json;
use support::{Outcome, config};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pickles").join(name)
}

/// Compares a model in every form with its safetensors, byte for byte.
fn assert_all_forms_are_equal(folder: &Path) -> Outcome {
    let expected = Checkpoint::open(folder.join("safetensors"))?;
    for form in ["zip", "old", "sharded", "views"] {
        let opened = Checkpoint::open(folder.join(form))?;
        assert_eq!(opened.tensor_names().count(), expected.tensor_names().count(), "{form}");
        for name in expected.tensor_names() {
            let (ours, theirs) = (opened.tensor(name)?, expected.tensor(name)?);
            assert_eq!((ours.dtype, &ours.shape), (theirs.dtype, &theirs.shape), "{form}: {name}");
            assert!(ours.data == theirs.data, "{form}: {name} has other numbers");
            let mut read = vec![0; ours.data.len()];
            ours.read(0, &mut read)?;
            assert!(read == theirs.data, "{form}: {name} is read from the wrong place of the file");
        }
    }
    Ok(())
}

#[test]
fn only_numbers_in_another_order_are_read_when_a_file_is_opened() -> Outcome {
    let model = Checkpoint::open(golden("views"))?;
    let in_memory = |name: &str| model.tensor(name).is_ok_and(|tensor| tensor.opened.is_none());
    // Every third tensor is stored column by column (`make.py`); vectors have one order only.
    let turned: Vec<&str> = model.tensor_names().skip(2).step_by(3).filter(|name| !name.contains("norm")).collect();
    assert_eq!(model.tensor_names().filter(|name| in_memory(name)).collect::<Vec<_>>(), turned);
    Ok(())
}

#[test]
fn every_form_has_the_tensors_of_the_safetensors() -> Outcome {
    assert_all_forms_are_equal(&golden(""))
}

#[test]
fn safetensors_go_before_pickles() -> Outcome {
    let folder = tempfile::tempdir()?;
    for (form, file) in
        [("safetensors", "config.json"), ("safetensors", "model.safetensors"), ("zip", "pytorch_model.bin")]
    {
        std::fs::copy(golden(form).join(file), folder.path().join(file))?;
    }
    let norm = Checkpoint::open(folder.path())?.tensor("model.norm.weight")?;
    assert!(norm.file.ends_with("model.safetensors"));
    Ok(())
}

/// What opening a folder with this file as its weights says.
fn message(file: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(golden("zip/config.json"), folder.path().join("config.json"))?;
    std::fs::copy(file, folder.path().join("pytorch_model.bin"))?;
    Ok(Checkpoint::open(folder.path()).err().map_or_else(String::new, |error| error.to_string()))
}

#[test]
fn what_is_no_dictionary_of_tensors_is_refused_by_name() -> Outcome {
    let cases = [
        ("command.bin", "it asks for `posix.system`"),
        ("command-old.bin", "it asks for `posix.system`"),
        ("eval.bin", "it asks for `builtins.eval`"),
        ("nested.bin", "`state_dict` is a dictionary, not a tensor; save the model's state_dict() alone"),
        ("list.bin", "it holds a list, not a dictionary of tensors"),
        ("number.bin", "`epoch` is a number, not a tensor"),
        ("double.bin", "tensor `model.norm.weight` is stored as float64; only bf16, f16 and f32"),
        ("expanded.bin", "tensor `model.norm.weight` is a view with strides [0] that repeats numbers"),
        ("sparse.bin", "it asks for `torch._utils._rebuild_sparse_tensor`"),
        ("module.bin", "it asks for `torch.nn.modules.linear.Linear`"),
        ("pickle.bin", "not a file of torch.save"),
        ("compressed.bin", "is compressed in the zip archive"),
    ];
    for (file, expected) in cases {
        let message = message(&golden("refused").join(file))?;
        assert!(message.contains("pytorch_model.bin: ") && message.contains(expected), "{file}: {message}");
    }
    Ok(())
}

#[test]
fn a_file_that_was_cut_off_is_named_wherever_the_cut_is() -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::copy(golden("zip/config.json"), folder.path().join("config.json"))?;
    let weights = folder.path().join("pytorch_model.bin");
    for form in ["zip", "old"] {
        let whole = std::fs::read(golden(form).join("pytorch_model.bin"))?;
        for length in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
            std::fs::write(&weights, &whole[..length])?;
            match Checkpoint::open(folder.path()) {
                Err(Error::Pickle { file, source }) => {
                    let advice = source.to_string().contains("download or copy");
                    assert!(file == weights && advice, "{form} {length}: {source}");
                }
                other => panic!("{form} cut off at {length}: {other:?}"),
            }
        }
    }
    Ok(())
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named_with_its_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    let changed = config(json!({"num_hidden_layers": 2, "vocab_size": 11}));
    std::fs::write(folder.path().join("config.json"), changed.to_string())?;
    std::fs::copy(golden("zip/pytorch_model.bin"), folder.path().join("pytorch_model.bin"))?;
    let error = Checkpoint::open(folder.path()).err().map_or_else(String::new, |error| error.to_string());
    let expected = "pytorch_model.bin: tensor `model.embed_tokens.weight` has shape [10, 8], the config says [11, 8]";
    assert!(error.contains(expected), "{error}");
    Ok(())
}

#[test]
fn a_folder_without_weights_says_what_it_has_instead() -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("config.json"), config(json!({})).to_string())?;
    let message = || Checkpoint::open(folder.path()).err().map_or_else(String::new, |error| error.to_string());
    assert!(message().ends_with("no file in it looks like weights"), "{}", message());
    for file in ["tf_model.h5", "model-q4.gguf", "README.md"] {
        std::fs::write(folder.path().join(file), "")?;
    }
    assert!(message().ends_with("what is there cannot be read: model-q4.gguf, tf_model.h5"), "{}", message());
    Ok(())
}

/// Small files whose pickles would take much memory or time if nothing were counted.
#[test]
fn pickles_that_grow_without_end_are_stopped() -> Outcome {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let repeated = |what: &[u8], before: &[u8]| [magic, before, &what.repeat(4_000_000 / what.len())].concat();
    let cases = [
        ("lists", repeated(b"]", b"")),
        ("nested lists", repeated(b"]a", b"]]")),
        ("tuples", repeated(b"\x85", b")")),
        ("texts that are remembered", repeated(b"N\x94", b"")),
        ("marks", repeated(b"(", b"")),
        ("copies", repeated(b"2", b"]")),
    ];
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pytorch_model.bin");
    for (what, bytes) in cases {
        std::fs::write(&file, bytes)?;
        let message = message(&file)?;
        assert!(message.contains("it has more than 2097152 instructions"), "{what}: {message}");
        assert_memory(what);
    }
    Ok(())
}

/// The most memory that the process ever had, where the system tells, is at most 256 MiB.
fn assert_memory(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    assert!(peak.is_none_or(|kib: u64| kib <= 256 << 10), "{what}: {peak:?} KiB of memory");
}

/// Mutated files never panic, hang or take more than 256 MiB. As many as `TAILOR_MUTATIONS` says, or 20,000:
/// `TAILOR_MUTATIONS=1000000 cargo test --release -p layer-ir --test pickles mutated`.
#[test]
fn mutated_files_are_read_or_refused() -> Outcome {
    let count = std::env::var("TAILOR_MUTATIONS").ok().map_or(Ok(20_000), |count| count.parse::<u64>())?;
    let mut seeds = Vec::new();
    for file in ["zip/pytorch_model.bin", "old/pytorch_model.bin", "views/pytorch_model.bin", "refused/command.bin"] {
        seeds.push(std::fs::read(golden(file))?);
    }
    // In memory where there is such a folder: a disk would take a hundred times as long.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    std::fs::copy(golden("zip/config.json"), folder.path().join("config.json"))?;
    let weights = folder.path().join("pytorch_model.bin");
    let (mut random, mut opened, mut refused) = (Random(22), 0_u64, 0_u64);
    for number in 0..count {
        let mutated = random.mutated(&seeds);
        std::fs::write(&weights, &mutated)?;
        let start = Instant::now();
        match Checkpoint::open(folder.path()) {
            Ok(model) => {
                opened += 1;
                for name in model.tensor_names() {
                    assert_eq!(model.tensor(name)?.to_f32().len(), model.tensor(name)?.elements(), "{number}: {name}");
                }
            }
            Err(Error::Pickle { source, .. }) => {
                refused += 1;
                assert!(!matches!(*source, PickleError::TooMany { .. }), "{number}: {source}");
            }
            Err(_) => {}
        }
        assert!(start.elapsed() < Duration::from_secs(2), "file {number} took {:?}", start.elapsed());
    }
    assert_memory("mutated files");
    assert!(opened > count / 100 && refused > count / 10, "{opened} opened, {refused} refused of {count}");
    Ok(())
}

/// A generator of random numbers: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// One of some files with one to four changes.
    fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        // Pickle and directory are the smaller parts of a file: half of the changes go there.
        let at = match self.below(4) {
            0 => self.below(bytes.len().min(4000)),
            1 => bytes.len() - 1 - self.below(bytes.len().min(2500)),
            _ => self.below(bytes.len()),
        };
        let length = self.below(16).min(bytes.len() - at);
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 => bytes[at..at + length].fill([0, 0xff, 0x7f, 0x80][self.below(4)]),
            3 => bytes.truncate(at + 1),
            4 => drop(bytes.drain(at..at + length.min(bytes.len() - at - 1))),
            5 => {
                let copied = bytes[at..at + length].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, copied);
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                let copied = &other[from..(from + 64).min(other.len())];
                bytes.splice(at..at, copied.iter().copied());
            }
            _ => {
                // An instruction of pickles, or a number, in place of another.
                const OPCODES: &[u8] = b"(.01NKMJX)]}aestuRbQqhrjc\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95";
                bytes[at] = OPCODES[self.below(OPCODES.len())];
            }
        }
    }
}

/// A real model in every form: `make.py MODEL OUT`, then `TAILOR_PICKLES=OUT`.
#[test]
#[ignore = "needs a folder that torch writes; see above"]
fn a_model_of_your_own_is_equal_in_every_form() -> Outcome {
    assert_all_forms_are_equal(Path::new(&std::env::var("TAILOR_PICKLES")?))
}
