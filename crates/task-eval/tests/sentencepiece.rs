//! Models whose tokenizer is a `tokenizer.model` alone: the ids of the `sentencepiece` package.
//!
//! `golden/sentencepiece/`: sentencepiece 0.2; made by `golden/sentencepiece/make.py`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use task_eval::ModelTokenizer;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sentencepiece").join(name)
}

/// A line, what sentencepiece makes of it, and what it makes of that.
#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

/// The lines of a model's folder.
fn lines(folder: &Path) -> Result<Vec<Line>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(folder.join("lines.jsonl"))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The lines of which our ids differ from sentencepiece's, each with both.
fn differing(folder: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let tokenizer = ModelTokenizer::load(folder)?;
    let mut differing = Vec::new();
    for Line { text, ids, .. } in lines(folder)? {
        let ours = tokenizer.encode_plain(&text)?;
        if ours != ids {
            let pieces = |ids: &[u32]| ids.iter().map(|id| tokenizer.decode(&[*id])).collect::<Result<Vec<_>, _>>();
            differing.push(format!("{text:?}: {ours:?}, not {ids:?}: {:?}, not {:?}", pieces(&ours)?, pieces(&ids)?));
        }
    }
    Ok(differing)
}

#[test]
fn ids_are_those_of_sentencepiece() -> Outcome {
    for model in ["bpe", "unigram", "user-defined"] {
        let differing = differing(&golden(model))?;
        assert!(differing.is_empty(), "{model}: {} lines differ:\n{}", differing.len(), differing.join("\n"));
    }
    Ok(())
}

/// `make.py OUT LINES`, then `TAILOR_SENTENCEPIECE=OUT`: prints how many lines of each model differ, and some of them.
#[test]
#[ignore = "needs a folder that the sentencepiece package writes; see above"]
fn ids_of_many_lines() -> Outcome {
    let folder = PathBuf::from(std::env::var("TAILOR_SENTENCEPIECE")?);
    for model in ["bpe", "unigram", "user-defined"] {
        let folder = folder.join(model);
        let (differing, lines) = (differing(&folder)?, lines(&folder)?.len());
        println!("{model}: {} of {lines} lines differ\n{}", differing.len(), differing.join("\n"));
    }
    Ok(())
}
