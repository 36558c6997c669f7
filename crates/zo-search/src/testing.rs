//! Laws to try your own implementations on.

mod laws;

pub use laws::{BrokenLaw, check_laws};
