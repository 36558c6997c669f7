//! Models whose tokenizer is a `tokenizer.model` alone: the ids of the `sentencepiece` package.
//!
//! `golden/sentencepiece/`: sentencepiece 0.2; made by `golden/sentencepiece/make.py`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
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

/// The lines of which our ids, or the text that they become again, differ from sentencepiece's, each with both.
fn differing(folder: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let tokenizer = ModelTokenizer::load(folder)?;
    let mut differing = Vec::new();
    for Line { text, ids, decoded } in lines(folder)? {
        let ours = tokenizer.encode_plain(&text)?;
        if ours != ids {
            differing.push(format!("{text:?}: {ours:?}, not {ids:?}"));
        }
        // sentencepiece shows what is unknown as ` ⁇ `, we leave it out as a special token. A model that removes spaces
        // also loses those of a text that begins with `▁`.
        let (again, expected) = (tokenizer.decode(&ids)?, decoded.replace(" ⁇ ", ""));
        let trimmed = folder.ends_with("unigram") && again.trim_start() == expected.trim_start();
        if again != expected && !trimmed {
            differing.push(format!("{ids:?} become {again:?}, not {expected:?}"));
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

/// A copy of the BPE model with other settings beside it.
fn with_settings(
    settings: &[(&str, Value)],
) -> Result<(tempfile::TempDir, ModelTokenizer), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(golden("bpe/tokenizer.model"), folder.path().join("tokenizer.model"))?;
    for (name, content) in settings {
        std::fs::write(folder.path().join(name), content.to_string())?;
    }
    let tokenizer = ModelTokenizer::load(folder.path())?;
    Ok((folder, tokenizer))
}

#[test]
fn begin_and_end_tokens_are_the_models_own_or_those_of_its_settings() -> Outcome {
    let (_folder, tokenizer) = with_settings(&[])?;
    let text = tokenizer.encode_plain("ta")?;
    assert_eq!((tokenizer.prefix_token(), tokenizer.eos()), (1, Some((2, "</s>"))));
    assert_eq!(tokenizer.encode("ta")?, [&[1], &*text].concat(), "Llama's habit");
    let settings = json!({"add_bos_token": false, "add_eos_token": true, "eos_token": {"content": "<s>"}});
    let (_folder, tokenizer) = with_settings(&[("tokenizer_config.json", settings)])?;
    assert_eq!(tokenizer.encode("ta")?, [&*text, &[1]].concat());
    Ok(())
}

#[test]
fn added_tokens_are_found_in_a_text() -> Outcome {
    let added = ("added_tokens.json", json!({"[PAD]": 1200}));
    let (_folder, tokenizer) = with_settings(&[added])?;
    let [ta, ka] = ["ta", "ka"].map(|text| tokenizer.encode_plain(text).unwrap_or_default());
    assert_eq!(tokenizer.encode_plain("ta[PAD]ka</s>")?, [&*ta, &[1200], &*ka, &[2]].concat(), "prefix behind each");
    let decoder = json!({"1200": {"content": "[PAD]", "special": true}, "2": {"content": "<end>", "special": true}});
    let settings = json!({"added_tokens_decoder": decoder, "legacy": false, "eos_token": "<end>"});
    let (_folder, tokenizer) = with_settings(&[("tokenizer_config.json", settings)])?;
    let ids = tokenizer.encode_plain("ta[PAD] ka<end>")?;
    assert_eq!(ids, [&*ta, &[1200], &*ka, &[2]].concat(), "no prefix behind them, and a token that was renamed");
    assert_eq!(tokenizer.encode_plain(" ta")?.len(), ta.len() + 1, "the beginning has one, before a space too");
    assert_eq!((tokenizer.eos(), tokenizer.decode(&ids)?), (Some((2, "<end>")), "ta ka".to_owned()));
    Ok(())
}

#[test]
fn a_folder_without_a_tokenizer_or_with_a_damaged_one_is_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let message = || ModelTokenizer::load(folder.path()).err().map_or_else(String::new, |error| error.to_string());
    assert!(message().contains("there is neither a tokenizer.json nor a tokenizer.model"), "{}", message());
    let model = std::fs::read(golden("bpe/tokenizer.model"))?;
    std::fs::write(folder.path().join("tokenizer.model"), &model[..model.len() / 2])?;
    assert!(message().contains("tokenizer.model: the tokenizer is no SentencePiece model"), "{}", message());
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
