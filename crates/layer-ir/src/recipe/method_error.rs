//! What can be wrong with a merge, by what its method says of itself.

/// A merge that its method cannot make. Messages name the method and what it takes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A method that is not registered.
    #[error("there is no merge method `{method}`; known are {known}")]
    UnknownMethod {
        /// As written.
        method: String,
        /// The names that are there.
        known: String,
    },
    /// A published method that cannot be made of checkpoints alone.
    #[error("merge method `{method}` needs {needs}, which a recipe does not have; take one of {known}")]
    NeedsData {
        /// As written.
        method: String,
        /// What it needs.
        needs: &'static str,
        /// The names that are there.
        known: String,
    },
    /// A parameter that the method does not have.
    #[error("merge method `{method}` has no parameter `{parameter}` {scope}; it knows {known}")]
    UnknownParameter {
        /// The method.
        method: String,
        /// As written.
        parameter: String,
        /// `of the merge` or `of a source`.
        scope: &'static str,
        /// What it has there.
        known: String,
    },
    /// A parameter that the method needs.
    #[error("merge method `{method}` needs the parameter `{parameter}` for tensor `{tensor}`")]
    MissingParameter {
        /// The method.
        method: String,
        /// The parameter.
        parameter: String,
        /// The tensor that it is not set for.
        tensor: String,
    },
    /// A parameter whose value it may not have.
    #[error("merge method `{method}`: `{parameter}` is {found} for tensor `{tensor}`; it must be {expected}")]
    WrongParameter {
        /// The method.
        method: String,
        /// The parameter.
        parameter: String,
        /// Its value.
        found: String,
        /// The tensor.
        tensor: String,
        /// What it may be.
        expected: String,
    },
    /// A method that works on differences to a base, without one.
    #[error("merge method `{method}` needs a base; name it in the merge or in the recipe")]
    MissingBase {
        /// The method.
        method: String,
    },
    /// Too few or too many sources.
    #[error("merge method `{method}` takes {expected}, not {found}")]
    SourceCount {
        /// The method.
        method: String,
        /// How many there are.
        found: usize,
        /// How many it takes, in words.
        expected: String,
    },
    /// Weights that cannot be normalised.
    #[error(
        "merge method `{method}`: the weights for tensor `{tensor}` sum to 0, or to next to nothing; change one, or \
         set `{unless}`"
    )]
    ZeroWeights {
        /// The method.
        method: String,
        /// The tensor.
        tensor: String,
        /// The parameter that leaves the division out.
        unless: &'static str,
    },
}
