//! The opened models of a recipe, which fit together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use indexmap::IndexMap;

use crate::recipe::{Bridge, BridgeError, BridgeRef};
use crate::{Alignment, Checkpoint, Error, LayerExpr, OuterTensor, Recipe, Vocabulary};

/// Keys of `config.json` by which architectures that are not known say what their layers depend on beside the weights.
const STATED: [&str; 25] = [
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "n_head",
    "num_heads",
    "head_dim",
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "norm_epsilon",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rotary_pct",
    "rotary_dim",
    "partial_rotary_factor",
    "alibi",
    "sliding_window",
    "attn_logit_softcapping",
    "query_pre_attn_scalar",
    "residual_multiplier",
    "tie_word_embeddings",
];

/// A base and its variants, opened and known to fit together. Cloning shares them.
///
/// Fitting together means: one architecture; the same tensors of the same shapes in each layer; equal settings of the
/// forward pass (heads, epsilon of the norms, rotary embedding, sliding windows, tied embeddings). Models may have
/// different numbers of layers, contexts of different length, and, if opened by [`Family::open_to_align`], different
/// tokens. What is the same for all of them is taken from the base.
/// ```no_run
/// use layer_ir::{Family, Recipe};
/// let models = [("base", "models/base"), ("math", "models/math")].map(|(name, path)| (name.to_owned(), path));
/// let family = Family::open(&models.into(), "base")?;
/// let math = Recipe::of_model(&family, "math").validate(&family, &())?;
/// # Ok::<(), layer_ir::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Family {
    models: Arc<IndexMap<String, Arc<Checkpoint>>>,
    /// The place of the base among the models.
    base: usize,
    /// What recipes that name none have.
    vocabulary: Option<Arc<Vocabulary>>,
    /// By key; recipes of a search ask for few different ones.
    alignments: Arc<Mutex<HashMap<String, Arc<Alignment>>>>,
    /// Those that were opened; many recipes of a search have the same.
    bridges: Arc<Mutex<HashMap<BridgeRef, Weak<Bridge>>>>,
}

impl Family {
    /// Opens the models, by name. Two names of one folder share its files.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if `base` is not among them; what [`Checkpoint::open`] says of a model;
    /// [`Error::OtherArchitecture`], [`Error::Incompatible`] and [`Error::OtherVocabulary`] name the model that differs
    /// from the base, and in what.
    pub fn open<P: AsRef<Path>>(models: &IndexMap<String, P>, base: &str) -> Result<Self, Error> {
        let family = Self::open_to_align(models, base)?;
        family.names().try_for_each(|model| family.same_rows(model))?;
        Ok(family)
    }

    /// As [`Family::open`], for recipes with a [`crate::Vocabulary`]: the models may have different numbers of tokens.
    ///
    /// # Errors
    /// As of [`Family::open`], but for [`Error::OtherVocabulary`].
    pub fn open_to_align<P: AsRef<Path>>(models: &IndexMap<String, P>, base: &str) -> Result<Self, Error> {
        Self::of_checkpoints(models, base, |path| Checkpoint::open(path))
    }

    /// Opens the models for a look at names and shapes, as [`Checkpoint::open_outline`] does; `aligned` if they may
    /// have different numbers of tokens.
    ///
    /// # Errors
    /// As of [`Family::open`] or, if aligned, of [`Family::open_to_align`].
    pub fn open_outline<P: AsRef<Path>>(
        models: &IndexMap<String, P>,
        base: &str,
        aligned: bool,
    ) -> Result<Self, Error> {
        let family = Self::of_checkpoints(models, base, |path| Checkpoint::open_outline(path))?;
        if !aligned {
            family.names().try_for_each(|model| family.same_rows(model))?;
        }
        Ok(family)
    }

    /// The models, each opened by `open`, if they fit together up to their tokens.
    fn of_checkpoints<P: AsRef<Path>>(
        models: &IndexMap<String, P>,
        base: &str,
        open: impl Fn(&Path) -> Result<Checkpoint, Error>,
    ) -> Result<Self, Error> {
        let base = models.get_index_of(base).ok_or_else(|| Error::UnknownModel {
            place: crate::Place::Base,
            model: base.to_owned(),
            known: models.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        // Two names of one folder share the mapping.
        let mut opened: IndexMap<PathBuf, Arc<Checkpoint>> = IndexMap::new();
        let mut family = IndexMap::new();
        for (name, path) in models {
            let path = path.as_ref();
            let checkpoint = match opened.get(path) {
                Some(known) => Arc::clone(known),
                None => Arc::new(open(path)?),
            };
            opened.insert(path.to_owned(), Arc::clone(&checkpoint));
            family.insert(name.clone(), checkpoint);
        }
        let (alignments, bridges) = (Arc::default(), Arc::default());
        let family = Self { models: Arc::new(family), base, vocabulary: None, alignments, bridges };
        family.check()?;
        Ok(family)
    }

    /// Sets the vocabulary of every recipe over this family that does not say its own.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Some(Arc::new(vocabulary));
        self
    }

    /// What [`Family::with_vocabulary`] said.
    #[must_use]
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.vocabulary.as_deref()
    }

    /// The shared vocabulary of a recipe, made once for all recipes that ask for the same.
    pub(crate) fn alignment(&self, recipe: &Recipe) -> Result<Option<Arc<Alignment>>, Error> {
        let Some(key) = Alignment::key_of(recipe) else { return Ok(None) };
        // Nothing panics while the map is half changed.
        let known = || self.alignments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alignment) = known().get(&key) {
            return Ok(Some(Arc::clone(alignment)));
        }
        let Some(alignment) = Alignment::of(self, recipe)?.map(Arc::new) else { return Ok(None) };
        known().insert(key, Arc::clone(&alignment));
        Ok(Some(alignment))
    }

    /// A bridge for a layer of this family, opened and checked once for all recipes that name it at one time: the file
    /// of a bridge that no recipe has any more is let go.
    pub(crate) fn bridge(&self, bridge: &BridgeRef) -> Result<Arc<Bridge>, BridgeError> {
        // Nothing panics while the map is half changed.
        let known = || self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = known().get(bridge).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let open = Arc::new(Bridge::open(bridge, self.base().layer_tensors())?);
        known().insert(bridge.clone(), Arc::downgrade(&open));
        Ok(open)
    }

    /// One model by its name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn get(&self, model: &str) -> Result<&Checkpoint, Error> {
        self.models.get(model).map(Arc::as_ref).ok_or_else(|| Error::UnknownModel {
            place: crate::Place::Base,
            model: model.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The base.
    #[must_use]
    pub fn base(&self) -> &Checkpoint {
        &self.models[self.base]
    }

    /// The base's name.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.models.get_index(self.base).map_or("", |(name, _)| name)
    }

    /// All names, in the given order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// All names with the folders of their models: what [`Recipe::models`] holds.
    #[must_use]
    pub fn paths(&self) -> IndexMap<String, String> {
        self.models.iter().map(|(name, model)| (name.clone(), model.dir().display().to_string())).collect()
    }

    /// The sliding window of an output layer in tokens: that of the layer taken, or of the layer that a merge starts
    /// from. `None` where it sees the whole text.
    #[must_use]
    pub fn window(&self, from: &LayerExpr) -> Option<usize> {
        let (model, layer) = from.origin()?;
        self.models.get(model)?.config().ok()?.windows.get(layer).copied().flatten()
    }

    /// Whether all models fit the base.
    fn check(&self) -> Result<(), Error> {
        for (name, model) in self.models.iter() {
            self.check_settings(name, model)?;
            self.check_tensors(name, model)?;
        }
        Ok(())
    }

    /// Whether a model has the architecture of the base, and the settings that its forward pass is computed with.
    fn check_settings(&self, name: &str, model: &Checkpoint) -> Result<(), Error> {
        let (ours, base) = (model.architecture(), self.base().architecture());
        if ours != base {
            return Err(Error::OtherArchitecture {
                model: name.to_owned(),
                base: self.base_name().to_owned(),
                found: ours.to_string(),
                expected: base.to_string(),
            });
        }
        let (Ok(ours), Ok(base)) = (model.config(), self.base().config()) else {
            return self.check_stated(name, model);
        };
        // What no tensor's shape shows, and yet a layer depends on. The runtime and an export take it from the base.
        let settings = |config: &crate::ModelConfig| {
            [
                ("hidden_size", config.hidden_size.to_string()),
                ("num_attention_heads", config.num_heads.to_string()),
                ("num_key_value_heads", config.num_kv_heads.to_string()),
                ("rms_norm_eps", config.rms_norm_eps.to_string()),
                ("tie_word_embeddings", config.tie_word_embeddings.to_string()),
                ("a rotary embedding", format!("{:?}", config.rope)),
            ]
        };
        for ((what, found), (_, expected)) in settings(ours).into_iter().zip(settings(base)) {
            self.same(name, what, found, expected)?;
        }
        self.check_windows(name, &ours.windows, &base.windows)
    }

    /// Whether the layers of one place see equally far. A model may have more layers than the base, or fewer.
    fn check_windows(&self, name: &str, ours: &[Option<usize>], base: &[Option<usize>]) -> Result<(), Error> {
        let text = |window: &Option<usize>| window.map_or_else(|| "none".to_owned(), |window| window.to_string());
        for (layer, (found, expected)) in ours.iter().zip(base).enumerate() {
            let what = format!("a sliding window of layer {layer} of");
            self.same(name, &what, text(found), text(expected))?;
        }
        Ok(())
    }

    /// What the configs of an unknown architecture both state about their layers.
    fn check_stated(&self, name: &str, model: &Checkpoint) -> Result<(), Error> {
        for key in STATED {
            if let Some((found, expected)) = model.raw_config().get(key).zip(self.base().raw_config().get(key)) {
                self.same(name, key, found.to_string(), expected.to_string())?;
            }
        }
        Ok(())
    }

    /// Whether a model has the tensors of the base, in the layers and outside, of the same shapes up to the number of
    /// tokens.
    fn check_tensors(&self, name: &str, model: &Checkpoint) -> Result<(), Error> {
        let list = |model: &Checkpoint| {
            let mut all: Vec<String> =
                model.layer_tensors().iter().map(|tensor| format!("{} {:?}", tensor.suffix, tensor.shape)).collect();
            all.sort();
            all
        };
        let (ours, base) = (list(model), list(self.base()));
        for tensor in base.iter().filter(|tensor| !ours.contains(tensor)) {
            self.same(name, "no layer tensor", tensor.clone(), "it".to_owned())?;
        }
        for tensor in ours.iter().filter(|tensor| !base.contains(tensor)) {
            self.same(name, "the layer tensor", tensor.clone(), "none such".to_owned())?;
        }
        for outer in OuterTensor::ALL {
            // How many tokens there are may differ where vocabularies are aligned.
            let (first, of) = if outer == OuterTensor::FinalNorm { (0, "numbers") } else { (1, "rows") };
            let shape = |model: &Checkpoint| {
                let view = model.outer_name(outer).and_then(|name| model.tensor(name).ok());
                let width = view.as_ref().and_then(|view| view.shape.get(first..));
                width.map_or_else(|| "none".to_owned(), |width| format!("{of} {width:?}"))
            };
            self.same(name, &format!("as {outer}"), shape(model), shape(self.base()))?;
        }
        Ok(())
    }

    /// Whether a model has as many tokens as the base.
    pub(crate) fn same_rows(&self, model: &str) -> Result<(), Error> {
        let ours = self.get(model)?;
        for tensor in OuterTensor::WITH_TOKENS {
            if let Some((found, expected)) = ours.rows(tensor).zip(self.base().rows(tensor)).filter(|(a, b)| a != b) {
                let (model, base) = (model.to_owned(), self.base_name().to_owned());
                return Err(Error::OtherVocabulary { model, base, tensor, found, expected });
            }
        }
        Ok(())
    }

    /// An error that names model, base and setting, unless the two values are one.
    fn same(&self, model: &str, what: &str, found: String, expected: String) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        let (model, base, what) = (model.to_owned(), self.base_name().to_owned(), what.into());
        Err(Error::Incompatible { model, base, what, found, expected })
    }
}
