//! A change of a down projection, and its file.

use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};

use super::FitError;
use crate::results::write_atomically;

/// The tensor of a layer that a delta is added to, and the name of the delta in its file.
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
    /// Writes a safetensors file with one tensor, `mlp.down_proj.weight`, in f32, and says the BLAKE3 hash of its
    /// bytes, as 64 hexadecimal digits. The file gets its name when it is whole. Equal deltas make equal files.
    ///
    /// ```
    /// use recipe_search::bridges::DownProjDelta;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("bridge.safetensors");
    /// let delta = DownProjDelta { hidden: 2, intermediate: 3, values: vec![0.5; 6] };
    /// let hash = delta.write(&path)?;
    /// assert_eq!(hash, blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string());
    /// # Ok::<(), recipe_search::bridges::FitError>(())
    /// ```
    ///
    /// # Errors
    /// [`FitError::Io`]; [`FitError::OtherDownProj`] if there are not `hidden` times `intermediate` values.
    pub fn write(&self, path: &Path) -> Result<String, FitError> {
        let &Self { hidden, intermediate, ref values } = self;
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let content = TensorView::new(Dtype::F32, vec![hidden, intermediate], &data)
            .and_then(|tensor| serialize([(DOWN_PROJ, tensor)], None))
            .map_err(|_| FitError::OtherDownProj { found: values.len(), hidden, intermediate })?;
        write_atomically(path, |file| file.write_all(&content)).map_err(FitError::io(path))?;
        Ok(blake3::hash(&content).to_hex().to_string())
    }
}
