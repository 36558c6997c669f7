//! The models that a file names.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::node::Node;
use crate::checkpoint::read_num_layers;
use crate::{Checkpoint, Dtype, Error, Hub, ModelFinder};

/// Models by what the file calls them.
pub(super) struct Models<'a> {
    /// The folder that paths are relative to.
    folder: PathBuf,
    found: IndexMap<String, Model>,
    /// Finds those that are not beside the file.
    finder: ModelFinder<'a>,
}

/// One that was found.
struct Model {
    path: PathBuf,
    /// How many layers it has, by its config.
    layers: usize,
}

impl<'a> Models<'a> {
    /// None so far.
    pub fn new(folder: &Path, hub: &'a Hub) -> Self {
        Self { folder: folder.to_owned(), found: IndexMap::new(), finder: ModelFinder::new(hub) }
    }

    /// What downloads the weights that are not here.
    pub fn into_finder(self) -> ModelFinder<'a> {
        self.finder
    }

    /// Finds a model that the file names; its text is its key.
    pub fn add(&mut self, node: &Node<'_>) -> Result<String, Error> {
        let reference = self.reference(node)?;
        if !self.found.contains_key(&reference) {
            let path = match self.beside(&reference) {
                Some(path) => path,
                None => self.finder.find(&reference, Path::new("."))?,
            };
            let layers = read_num_layers(&path)?;
            self.found.insert(reference.clone(), Model { path, layers });
        }
        Ok(reference)
    }

    /// The folder of that name beside the file.
    fn beside(&self, reference: &str) -> Option<PathBuf> {
        Some(self.folder.join(reference)).filter(|path| path.exists())
    }

    /// `path@revision`, or a mapping of the parts.
    fn reference(&self, node: &Node<'_>) -> Result<String, Error> {
        if node.value.is_string() {
            let text = node.text()?;
            if text.contains('+') {
                return Err(node.fail("adapters (`model+lora`) are not supported"));
            }
            let folder = text.split_once('@').is_some_and(|(path, _)| self.is_folder(path));
            return if folder && self.beside(text).is_none() { Err(node.fail(REVISION)) } else { Ok(text.to_owned()) };
        }
        if node.value.is_mapping() && node.get("path").is_none() {
            node.only(&["model"])?;
            return self.reference(&node.needed("model")?);
        }
        node.only(&["path", "revision"])?;
        let path = node.needed("path")?.text()?;
        let Some(revision) = node.get("revision") else { return Ok(path.to_owned()) };
        if self.is_folder(path) {
            return Err(revision.fail(REVISION));
        }
        Ok(format!("{path}@{}", revision.text()?))
    }

    /// Whether there is a folder of that name.
    fn is_folder(&self, path: &str) -> bool {
        self.beside(path).is_some() || Path::new(path).exists()
    }

    /// How many layers a model has.
    pub fn layers(&self, reference: &str) -> usize {
        self.found.get(reference).map_or(0, |model| model.layers)
    }

    /// The name that the recipe gives it: the last part of its path, if no other model has that.
    pub fn name(&self, reference: &str) -> String {
        let last = |reference: &str| reference.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let name = last(reference);
        let alone = self.found.keys().filter(|other| last(other) == name).count() <= 1;
        if alone && !name.is_empty() && !name.starts_with('.') { name } else { reference.to_owned() }
    }

    /// The recipe's models.
    pub fn paths(&self) -> IndexMap<String, String> {
        self.found.iter().map(|(reference, model)| (self.name(reference), model.path.display().to_string())).collect()
    }

    /// The first model of the file.
    pub fn first(&self) -> Option<&str> {
        self.found.keys().next().map(String::as_str)
    }

    /// The format that holds the weights of all of them, as torch promotes.
    pub fn common_dtype(&self) -> Result<Dtype, Error> {
        let mut common = None;
        for model in self.found.values() {
            let dtype = Checkpoint::open_outline(&model.path)?.dtype();
            let same = common.is_none_or(|known| known == dtype);
            common = Some(if same { dtype } else { Dtype::F32 });
        }
        Ok(common.unwrap_or(Dtype::F32))
    }
}

/// What is wrong with `folder@revision`.
const REVISION: &str = "the model is a folder here, and a folder has no revisions; leave the revision out";
