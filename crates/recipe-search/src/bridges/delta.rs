//! A change of a down projection, and its file.

use std::path::Path;

use layer_ir::BridgeRef;

use crate::Error;

/// The tensor of a layer that a delta is added to.
const DOWN_PROJ: &str = "mlp.down_proj.weight";

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
        let shape = [self.hidden, self.intermediate];
        Ok(BridgeRef::write(folder, &[(DOWN_PROJ, (&shape[..], &self.values[..]))].into())?)
    }
}
