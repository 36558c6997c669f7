//! What Python does with text, numbers, patterns and chance, where the harness's results depend on it.

pub(crate) mod case;
pub(crate) mod json;
pub(crate) mod literal;
pub(crate) mod random;
pub(crate) mod regex;
pub(crate) mod text;
