//! A Hugging Face checkpoint, mapped into memory and checked against its config.
//!
//! Names and shapes are checked when it is opened, so that whatever comes later can rely on them: every layer of a
//! model has the same tensors, and a known architecture has all that its config asks for.

pub(crate) mod mapping;
mod pickle;
mod promised;
mod shards;
mod source;
mod stored;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::config;
use crate::{Architecture, Dtype, Error, LayerTensor, ModelConfig, OuterTensor, Tokens};
pub use pickle::PickleError;
use promised::Promised;
use shards::Shards;
pub use source::{OpenedFile, TensorSource, TensorView};

/// The file of a model's settings.
const CONFIG: &str = "config.json";

/// A Hugging Face model folder: `config.json` and weights, one file or shards: safetensors, or `pytorch_model.bin`
/// where there are none.
///
/// Opening maps the files and checks that every tensor which the config asks for is there in the right shape; no weight
/// is read. Of an unknown [`Architecture`], layers are found by the numbers in the tensors' names, and all of them must
/// have the same tensors. The files must not be changed while the checkpoint is open.
/// ```no_run
/// let base = layer_ir::Checkpoint::open("models/base")?;
/// let query = base.tensor(&base.layer_tensor_name(3, "self_attn.q_proj.weight"))?;
/// println!("{:?} {:?}", query.shape, &query.to_f32()[..4]);
/// # Ok::<(), layer_ir::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    /// `config.json` as it stands.
    raw: Map<String, Value>,
    architecture: Architecture,
    num_layers: usize,
    /// Of known architectures.
    config: Option<ModelConfig>,
    tensors: Box<dyn TensorSource>,
    /// What stands before a layer's number, such as `model.layers.`.
    prefix: String,
    /// What each layer has.
    layer_tensors: Vec<LayerTensor>,
    /// The names of the outer tensors, in the order of [`OuterTensor::ALL`].
    outer: [Option<String>; 3],
    /// Read when they are first asked for; `None` inside for a model without a tokenizer.
    tokens: OnceLock<Option<Tokens>>,
}

impl Checkpoint {
    /// Opens a model folder.
    ///
    /// # Errors
    /// Anything that is missing, damaged or does not fit the config, by its name: [`Error::NoConfig`],
    /// [`Error::NoWeights`], [`Error::MissingKey`], [`Error::BadKey`], [`Error::Safetensors`], [`Error::Pickle`],
    /// [`Error::MissingShard`], [`Error::MissingTensor`], [`Error::ShapeMismatch`], [`Error::LayerCount`],
    /// [`Error::UnevenLayers`], ...
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let raw = read_config(folder)?;
        Self::of(folder, raw, Shards::open(folder)?)
    }

    /// Opens a model folder for a look at names and shapes. Weights that are not here are no error, if their headers
    /// are in the hub's cache ([`tailor_hub::header_file`]): their tensors have a shape and no data, and nothing can be
    /// computed with them.
    ///
    /// # Errors
    /// As of [`Checkpoint::open`].
    pub fn open_outline(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let raw = read_config(folder)?;
        let file = folder.join(CONFIG);
        if config::architecture(&raw, &file)?.spec().is_some()
            && let Some(promised) = Promised::of(folder, &ModelConfig::from_json(&raw, &file)?)?
        {
            return Self::of(folder, raw, promised);
        }
        Self::of(folder, raw, Shards::open_outline(folder)?)
    }

    /// A model whose tensors come from elsewhere; `folder` is where its other files are, and for messages.
    ///
    /// # Errors
    /// As of [`Checkpoint::open`].
    pub fn of(folder: &Path, raw: Map<String, Value>, tensors: impl TensorSource + 'static) -> Result<Self, Error> {
        let file = folder.join(CONFIG);
        let (architecture, num_layers) = (config::architecture(&raw, &file)?, config::num_layers(&raw, &file)?);
        let config = architecture.spec().map(|_| ModelConfig::from_json(&raw, &file)).transpose()?;
        let tensors: Box<dyn TensorSource> = Box::new(tensors);
        let known = config.is_some();
        let prefix = if known { "model.layers.".to_owned() } else { layer_prefix(&*tensors) };
        let mut outer = OuterTensor::ALL.map(|outer| outer_name(&*tensors, &prefix, outer, known));
        if config.as_ref().is_some_and(|config| config.tie_word_embeddings) {
            // As transformers: the head is the embedding, whatever is stored.
            outer[OuterTensor::Head as usize] = None;
        }
        let layer_tensors = config.as_ref().map(ModelConfig::layer_tensors).unwrap_or_default();
        let (folder, tokens) = (folder.to_owned(), OnceLock::new());
        let mut checkpoint =
            Self { folder, raw, architecture, num_layers, config, tensors, prefix, layer_tensors, outer, tokens };
        checkpoint.find_layer_tensors()?;
        checkpoint.check_layers()?;
        checkpoint.check_outer_tensors()?;
        Ok(checkpoint)
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.folder
    }

    /// What kind of model it is.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Its settings, if its architecture is known.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`].
    pub fn config(&self) -> Result<&ModelConfig, Error> {
        let unknown = || config::unknown(&self.folder.join(CONFIG), self.architecture.to_string());
        self.config.as_ref().ok_or_else(unknown)
    }

    /// `config.json` as it stands.
    #[must_use]
    pub fn raw_config(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// How many layers it has.
    #[must_use]
    pub fn num_layers(&self) -> usize {
        self.num_layers
    }

    /// The names of all tensors, in the order of the files.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.names()
    }

    /// Whether a tensor is stored.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tensors.get(name).is_some()
    }

    /// A stored tensor. Nothing is copied.
    ///
    /// # Errors
    /// [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView, Error> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }

    /// The tensors that each layer has, those of the architecture's description first. What layer 0 has beyond it
    /// follows without a role.
    #[must_use]
    pub fn layer_tensors(&self) -> &[LayerTensor] {
        &self.layer_tensors
    }

    /// The full name of a layer's tensor, such as `model.layers.3.mlp.up_proj.weight`. Nothing is looked up: a model
    /// may lack it.
    #[must_use]
    pub fn layer_tensor_name(&self, layer: usize, suffix: &str) -> String {
        format!("{}{layer}.{suffix}", self.prefix)
    }

    /// The name of an outer tensor; `None` where the model stores none, as the head of tied embeddings.
    #[must_use]
    pub fn outer_name(&self, outer: OuterTensor) -> Option<&str> {
        self.outer[outer as usize].as_deref()
    }

    /// The rows of an outer tensor, of the embedding and the head one for each token; `None` where the model stores
    /// none.
    #[must_use]
    pub fn rows(&self, outer: OuterTensor) -> Option<usize> {
        self.outer_name(outer).and_then(|name| self.tensors.get(name))?.shape.first().copied()
    }

    /// The tokens of its tokenizer, read once; `None` if it has none.
    ///
    /// # Errors
    /// As of [`Tokens::read`].
    pub fn tokens(&self) -> Result<Option<&Tokens>, Error> {
        if let Some(known) = self.tokens.get() {
            return Ok(known.as_ref());
        }
        let read = Tokens::read(&self.folder)?;
        Ok(self.tokens.get_or_init(|| read).as_ref())
    }

    /// Tensors that are in no layer, and are neither embedding, final norm nor head.
    pub fn other_tensors(&self) -> impl Iterator<Item = &str> {
        let is_outer = |name: &str| self.outer.iter().any(|outer| outer.as_deref() == Some(name));
        let tied_head = |name: &str| name == OuterTensor::Head.tensor_name();
        let inside = |name: &str| split_layer(name, &self.prefix).is_some();
        self.tensors.names().filter(move |name| !inside(name) && !is_outer(name) && !tied_head(name))
    }

    /// How its layers' weights are stored: the format of the first one.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        let first = self.layer_tensors.first().map(|tensor| self.layer_tensor_name(0, &tensor.suffix));
        first.and_then(|name| self.tensors.get(&name)).map_or(Dtype::F32, |view| view.dtype)
    }

    /// The error of a tensor that is not there.
    fn missing(&self, name: &str) -> Error {
        Error::MissingTensor { folder: self.folder.clone(), name: name.to_owned() }
    }

    /// Adds what layer 0 has beyond the table: nothing of a checkpoint is left behind.
    fn find_layer_tensors(&mut self) -> Result<(), Error> {
        let layers: BTreeSet<usize> =
            self.tensors.names().filter_map(|name| split_layer(name, &self.prefix)).map(|(layer, _)| layer).collect();
        let found = layers.last().map_or(0, |last| last + 1);
        if found != self.num_layers || layers.len() != found {
            // With layers missing in the middle the message below names the first missing tensor instead.
            if found > self.num_layers || self.layer_tensors.is_empty() {
                let (folder, expected) = (self.folder.clone(), self.num_layers);
                return Err(Error::LayerCount { folder, found, expected });
            }
        }
        for name in self.tensors.names() {
            let Some((0, suffix)) = split_layer(name, &self.prefix) else { continue };
            // Buffers of old checkpoints, which transformers recomputes.
            let known = self.layer_tensors.iter().any(|tensor| tensor.suffix == suffix);
            if known || suffix.ends_with("rotary_emb.inv_freq") {
                continue;
            }
            let shape = self.tensors.get(name).map_or_else(Vec::new, |view| view.shape);
            self.layer_tensors.push(LayerTensor { suffix: suffix.to_owned(), role: None, shape });
        }
        Ok(())
    }

    /// Whether every layer has the tensors that layer 0 has, of the same shapes, and those of the description of the
    /// right ones.
    fn check_layers(&self) -> Result<(), Error> {
        for layer in 0..self.num_layers {
            for tensor in &self.layer_tensors {
                let name = self.layer_tensor_name(layer, &tensor.suffix);
                match self.tensors.get(&name) {
                    None if tensor.role.is_some() => return Err(self.missing(&name)),
                    Some(found) if tensor.role.is_some() => expect_shape(found, &tensor.shape)?,
                    Some(found) if found.shape == tensor.shape => {}
                    _ => {
                        let (folder, suffix) = (self.folder.clone(), tensor.suffix.clone());
                        return Err(Error::UnevenLayers { folder, layer, suffix });
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a known architecture has embedding, final norm and, unless it is tied, head, of the shapes that the
    /// config says.
    fn check_outer_tensors(&self) -> Result<(), Error> {
        let Some(config) = &self.config else { return Ok(()) };
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        for outer in OuterTensor::ALL {
            let expected = if outer == OuterTensor::FinalNorm { vec![hidden] } else { vec![vocabulary, hidden] };
            match self.outer_name(outer).and_then(|name| self.tensors.get(name)) {
                Some(found) => expect_shape(found, &expected)?,
                None if outer == OuterTensor::Head && config.tie_word_embeddings => {}
                None => return Err(self.missing(outer.tensor_name())),
            }
        }
        Ok(())
    }
}

/// Whether a tensor has the shape that the config says.
fn expect_shape(found: TensorView, expected: &[usize]) -> Result<(), Error> {
    if found.shape == expected {
        return Ok(());
    }
    let TensorView { file, name, shape: found, .. } = found;
    Err(Error::ShapeMismatch { file, name, found, expected: expected.to_vec() })
}

/// The config of a model folder, as it stands.
fn read_config(folder: &Path) -> Result<Map<String, Value>, Error> {
    let file = folder.join(CONFIG);
    let bytes = std::fs::read(&file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound if folder.is_dir() => Error::NoConfig { folder: folder.to_owned() },
        std::io::ErrorKind::NotFound => Error::Read { file: folder.to_owned(), source },
        _ => Error::Read { file: file.clone(), source },
    })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { file, source })
}

/// How many layers the config of a model folder says there are; no weights are looked for.
pub(crate) fn read_num_layers(folder: &Path) -> Result<usize, Error> {
    config::num_layers(&read_config(folder)?, &folder.join(CONFIG))
}

/// Layer number and the rest of a name that begins with `prefix`.
fn split_layer<'a>(name: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (number, suffix) = name.strip_prefix(prefix)?.split_once('.')?;
    Some((number.parse().ok()?, suffix))
}

/// What most numbered names of an unknown architecture have before their number.
fn layer_prefix(tensors: &dyn TensorSource) -> String {
    let mut counts: indexmap::IndexMap<&str, usize> = indexmap::IndexMap::new();
    for name in tensors.names() {
        let mut start = 0;
        for part in name.split_inclusive('.') {
            if part.trim_end_matches('.').parse::<usize>().is_ok() {
                *counts.entry(&name[..start]).or_default() += 1;
                break;
            }
            start += part.len();
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(prefix, _)| prefix.to_owned()).unwrap_or_default()
}

/// The name of an outer tensor: by its usual name, and for unknown architectures by what is usual elsewhere.
fn outer_name(tensors: &dyn TensorSource, prefix: &str, outer: OuterTensor, known: bool) -> Option<String> {
    let usual = outer.tensor_name();
    if known || tensors.get(usual).is_some() {
        return tensors.get(usual).map(|_| usual.to_owned());
    }
    let words: &[&str] = match outer {
        OuterTensor::Embedding => &["embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight"],
        OuterTensor::FinalNorm => &["final_layernorm.weight", "ln_f.weight", "final_layer_norm.weight", "norm.weight"],
        OuterTensor::Head => &["lm_head.weight", "embed_out.weight", "output.weight"],
    };
    let outside = |name: &&str| split_layer(name, prefix).is_none();
    tensors.names().filter(outside).find(|name| words.iter().any(|word| name.ends_with(word))).map(str::to_owned)
}
