//! Where the time goes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a runtime has spent since it was made, over all models. Times are wall clock: what threads do at the same
/// time for one call counts once.
///
/// ```
/// # use layer_runtime::Timings;
/// let before = Timings { layer_tokens_asked: 100, layer_tokens_shared: 20, ..Timings::default() };
/// let after = Timings { layer_tokens_asked: 300, layer_tokens_shared: 120, ..Timings::default() };
/// assert_eq!((after - before).saved(), 0.5); // of what was asked for in between
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// In forward passes.
    pub forward: Duration,
    /// Reading and merging layers.
    pub build: Duration,
    /// In all other parts of the models' methods: sorting requests, sharing prefixes, summing scores.
    pub other: Duration,
    /// Tokens that were computed, times layers.
    pub layer_tokens: u64,
    /// Tokens that were asked for, times layers: what a forward pass of each sequence by itself would compute.
    pub layer_tokens_asked: u64,
    /// Of those asked for: saved, as sequences of a call begin alike.
    pub layer_tokens_shared: u64,
    /// Of those asked for: saved, as a recipe's first layers had been computed for the same sequences.
    pub layer_tokens_kept: u64,
    /// Layers, embeddings and heads that were built.
    pub layers_built: u64,
    /// Layers, embeddings and heads that were found in the bank.
    pub layers_reused: u64,
}

impl Timings {
    /// The share of the work asked for that was saved, in [0, 1]; 0 if nothing was asked for.
    #[must_use]
    pub fn saved(&self) -> f64 {
        if self.layer_tokens_asked == 0 {
            return 0.0;
        }
        (self.layer_tokens_shared + self.layer_tokens_kept) as f64 / self.layer_tokens_asked as f64
    }

    /// Combines two timings, durations and counts each in their way.
    fn zip(
        self,
        other: Self,
        times: impl Fn(Duration, Duration) -> Duration,
        counts: impl Fn(u64, u64) -> u64,
    ) -> Self {
        Self {
            forward: times(self.forward, other.forward),
            build: times(self.build, other.build),
            other: times(self.other, other.other),
            layer_tokens: counts(self.layer_tokens, other.layer_tokens),
            layer_tokens_asked: counts(self.layer_tokens_asked, other.layer_tokens_asked),
            layer_tokens_shared: counts(self.layer_tokens_shared, other.layer_tokens_shared),
            layer_tokens_kept: counts(self.layer_tokens_kept, other.layer_tokens_kept),
            layers_built: counts(self.layers_built, other.layers_built),
            layers_reused: counts(self.layers_reused, other.layers_reused),
        }
    }
}

impl std::ops::Add for Timings {
    type Output = Self;

    /// The sum, as of several devices.
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b, |a, b| a + b)
    }
}

/// What was spent since `earlier` timings of the same runtime.
impl std::ops::Sub for Timings {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.zip(earlier, Duration::saturating_sub, u64::saturating_sub)
    }
}

/// [`Timings`] in the making.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// As [`Timings::forward`].
    pub forward: Clock,
    /// As [`Timings::build`].
    pub build: Clock,
    /// All time inside the models' methods.
    pub total: Clock,
    /// As [`Timings::layer_tokens`].
    pub layer_tokens: AtomicU64,
    /// As [`Timings::layer_tokens_asked`].
    pub layer_tokens_asked: AtomicU64,
    /// As [`Timings::layer_tokens_shared`].
    pub layer_tokens_shared: AtomicU64,
    /// As [`Timings::layer_tokens_kept`].
    pub layer_tokens_kept: AtomicU64,
    /// As [`Timings::layers_built`].
    pub layers_built: AtomicU64,
    /// Layers, embeddings and heads that were built or found.
    pub layers_asked: AtomicU64,
}

impl Counters {
    /// The counts so far.
    pub fn read(&self) -> Timings {
        let (forward, build) = (self.forward.read(), self.build.read());
        let layers_built = self.layers_built.load(Relaxed);
        Timings {
            forward,
            build,
            other: self.total.read().saturating_sub(forward + build),
            layer_tokens: self.layer_tokens.load(Relaxed),
            layer_tokens_asked: self.layer_tokens_asked.load(Relaxed),
            layer_tokens_shared: self.layer_tokens_shared.load(Relaxed),
            layer_tokens_kept: self.layer_tokens_kept.load(Relaxed),
            layers_built,
            layers_reused: self.layers_asked.load(Relaxed).saturating_sub(layers_built),
        }
    }
}

/// Adds up durations from many threads.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// Runs something and adds its time.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(start.elapsed());
        result
    }

    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        self.0.fetch_add(duration.as_nanos() as u64, Relaxed);
    }

    /// The sum so far.
    pub fn read(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}
