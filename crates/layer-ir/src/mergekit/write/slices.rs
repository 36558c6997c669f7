//! Layers that are made alike become one slice.

use serde_yaml_ng::{Mapping, Value as Yaml};

use super::super::methods::Method;
use super::cannot;
use super::cells::{Cell, Part};
use super::settings::{Settings, gradients};
use crate::{Error, OuterTensor, Place};

/// A run of layers.
pub(super) struct Slice<'a> {
    /// How many; 0 for one that stands for an outer tensor.
    pub length: usize,
    pub base: Option<Part<'a>>,
    pub sources: Vec<SliceSource<'a>>,
    /// Parameters of the slice.
    pub shared: Mapping,
}

/// The layers of one model.
pub(super) struct SliceSource<'a> {
    /// The first of them.
    pub part: Part<'a>,
    /// Its own parameters.
    pub own: Mapping,
}

/// The longest slices that make all layers and the outer tensors.
pub(super) fn plan<'a>(layers: &[Cell<'a>], embedding: &Cell<'a>, norm: &Cell<'a>) -> Result<Vec<Slice<'a>>, Error> {
    let mut slices = Vec::new();
    if !layers.first().is_some_and(|first| first.makes(embedding)) {
        slices.extend(slice(std::slice::from_ref(embedding), 0));
    }
    let mut start = 0;
    let mut last = 0;
    while start < layers.len() {
        let rest = &layers[start..];
        let alike = 1 + rest.windows(2).take_while(|pair| follows(&pair[0], &pair[1])).count();
        // One layer can always be said.
        let Some(longest) = (1..=alike).rev().find_map(|length| slice(&rest[..length], length)) else { break };
        (last, start) = (start, start + longest.length);
        slices.push(longest);
    }
    if !layers.get(last).is_some_and(|last| last.makes(norm)) {
        slices.extend(slice(std::slice::from_ref(norm), 0));
    }
    let count =
        |slice: Option<&Slice<'_>>| slice.map_or(0, |slice| slice.sources.len() + usize::from(slice.base.is_some()));
    if count(slices.last()) > count(slices.first()) {
        let problem = "mergekit makes it of no more sources than the embedding has, and leaves the others out";
        return Err(cannot(Place::Outer(OuterTensor::FinalNorm), problem));
    }
    Ok(slices)
}

/// Whether the next layer may stand in one slice with this one.
fn follows(layer: &Cell<'_>, next: &Cell<'_>) -> bool {
    let parts = |cell: &Cell<'_>, by: usize| -> Vec<(String, usize)> {
        cell.parts().map(|part| (part.model.to_owned(), part.layer + by)).collect()
    };
    layer.base.is_some() == next.base.is_some() && parts(layer, 1) == parts(next, 0)
}

/// Cells as one slice of so many layers; `None` where no gradient is exact.
fn slice<'a>(cells: &[Cell<'a>], length: usize) -> Option<Slice<'a>> {
    let first = cells.first()?;
    let shared: Vec<&Settings> = cells.iter().map(|cell| &cell.shared).collect();
    let source = |(index, part): (usize, &Part<'a>)| {
        let own: Vec<&Settings> = cells.iter().map(|cell| &cell.own[index]).collect();
        Some(SliceSource { part: part.clone(), own: gradients(&own)? })
    };
    let sources = first.sources.iter().enumerate().map(source).collect::<Option<_>>()?;
    Some(Slice { length, base: first.base.clone(), sources, shared: gradients(&shared)? })
}

/// Takes what is the same in all slices out of them.
pub(super) fn hoist(slices: &mut [Slice<'_>], method: &Method) -> Mapping {
    let mut common = Mapping::new();
    for key in method.shared() {
        // A slice of the base alone has no parameters.
        let places = slices.iter_mut().filter(|slice| !slice.sources.is_empty()).map(|slice| &mut slice.shared);
        take_common(key, places.collect(), &mut common);
    }
    for key in method.own() {
        let places = slices.iter_mut().flat_map(|slice| &mut slice.sources).map(|source| &mut source.own);
        take_common(key, places.collect(), &mut common);
    }
    common
}

/// Moves one parameter to `common` if it stands alike in all places.
fn take_common(key: &str, mut places: Vec<&mut Mapping>, common: &mut Mapping) {
    let mut values = places.iter().map(|place| place.get(key));
    let Some(Some(first)) = values.next() else { return };
    if values.all(|value| value == Some(first)) {
        common.insert(Yaml::from(key), first.clone());
        places.iter_mut().for_each(|place| {
            place.remove(key);
        });
    }
}
