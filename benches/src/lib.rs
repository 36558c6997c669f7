//! Benchmarks of Tailor.
