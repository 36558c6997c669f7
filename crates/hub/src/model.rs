//! What of a model's repository is needed, and whether it is here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::cache::is_whole;
use crate::name::stays_inside;
use crate::{Error, Listing};

/// A model's settings, which no model is without.
pub const CONFIG: &str = "config.json";

/// What is read, or copied into an export, beside the weights.
const SMALL: [&str; 11] = [
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];
/// A tokenizer has one of these.
const TOKENIZERS: [&str; 3] = ["tokenizer.json", "tokenizer.model", "vocab.json"];

/// A format of weights: the one file, or the list of several.
struct Format {
    single: &'static str,
    index: &'static str,
}

/// The formats that are read, the better one first.
const FORMATS: [Format; 2] = [
    Format { single: "model.safetensors", index: "model.safetensors.index.json" },
    Format { single: "pytorch_model.bin", index: "pytorch_model.bin.index.json" },
];

/// The files of a model's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// By their paths in the repository.
    pub files: Vec<String>,
}

impl Weights {
    /// Whether they are safetensors, of which names and shapes can be read without the numbers.
    #[must_use]
    pub fn are_safetensors(&self) -> bool {
        self.files.iter().all(|file| file.ends_with(".safetensors"))
    }
}

/// What of an index is used: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that are downloaded before the weights: settings, tokenizer, and the list of the weights' files.
pub(crate) fn small_files(listing: &Listing) -> Vec<String> {
    let has = |name: &str| listing.files.contains_key(name);
    let format = FORMATS.iter().find(|format| has(format.single) || has(format.index));
    let index = format.filter(|format| !has(format.single)).map(|format| format.index);
    SMALL.into_iter().chain(index).filter(|name| has(name)).map(str::to_owned).collect()
}

/// Of a model whose weights are pickles, for want of a better format: the list of their files, or the only one.
pub(crate) fn pickles(listing: &Listing) -> Option<&'static str> {
    let has = |name: &str| listing.files.contains_key(name);
    let [better, pickles] = FORMATS;
    let file = [pickles.single, pickles.index].into_iter().find(|name| has(name))?;
    (!has(better.single) && !has(better.index)).then_some(file)
}

/// The files of the weights; the small ones are in the snapshot already. `page` is the repository's, for messages.
#[cfg(feature = "download")]
pub(crate) fn weights(listing: &Listing, snapshot: &Path, page: &str) -> Result<Weights, Error> {
    for Format { single, index } in FORMATS {
        if listing.files.contains_key(single) {
            return Ok(Weights { files: vec![single.to_owned()] });
        }
        if listing.files.contains_key(index) {
            let files = shards(&snapshot.join(index))?;
            if let Some(name) = files.iter().find(|name| !listing.files.contains_key(*name)) {
                return Err(Error::NoFile { url: page.to_owned(), name: name.clone() });
            }
            return Ok(Weights { files });
        }
    }
    Err(Error::NoWeights { url: page.to_owned() })
}

/// A file of the weights, or the settings, that is not in a snapshot; `None` if the model can be opened. Where it is
/// known which files there are, their sizes count too.
pub(crate) fn missing_weights(snapshot: &Path, listing: Option<&Listing>) -> Result<Option<String>, Error> {
    let here = |name: &str| {
        let size = listing.and_then(|listing| listing.files.get(name)).and_then(crate::FileInfo::bytes);
        is_whole(&snapshot.join(name), size)
    };
    if !here(CONFIG) {
        return Ok(Some(CONFIG.to_owned()));
    }
    for Format { single, index } in FORMATS {
        if here(single) {
            return Ok(None);
        }
        if here(index) {
            return Ok(shards(&snapshot.join(index))?.into_iter().find(|shard| !here(shard)));
        }
    }
    Ok(Some(FORMATS[0].single.to_owned()))
}

/// Whether the tokenizer and whatever else stands beside the weights is in a snapshot. Where nobody has asked which
/// files there are, a tokenizer is enough.
pub(crate) fn has_small_files(snapshot: &Path, listing: Option<&Listing>) -> bool {
    let here = |name: &str| is_whole(&snapshot.join(name), None);
    match listing {
        Some(listing) => small_files(listing).iter().all(|name| here(name)),
        None => TOKENIZERS.iter().any(|name| here(name)),
    }
}

/// The files that an index names.
fn shards(index: &Path) -> Result<Vec<String>, Error> {
    let bytes = std::fs::read(index).map_err(Error::read(index))?;
    let Index { weight_map } =
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { file: index.to_owned(), source })?;
    let files: BTreeSet<String> = weight_map.into_values().collect();
    match files.iter().find(|name| !stays_inside(name)) {
        Some(name) => Err(Error::BadFileName { url: index.display().to_string(), name: name.clone() }),
        None => Ok(files.into_iter().collect()),
    }
}
