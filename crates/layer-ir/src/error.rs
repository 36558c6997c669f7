//! What can be wrong with checkpoints and recipes.

use std::path::PathBuf;

use crate::gptailor::Problem;
use crate::{BridgeError, MethodError, OuterTensor, PickleError, Place};

/// What can be wrong with checkpoints and recipes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{file}: cannot be written: {source}", file = file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A path that leads nowhere, and no model of the local hub cache either.
    #[error(
        "model `{model}`: there is no folder {path}, and no such model in the hub cache {cache}; check the path, or \
         have it downloaded",
        path = path.display(),
        cache = cache.display()
    )]
    ModelNotFound {
        /// As written.
        model: String,
        /// Where it would be as a path.
        path: PathBuf,
        /// The hub cache that was looked through.
        cache: PathBuf,
    },
    /// A path that leads nowhere, and a model of the hub that is here in part, or cannot be downloaded.
    #[error("model `{model}`: there is no folder {path}, and {source}", path = path.display())]
    Hub {
        /// As written.
        model: String,
        /// Where it would be as a path, or is in the cache.
        path: PathBuf,
        /// Why it is not whole.
        source: Box<tailor_hub::Error>,
    },
    /// A folder without `config.json`.
    #[error("{folder}: not a model: it has no config.json", folder = folder.display())]
    NoConfig {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder without weights.
    #[error(
        "{folder}: no weights: there is no model.safetensors and no pytorch_model.bin, nor an index of shards \
         (model.safetensors.index.json, pytorch_model.bin.index.json); {there}",
        folder = folder.display(),
        there = what_is_there(found)
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// The names of files in it that look like weights, sorted.
        found: Vec<String>,
    },
    /// A file is not the JSON that it should be.
    #[error("{file}: {source}", file = file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A key of `config.json` that is needed.
    #[error("{file}: `{key}` is missing", file = file.display())]
    MissingKey {
        /// The config.
        file: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A key of `config.json` with a value that means nothing to us.
    #[error("{file}: `{key}` is {found}, not {expected}", file = file.display())]
    BadKey {
        /// The config.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value, as JSON.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Damaged or truncated weights.
    #[error("{file}: not a whole safetensors file ({source}); download or copy it again", file = file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// Weights of `torch.save` that are damaged, or hold something else.
    #[error("{file}: {source}", file = file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Box<PickleError>,
    },
    /// A shard of the index that is not there.
    #[error("{index}: its shard {shard} is missing; download or copy it again", index = index.display())]
    MissingShard {
        /// The index.
        index: PathBuf,
        /// The shard's name.
        shard: String,
    },
    /// An index must not reach outside of its folder.
    #[error(
        "{index}: its shard `{shard}` is outside of its folder; such a checkpoint is refused",
        index = index.display()
    )]
    ShardOutside {
        /// The index.
        index: PathBuf,
        /// The shard's name.
        shard: String,
    },
    /// A shard without a tensor that the index sees in it.
    #[error(
        "{file}: tensor `{name}` is not there, though the index says so; download or copy the shard again",
        file = file.display()
    )]
    NotInShard {
        /// The shard.
        file: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor that the config asks for.
    #[error("{folder}: tensor `{name}` is missing", folder = folder.display())]
    MissingTensor {
        /// The checkpoint.
        folder: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A number format other than bf16, f16 and f32.
    #[error(
        "{file}: tensor `{name}` is stored as {dtype}; only bf16, f16 and f32 weights can be used",
        file = file.display()
    )]
    UnsupportedDtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// Its format.
        dtype: String,
    },
    /// A tensor that does not fit the config.
    #[error(
        "{file}: tensor `{name}` has shape {found:?}, the config says {expected:?}; is this the config of another \
         model?",
        file = file.display()
    )]
    ShapeMismatch {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the config asks for.
        expected: Vec<usize>,
    },
    /// A checkpoint whose tensors have no layer numbers, or another number of layers than the config says.
    #[error("{folder}: the weights have {found} layers, the config says {expected}", folder = folder.display())]
    LayerCount {
        /// The checkpoint.
        folder: PathBuf,
        /// Layers in the weights.
        found: usize,
        /// Layers in the config.
        expected: usize,
    },
    /// Layers of different make, as in hybrid models.
    #[error(
        "{folder}: layer {layer} has no `{suffix}` of the shape of layer 0; models whose layers differ cannot be cut",
        folder = folder.display()
    )]
    UnevenLayers {
        /// The checkpoint.
        folder: PathBuf,
        /// The layer that differs.
        layer: usize,
        /// The tensor, within the layer.
        suffix: String,
    },
    /// A model whose architecture has no description here.
    #[error(
        "{file}: models of architecture `{architecture}` cannot be run, only {known}; cutting, stitching and merging \
         them works",
        file = file.display()
    )]
    UnknownArchitecture {
        /// The config.
        file: PathBuf,
        /// Its `model_type`.
        architecture: String,
        /// The known ones.
        known: String,
    },
    /// A model of another kind than the base.
    #[error(
        "model `{model}` is a {found}, the base `{base}` a {expected}; only models of one architecture can be stitched"
    )]
    OtherArchitecture {
        /// The model.
        model: String,
        /// The base.
        base: String,
        /// The model's architecture.
        found: String,
        /// The base's.
        expected: String,
    },
    /// A model whose settings differ from the base's.
    #[error("model `{model}` has {what} {found}, the base `{base}` has {expected}; their layers do not fit together")]
    Incompatible {
        /// The model.
        model: String,
        /// The base.
        base: String,
        /// The setting.
        what: Box<str>,
        /// The model's.
        found: String,
        /// The base's.
        expected: String,
    },
    /// A model with more or fewer tokens than the base, and no word of how they go together.
    #[error(
        "model `{model}` has {found} rows in its {tensor}, the base `{base}` has {expected}; say how their tokens go \
         together with `vocabulary: union` (or `base`, `gptailor`)"
    )]
    OtherVocabulary {
        /// The model.
        model: String,
        /// The base.
        base: String,
        /// Where.
        tensor: OuterTensor,
        /// The model's rows.
        found: usize,
        /// The base's.
        expected: usize,
    },
    /// A tokenizer that is copied beside one that is made.
    #[error(
        "the recipe has both `tokenizer` and `vocabulary`; a vocabulary makes its own tokenizer: leave `tokenizer` out"
    )]
    TokenizerTwice,
    /// A setting of the vocabulary that its alignment cannot have.
    #[error("the recipe's vocabulary: `{key}` is zero, or means nothing with this `align`; leave it out")]
    VocabularyKey {
        /// The key.
        key: &'static str,
    },
    /// A chat template that is none.
    #[error(
        "the recipe's chat template `{found}` is neither `auto`, `chatml` nor a Jinja template; write the template \
         itself"
    )]
    ChatTemplate {
        /// As written.
        found: String,
    },
    /// A model without a tokenizer.
    #[error(
        "{folder}: there is no tokenizer.json, tokenizer.model or vocab.json; without its tokens a vocabulary cannot \
         be aligned",
        folder = folder.display()
    )]
    NoTokenizer {
        /// The model.
        folder: PathBuf,
    },
    /// A tokenizer that other tokens cannot be added to.
    #[error(
        "{folder}: a new tokenizer can only be made of a tokenizer.json; save this one with transformers' \
         `AutoTokenizer` first",
        folder = folder.display()
    )]
    NoTokenizerJson {
        /// The model.
        folder: PathBuf,
    },
    /// A file of a tokenizer that is damaged, or of a kind that we do not know.
    #[error("{file}: the tokenizer {problem}", file = file.display())]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Ids of tokens with a hole in between, or an id twice.
    #[error(
        "{file}: no token has the id {id}, or two have one id; rows cannot be aligned by such a tokenizer",
        file = file.display()
    )]
    TokenGap {
        /// The tokenizer.
        file: PathBuf,
        /// The first id that is missing.
        id: usize,
    },
    /// A token of the base beyond its embedding.
    #[error(
        "the tokenizer of `{model}` has the added token `{token}` with id {id}, but its embedding has {rows} rows; a \
         `gptailor` vocabulary needs a row for each"
    )]
    TokenWithoutRow {
        /// The base.
        model: String,
        /// The token.
        token: String,
        /// Its id.
        id: usize,
        /// The rows of the base.
        rows: usize,
    },
    /// Rows beyond the base's that no added token belongs to.
    #[error(
        "model `{model}` has {rows} rows, the base {base}, and {tokens} added tokens for the rows beyond; a \
         `gptailor` vocabulary needs one for each: use `union`"
    )]
    RowsWithoutTokens {
        /// The model.
        model: String,
        /// Its rows.
        rows: usize,
        /// The base's.
        base: usize,
        /// Its added tokens with a row beyond the base's.
        tokens: usize,
    },
    /// A token that a model lacks, and no word of its row.
    #[error("vocabulary: token `{token}` needs a row in the {tensor}, and its entry does not say `from` where")]
    TokenRowUnsaid {
        /// The token.
        token: String,
        /// The outer tensor.
        tensor: OuterTensor,
    },
    /// A row that is to come from a model which does not take part.
    #[error(
        "vocabulary: the row of token `{token}` is to come from model `{model}`, which the {tensor} is not made of"
    )]
    TokenModel {
        /// The token.
        token: String,
        /// The model.
        model: String,
        /// The outer tensor.
        tensor: OuterTensor,
    },
    /// A row that the model named for it has not.
    #[error(
        "vocabulary: the row of token `{token}` is to come from `{wanted}` of model `{model}`, which has no such row"
    )]
    NoSuchToken {
        /// The token.
        token: String,
        /// The model.
        model: String,
        /// The token or number of the row there.
        wanted: String,
    },
    /// A recipe's YAML.
    #[error("{file}: {source}", file = file.display())]
    Yaml {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_yaml_ng::Error,
    },
    /// As [`Error::Yaml`], of a text.
    #[error("the recipe cannot be read: {0}")]
    RecipeText(#[from] serde_yaml_ng::Error),
    /// A recipe of a later version of Tailor.
    #[error("the recipe is of version {found}; this Tailor reads version {known}")]
    RecipeVersion {
        /// As written.
        found: u64,
        /// What is read.
        known: u64,
    },
    /// A model name that is not among the recipe's models.
    #[error("{place}: model `{model}` is not among the recipe's models ({known})")]
    UnknownModel {
        /// Where it is named.
        place: Place,
        /// The name.
        model: String,
        /// The names that are known.
        known: String,
    },
    /// A layer that the model has not.
    #[error("{place}: model `{model}` has layers 0 to {last}, not {layer}")]
    NoSuchLayer {
        /// Where it is named.
        place: Place,
        /// The model.
        model: String,
        /// The layer.
        layer: usize,
        /// The model's last layer.
        last: usize,
    },
    /// A merge of nothing.
    #[error("{place}: a merge needs at least one source")]
    NoSources {
        /// Where.
        place: Place,
    },
    /// A recipe without layers.
    #[error("the recipe has no layers")]
    NoLayers,
    /// An output scale that kills the residual stream, or what comes after it.
    #[error(
        "output layer {layer}: the output scale is {scale}; it must be between 0.001, or nothing of the layers before \
         is left, and 1000"
    )]
    BadScale {
        /// The output layer.
        layer: usize,
        /// Its scale.
        scale: f32,
    },
    /// Output scales that come to too little or too much.
    #[error(
        "output layer {layer}: the product of the output scales up to it is {product:e}; it must stay between 1e-12 \
         and 1e12, or the weights that are divided by it overflow or vanish"
    )]
    BadScaleProduct {
        /// The output layer.
        layer: usize,
        /// The product of its scale and all before it.
        product: f64,
    },
    /// A bridge that cannot be added to its layer.
    #[error("output layer {layer}: bridge {file}: {source}", file = file.display())]
    Bridge {
        /// The output layer.
        layer: usize,
        /// The bridge's file.
        file: PathBuf,
        /// What is wrong with it.
        source: Box<BridgeError>,
    },
    /// Deltas of which no file can be made.
    #[error("{folder}: no bridge can be written: {source}", folder = folder.display())]
    BridgeTensors {
        /// Where it would be.
        folder: PathBuf,
        /// What is wrong with the deltas.
        source: safetensors::SafeTensorError,
    },
    /// A parameter of a merge that is not a number, infinite, or too large for f32.
    #[error("{place}: parameter `{key}` is {found}; it must be finite in f32, in which merges compute")]
    NotFinite {
        /// Where.
        place: Place,
        /// The parameter.
        key: String,
        /// Its value.
        found: f64,
    },
    /// A merge that its method cannot make.
    #[error("{place}: {source}")]
    Method {
        /// Where.
        place: Place,
        /// What its method says.
        source: Box<MethodError>,
    },
    /// A parameter of a merge with a value of another kind.
    #[error("parameter `{key}` is `{found}` for tensor `{tensor}`, not {expected}")]
    BadParameter {
        /// The parameter.
        key: String,
        /// Its value.
        found: String,
        /// The tensor that asks.
        tensor: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A mergekit file that says something we cannot do.
    #[error("{file}: `{key}`: {problem}", file = file.display())]
    Mergekit {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A mergekit file with a method that mergekit does not have.
    #[error("{file}: `merge_method`: there is no merge method `{method}`; there are {known}", file = file.display())]
    MergekitUnknownMethod {
        /// The file.
        file: PathBuf,
        /// As written.
        method: String,
        /// The methods that are read.
        known: String,
    },
    /// A recipe that mergekit has no words for.
    #[error("{place}: cannot be written for mergekit: {problem}")]
    NotMergekit {
        /// Where.
        place: Place,
        /// Why.
        problem: &'static str,
    },
    /// A recipe with merges of several kinds.
    #[error(
        "{place}: cannot be written for mergekit: it is merged by `{method}`, others by `{first}`; a mergekit file \
         has one method"
    )]
    MergekitMethods {
        /// Where.
        place: Place,
        /// How it is merged.
        method: String,
        /// How those before it are.
        first: String,
    },
    /// A merge method that is not mergekit's.
    #[error("{place}: cannot be written for mergekit: it has no method `{method}`")]
    MergekitNoMethod {
        /// Where.
        place: Place,
        /// The method.
        method: String,
    },
    /// A result of auto-merge-llm that contradicts itself, or what is known beside it.
    #[error("{file}: `{key}`: {problem}", file = file.display())]
    Gptailor {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
    /// A JSON object without keys.
    #[error("{file}: the object is empty; a result of a search has its parameters", file = file.display())]
    GptailorEmpty {
        /// The file.
        file: PathBuf,
    },
    /// An outer tensor that a known architecture must have.
    #[error("{folder}: the model has no {tensor}", folder = folder.display())]
    MissingOuterTensor {
        /// The checkpoint.
        folder: PathBuf,
        /// Which outer tensor.
        tensor: OuterTensor,
    },
}

/// What a folder without weights has instead.
fn what_is_there(found: &[String]) -> String {
    match found {
        [] => "no file in it looks like weights".to_owned(),
        found => format!("what is there cannot be read: {}", found.join(", ")),
    }
}
