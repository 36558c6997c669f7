//! What can be wrong about a name or its parameters.

/// A name or a parameter that does not fit a table. Every message names the wrong value and what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No row has this name.
    #[error("no {what} is named `{name}`; {}", there_are(known))]
    UnknownName {
        /// What the table holds, such as `strategy`.
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// A row of this name is there already.
    #[error("a {what} named `{name}` is there already; take another name, or replace it")]
    NameTaken {
        /// What the table holds.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The thing has no parameter of this name.
    #[error("{owner} has no parameter `{name}`; {}", there_are(known))]
    UnknownParameter {
        /// The thing, such as ``strategy `evolution` ``.
        owner: String,
        /// The parameter that was given.
        name: String,
        /// The parameters that it has.
        known: Vec<String>,
    },
    /// A parameter that has no default was not given.
    #[error("{owner} needs the parameter `{name}`: {expected}")]
    MissingParameter {
        /// The thing.
        owner: String,
        /// The parameter.
        name: String,
        /// What it may be.
        expected: String,
    },
    /// A parameter has a value that it may not have.
    #[error("{owner}: `{name}` is {found}; it must be {expected}")]
    WrongValue {
        /// The thing.
        owner: String,
        /// The parameter.
        name: String,
        /// The value that was given, as JSON.
        found: String,
        /// What it may be.
        expected: String,
    },
}

/// The names that are there, as the end of a message.
fn there_are(names: &[String]) -> String {
    match names {
        [] => "there are none".to_owned(),
        [only] => format!("there is `{only}`"),
        names => format!("there are `{}`", names.join("`, `")),
    }
}
