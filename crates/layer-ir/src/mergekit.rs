//! mergekit's YAML, read as a [`Recipe`] and written from one: what mergekit 0.1.5 would make of the file, for the
//! methods that both know.
//!
//! All of it is read but adapters (`model+lora`) and models of several towers; what is not read is refused by its name.
//! As mergekit does: gradients become one number per layer; the embedding is merged as the first slice says, the final
//! norm and the head as the last one says, all three with a gradient's first value; a parameter that the method has no
//! use for is passed over.
//! ```no_run
//! # fn convert(methods: &dyn layer_ir::Methods) -> Result<(), Box<dyn std::error::Error>> {
//! let recipe = layer_ir::mergekit::read("merge-of-two.yaml", methods)?; // such as `&merge_ops::Registry::standard()`
//! std::fs::write("merge-of-two.recipe.yaml", recipe.to_yaml()?)?;
//! # Ok(())
//! # }
//! ```
//! Which methods there are, with which parameters, say the descriptions of the methods: one with [`crate::Mergekit`] in
//! its description can be read and written, be it ours or a user's.

mod build;
mod methods;
mod models;
mod node;
mod parameters;
mod slices;
mod tokenizer;
mod write;

use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

use crate::{Dtype, Error, Hub, Methods, Recipe, Vocabulary};
use methods::Method;
use models::Models;
use node::Node;
use parameters::Scope;
use slices::Reader;
pub use write::to_yaml;

/// Reads a mergekit file. Its models are looked for beside the file, then as mergekit does: in the working directory
/// and in the local hub cache.
///
/// # Errors
/// The file or one of its models cannot be read, or the file says something that is not supported, by its key.
pub fn read(path: impl AsRef<Path>, methods: &dyn Methods) -> Result<Recipe, Error> {
    let path = path.as_ref();
    read_with_models(path, path.parent().unwrap_or(Path::new(".")), methods)
}

/// As [`read`]; models that are not here are downloaded, if `hub` says so.
///
/// # Errors
/// As of [`read`]; [`Error::Hub`] where a download fails.
pub fn read_with_hub(path: impl AsRef<Path>, methods: &dyn Methods, hub: &Hub) -> Result<Recipe, Error> {
    let path = path.as_ref();
    read_file(path, path.parent().unwrap_or(Path::new(".")), methods, hub)
}

/// As [`read`], with the folder that paths of models are relative to.
///
/// # Errors
/// As of [`read`].
pub fn read_with_models(
    path: impl AsRef<Path>,
    folder: impl AsRef<Path>,
    methods: &dyn Methods,
) -> Result<Recipe, Error> {
    read_file(path.as_ref(), folder.as_ref(), methods, &Hub::default())
}

/// Reads a file whose models are looked for in a folder, and as `hub` says.
fn read_file(file: &Path, folder: &Path, methods: &dyn Methods, hub: &Hub) -> Result<Recipe, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let yaml = |source| Error::Yaml { file: file.to_owned(), source };
    let mut value: Value = serde_yaml_ng::from_str(&text).map_err(yaml)?;
    value.apply_merge().map_err(yaml)?;
    let mut models = Models::new(folder, hub);
    let file = File::read(&Node::root(file, &value), &mut models, methods)?;
    let recipe = build::recipe(&file, &models)?;
    recipe.complete(models.into_finder())?;
    Ok(recipe)
}

/// What a mergekit file says.
struct File {
    path: PathBuf,
    /// `merge_method`, for all slices.
    method: Method,
    /// `base_model`, by what the file calls it.
    base: Option<String>,
    /// Runs of output layers, in order.
    slices: Vec<slices::Slice>,
    /// Parameters of the one module, where slices or models stand in one.
    module: Scope,
    /// Parameters of the whole file.
    parameters: Scope,
    /// What merges compute in.
    dtype: Option<Dtype>,
    /// What the model is stored in.
    out_dtype: Option<Dtype>,
    vocabulary: Option<Vocabulary>,
    chat_template: Option<String>,
}

/// The keys that a file may have.
const KEYS: [&str; 11] = [
    "merge_method",
    "base_model",
    "models",
    "slices",
    "modules",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
];

impl File {
    /// Reads the whole file, and finds its models.
    fn read(root: &Node<'_>, models: &mut Models<'_>, methods: &dyn Methods) -> Result<Self, Error> {
        root.only(&KEYS)?;
        let name = root.needed("merge_method")?;
        let name = name.text()?;
        let method = Method::named(methods, name).ok_or_else(|| Error::MergekitUnknownMethod {
            file: root.file.to_owned(),
            method: name.to_owned(),
            known: Method::names(methods),
        })?;
        let base = root.get("base_model").map(|base| models.add(&base)).transpose()?;
        let module = root.get("modules").map(|modules| only_module(root, &modules)).transpose()?;
        Ok(Self {
            path: root.file.to_owned(),
            method,
            slices: slices::read(module.as_ref().unwrap_or(root), base.as_deref(), &mut Reader { models, methods })?,
            base,
            module: module.as_ref().map(|module| Scope::read(module, methods)).transpose()?.unwrap_or_default(),
            parameters: Scope::read(root, methods)?,
            dtype: dtype(root, "dtype")?,
            out_dtype: dtype(root, "out_dtype")?,
            vocabulary: tokenizer::read(root, models)?,
            chat_template: root.get("chat_template").map(|node| node.text().map(str::to_owned)).transpose()?,
        })
    }
}

/// The one module of a model with one tower, which mergekit calls so.
fn only_module<'a>(root: &Node<'_>, modules: &Node<'a>) -> Result<Node<'a>, Error> {
    if root.get("models").is_some() || root.get("slices").is_some() {
        return Err(root.fail("write `models`, `slices` or `modules`, and one of them"));
    }
    for (name, module) in modules.entries()? {
        if name != "default" {
            return Err(module.fail("is not supported: only `default`, the module of a model with one tower, is"));
        }
    }
    let module = modules.needed("default")?;
    module.only(&["models", "slices", "parameters"])?;
    Ok(module)
}

impl File {
    /// The error of what stands under a key.
    fn fail(&self, key: &str, problem: &'static str) -> Error {
        Error::Mergekit { file: self.path.clone(), key: key.to_owned(), problem }
    }
}

/// A number format, if the key is there.
fn dtype(root: &Node<'_>, key: &str) -> Result<Option<Dtype>, Error> {
    let Some(node) = root.get(key) else { return Ok(None) };
    let name = node.text()?;
    let known = serde_json::from_value(name.into()).map_err(|_| node.fail("not float32, float16 or bfloat16"))?;
    Ok(Some(known))
}
