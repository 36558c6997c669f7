//! How large this processor's caches are: what loops over blocks choose their blocks by.

use gemm_common::cache::CACHE_INFO;

/// Bytes of the caches that a core has for itself. Where cores or threads share one, its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// Of the first cache, for data; at least 16 KiB.
    pub first: usize,
    /// Of the second cache; at least 128 KiB.
    pub second: usize,
}

/// The caches, as the system or the processor tells; what it does not tell is taken as 32 KiB and 256 KiB.
#[must_use]
pub fn caches() -> Caches {
    let [first, second, _] = CACHE_INFO.map(|cache| cache.cache_bytes);
    Caches { first: first.max(16 << 10), second: second.max(128 << 10) }
}
