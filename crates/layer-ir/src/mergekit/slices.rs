//! Slices: runs of layers and the models that they come from.

use super::models::Models;
use super::node::Node;
use super::parameters::Scope;
use crate::{Error, Methods};

/// Output layers that are made alike.
pub(super) struct Slice {
    /// The file's words for it, for messages.
    pub key: String,
    /// What it is made of, the base among them.
    pub sources: Vec<SliceSource>,
    /// How many layers it makes. One that makes none may still say what the outer tensors are made of.
    pub layers: usize,
    /// Its own base model.
    pub base: Option<String>,
    /// Parameters of the slice.
    pub parameters: Scope,
}

/// The layers of one model.
pub(super) struct SliceSource {
    /// By what the file calls it.
    pub model: String,
    /// The first of its layers.
    pub first: usize,
    /// Parameters of the source.
    pub parameters: Scope,
}

/// What reading a slice needs to know.
pub(super) struct Reader<'a, 'h> {
    /// The models found so far.
    pub models: &'a mut Models<'h>,
    pub methods: &'a dyn Methods,
}

/// The `models` or `slices` of a file or a module.
pub(super) fn read(node: &Node<'_>, base: Option<&str>, reader: &mut Reader<'_, '_>) -> Result<Vec<Slice>, Error> {
    let slices = match (node.get("models"), node.get("slices")) {
        (Some(list), None) => vec![Slice::of_models(&list, base, reader)?],
        (None, Some(list)) => list.items()?.iter().map(|slice| Slice::read(slice, reader)).collect::<Result<_, _>>()?,
        _ => return Err(node.fail("write either `models` or `slices`")),
    };
    if slices.iter().all(|slice| slice.layers == 0) {
        return Err(node.fail("there are no layers in it"));
    }
    Ok(slices)
}

impl Slice {
    /// All layers of the models of a list, and of the base, which comes last if it is not in the list.
    pub fn of_models(list: &Node<'_>, base: Option<&str>, reader: &mut Reader<'_, '_>) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for node in list.items()? {
            node.only(&["model", "parameters"])?;
            let model = reader.models.add(&node.needed("model")?)?;
            sources.push(SliceSource { model, first: 0, parameters: Scope::read(&node, reader.methods)? });
        }
        if let Some(base) = base.filter(|base| sources.iter().all(|source| source.model != *base)) {
            sources.push(SliceSource { model: base.to_owned(), first: 0, parameters: Scope::default() });
        }
        let layers = sources.first().map_or(0, |source| reader.models.layers(&source.model));
        if sources.iter().any(|source| reader.models.layers(&source.model) != layers) {
            return Err(list.fail("the models have different numbers of layers; use slices"));
        }
        let slice = Self { key: list.key.clone(), sources, layers, base: None, parameters: Scope::default() };
        slice.check(list)
    }

    /// One item of `slices`.
    pub fn read(node: &Node<'_>, reader: &mut Reader<'_, '_>) -> Result<Self, Error> {
        // mergekit reads a `residual_weight` and does nothing with it.
        node.only(&["sources", "base_model", "parameters", "residual_weight"])?;
        let list = node.needed("sources")?;
        let mut sources = Vec::new();
        let mut length = None;
        for source in list.items()? {
            source.only(&["model", "layer_range", "parameters"])?;
            let model = reader.models.add(&source.needed("model")?)?;
            let range = source.needed("layer_range")?;
            let (first, end) = layer_range(&range)?;
            if end > reader.models.layers(&model) {
                return Err(range.fail("the model has fewer layers"));
            }
            if *length.get_or_insert(end - first) != end - first {
                return Err(range.fail("the sources of a slice must have equally many layers"));
            }
            sources.push(SliceSource { model, first, parameters: Scope::read(&source, reader.methods)? });
        }
        let slice = Self {
            key: node.key.clone(),
            sources,
            layers: length.unwrap_or(0),
            base: node.get("base_model").map(|base| reader.models.add(&base)).transpose()?,
            parameters: Scope::read(node, reader.methods)?,
        };
        slice.check(&list)
    }

    /// Whether there are sources, and no model twice.
    fn check(self, list: &Node<'_>) -> Result<Self, Error> {
        if self.sources.is_empty() {
            return Err(list.fail("there is nothing in it"));
        }
        let twice =
            |(index, source): (usize, &SliceSource)| self.sources[..index].iter().any(|s| s.model == source.model);
        if self.sources.iter().enumerate().any(twice) {
            return Err(list.fail("the same model stands twice in one slice"));
        }
        Ok(self)
    }
}

/// `[first, one after the last]`.
fn layer_range(node: &Node<'_>) -> Result<(usize, usize), Error> {
    let bounds = node.value.as_sequence().map(Vec::as_slice);
    let bound = |value: &serde_yaml_ng::Value| value.as_u64().and_then(|bound| usize::try_from(bound).ok());
    match bounds {
        Some([first, end]) => bound(first).zip(bound(end)).filter(|(first, end)| first <= end),
        _ => None,
    }
    .ok_or_else(|| node.fail("not a list of the first layer and the one after the last"))
}
