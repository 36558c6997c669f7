//! Kernels of x86-64's instructions for bf16: the only unsafe code of Tailor's runtime, behind safe faces.
//!
//! Each kernel's type has a private field, so that a value of it exists only where its `detect` has asked the
//! processor. Tests compare all kernels with [`WidenedBf16`](super::vectors::WidenedBf16) and with sums in f64.
#![allow(unsafe_code)]

mod amx;
mod avx512;

pub(super) use amx::{Amx, EXACT};
pub(super) use avx512::Avx512;
