//! Names on the hub: `org/name`, `org/name@revision`.

use std::fmt;

use crate::Error;

/// The branch that is meant when none is named.
const MAIN: &str = "main";
/// Longer names are refused by the hub.
const LONGEST: usize = 96;

/// What a repository of the hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoKind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

impl RepoKind {
    /// What stands before the id in an address of the hub's API, and before `--` in a folder of the cache.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// What stands before the id in the address of a file.
    #[cfg(feature = "download")]
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
        }
    }
}

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "data set",
        })
    }
}

/// A model or a data set of the hub at a revision: a branch, a tag, a commit, or `refs/pr/N`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repo {
    kind: RepoKind,
    id: String,
    revision: String,
}

impl Repo {
    /// A model, `org/name` or `org/name@revision`. Models without an owner, which the hub once had, are refused: such a
    /// word is more likely a folder.
    ///
    /// # Errors
    /// [`Error::BadName`].
    /// ```
    /// use tailor_hub::Repo;
    ///
    /// assert_eq!(Repo::model("org/name")?.revision(), "main");
    /// assert_eq!(Repo::model("org/name@refs/pr/3")?.revision(), "refs/pr/3");
    /// for bad in ["name", "./name", "org/name/more", "org/name@../other", "/org/name"] {
    ///     assert!(Repo::model(bad).is_err(), "{bad}");
    /// }
    /// # Ok::<(), tailor_hub::Error>(())
    /// ```
    pub fn model(name: &str) -> Result<Self, Error> {
        let (id, revision) = name.split_once('@').unwrap_or((name, MAIN));
        if !id.contains('/') {
            return Err(Error::BadName { name: name.to_owned() });
        }
        Self::new(RepoKind::Model, id, revision)
    }

    /// A repository by its parts; data sets may have no owner.
    ///
    /// # Errors
    /// [`Error::BadName`] for an id or a revision that would lead out of the cache, or that the hub allows nobody.
    pub fn new(kind: RepoKind, id: &str, revision: &str) -> Result<Self, Error> {
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && plain(part);
        let is_id = id.len() <= LONGEST && id.split('/').count() <= 2 && id.split('/').all(part) && !id.contains("--");
        if !is_id || !stays_inside(revision) || revision.chars().any(char::is_control) {
            return Err(Error::BadName { name: format!("{id}@{revision}") });
        }
        Ok(Self { kind, id: id.to_owned(), revision: revision.to_owned() })
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> RepoKind {
        self.kind
    }

    /// `org/name`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The branch, tag or commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Its folder in the cache.
    pub(crate) fn folder_name(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.id.replace('/', "--"))
    }
}

/// `org/name`, with the revision where it is not `main`.
impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision == MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// Whether a relative path with `/` between its parts stays in the folder that it begins in, on every system.
pub(crate) fn stays_inside(path: &str) -> bool {
    !path.contains(['\\', ':', '\0']) && path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

/// Whether a revision is a whole commit, which never changes.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
