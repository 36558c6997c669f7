//! A model whose tokenizer is a `tokenizer.model` alone: its tokens, and the `tokenizer.json` that is written for it.
//! How texts are cut is tested in `task-eval`, against the `sentencepiece` package.

mod support;

use std::path::Path;

use layer_ir::{Align, Family, Recipe, RowOf, TokenRow, Tokens, Vocabulary, convert_tokenizer, tokenizer_files};
use serde_json::{Value, json};
use support::{METHODS, Outcome, config, shapes};

/// A field of a protocol buffer that has a length below 128.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

/// A piece with score and role (1 normal, 2 unknown, 3 control, 4 user-defined).
fn piece(text: &str, score: f32, role: u8) -> Vec<u8> {
    field(1, &[field(1, text.as_bytes()), [&[0x15], &score.to_le_bytes()[..]].concat(), vec![0x18, role]].concat())
}

/// A BPE model of five pieces; `trainer` are fields of its settings that follow.
fn bpe(trainer: &[u8]) -> Vec<u8> {
    let pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("▁a", -1.0, 1), ("▁", -2.0, 1), ("a", -3.0, 1)];
    let pieces = pieces.into_iter().flat_map(|(text, score, role)| piece(text, score, role));
    pieces.chain(field(2, &[&[0x18, 2], trainer].concat())).collect()
}

/// The tiny Llama of five rows with a tokenizer of these files.
fn model(folder: &Path, files: &[(&str, Vec<u8>)]) -> Outcome {
    support::model(folder, &config(json!({})), &shapes(), safetensors::Dtype::F32)?;
    for (name, content) in files {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(())
}

#[test]
fn the_tokenizer_json_has_the_tokens_of_the_model_and_of_the_files_beside_it() -> Outcome {
    /// Text, id, and whether it is special.
    type Known = Vec<(String, usize, bool)>;
    let folder = tempfile::tempdir()?;
    let (ours, written) = (folder.path().join("ours"), folder.path().join("written"));
    let added = json!({"[PAD]": 5}).to_string().into_bytes();
    model(&ours, &[("tokenizer.model", bpe(b"")), ("added_tokens.json", added)])?;
    let made = convert_tokenizer(&ours)?.ok_or("nothing was made")?;
    assert_eq!((made.bos.as_deref(), made.eos, made.unk.as_deref()), (Some("<s>"), None, Some("<unk>")));
    assert_eq!(made.json["model"]["merges"], json!(["▁ a"]));
    model(&written, &[("tokenizer.json", serde_json::to_vec(&made.json)?)])?;
    let tokens = |folder: &Path| -> Result<Known, Box<dyn std::error::Error>> {
        let tokens = Tokens::read(folder)?.ok_or("no tokenizer")?;
        let special = |token: &str| tokens.added_token(token).is_some_and(|token| token.flags["special"] == true);
        Ok(tokens.iter().map(|(token, id)| (token.to_owned(), id, special(token))).collect())
    };
    assert_eq!(tokens(&ours)?, tokens(&written)?);
    let special: Vec<_> = tokens(&ours)?.into_iter().filter(|token| token.2).map(|token| token.0).collect();
    assert_eq!(special, ["<unk>", "<s>"]);
    Ok(())
}

/// The tokenizer's files of a recipe, parsed.
fn files(folder: &Path, vocabulary: Option<Vocabulary>) -> Result<Value, Box<dyn std::error::Error>> {
    let models = ["base", "math"].map(|name| (name.to_owned(), folder.join(name))).into();
    let family = Family::open_to_align(&models, "base")?;
    let mut recipe = Recipe::of_base(family.paths(), "base", 6);
    recipe.vocabulary = vocabulary;
    let recipe = recipe.validate(&family, &METHODS)?;
    let parse = |(name, content): (String, Vec<u8>)| Ok((name, serde_json::from_slice(&content)?));
    Ok(Value::Object(
        tokenizer_files(&family, &recipe)?.into_iter().map(parse).collect::<Result<_, serde_json::Error>>()?,
    ))
}

#[test]
fn a_recipe_s_model_gets_a_tokenizer_json_that_can_take_tokens() -> Outcome {
    let folder = tempfile::tempdir()?;
    let named = json!({"eos_token": "a", "legacy": false}).to_string().into_bytes();
    model(&folder.path().join("base"), &[("tokenizer.model", bpe(b"")), ("tokenizer_config.json", named)])?;
    let more = [bpe(b""), piece("b", -4.0, 1)].concat();
    model(&folder.path().join("math"), &[("tokenizer.model", more)])?;
    let written = files(folder.path(), None)?;
    let config = json!({"eos_token": "a", "legacy": false, "bos_token": "<s>", "unk_token": "<unk>"});
    assert_eq!(written["tokenizer_config.json"], config);
    assert_eq!(written["tokenizer.json"]["model"]["vocab"]["▁a"], 2);
    // `math` has no row for its sixth token.
    let tokens = [("b".to_owned(), TokenRow { from: Some(RowOf::Zero), force: false })].into_iter().collect();
    let union = Vocabulary { tokens, ..Vocabulary::new(Align::Union) };
    let written = files(folder.path(), Some(union))?;
    let added = written["tokenizer.json"]["added_tokens"].as_array().ok_or("no added tokens")?;
    assert_eq!(added.iter().map(|token| &token["content"]).collect::<Vec<_>>(), ["<unk>", "<s>", "b"]);
    Ok(())
}

#[test]
fn models_that_no_tokenizer_json_can_hold_are_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tokenizer.model");
    let no_unknown = [piece("a", -1.0, 1), field(2, &[0x18, 2])].concat();
    for (model, expected) in [
        (bpe(&[0x18, 3]), "of words or characters"),
        (bpe(&[0xc0, 0x01, 1]), "with spaces behind words"),
        ([bpe(b""), field(3, &[0x28, 0])].concat(), "or with plain ones"),
        (no_unknown, "without an unknown piece"),
        (bpe(b"")[..20].to_vec(), "is no SentencePiece model"),
    ] {
        std::fs::write(&file, model)?;
        let error = convert_tokenizer(folder.path()).err().map_or_else(String::new, |error| error.to_string());
        assert!(error.contains("tokenizer.model: the tokenizer ") && error.contains(expected), "{error}");
    }
    let whole = bpe(b"");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&file, damaged)?;
        // Whether it is refused depends on the byte; some tokenizer is made, or the file is named.
        let made = convert_tokenizer(folder.path()).map(|made| made.is_some());
        let named = |error: layer_ir::Error| error.to_string().contains("tokenizer.model: the tokenizer ");
        assert!(made.unwrap_or_else(named), "byte {at}");
    }
    std::fs::remove_file(&file)?;
    assert_eq!(convert_tokenizer(folder.path())?, None);
    Ok(())
}
