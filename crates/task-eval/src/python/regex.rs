//! Python's `re` by way of fancy-regex.

/// A pattern of Python's `re`.
#[derive(Debug, Clone)]
pub(crate) struct PythonRegex {
    any: fancy_regex::Regex,
}

impl PythonRegex {
    pub(crate) fn new(pattern: &str) -> Result<Self, Box<fancy_regex::Error>> {
        Ok(Self { any: fancy_regex::Regex::new(pattern).map_err(Box::new)? })
    }
    pub(crate) fn replace_all(&self, text: &str, with: &str) -> String {
        self.any.replace_all(text, with).into_owned()
    }
}
