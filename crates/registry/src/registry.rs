//! The table: what a named thing says of itself, and where it is looked up.

use std::fmt;
use std::sync::Arc;

use crate::{Choice, Error, Parameter, Settings};

/// What every named thing says of itself. A trait of things with names has this as its supertrait.
pub trait Entry {
    /// The name under which it is found: lower case with underscores.
    fn name(&self) -> &str;

    /// What it is, in one sentence.
    fn summary(&self) -> &str;

    /// Its parameters. By default it has none.
    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    /// Other names under which it is found too. By default there are none.
    fn aliases(&self) -> &[&str] {
        &[]
    }
}

/// A table of things of one kind, in the order in which they were registered. `T` is a trait object such as
/// `dyn Strategy`.
///
/// No name stands for two rows. The README has a whole example.
pub struct Registry<T: ?Sized> {
    /// What it holds, in the singular.
    what: &'static str,
    rows: Vec<Arc<T>>,
}

impl<T: Entry + ?Sized> Registry<T> {
    /// An empty table; `what` it holds stands in messages: `strategy`, `merge method`.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, rows: Vec::new() }
    }

    /// A table of these rows. Of rows that share a name the last one stays.
    #[must_use]
    pub fn with_rows(what: &'static str, rows: impl IntoIterator<Item = Box<T>>) -> Self {
        let mut registry = Self::new(what);
        rows.into_iter().for_each(|row| registry.replace(row));
        registry
    }

    /// What the table holds.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when its name or one of its aliases is there already.
    pub fn register(&mut self, row: Box<T>) -> Result<(), Error> {
        if let Some(name) = names(&*row).find(|name| self.position(name).is_some()) {
            return Err(Error::NameTaken { what: self.what, name: name.to_owned() });
        }
        self.rows.push(row.into());
        Ok(())
    }

    /// Adds a row in place of those that share a name with it.
    pub fn replace(&mut self, row: Box<T>) {
        self.rows.retain(|old| !names(&**old).any(|name| names(&*row).any(|new| new == name)));
        self.rows.push(row.into());
    }

    /// The thing of this name or alias.
    ///
    /// # Errors
    /// [`Error::UnknownName`], with the names that are there.
    pub fn get(&self, name: &str) -> Result<&T, Error> {
        self.find(name).map(|row| &**row)
    }

    /// The row of this name or alias.
    fn find(&self, name: &str) -> Result<&Arc<T>, Error> {
        let unknown = || Error::UnknownName {
            what: self.what,
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        };
        self.position(name).map(|row| &self.rows[row]).ok_or_else(unknown)
    }

    /// The thing that a choice names, and its checked parameters.
    ///
    /// # Errors
    /// As [`Self::get`] and [`Settings::check`].
    pub fn choose(&self, choice: &Choice) -> Result<(&T, Settings), Error> {
        let thing = self.get(&choice.name)?;
        let owner = format!("{} `{}`", self.what, thing.name());
        Ok((thing, Settings::check(owner, thing.parameters(), &choice.parameters)?))
    }

    /// As [`Self::get`], for whoever keeps the thing beyond the table.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_shared(&self, name: &str) -> Result<Arc<T>, Error> {
        self.find(name).cloned()
    }

    /// As [`Self::choose`], for whoever keeps the thing beyond the table.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub fn choose_shared(&self, choice: &Choice) -> Result<(Arc<T>, Settings), Error> {
        let (_, settings) = self.choose(choice)?;
        Ok((self.get_shared(&choice.name)?, settings))
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().map(|row| &**row)
    }

    /// The names of all rows, without aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(Entry::name)
    }

    /// The table for a reader of `--help`: a line for each row, and one for each of its parameters.
    #[must_use]
    pub fn help(&self) -> String {
        let width = self.names().map(str::len).max().unwrap_or(0);
        let mut text = String::new();
        for row in self.iter() {
            text += &format!("  {:width$}  {}\n", row.name(), row.summary());
            for parameter in row.parameters() {
                let default = parameter.default.value().map_or_else(String::new, |value| format!(" (default {value})"));
                text += &format!(
                    "  {:width$}    {}: {} {}{default}\n",
                    "",
                    parameter.name,
                    parameter.summary,
                    sentence(&parameter.expected())
                );
            }
        }
        text
    }

    /// The place of the row that has a name, be it an alias.
    fn position(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| names(&**row).any(|known| known == name))
    }
}

/// A phrase with a capital first letter and a full stop.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// All names of a row, the first one first.
fn names<T: Entry + ?Sized>(row: &T) -> impl Iterator<Item = &str> {
    std::iter::once(row.name()).chain(row.aliases().iter().copied())
}

impl<T: Entry + ?Sized> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
