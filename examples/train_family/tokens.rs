//! The family's tokenizer: one token a word, a digit or a sign, written in the format that `tokenizers` and
//! transformers read.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::tasks::{COMMANDS, LETTERS, PAIRS, SIGNS, WORDS};

pub const PAD: u32 = 0;
pub const BOS: u32 = 1;
pub const EOS: u32 = 2;

/// The vocabulary, in the order of the ids.
pub fn vocabulary() -> Vec<String> {
    let digits = (0..10).map(|digit| digit.to_string());
    let brackets = PAIRS.iter().flat_map(|(left, right)| [*left, *right]);
    let words = COMMANDS.iter().chain(&WORDS).chain(&LETTERS).chain(&SIGNS).copied().chain(brackets).map(String::from);
    ["<pad>", "<s>", "</s>", "<unk>"].map(String::from).into_iter().chain(digits).chain(words).collect()
}

/// Splits text as the tokenizer file says: at white space, then every digit by itself.
pub struct Tokens(HashMap<String, u32>);

impl Tokens {
    pub fn new() -> Self {
        Self(vocabulary().into_iter().zip(0..).collect())
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        let id = |piece: &str| self.0.get(piece).copied().unwrap_or(3);
        let mut ids = Vec::new();
        for word in text.split_whitespace() {
            if word.bytes().all(|byte| byte.is_ascii_digit()) {
                ids.extend(word.chars().map(|digit| id(&digit.to_string())));
            } else {
                ids.push(id(word));
            }
        }
        ids
    }
}

/// `tokenizer.json`.
pub fn tokenizer_json() -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        vocabulary().into_iter().zip(0_u32..).map(|(token, id)| (token, id.into())).collect();
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let text = |id: &str, kind: u8| json!({"Sequence": {"id": id, "type_id": kind}});
    let begin = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(PAD, "<pad>"), special(BOS, "<s>"), special(EOS, "</s>"), special(3, "<unk>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Digits", "individual_digits": true}
        ]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [begin, text("A", 0)],
            "pair": [begin, text("A", 0), text("B", 1)],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}}},
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    })
}

/// `tokenizer_config.json`.
pub fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "model_max_length": 128, "clean_up_tokenization_spaces": false
    })
}
