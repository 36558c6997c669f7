//! The teachers' last residual streams behind the tokens that count: asked once, and kept in a file.

use std::path::Path;

use layer_runtime::{Activations, Error as RuntimeError};
use layer_train::{HiddenFile, HiddenWriter};
use tailor::Error;

use super::teachers::{Teachers, at_once, rows};
use super::texts::Text;
use crate::cli::console::Console;

impl Teachers {
    /// Asks the teachers, piece by piece of the texts, and writes their streams in the order of the texts.
    ///
    /// # Errors
    /// [`Error::Train`] for teachers of another width than the model's, or streams that are no numbers; what the crates
    /// say of models that cannot be run; a file that cannot be written.
    pub fn write_streams(&mut self, texts: &[&Text], path: &Path, console: &Console) -> Result<HiddenFile, Error> {
        console.note(&format!("reading the hidden states of {}", self.names()));
        let mut writer = HiddenWriter::create(path, self.width()?).map_err(Error::train)?;
        for texts in at_once(texts) {
            for row in self.streams(texts)?.iter().flatten() {
                writer.push(row).map_err(Error::train)?;
            }
        }
        writer.finish().map_err(Error::train)
    }

    /// The teachers' streams behind the tokens of some texts that count; a row that was not read is empty.
    fn streams(&mut self, texts: &[&Text]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let of: Vec<usize> = texts.iter().map(|text| self.of(text)).collect();
        let mut all: Vec<Vec<Vec<f32>>> = texts.iter().map(|text| vec![Vec::new(); rows(text)]).collect();
        self.each(&mut |teacher, name, model| {
            let own: Vec<usize> = (0..texts.len()).filter(|text| of[*text] == teacher).collect();
            let sequences: Vec<&[u32]> = own.iter().map(|text| texts[*text].tokens.as_slice()).collect();
            if own.is_empty() {
                return Ok(());
            }
            let last = model.recipe().layers.len();
            let read = model.activations(&sequences, |seen: Activations<'_>| {
                if seen.place == last {
                    let width = seen.stream.len() / seen.tokens.len().max(1);
                    for (token, stream) in seen.tokens.iter().zip(seen.stream.chunks_exact(width)) {
                        let text = own[token.sequence];
                        let row = (token.position + 1).checked_sub(texts[text].from);
                        if let Some(row) = row.and_then(|row| all[text].get_mut(row)) {
                            *row = stream.to_vec();
                        }
                    }
                }
                Ok::<_, RuntimeError>(())
            });
            let what = || format!("teacher {name}");
            read.map_err(|source| recipe_search::Error::Model { what: what(), source: source.into() })?;
            Ok(())
        })?;
        Ok(all)
    }
}
