//! A place in the YAML, which messages can name.

use std::path::Path;

use serde_yaml_ng::Value;

use crate::Error;

/// A value of the file and the way to it.
pub(super) struct Node<'a> {
    /// The file's name.
    pub file: &'a Path,
    /// The way, as in `slices[1].sources`.
    pub key: String,
    /// What stands there.
    pub value: &'a Value,
}

impl<'a> Node<'a> {
    /// The whole file.
    pub fn root(file: &'a Path, value: &'a Value) -> Self {
        Self { file, key: String::new(), value }
    }

    /// The error of what stands here.
    pub fn fail(&self, problem: &'static str) -> Error {
        let key = if self.key.is_empty() { "the file" } else { &self.key };
        Error::Mergekit { file: self.file.to_owned(), key: key.to_owned(), problem }
    }

    /// A value further in.
    fn child(&self, key: String, value: &'a Value) -> Self {
        Self { file: self.file, key, value }
    }

    /// The way to a key of this mapping.
    fn below(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// What stands under a key of a mapping; `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.as_mapping()?.get(key).filter(|value| !value.is_null())?;
        Some(self.child(self.below(key), value))
    }

    /// What must stand under a key of a mapping.
    pub fn needed(&self, key: &str) -> Result<Self, Error> {
        self.get(key).ok_or_else(|| self.child(self.below(key), self.value).fail("is missing"))
    }

    /// Refuses every other key, unless it is `null`.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        let mapping = self.value.as_mapping().ok_or_else(|| self.fail("not a mapping"))?;
        for (key, value) in mapping {
            let name = key.as_str().ok_or_else(|| self.fail("a key that is no text"))?;
            if !known.contains(&name) && !value.is_null() {
                return Err(self.child(self.below(name), value).fail("is not supported"));
            }
        }
        Ok(())
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Result<Vec<(&'a str, Self)>, Error> {
        let mapping = self.value.as_mapping().ok_or_else(|| self.fail("not a mapping"))?;
        let entry = |(key, value): (&'a Value, &'a Value)| {
            let name = key.as_str().ok_or_else(|| self.fail("a key that is no text"))?;
            Ok((name, self.child(self.below(name), value)))
        };
        mapping.iter().map(entry).collect()
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Self>, Error> {
        let list = self.value.as_sequence().ok_or_else(|| self.fail("not a list"))?;
        let item = |(index, value)| self.child(format!("{}[{index}]", self.key), value);
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// A text.
    pub fn text(&self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.fail("not a text"))
    }
}
