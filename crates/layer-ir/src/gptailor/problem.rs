//! What can be wrong with one parameter of a result.

use super::Kind;

/// What can be wrong with one parameter of a result, or with the lack of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The first key of a file that is no result.
    #[error("is no parameter of a search of auto-merge-llm (prune, lfs, dis)")]
    NoSearch,
    /// A key that the file's search does not have.
    #[error("is no parameter of {0}")]
    Unknown(Kind),
    /// A key that must be there.
    #[error("is missing")]
    Missing,
    /// A value that is no finite number.
    #[error("is no finite number")]
    NoNumber,
    /// A removed layer that is no whole number.
    #[error("is no layer")]
    NoLayer,
    /// A choice that is neither yes nor no.
    #[error("is neither 0 nor 1")]
    NoFlag,
    /// A layer that is removed twice.
    #[error("names layer {layer}, which `{first}` removes already")]
    RemovedTwice {
        /// The layer.
        layer: usize,
        /// The key that names it first.
        first: String,
    },
    /// A parameter of a removed layer.
    #[error("stands there although the layer is removed by `{by}`")]
    Removed {
        /// The key that removes it.
        by: String,
    },
    /// No parameters of a layer, which is not removed either.
    #[error("is missing although the layer is not removed")]
    NotRemoved,
    /// A layer that the base does not have.
    #[error("is of layer {layer}, and the base has {layers} layers")]
    BeyondBase {
        /// The layer.
        layer: usize,
        /// The base's layers.
        layers: usize,
    },
    /// More or fewer candidates than were given.
    #[error("the file is about {found} candidates beside the base, and {given} were given")]
    Candidates {
        /// In the file.
        found: usize,
        /// As given.
        given: usize,
    },
    /// A model by a name that nothing was given for.
    #[error("its model `{model}` is none of those that were given; call the one that it is by this name")]
    UnknownModel {
        /// The name in the file.
        model: String,
    },
    /// A model that may be several of those that were given.
    #[error("its model `{model}` may be several of those that were given; call the one that it is by this name")]
    AmbiguousModel {
        /// The name in the file.
        model: String,
    },
    /// Two models that would be one of those that were given.
    #[error("its model `{model}` and `{other}` would be one of those that were given; call them by these names")]
    SameModel {
        /// The name in the file.
        model: String,
        /// That of the other model.
        other: String,
    },
    /// A merge method that the search does not have.
    #[error("is none of `linear`, `task_arithmetic`, `ties` and `slerp`")]
    UnknownMethod,
    /// An interpolation with too few models.
    #[error("is `slerp`, which needs two candidates")]
    TooFewForSlerp,
    /// Weights that cannot be divided by their sum.
    #[error("this weight and those of the other models sum to 0")]
    WeightsSumToZero,
    /// A file of the fusion search, whose groups say nothing without the number of layers.
    #[error("is of a group of layers, and how many layers the base has was not said")]
    LayersUnsaid,
    /// A base that cannot be divided into the file's groups.
    #[error("is of the last of {groups} groups, into which {layers} layers cannot be divided evenly")]
    UnevenGroups {
        /// The file's groups.
        groups: usize,
        /// The base's layers.
        layers: usize,
    },
    /// Filters that both fit a tensor.
    #[error("`{set}` and `{other}` both fit tensor `{tensor}`; which is tried first must be said")]
    FilterOrder {
        /// The key's filter.
        set: String,
        /// The other one.
        other: String,
        /// The tensor.
        tensor: &'static str,
    },
    /// Filters that are not those of the file.
    #[error("the filters that were given are not those of the file, each once")]
    OtherFilters,
    /// Positions that do not make up the base.
    #[error(
        "is of the last of {positions} positions, which with {fixed} fixed layers at either end are not the base's \
         {layers} layers"
    )]
    Positions {
        /// The file's positions.
        positions: usize,
        /// Fixed layers at either end.
        fixed: usize,
        /// The base's layers.
        layers: usize,
    },
    /// A number that no permutation has.
    #[error("is no permutation of {models} models, which have the numbers from 0 on in lexicographic order")]
    NoPermutation {
        /// The number of models.
        models: usize,
    },
    /// An order beside permutations.
    #[error("says the order already, and another one was given")]
    OrderTwice,
    /// An order that is none.
    #[error("is missing, and the order that was given instead does not have each of the {models} models once")]
    BadOrder {
        /// The number of models.
        models: usize,
    },
    /// A scale that leaves nothing of what comes before the layer.
    #[error("leaves nothing of the residual stream; at the MLP's output it could be so small")]
    TooSmall,
    /// As [`Problem::TooSmall`], where there is no other place for it.
    #[error("leaves nothing of the residual stream")]
    NothingLeft,
}
