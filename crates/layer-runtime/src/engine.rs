//! What a device must be able to do: the seam between the walk over the layers and the kernels.
//!
//! An engine says by its types how it lays out a batch, a layer and the keys and values of a generation. The walk
//! ([`forward`](crate::forward), [`score`](crate::score), [`generate`](crate::generate)) is generic over them, and an
//! [`Executor`](crate::executor::Executor) hides them from the models. A new engine is one folder that implements
//! [`Engine`] and one row in the table of [`engines`](crate::engines).

use burn::tensor::Tensor;

use crate::Error;
use crate::batch::Batch;
use crate::weights::{LayerTensors, Sizes};

/// Lays weights out for a device and runs them there.
///
/// The residual stream between the layers is a tensor `[rows, hidden]` in f32 for every engine.
/// For each call, the walk over the layers
/// 1. lays out the batch ([`Engine::layout`]);
/// 2. embeds its tokens ([`TokenEmbedding::embed`]), or restores a kept state ([`Engine::restore`]);
/// 3. takes the stream through each layer ([`DecoderLayer::forward`]) and keeps some states ([`Engine::keep`]);
/// 4. hands the stream to the head ([`LmHead`]).
///
/// Laws, which the crate's tests hold for every engine of the table:
/// - A row's result does not depend on the other rows of the batch that it does not see, but for rounding.
/// - A kept state is restored to the bit, whatever became of the stream that it was copied from.
/// - Of equally likely tokens, the one of the lowest id is chosen.
///
/// An engine fails with [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when its device does; it never panics
/// on sizes that [`LayerTensors::fetch`] has checked.
pub(crate) trait Engine: Send + Sync + Sized + 'static {
    /// How its work is shared out.
    fn traits() -> EngineTraits;

    /// A batch as its layers walk over it, made once per batch.
    type Layout: Send + Sync;
    /// The keys and values of one layer while it generates.
    type Cache: KvCache;
    /// What is kept of a residual stream, for recipes that begin alike. Cloning is cheap.
    type KeptState: Clone + Send + Sync;
    /// What stands before the first layer.
    type Embedding: TokenEmbedding;
    /// A decoder layer.
    type Layer: DecoderLayer<Layout = Self::Layout, Cache = Self::Cache>;
    /// What stands after the last layer.
    type Head: LmHead;

    /// Lays a batch out.
    fn layout(&self, batch: &Batch) -> Self::Layout;

    /// Lays the token embedding `[vocabulary, hidden]` out.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn embedding(&self, tokens: Tensor<2>) -> Result<Self::Embedding, Error>;

    /// Lays a layer's tensors out.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<Self::Layer, Error>;

    /// Lays the final norm `[hidden]` and the head `[vocabulary, hidden]` out.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn lm_head(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<Self::Head, Error>;

    /// Copies a residual stream `[rows, hidden]` to keep it, and hands the stream back.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn keep(&self, x: Tensor<2>) -> Result<(Self::KeptState, Tensor<2>), Error>;

    /// A residual stream from what was kept of it.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn restore(&self, kept: &Self::KeptState) -> Result<Tensor<2>, Error>;

    /// Takes the memory of a state that is kept no longer.
    fn recycle(&self, _kept: Self::KeptState) {}
}

/// How an engine's work is shared out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineTraits {
    /// Whether it computes on the threads of rayon's pool.
    pub runs_on_rayon: bool,
    /// A layer of at most so many bytes is computed faster if each thread has a batch of its own than if the threads
    /// share one. 0: never.
    pub bytes_of_one_thread: usize,
    /// How many rows of its caches a sequence takes at a time while it generates; 1 if rows have to stand in the
    /// order in which they are computed.
    pub cache_rows: u32,
}

/// What differs from layer to layer beside the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerSettings {
    /// How many positions a query sees, its own included; `None`: all before it.
    pub window: Option<usize>,
    /// The residual stream is multiplied by this after the layer.
    pub scale: f32,
}

/// What a layer is run on, beside the residual stream.
#[derive(Debug)]
pub(crate) struct LayerPass<'a, L> {
    /// What differs from layer to layer.
    pub settings: LayerSettings,
    /// Tokens and what they see.
    pub batch: &'a Batch,
    /// The engine's layout of the batch.
    pub layout: &'a L,
    /// The rows whose stream is asked for, ascending; `None`: all. Keys and values are computed of all rows, the rest
    /// of these only.
    pub wanted: Option<&'a [u32]>,
}

impl<L> Clone for LayerPass<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for LayerPass<'_, L> {}

/// The token embedding.
pub(crate) trait TokenEmbedding: Send + Sync {
    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// The residual stream `[tokens, hidden]` of some tokens, in f32.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error>;
}

/// A decoder layer, ready to run.
pub(crate) trait DecoderLayer: Send + Sync {
    /// The engine's [`Engine::Layout`].
    type Layout;
    /// The engine's [`Engine::Cache`].
    type Cache;

    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// The residual stream after the layer, `[wanted rows, hidden]`, from the one before it, `[rows, hidden]`. The
    /// stream is taken by value, as a tensor that is owned alone is written in place. With a cache, keys and values
    /// are added to it, and the batch's key rows are rows of the cache.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn forward(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, Self::Layout>,
        cache: Option<&mut Self::Cache>,
    ) -> Result<Tensor<2>, Error>;

    /// As [`DecoderLayer::forward`] without a cache, of all rows whichever are wanted, with what stands inside of the
    /// MLP, and if `attention` says so, of the attention.
    ///
    /// # Errors
    /// As of [`DecoderLayer::forward`].
    fn forward_with_inner(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, Self::Layout>,
        attention: bool,
    ) -> Result<WithInner, Error>;
}

/// What a layer makes of all rows of a batch.
#[derive(Debug)]
pub(crate) struct WithInner {
    /// The residual stream after the layer, `[rows, hidden]`.
    pub stream: Tensor<2>,
    /// `silu(gate) * up`, the input of the down projection, `[rows, intermediate]`, in f32.
    pub inner: Tensor<2>,
    /// The input of the output projection, `[rows, queries * dim]`, and the stream after it, before the MLP, `[rows,
    /// hidden]`, in f32, where they are asked for.
    pub attention: Option<[Tensor<2>; 2]>,
}

/// The keys and values of one layer for the tokens of a generation.
pub(crate) trait KvCache: Default + Send {
    /// Forgets all, but may keep memory for what comes next.
    fn clear(&mut self);
}

/// A token whose probability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The row of the residual stream that predicts it.
    pub row: u32,
    /// Its id.
    pub token: u32,
}

/// The natural logarithm of a target's probability, and whether the target is the most likely token (of equally
/// likely ones, the lowest id).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetScore {
    /// In nats; at most 0.
    pub log_probability: f32,
    /// Whether greedy decoding would choose it.
    pub greedy: bool,
}

/// The final norm and the head.
pub(crate) trait LmHead: Send + Sync {
    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// The logits of all rows of the residual stream `[rows, hidden]`, as blocks of rows `[some rows, vocabulary]`,
    /// one after the other.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error>;

    /// The scores of targets, whose rows ascend, computed by `threads` threads of the CPU.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn score(&self, x: Tensor<2>, targets: &[Target], threads: usize) -> Result<Vec<TargetScore>, Error>;

    /// The most likely token of each row (of equally likely ones, the lowest id), computed by `threads` threads of
    /// the CPU.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Read`] or [`Error::Fetch`] when the device fails.
    fn most_likely(&self, x: Tensor<2>, threads: usize) -> Result<Vec<u32>, Error>;
}
