//! Python, where the harness's results depend on it: texts, numbers, patterns, chance, and what its Jinja templates
//! may call.
//!
//! Python's values are serde's here: None is null, a tuple is a list. A function is named after Python's, and its doc
//! says which one that is.

pub(crate) mod case;
pub(crate) mod jinja;
pub(crate) mod json;
pub(crate) mod literal;
mod methods;
pub(crate) mod numpy_random;
mod print;
pub(crate) mod random;
pub(crate) mod regex;
pub(crate) mod strftime;
pub(crate) mod text;
