//! Examples of Tailor.
