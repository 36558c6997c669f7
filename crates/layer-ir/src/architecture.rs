//! What differs between architectures, as data: one file and one row of [`Architecture::all`] for each.
//!
//! All of them are decoders of Llama's kind: an RMSNorm before the attention and one before the MLP, rotary embedding,
//! grouped queries, a gated MLP. A new one of this kind is a file beside `llama.rs` and a row below; no other file
//! names it.

mod llama;
mod mistral;
mod qwen2;
mod qwen3;
mod tensors;

use std::fmt;

pub use tensors::{Dimension, LayerTensor, OptionalPart, Role, TensorSpec};

/// The architectures that are known: the table.
const ALL: [&ArchitectureSpec; 4] = [&llama::LLAMA, &mistral::MISTRAL, &qwen2::QWEN2, &qwen3::QWEN3];

/// What kind of model a checkpoint is, by the `model_type` of its `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architecture {
    /// One that is described: it can be run, and output scales can be folded into its weights.
    Known(&'static ArchitectureSpec),
    /// Any other, by its `model_type`: it can still be cut, stitched and merged.
    Other(String),
}

/// The description of one architecture: what a config leaves open, and which tensors there are.
/// ```
/// use layer_ir::{Architecture, Presence, Role};
///
/// let qwen3 = Architecture::named("qwen3").spec().ok_or("known")?;
/// assert_eq!(qwen3.qk_norm, Presence::Always);
/// assert!(qwen3.residual_writers.contains(&Role::DownProj));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct ArchitectureSpec {
    /// What `config.json` calls it.
    pub model_type: &'static str,
    /// Which models it is, for people.
    pub summary: &'static str,
    /// The tensors of a layer, in the order of a forward pass.
    pub layer_tensors: &'static [TensorSpec],
    /// Whether queries, keys and values have a bias.
    pub attention_bias: Presence,
    /// Whether the output of the attention has a bias.
    pub output_bias: Presence,
    /// Whether the MLP's three projections have a bias.
    pub mlp_bias: Presence,
    /// Whether each head's queries and keys go through a norm.
    pub qk_norm: Presence,
    /// Which layers have a sliding window.
    pub sliding: Sliding,
    /// The names of the activation function that `hidden_act` may state.
    pub activations: &'static [&'static str],
    /// What transformers takes for keys that `config.json` does not have.
    pub defaults: Defaults,
    /// What is added to the residual stream. Output scales are folded into these tensors, which is right only where no
    /// norm stands between them and the stream.
    pub residual_writers: &'static [Role],
}

/// Whether an optional part of a layer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In every model.
    Always,
    /// In no model.
    Never,
    /// In models whose config says `true` under this key.
    IfSet(&'static str),
}

/// Which layers attend within a sliding window only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sliding {
    /// None, whatever the config says.
    Never,
    /// All, if the config has a `sliding_window`.
    EveryLayer,
    /// With `use_sliding_window`: those that `layer_types` lists as `sliding_attention`, or else those from
    /// `max_window_layers` on.
    UpperLayers,
}

/// What stands for keys that `config.json` does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// `max_position_embeddings`, in tokens.
    pub max_position_embeddings: usize,
    /// `num_key_value_heads`; `None` for as many as there are query heads.
    pub num_key_value_heads: Option<usize>,
    /// `head_dim`; `None` for the hidden size divided by the number of heads.
    pub head_dim: Option<usize>,
}

impl Architecture {
    /// All known architectures.
    #[must_use]
    pub fn all() -> &'static [&'static ArchitectureSpec] {
        &ALL
    }

    /// The architecture that `config.json` names so.
    /// ```
    /// use layer_ir::Architecture;
    /// assert!(Architecture::named("qwen3").spec().is_some());
    /// assert_eq!(Architecture::named("gpt2"), Architecture::Other("gpt2".to_owned()));
    /// ```
    #[must_use]
    pub fn named(model_type: &str) -> Self {
        let spec = ALL.into_iter().find(|spec| spec.model_type == model_type);
        spec.map_or_else(|| Self::Other(model_type.to_owned()), Self::Known)
    }

    /// Its description; `None` for one that is not known.
    #[must_use]
    pub fn spec(&self) -> Option<&'static ArchitectureSpec> {
        match self {
            Self::Known(spec) => Some(spec),
            Self::Other(_) => None,
        }
    }
}

/// As `config.json` has it.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(spec) => spec.model_type,
            Self::Other(model_type) => model_type,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_its_own_name_and_each_role_once() {
        for (index, spec) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.model_type != spec.model_type), "{}", spec.model_type);
            let roles: std::collections::HashSet<_> = spec.layer_tensors.iter().map(|tensor| tensor.role).collect();
            assert_eq!(roles.len(), spec.layer_tensors.len(), "{}", spec.model_type);
            assert!(spec.residual_writers.iter().all(|role| roles.contains(role)), "{}", spec.model_type);
        }
    }
}
