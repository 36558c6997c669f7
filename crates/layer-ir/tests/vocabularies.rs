//! Models with different tokens under one vocabulary. What is expected stands in the tests, by hand from
//! `spec/merging.md` 3.6 and 4.5.

mod support;

use std::path::Path;

use layer_ir::{
    Align, Alignment, BaseRef, Cost, Dtype, Error, Expr, Family, LayerRef, Merge, ModelRef, OuterRows, OuterTensor,
    Parameters, Recipe, Row, RowOf, Source, TokenRow, Tokens, Vocabulary, tokenizer_files,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{METHODS, Outcome, config, shapes};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A model of so many rows with a `tokenizer.json`: ordinary tokens by their place, and added tokens by their id.
fn model(folder: &Path, rows: usize, ordinary: &[&str], added: &[(&str, usize)]) -> Outcome {
    let mut tensors = shapes();
    tensors.iter_mut().filter(|(_, shape)| shape[0] == 5).for_each(|(_, shape)| shape[0] = rows);
    support::model(folder, &config(json!({"vocab_size": rows})), &tensors, safetensors::Dtype::F32)?;
    let vocab: serde_json::Map<_, _> =
        ordinary.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let added: Vec<_> = added.iter().map(|(token, id)| json!({"id": id, "content": token, "special": true})).collect();
    let tokenizer =
        json!({"added_tokens": added, "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", ["c", "d"]]}});
    Ok(std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string())?)
}

const PLAIN: [&str; 5] = ["a", "b", "c", "d", "e"];

/// `base` has a to e; `chat` also `[PAD]`, added; `math` has a and b in the other order, and f.
fn family(folder: &Path) -> Result<Family> {
    model(&folder.join("base"), 5, &PLAIN, &[])?;
    model(&folder.join("chat"), 6, &PLAIN, &[("[PAD]", 5)])?;
    model(&folder.join("math"), 6, &["b", "a", "c", "d", "e", "f"], &[])?;
    open(folder, &["base", "chat", "math"])
}

fn open(folder: &Path, names: &[&str]) -> Result<Family> {
    let models = names.iter().map(|name| ((*name).to_owned(), folder.join(name))).collect();
    Ok(Family::open_to_align(&models, names[0])?)
}

/// A recipe whose outer tensors are merged from models, from a base or without one.
fn recipe(family: &Family, vocabulary: Vocabulary, base: Option<&str>, models: &[&str]) -> Recipe {
    let source =
        |model: &&str| Source { of: ModelRef { model: (*model).to_owned() }, parameters: Parameters::default() };
    let base = base.map(|base| BaseRef { model: base.to_owned(), layer: None });
    let method = if base.is_some() { "task_arithmetic" } else { "linear" }.to_owned();
    let sources = models.iter().map(source).collect();
    let outer = Expr::Merge(Merge { method, parameters: Parameters::default(), base, sources });
    let mut recipe = Recipe::of_base(family.paths(), family.base_name(), 1);
    recipe.outer = layer_ir::OuterTensors { embedding: outer.clone(), final_norm: outer.clone(), head: outer };
    recipe.vocabulary = Some(vocabulary);
    recipe
}

fn aligned(family: &Family, recipe: &Recipe) -> std::result::Result<(Alignment, OuterRows), Error> {
    let alignment = Alignment::of(family, recipe)?.ok_or(Error::NoLayers)?;
    let rows = alignment.outer_rows(OuterTensor::Head, &recipe.outer.head)?;
    Ok((alignment, rows))
}

fn tokens(alignment: &Alignment) -> Vec<&str> {
    alignment.tokens().iter().map(|token| token.as_deref().unwrap_or("?")).collect()
}

fn own(rows: &[usize]) -> Vec<Row> {
    rows.iter().copied().map(Row::Own).collect()
}

fn of(model: usize, row: usize) -> Row {
    Row::Of { model, row }
}

#[test]
fn a_union_has_every_token_once_and_each_model_its_own_row_of_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let recipe = recipe(&family, Vocabulary::new(Align::Union), Some("base"), &["chat", "math"]);
    let (alignment, rows) = aligned(&family, &recipe)?;
    assert_eq!(tokens(&alignment), ["a", "b", "c", "d", "e", "f", "[PAD]"]);
    assert_eq!(alignment.rows(), 7);
    assert_eq!(rows.models, ["chat", "math", "base"]);
    assert_eq!(rows.rows[0], [own(&[0, 1, 2, 3, 4]), vec![of(1, 5), Row::Own(5)]].concat());
    assert_eq!(rows.rows[1], [own(&[1, 0, 2, 3, 4, 5]), vec![of(0, 5)]].concat());
    assert_eq!(rows.rows[2], [own(&[0, 1, 2, 3, 4]), vec![of(1, 5), of(0, 5)]].concat());
    Ok(())
}

#[test]
fn the_base_s_tokens_or_a_model_s_own_are_all_there_are() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let of_base = recipe(&family, Vocabulary::new(Align::Base), None, &["chat", "math"]);
    let (alignment, rows) = aligned(&family, &of_base)?;
    assert_eq!(tokens(&alignment), PLAIN);
    assert_eq!(rows.rows, [own(&[0, 1, 2, 3, 4]), own(&[1, 0, 2, 3, 4])]);
    assert!(alignment.outer_rows(OuterTensor::Head, &Expr::Take(ModelRef { model: "chat".to_owned() }))?.is_plain(5));
    let of_math = recipe(&family, Vocabulary::new(Align::Model("math".to_owned())), None, &["base", "chat"]);
    let (alignment, rows) = aligned(&family, &of_math)?;
    assert_eq!(tokens(&alignment), ["b", "a", "c", "d", "e", "f"]);
    assert_eq!(
        rows.rows[0],
        [own(&[1, 0, 2, 3, 4]), vec![Row::Zero]].concat(),
        "no model of the outer tensor has an f"
    );
    Ok(())
}

#[test]
fn a_row_that_several_have_is_the_preferred_one_or_their_mean() -> Outcome {
    let folder = tempfile::tempdir()?;
    family(folder.path())?;
    model(&folder.path().join("code"), 6, &["a", "b", "c", "d", "f", "e"], &[])?;
    let family = open(folder.path(), &["base", "math", "code"])?;
    let f = |vocabulary, base, models: &[&str]| -> Result<Row> {
        let recipe = recipe(&family, vocabulary, base, models);
        Ok(aligned(&family, &recipe)?.1.rows[models.len() - usize::from(base.is_none())][5].clone())
    };
    let union = Vocabulary::new(Align::Union);
    let mean = f(union.clone(), None, &["math", "code", "base"])?;
    assert_eq!(mean, Row::Mean([(0, 5), (1, 4)].into()));
    let prefer = Vocabulary { prefer: Some("code".to_owned()), ..union.clone() };
    assert_eq!(f(prefer.clone(), None, &["math", "code", "base"])?, of(1, 4));
    assert_eq!(f(prefer, Some("base"), &["math", "code"])?, mean, "a base that lacks it gives nothing");
    let twice = recipe(&family, union, None, &["math", "math", "base"]);
    assert_eq!(aligned(&family, &twice)?.1.rows[2][5], of(0, 5), "a model counts once");
    Ok(())
}

#[test]
fn single_tokens_have_the_rows_that_are_named_for_them() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let mut vocabulary = Vocabulary::new(Align::Base);
    let said = [
        ("new", Some(RowOf::Zero), false),
        ("f", Some(RowOf::Model("math".to_owned())), false),
        ("g", Some(RowOf::Token { model: "chat".to_owned(), token: "[PAD]".to_owned() }), false),
        ("c", Some(RowOf::Id { model: "math".to_owned(), id: 5 }), true),
        ("e", None, false),
    ];
    vocabulary.tokens = said.map(|(token, from, force)| (token.to_owned(), TokenRow { from, force })).into();
    vocabulary.pad_to_multiple_of = Some(4);
    let (alignment, rows) = aligned(&family, &recipe(&family, vocabulary, None, &["chat", "math"]))?;
    assert_eq!(tokens(&alignment), ["a", "b", "c", "d", "e", "new", "f", "g"]);
    assert_eq!(alignment.rows(), 8);
    let chat = [own(&[0, 1]), vec![of(1, 5)], own(&[3, 4]), vec![Row::Zero, of(1, 5), Row::Own(5)]].concat();
    let math = [own(&[1, 0]), vec![Row::Own(5)], own(&[3, 4]), vec![Row::Zero, Row::Own(5), of(0, 5)]].concat();
    assert_eq!(rows.rows, [chat, math]);
    let mut padded = Vocabulary::new(Align::Base);
    padded.pad_to_multiple_of = Some(4);
    let (alignment, rows) = aligned(&family, &recipe(&family, padded, None, &["chat"]))?;
    assert_eq!(
        (alignment.rows(), &rows.rows[0][4..]),
        (8, [Row::Own(4), Row::Padding, Row::Padding, Row::Padding].as_slice())
    );
    Ok(())
}

#[test]
fn a_row_that_cannot_be_found_is_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let says = |token: &str, from: Option<RowOf>| {
        let mut vocabulary = Vocabulary::new(Align::Base);
        vocabulary.tokens.insert(token.to_owned(), TokenRow { from, force: false });
        let found = aligned(&family, &recipe(&family, vocabulary, None, &["chat"]));
        found.err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(says("e", None), "");
    assert!(says("new", None).contains("token `new` needs a row in the head"));
    assert!(
        says("f", Some(RowOf::Model("math".to_owned()))).contains("from model `math`, which the head is not made of")
    );
    assert!(
        says("new", Some(RowOf::Model("chat".to_owned())))
            .contains("from `new` of model `chat`, which has no such row")
    );
    assert!(says("new", Some(RowOf::Id { model: "chat".to_owned(), id: 6 })).contains("from `6` of model `chat`"));
    let other = RowOf::Token { model: "chat".to_owned(), token: "nowhere".to_owned() };
    assert!(says("new", Some(other)).contains("from `nowhere` of model `chat`"));
    model(&folder.path().join("holes"), 5, &["a", "b"], &[("z", 4)])?;
    let holes = open(folder.path(), &["holes", "chat"])?;
    let error = aligned(&holes, &recipe(&holes, Vocabulary::new(Align::Base), None, &["chat"])).err();
    assert!(matches!(&error, Some(Error::TokenGap { id: 2, .. })), "{error:?}");
    Ok(())
}

#[test]
fn gptailor_s_models_take_the_mean_of_their_rows_for_added_tokens() -> Outcome {
    let folder = tempfile::tempdir()?;
    model(&folder.path().join("base"), 5, &PLAIN, &[])?;
    model(&folder.path().join("chat"), 6, &PLAIN, &[("[PAD]", 5)])?;
    // A token that the embedding has no row for.
    model(&folder.path().join("math"), 6, &PLAIN, &[("<pad>", 5), ("[PAD]", 6)])?;
    let family = open(folder.path(), &["base", "chat", "math"])?;
    let gptailor = || Vocabulary::new(Align::Gptailor);
    let (alignment, rows) = aligned(&family, &recipe(&family, gptailor(), Some("base"), &["chat", "math"]))?;
    assert_eq!(tokens(&alignment)[5..], ["<pad>", "[PAD]"]);
    let first = || own(&[0, 1, 2, 3, 4]);
    assert_eq!(rows.rows[0], [first(), vec![Row::OwnMean, Row::Own(5)]].concat());
    assert_eq!(rows.rows[1], [first(), vec![Row::Own(5), Row::OwnMean]].concat());
    assert_eq!(rows.rows[2], [first(), vec![Row::OwnMean, Row::OwnMean]].concat());
    let alone = recipe(&family, gptailor(), Some("base"), &["chat"]);
    assert_eq!(aligned(&family, &alone)?.0.rows(), 6, "only the models of the outer tensors take part");
    Ok(())
}

#[test]
fn an_end_s_key_knows_its_vocabulary() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let key = |vocabulary, models: &[&str]| -> Result<String> {
        Ok(recipe(&family, vocabulary, Some("base"), models)
            .validate(&family, &METHODS)?
            .outer_key(OuterTensor::Embedding))
    };
    let union = key(Vocabulary::new(Align::Union), &["chat"])?;
    assert_eq!(union, key(Vocabulary::new(Align::Union), &["chat"])?);
    assert_ne!(union, key(Vocabulary::new(Align::Base), &["chat"])?);
    let mut wider = recipe(&family, Vocabulary::new(Align::Union), Some("base"), &["chat"]);
    wider.layers[0].from = Expr::Take(LayerRef { model: "math".to_owned(), layer: 0 });
    assert_eq!(
        union,
        wider.clone().validate(&family, &METHODS)?.outer_key(OuterTensor::Embedding),
        "the union is of all listed models"
    );
    let mut fewer = recipe(&family, Vocabulary::new(Align::Union), Some("base"), &["chat"]);
    fewer.models.shift_remove("math");
    assert_ne!(
        union,
        fewer.validate(&family, &METHODS)?.outer_key(OuterTensor::Embedding),
        "math's tokens stand in the union"
    );
    let norm = |recipe: Recipe| Ok::<_, Error>(recipe.validate(&family, &METHODS)?.outer_key(OuterTensor::FinalNorm));
    assert_eq!(norm(wider.clone())?, norm(Recipe { vocabulary: Some(Vocabulary::new(Align::Base)), ..wider })?);
    Ok(())
}

#[test]
fn gptailor_s_vocabulary_needs_a_token_for_each_row() -> Outcome {
    let folder = tempfile::tempdir()?;
    model(&folder.path().join("base"), 5, &PLAIN, &[])?;
    model(&folder.path().join("wide"), 8, &PLAIN, &[("[PAD]", 5)])?;
    model(&folder.path().join("late"), 5, &PLAIN, &[("[PAD]", 5)])?;
    let error = |names: &[&str]| -> Result<Option<Error>> {
        let family = open(folder.path(), names)?;
        Ok(aligned(&family, &recipe(&family, Vocabulary::new(Align::Gptailor), Some(names[0]), &names[1..])).err())
    };
    let wide = error(&["base", "wide"])?;
    assert!(
        matches!(&wide, Some(Error::RowsWithoutTokens { model, rows: 8, tokens: 1, .. }) if model == "wide"),
        "{wide:?}"
    );
    let late = error(&["late", "base"])?;
    assert!(matches!(&late, Some(Error::TokenWithoutRow { token, id: 5, .. }) if token == "[PAD]"), "{late:?}");
    assert!(error(&["base", "late"])?.is_none(), "a token without a row takes the mean");
    Ok(())
}

#[test]
fn a_model_without_a_tokenizer_has_that_of_the_base() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    std::fs::remove_file(folder.path().join("math/tokenizer.json"))?;
    let (_, rows) = aligned(&family, &recipe(&family, Vocabulary::new(Align::Base), None, &["math"]))?;
    assert!(rows.is_plain(5));
    std::fs::remove_file(folder.path().join("base/tokenizer.json"))?;
    let family = open(folder.path(), &["base", "chat", "math"])?;
    let error = aligned(&family, &recipe(&family, Vocabulary::new(Align::Base), None, &["math"])).err();
    assert!(matches!(&error, Some(Error::NoTokenizer { folder }) if folder.ends_with("base")), "{error:?}");
    Ok(())
}

#[test]
fn different_tokens_need_a_vocabulary_and_the_message_says_so() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let error = Family::open(&family.paths(), "base").err().map_or_else(String::new, |error| error.to_string());
    assert!(
        error.contains("model `chat` has 6 rows in its embedding, the base `base` has 5")
            && error.contains("`vocabulary: union`")
    );
    let mut recipe = recipe(&family, Vocabulary::new(Align::Union), None, &["chat"]);
    assert!(recipe.clone().validate(&recipe.open_family()?, &METHODS).is_ok());
    recipe.vocabulary = None;
    let error = recipe.clone().validate(&family, &METHODS).err();
    assert!(matches!(&error, Some(Error::OtherVocabulary { model, .. }) if model == "chat"), "{error:?}");
    let shared = family.clone().with_vocabulary(Vocabulary::new(Align::Base));
    let shared = recipe.clone().validate(&shared, &METHODS)?;
    assert_eq!(shared.vocabulary, Some(Vocabulary::new(Align::Base)), "a family may have a vocabulary for all");
    assert_eq!(shared.alignment().map(Alignment::rows), Some(5));
    recipe.outer = layer_ir::OuterTensors::of("base");
    recipe.layers[0].from = Expr::Take(LayerRef { model: "chat".to_owned(), layer: 0 });
    assert!(recipe.clone().validate(&family, &METHODS).is_ok(), "a layer has no tokens");
    let says = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = recipe.clone();
        recipe.vocabulary = Some(Vocabulary::new(Align::Gptailor));
        change(&mut recipe);
        recipe.validate(&family, &METHODS).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(says(&|_| ()), "");
    assert!(says(&|recipe| recipe.tokenizer = Some("chat".to_owned())).contains("both `tokenizer` and `vocabulary`"));
    assert!(
        says(&|recipe| recipe.vocabulary = Some(Vocabulary::new(Align::Model("x".to_owned()))))
            .contains("vocabulary: model `x`")
    );
    let tokens = |recipe: &mut Recipe| {
        let tokens = [("a".to_owned(), TokenRow::default())].into();
        recipe.vocabulary = Some(Vocabulary { tokens, ..Vocabulary::new(Align::Gptailor) });
    };
    assert!(says(&tokens).contains("`tokens` is zero, or means nothing with this `align`"));
    assert!(
        says(&|recipe| recipe.chat_template = Some("llama2".to_owned())).contains("chat template `llama2` is neither")
    );
    Ok(())
}

/// The files of a recipe's tokenizer, as JSON.
fn files(family: &Family, recipe: &Recipe) -> Result<serde_json::Map<String, Value>> {
    let files = tokenizer_files(family, &recipe.clone().validate(family, &METHODS)?)?;
    let json = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (name, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    Ok(files.into_iter().map(json).collect())
}

#[test]
fn the_tokenizer_gets_the_new_tokens_and_its_other_files_as_well() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let base = folder.path().join("base");
    let config = json!({"added_tokens_decoder": {}, "tokenizer_class": "LlamaTokenizer"});
    std::fs::write(base.join("tokenizer_config.json"), config.to_string())?;
    std::fs::write(base.join("special_tokens_map.json"), r#"{"bos_token": "a"}"#)?;
    let union = recipe(&family, Vocabulary::new(Align::Union), None, &["chat", "math"]);
    let found = files(&family, &union)?;
    let entry = |id: usize, content: &str, special: bool| {
        let normalized = !special || content == "[PAD]";
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": normalized, "special": special})
    };
    assert_eq!(found["tokenizer.json"]["added_tokens"], json!([entry(5, "f", false), entry(6, "[PAD]", true)]));
    assert_eq!(found["tokenizer_config.json"]["added_tokens_decoder"]["6"]["content"], "[PAD]");
    assert_eq!(found.len(), 2);
    for (name, content) in &found {
        std::fs::write(base.join(name), content.to_string())?;
    }
    let read = Tokens::read(&base)?.ok_or("no tokens")?;
    let alignment = Alignment::of(&family, &union)?.ok_or("none")?;
    assert_eq!(
        read.iter().map(|(token, _)| token).collect::<Vec<_>>(),
        tokens(&alignment),
        "they are read as they were made"
    );
    let gptailor = recipe(&family, Vocabulary::new(Align::Gptailor), None, &["chat"]);
    let found = files(&open(folder.path(), &["base", "chat"])?, &gptailor);
    assert!(found.is_err(), "the base has tokens beyond its rows now");
    Ok(())
}

#[test]
fn a_tokenizer_gets_no_key_that_it_did_not_have() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let base = folder.path().join("base");
    std::fs::write(base.join("tokenizer_config.json"), r#"{"tokenizer_class": "LlamaTokenizer"}"#)?;
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(base.join("tokenizer.json"))?)?;
    tokenizer["model"].as_object_mut().ok_or("no model")?.remove("merges");
    std::fs::write(base.join("tokenizer.json"), tokenizer.to_string())?;
    let found = files(&family, &recipe(&family, Vocabulary::new(Align::Union), None, &["chat", "math"]))?;
    let tokenizer = found["tokenizer.json"]["model"].as_object().ok_or("no model")?;
    assert!(!tokenizer.contains_key("merges"), "{tokenizer:?}");
    assert_eq!(found.get("tokenizer_config.json"), None, "nothing in it is changed");
    Ok(())
}

#[test]
fn a_tokenizer_file_that_is_no_mapping_is_named() -> Outcome {
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        for content in ["[1, 2]", "\"text\""] {
            let folder = tempfile::tempdir()?;
            let family = family(folder.path())?;
            std::fs::write(folder.path().join("base").join(name), content)?;
            let mut recipe = recipe(&family, Vocabulary::new(Align::Gptailor), None, &["chat"]);
            recipe.chat_template = Some("chatml".to_owned());
            let error = files(&family, &recipe).err().map_or_else(String::new, |error| error.to_string());
            assert!(error.contains(&format!("{name}: the tokenizer is no mapping")), "{name}, {content}: {error}");
        }
    }
    Ok(())
}

#[test]
fn a_model_with_a_shared_vocabulary_is_counted_with_its_rows() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let recipe = recipe(&family, Vocabulary::new(Align::Union), None, &["chat", "math"]).validate(&family, &METHODS)?;
    let rows = recipe.alignment().ok_or("no alignment")?.rows();
    let base = family.base();
    let surplus = (rows - base.rows(OuterTensor::Embedding).ok_or("no rows")?) * base.config()?.hidden_size;
    assert!(surplus > 0, "the union has more tokens than the base");
    let (plain, whole) = (Cost::of_checkpoint(base, 1, Dtype::F32), Cost::of_recipe(base, &recipe, Dtype::F32));
    assert_eq!(whole.parameters, plain.parameters + 2 * surplus as u64, "a row more in the embedding and in the head");
    assert_eq!((whole.bytes, whole.layers), (4 * whole.parameters, recipe.layers.len()));
    assert_eq!(whole.flops_per_token, plain.flops_per_token + 2 * surplus as u64);
    Ok(())
}

#[test]
fn gptailor_s_new_token_is_for_padding() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    std::fs::write(folder.path().join("base/special_tokens_map.json"), r#"{"bos_token": "a"}"#)?;
    let found = files(&family, &recipe(&family, Vocabulary::new(Align::Gptailor), None, &["chat"]))?;
    assert_eq!(found["special_tokens_map.json"], json!({"bos_token": "a", "pad_token": "[PAD]"}));
    assert_eq!(found["tokenizer.json"]["added_tokens"][0]["special"], true);
    let same = files(&family, &recipe(&family, Vocabulary::new(Align::Gptailor), None, &["base"]))?;
    assert!(same.is_empty(), "nothing new, nothing changed");
    Ok(())
}

#[test]
fn tokens_without_a_row_go_with_the_merges_that_make_them() -> Outcome {
    let folder = tempfile::tempdir()?;
    model(&folder.path().join("base"), 5, &["a", "b", "c", "d", "cd", "ab"], &[("[PAD]", 6)])?;
    let family = open(folder.path(), &["base"])?;
    let found = files(&family, &recipe(&family, Vocabulary::new(Align::Base), None, &["base"]))?;
    assert_eq!(found["tokenizer.json"]["model"]["vocab"], json!({"a": 0, "b": 1, "c": 2, "d": 3, "cd": 4}));
    assert_eq!(found["tokenizer.json"]["model"]["merges"], json!([["c", "d"]]));
    assert_eq!(found["tokenizer.json"]["added_tokens"], json!([]));
    std::fs::rename(folder.path().join("base/tokenizer.json"), folder.path().join("base/old"))?;
    std::fs::write(folder.path().join("base/vocab.json"), r#"{"a": 0, "b": 7}"#)?;
    let family = open(folder.path(), &["base"])?;
    let error = files(&family, &recipe(&family, Vocabulary::new(Align::Base), None, &["base"])).err();
    assert!(error.is_some_and(|error| error.to_string().contains("can only be made of a tokenizer.json")));
    Ok(())
}

#[test]
fn the_chat_template_is_the_one_that_is_said_or_that_most_models_have() -> Outcome {
    let folder = tempfile::tempdir()?;
    let family = family(folder.path())?;
    let (ours, theirs) = ("{{ messages[0]['content'] }}", "{{ messages[-1]['content'] }}");
    std::fs::write(folder.path().join("base/chat_template.jinja"), ours)?;
    std::fs::write(folder.path().join("chat/tokenizer_config.json"), json!({"chat_template": theirs}).to_string())?;
    let default = json!({"name": "default", "template": format!("{theirs}\n")});
    let named = json!({"chat_template": [{"name": "rag", "template": ours}, default]});
    std::fs::write(folder.path().join("math/tokenizer_config.json"), named.to_string())?;
    let mut recipe = recipe(&family, Vocabulary::new(Align::Base), None, &["chat", "math"]);
    for (said, expected) in [("auto", theirs), (ours, ours)] {
        recipe.chat_template = Some(said.to_owned());
        let found = files(&family, &recipe)?;
        assert_eq!(
            (&found["chat_template.jinja"], &found["tokenizer_config.json"]["chat_template"]),
            (&json!(expected), &json!(expected))
        );
    }
    recipe.chat_template = Some("chatml".to_owned());
    assert!(files(&family, &recipe)?["chat_template.jinja"].as_str().is_some_and(|text| text.contains("<|im_start|>")));
    recipe.chat_template = None;
    assert!(files(&family, &recipe)?.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the models have, a row is of the token that it stands for.
    #[test]
    fn an_own_row_is_of_its_token(
        vocabularies in proptest::collection::vec(
            proptest::sample::subsequence(vec!["a", "b", "c", "d", "e", "f", "g"], 1..7).prop_shuffle(), 3,
        ),
        align in prop_oneof![Just(Align::Union), Just(Align::Base), Just(Align::Model("m1".to_owned()))],
        padding in proptest::option::of(1..9_usize),
    ) {
        let folder = tempfile::tempdir()?;
        let names = ["m0", "m1", "m2"];
        for (name, tokens) in names.iter().zip(&vocabularies) {
            let made = model(&folder.path().join(name), tokens.len(), tokens, &[]);
            made.map_err(|error| TestCaseError::fail(error.to_string()))?;
        }
        let family = open(folder.path(), &names).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let vocabulary = Vocabulary { pad_to_multiple_of: padding, ..Vocabulary::new(align.clone()) };
        let (alignment, rows) = aligned(&family, &recipe(&family, vocabulary, None, &names))?;
        let all = tokens(&alignment);
        let expected: std::collections::BTreeSet<&str> = match align {
            Align::Base => vocabularies[0].iter().copied().collect(),
            Align::Model(_) => vocabularies[1].iter().copied().collect(),
            _ => vocabularies.iter().flatten().copied().collect(),
        };
        prop_assert_eq!(all.iter().copied().collect::<std::collections::BTreeSet<_>>(), expected);
        let multiple = padding.unwrap_or(1);
        prop_assert!(alignment.rows().is_multiple_of(multiple) && alignment.rows() - all.len() < multiple);
        for (model, rows) in rows.rows.iter().enumerate() {
            prop_assert_eq!(rows.len(), alignment.rows());
            for (row, token) in rows.iter().zip(&all) {
                match row {
                    Row::Own(row) => prop_assert_eq!(&vocabularies[model][*row], token),
                    Row::Of { model, row } => prop_assert_eq!(&vocabularies[*model][*row], token),
                    Row::Mean(of) => {
                        prop_assert!(of.len() > 1);
                        prop_assert!(of.iter().all(|(model, row)| vocabularies[*model][*row] == *token));
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                prop_assert!(matches!(row, Row::Own(_)) || !vocabularies[model].contains(token));
            }
        }
    }
}
