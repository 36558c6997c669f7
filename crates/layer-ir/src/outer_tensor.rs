//! The tensors outside of the numbered layers, in this crate and those above it called *outer tensors*.
//!
//! A recipe says of each what it is made of ([`OuterTensors`](crate::OuterTensors), the key `ends` of its file), and a
//! checkpoint how it is named ([`Checkpoint::outer_name`](crate::Checkpoint::outer_name)).

/// What stands before the first layer and after the last.
/// ```
/// use layer_ir::OuterTensor;
///
/// let names = OuterTensor::ALL.map(|outer| outer.to_string());
/// assert_eq!(names, ["embedding", "final norm", "head"]);
/// assert!(!OuterTensor::WITH_TOKENS.contains(&OuterTensor::FinalNorm));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OuterTensor {
    /// The token embedding `[vocabulary, hidden]`.
    Embedding,
    /// The final norm `[hidden]`.
    FinalNorm,
    /// The output head `[vocabulary, hidden]`; a model with tied embeddings stores none.
    Head,
}

impl OuterTensor {
    /// All of them, in the order of a forward pass.
    pub const ALL: [Self; 3] = [Self::Embedding, Self::FinalNorm, Self::Head];
    /// Those that have a row for each token.
    pub const WITH_TOKENS: [Self; 2] = [Self::Embedding, Self::Head];

    /// The name that the known architectures have for it.
    pub(crate) fn tensor_name(self) -> &'static str {
        match self {
            Self::Embedding => "model.embed_tokens.weight",
            Self::FinalNorm => "model.norm.weight",
            Self::Head => "lm_head.weight",
        }
    }
}

impl std::fmt::Display for OuterTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedding => "embedding",
            Self::FinalNorm => "final norm",
            Self::Head => "head",
        })
    }
}
