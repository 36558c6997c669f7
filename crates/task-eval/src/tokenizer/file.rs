//! The tokenizer of a model's folder, from whichever file it is in.

use std::io;
use std::path::PathBuf;

use tokenizers::Tokenizer;

use crate::error::{Error, TokenizerError};
use crate::model_files::ModelFiles;

/// A tokenizer and its file.
pub(super) struct TokenizerFile {
    pub tokenizer: Tokenizer,
    pub path: PathBuf,
    /// The begin and end tokens that the file itself names, as a `tokenizer.model` does.
    pub bos: Option<String>,
    pub eos: Option<String>,
}

impl TokenizerFile {
    /// Reads `tokenizer.json`, else `tokenizer.model`.
    ///
    /// # Errors
    /// [`Error::Read`], [`TokenizerError::Fails`], [`TokenizerError::Convert`], [`TokenizerError::NotThere`].
    pub fn read(files: &ModelFiles<'_>) -> Result<Self, Error> {
        let path = files.dir.join("tokenizer.json");
        // `Tokenizer::from_file` hides whether the file is missing or broken.
        match files.read("tokenizer.json") {
            Ok(json) => Self::parse(&json, path, None, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = layer_ir::convert_tokenizer(files.dir).map_err(TokenizerError::Convert)?;
                let made = made.ok_or_else(|| TokenizerError::NotThere { folder: files.dir.to_owned() })?;
                let path = files.dir.join("tokenizer.model");
                let json =
                    serde_json::to_vec(&made.json).map_err(|source| Error::Json { file: path.clone(), source })?;
                Self::parse(&json, path, made.bos, made.eos)
            }
            Err(source) => Err(Error::Read { file: path, source }),
        }
    }

    /// Reads the content of a `tokenizer.json`; `path` is for messages.
    fn parse(json: &[u8], path: PathBuf, bos: Option<String>, eos: Option<String>) -> Result<Self, Error> {
        let tokenizer = Tokenizer::from_bytes(json);
        let tokenizer = tokenizer.map_err(|source| TokenizerError::Fails { file: path.clone(), source })?;
        Ok(Self { tokenizer, path, bos, eos })
    }
}
