//! Changes of projections, and their file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use layer_ir::{BridgeRef, Recipe};

use crate::Error;

/// The tensors of a layer that deltas are added to.
const DOWN_PROJ: &str = "mlp.down_proj.weight";
const O_PROJ: &str = "self_attn.o_proj.weight";

/// What a bridge adds to the weight of a down projection.
#[derive(Debug, Clone, PartialEq)]
pub struct DownProjDelta {
    /// Rows of the weight.
    pub hidden: usize,
    /// Columns of the weight.
    pub intermediate: usize,
    /// `[hidden, intermediate]`, row after row; all finite.
    pub values: Vec<f32>,
}

/// What a bridge adds to the weight of the projection behind the attention.
#[derive(Debug, Clone, PartialEq)]
pub struct OProjDelta {
    /// Rows of the weight.
    pub hidden: usize,
    /// Columns of the weight: the heads times the numbers of each.
    pub attended: usize,
    /// `[hidden, attended]`, row after row; all finite.
    pub values: Vec<f32>,
}

impl DownProjDelta {
    /// Writes it into a file in `folder`, in the form in which a layer of a recipe names it as its `bridge`.
    ///
    /// ```
    /// use recipe_search::bridges::DownProjDelta;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// let delta = DownProjDelta { hidden: 2, intermediate: 3, values: vec![0.5; 6] };
    /// let bridge = delta.write(folder.path())?;
    /// assert_eq!(bridge.hash, blake3::hash(&std::fs::read(&bridge.file).unwrap()).to_hex().to_string());
    /// # Ok::<(), recipe_search::Error>(())
    /// ```
    ///
    /// # Errors
    /// As of [`BridgeRef::write`]: the file cannot be written, or there are not `hidden` times `intermediate` values.
    pub fn write(&self, folder: &Path) -> Result<BridgeRef, Error> {
        write_deltas(folder, Some(self), None)
    }
}

/// Writes the deltas of one layer into one file in `folder`, as [`DownProjDelta::write`] does.
///
/// # Errors
/// As of [`DownProjDelta::write`]; without any delta as of a bridge that changes nothing.
pub fn write_deltas(
    folder: &Path,
    down_proj: Option<&DownProjDelta>,
    o_proj: Option<&OProjDelta>,
) -> Result<BridgeRef, Error> {
    let down = down_proj.map(|delta| (DOWN_PROJ, [delta.hidden, delta.intermediate], &delta.values[..]));
    let output = o_proj.map(|delta| (O_PROJ, [delta.hidden, delta.attended], &delta.values[..]));
    let deltas: Vec<_> = down.into_iter().chain(output).collect();
    let deltas = deltas.iter().map(|(name, shape, values)| (*name, (&shape[..], *values))).collect();
    Ok(BridgeRef::write(folder, &deltas)?)
}

/// Writes the bridges of a recipe's layers into `folder`, each by `write`, and names them in the recipe; of all or of
/// none. Files that were there before, which other recipes may name, stay in any case.
///
/// # Errors
/// What `write` returns; [`Error::Io`] if the folder cannot be read.
pub(super) fn write_all<T>(
    folder: &Path,
    recipe: &mut Recipe,
    bridges: &[T],
    write: impl Fn(&T) -> Result<(usize, Option<BridgeRef>), Error>,
) -> Result<(), Error> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let before: BTreeSet<PathBuf> = listed.map_err(Error::io(folder))?;
    let mut written = Vec::new();
    for bridge in bridges {
        match write(bridge) {
            Ok(bridge) => written.push(bridge),
            Err(error) => {
                let new = written.into_iter().filter_map(|(_, bridge)| bridge).map(|bridge: BridgeRef| bridge.file);
                // The error to tell of is the first one.
                new.filter(|file| !before.contains(file)).for_each(|file| _ = std::fs::remove_file(file));
                return Err(error);
            }
        }
    }
    written.into_iter().for_each(|(place, bridge)| recipe.layers[place].bridge = bridge);
    Ok(())
}
