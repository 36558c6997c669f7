//! `config.json`, in the older spelling (`rope_theta`, `rope_scaling`, `torch_dtype`) and the newer (`rope_parameters`,
//! `dtype`).
//!
//! Keys are read as transformers 5 reads them, its defaults for absent ones included. A key that a model cannot do
//! without, or whose value means something that the forward pass does not do (another activation, partial rotary
//! embedding), is an error that names it. Sizes are bounded by `u32`, so that products of two of them never overflow.

mod keys;

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    Architecture, ArchitectureSpec, Dimension, Dtype, Error, LayerTensor, OptionalPart, Rope, RopeKind, Sliding,
    TensorSpec, Yarn,
};
use keys::Keys;

/// The settings of a model of a known architecture: all that its tensors and its forward pass depend on.
/// ```
/// use layer_ir::ModelConfig;
///
/// let raw = serde_json::json!({
///     "model_type": "llama", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
///     "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
/// });
/// let config = ModelConfig::from_json(raw.as_object().ok_or("an object")?, "config.json".as_ref())?;
/// assert_eq!((config.head_dim, config.rope.theta, config.windows.len()), (16, 10_000.0, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The description of its architecture.
    pub architecture: &'static ArchitectureSpec,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; fewer than [`Self::num_heads`] with grouped-query attention, and a divisor of them.
    pub num_kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Length of the context window, in tokens.
    pub max_position_embeddings: usize,
    /// Added to the mean square in every RMSNorm; 1e-6 where the config does not say it.
    pub rms_norm_eps: f64,
    /// Rotary embedding.
    pub rope: Rope,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases of queries, keys and values.
    pub attention_bias: bool,
    /// Bias of the attention's output.
    pub output_bias: bool,
    /// Biases of the MLP.
    pub mlp_bias: bool,
    /// Norms over each head's queries and keys.
    pub qk_norm: bool,
    /// Each layer's sliding window in tokens: query `i` sees key `j` if `i - j < window`. `None` sees all.
    pub windows: Vec<Option<usize>>,
    /// Token that begins a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// The number format that the config states; what the weights are in may differ.
    pub dtype: Option<Dtype>,
}

impl ModelConfig {
    /// Reads a `config.json` that is already parsed; `file` is for messages.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`]; [`Error::MissingKey`] and [`Error::BadKey`] name a key of `config.json`.
    pub fn from_json(raw: &Map<String, Value>, file: &Path) -> Result<Self, Error> {
        match architecture(raw, file)? {
            Architecture::Known(spec) => Self::of(spec, &Keys { raw, file }),
            Architecture::Other(architecture) => Err(unknown(file, architecture)),
        }
    }

    /// Reads the settings of a known architecture.
    fn of(spec: &'static ArchitectureSpec, keys: &Keys<'_>) -> Result<Self, Error> {
        let (num_heads, hidden_size) = (keys.needed_size("num_attention_heads")?, keys.needed_size("hidden_size")?);
        let num_layers = keys.num_layers()?;
        let defaults = spec.defaults;
        let max_position_embeddings = keys.size("max_position_embeddings")?.unwrap_or(defaults.max_position_embeddings);
        let evenly = || hidden_size.checked_div(num_heads).unwrap_or(0);
        // Where the key is there and `null`, transformers takes as many as there are query heads.
        let kv_heads = defaults.num_key_value_heads.filter(|_| !keys.raw.contains_key("num_key_value_heads"));
        let config = Self {
            architecture: spec,
            hidden_size,
            num_layers,
            num_heads,
            head_dim: keys.size("head_dim")?.or(defaults.head_dim).unwrap_or_else(evenly),
            max_position_embeddings,
            intermediate_size: keys.needed_size("intermediate_size")?,
            num_kv_heads: keys.size("num_key_value_heads")?.or(kv_heads).unwrap_or(num_heads),
            vocab_size: keys.needed_size("vocab_size")?,
            rms_norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope: rope(keys, max_position_embeddings)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(false),
            attention_bias: keys.has_part(spec.attention_bias)?,
            output_bias: keys.has_part(spec.output_bias)?,
            mlp_bias: keys.has_part(spec.mlp_bias)?,
            qk_norm: keys.has_part(spec.qk_norm)?,
            windows: windows(keys, spec.sliding, num_layers)?,
            bos_token_id: keys.tokens("bos_token_id")?.first().copied(),
            eos_token_ids: keys.tokens("eos_token_id")?,
            dtype: keys.dtype()?,
        };
        config.check(keys)?;
        Ok(config)
    }

    /// The tensors of one of its layers, in the order of a forward pass.
    #[must_use]
    pub fn layer_tensors(&self) -> Vec<LayerTensor> {
        let present = |tensor: &&TensorSpec| match tensor.part {
            None => true,
            Some(OptionalPart::AttentionBias) => self.attention_bias,
            Some(OptionalPart::OutputBias) => self.output_bias,
            Some(OptionalPart::MlpBias) => self.mlp_bias,
            Some(OptionalPart::QkNorm) => self.qk_norm,
        };
        let size = |dimension: &Dimension| match dimension {
            Dimension::Hidden => self.hidden_size,
            Dimension::Intermediate => self.intermediate_size,
            Dimension::Queries => self.num_heads * self.head_dim,
            Dimension::KeysAndValues => self.num_kv_heads * self.head_dim,
            Dimension::Head => self.head_dim,
        };
        let tensor = |tensor: &TensorSpec| LayerTensor {
            suffix: tensor.suffix.to_owned(),
            role: Some(tensor.role),
            shape: tensor.shape.iter().map(size).collect(),
        };
        self.architecture.layer_tensors.iter().filter(present).map(tensor).collect()
    }

    /// Whether the sizes can be those of a model, and the activation is one that is known.
    fn check(&self, keys: &Keys<'_>) -> Result<(), Error> {
        let bad = |key, expected| Err(keys.bad(key, expected));
        if self.num_kv_heads == 0 || !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return bad("num_key_value_heads", "a divisor of num_attention_heads");
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return bad("head_dim", "an even number");
        }
        match keys.text("hidden_act")? {
            Some(name) if !self.architecture.activations.contains(&name) => {
                bad("hidden_act", "silu, the only activation of the supported architectures")
            }
            _ => Ok(()),
        }
    }
}

/// What `config.json` says the architecture is.
///
/// # Errors
/// [`Error::MissingKey`] or [`Error::BadKey`] for `model_type`.
pub(crate) fn architecture(raw: &Map<String, Value>, file: &Path) -> Result<Architecture, Error> {
    let keys = Keys { raw, file };
    Ok(Architecture::named(keys.text("model_type")?.ok_or_else(|| keys.missing("model_type"))?))
}

/// How many layers `config.json` says there are, for every architecture.
///
/// # Errors
/// [`Error::MissingKey`] or [`Error::BadKey`] for `num_hidden_layers`.
pub(crate) fn num_layers(raw: &Map<String, Value>, file: &Path) -> Result<usize, Error> {
    Keys { raw, file }.num_layers()
}

/// A width of the keys of one layer, of the heads together, as `config.json` says it in the usual words; `None` if it
/// does not.
pub(crate) fn keys_width(raw: &Map<String, Value>) -> Option<usize> {
    let keys = Keys { raw, file: Path::new("") };
    let size = |key| keys.size(key).ok().flatten();
    let heads = size("num_attention_heads")?;
    let head_dim = size("head_dim").or_else(|| size("hidden_size")?.checked_div(heads))?;
    size("num_key_value_heads").unwrap_or(heads).checked_mul(head_dim)
}

/// The error of what needs a known architecture.
pub(crate) fn unknown(file: &Path, architecture: String) -> Error {
    let known = Architecture::all().iter().map(|spec| spec.model_type).collect::<Vec<_>>().join(", ");
    Error::UnknownArchitecture { file: file.to_owned(), architecture, known }
}

/// The sliding window of each layer, in tokens.
fn windows(keys: &Keys<'_>, sliding: Sliding, layers: usize) -> Result<Vec<Option<usize>>, Error> {
    // transformers' default, where the key is absent; `null` is no window.
    let window = keys.size("sliding_window")?.or((!keys.raw.contains_key("sliding_window")).then_some(4096));
    let slides = match sliding {
        Sliding::EveryLayer => vec![true; layers],
        Sliding::UpperLayers if keys.flag("use_sliding_window")?.unwrap_or(false) => upper_layers(keys, layers)?,
        Sliding::UpperLayers | Sliding::Never => vec![false; layers],
    };
    Ok(slides.into_iter().map(|slides| window.filter(|_| slides)).collect())
}

/// The layers that slide under [`Sliding::UpperLayers`].
fn upper_layers(keys: &Keys<'_>, layers: usize) -> Result<Vec<bool>, Error> {
    let Some(types) = keys.typed("layer_types", "a list", Value::as_array)? else {
        let full = keys.size("max_window_layers")?.unwrap_or(28);
        return Ok((0..layers).map(|layer| layer >= full).collect());
    };
    if types.len() != layers {
        return Err(keys.bad("layer_types", "one entry for each of `num_hidden_layers`"));
    }
    Ok(types.iter().map(|kind| kind == "sliding_attention").collect())
}

/// The rotary embedding, of `rope_parameters` (newer) or `rope_theta` and `rope_scaling` (older). `max_position` stands
/// for the length of pre-training where the scaling does not say it.
fn rope(keys: &Keys<'_>, max_position: usize) -> Result<Rope, Error> {
    let old = keys.get("rope_scaling").is_some_and(|scaling| *scaling != Value::Object(Map::new()));
    let key = if old { "rope_scaling" } else { "rope_parameters" };
    let empty = Map::new();
    let inner = keys.typed(key, "a mapping", Value::as_object)?.unwrap_or(&empty);
    let bad = |what| keys.bad(key, what);
    let number = |name: &str| inner.get(name).and_then(Value::as_f64);
    let theta = number("rope_theta").or(keys.number("rope_theta")?).unwrap_or(10_000.0);
    const ORIGINAL: &str = "original_max_position_embeddings";
    let original = keys.size(ORIGINAL)?.or(number(ORIGINAL).map(|n| n as usize)).unwrap_or(max_position);
    let given = |name| number(name).filter(|n| *n != 0.0);
    if inner.values().any(Value::is_object) {
        return Err(bad("one mapping for all layers"));
    }
    let needed = |name, what| number(name).filter(|n| *n > 0.0).ok_or_else(|| bad(what));
    let factor = || needed("factor", "a mapping with a `factor`");
    if number("partial_rotary_factor").or(keys.number("partial_rotary_factor")?).is_some_and(|share| share != 1.0) {
        return Err(keys.bad("partial_rotary_factor", "1: partial rotary embedding is not supported"));
    }
    let name = inner.get("rope_type").or_else(|| inner.get("type")).and_then(Value::as_str).unwrap_or("default");
    let kind = match name {
        "default" => RopeKind::Default,
        "linear" => RopeKind::Linear { factor: factor()? },
        "dynamic" => RopeKind::Dynamic { factor: factor()?, original: max_position },
        "llama3" => RopeKind::Llama3 {
            factor: factor()?,
            low: needed("low_freq_factor", "a mapping with a `low_freq_factor`")?,
            high: needed("high_freq_factor", "a mapping with a `high_freq_factor`")?,
            original,
        },
        "yarn" => RopeKind::Yarn(Yarn {
            factor: number("factor").unwrap_or(max_position as f64 / original.max(1) as f64),
            beta_fast: given("beta_fast").unwrap_or(32.0),
            beta_slow: given("beta_slow").unwrap_or(1.0),
            attention_factor: number("attention_factor"),
            mscale: number("mscale"),
            mscale_all_dim: number("mscale_all_dim"),
            original,
            truncate: inner.get("truncate").and_then(Value::as_bool).unwrap_or(true),
        }),
        _ => return Err(bad("of the types default, linear, dynamic, llama3 or yarn")),
    };
    Ok(Rope { theta, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(changes: Value) -> Result<ModelConfig, Error> {
        let mut raw = json!({
            "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 9, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 64
        });
        if let (Some(raw), Value::Object(changes)) = (raw.as_object_mut(), changes) {
            raw.extend(changes);
        }
        ModelConfig::from_json(raw.as_object().unwrap_or(&Map::new()), Path::new("config.json"))
    }

    #[test]
    fn a_config_of_an_unknown_architecture_is_refused_with_the_known_ones() {
        let error = read(json!({"model_type": "novel"})).err().map_or_else(String::new, |error| error.to_string());
        assert!(error.contains("`novel`") && error.contains("llama, mistral, qwen2, qwen3"), "{error}");
    }

    #[test]
    fn both_spellings_say_the_same() -> Result<(), Error> {
        let kind = json!({
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32
        });
        let mut old = kind.clone();
        old["type"] = "llama3".into();
        let mut new = kind;
        new["rope_type"] = "llama3".into();
        new["rope_theta"] = 5e5.into();
        let old = read(json!({"rope_theta": 5e5, "rope_scaling": old, "torch_dtype": "bfloat16"}))?;
        assert_eq!(old, read(json!({"rope_parameters": new, "dtype": "bfloat16"}))?);
        assert_eq!((old.head_dim, old.num_kv_heads, old.dtype), (4, 4, Some(Dtype::BF16)));
        Ok(())
    }

    #[test]
    fn a_missing_or_wrong_key_is_named() {
        let message = |changes| read(changes).map_err(|error| error.to_string()).err().unwrap_or_default();
        assert_eq!(message(json!({"vocab_size": null})), "config.json: `vocab_size` is missing");
        assert!(message(json!({"hidden_size": "wide"})).contains("`hidden_size` is \"wide\", not a whole number"));
        assert!(message(json!({"num_key_value_heads": 3})).contains("num_key_value_heads"));
        assert!(message(json!({"rope_scaling": {"rope_type": "longrope"}})).contains("rope_scaling"));
        assert!(message(json!({"hidden_act": "gelu"})).contains("hidden_act"));
    }

    #[test]
    fn only_the_layers_of_the_config_slide() -> Result<(), Error> {
        let qwen =
            json!({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1});
        assert_eq!(read(qwen)?.windows, [None, Some(8)]);
        assert_eq!(read(json!({"model_type": "mistral", "sliding_window": 8}))?.windows, [Some(8), Some(8)]);
        assert_eq!(read(json!({"sliding_window": 8}))?.windows, [None, None]);
        Ok(())
    }

    #[test]
    fn layer_types_say_which_layers_slide() -> Result<(), Error> {
        let qwen = |types: Value| {
            read(json!({"model_type": "qwen3", "use_sliding_window": true, "sliding_window": 8, "layer_types": types}))
        };
        assert_eq!(qwen(json!(["sliding_attention", "full_attention"]))?.windows, [Some(8), None]);
        assert_eq!(qwen(Value::Null)?.windows, [None, None], "28 layers are full where nothing is said");
        assert!(qwen(json!(["full_attention"])).is_err_and(|error| error.to_string().contains("layer_types")));
        Ok(())
    }

    #[test]
    fn an_absent_key_means_what_transformers_takes() -> Result<(), Error> {
        let mistral = read(json!({"model_type": "mistral"}))?;
        assert_eq!((mistral.windows[0], mistral.rope.theta), (Some(4096), 1e4));
        assert_eq!(read(json!({"model_type": "mistral", "sliding_window": null}))?.windows, [None, None]);
        assert_eq!(read(json!({"model_type": "qwen3"}))?.head_dim, 128);
        assert_eq!(read(json!({"num_key_value_heads": null}))?.num_kv_heads, 4);
        Ok(())
    }

    #[test]
    fn rotary_scaling_knows_the_length_of_pre_training() -> Result<(), Error> {
        let rope = |scaling: Value| Ok::<_, Error>(read(json!({"rope_scaling": scaling}))?.rope.kind);
        let dynamic = json!({"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 16});
        assert_eq!(rope(dynamic)?, RopeKind::Dynamic { factor: 2.0, original: 64 }, "transformers looks elsewhere");
        let yarn = |scaling| match rope(scaling)? {
            RopeKind::Yarn(yarn) => Ok::<_, Error>((yarn.factor, yarn.original)),
            other => panic!("{other:?}"),
        };
        assert_eq!(yarn(json!({"rope_type": "yarn", "original_max_position_embeddings": 16}))?, (4.0, 16));
        assert_eq!(yarn(json!({"rope_type": "yarn", "factor": 2.0}))?, (2.0, 64));
        let nested = rope(json!({"full_attention": {"rope_type": "default"}}));
        assert!(nested.is_err_and(|error: Error| error.to_string().contains("one mapping for all layers")));
        Ok(())
    }
}
