//! Statistics in a file, with a hash of what they were made from.
//!
//! | what | |
//! |---|---|
//! | the line `tailor bridge statistics 2` | what it is |
//! | a line of JSON, `Header` | what it was made from, the sizes, the gaps, and what stands out |
//! | numbers in f64, the lowest byte first | those of `Sums`, of each layer and part |
//! | 32 bytes | BLAKE3 of all before |

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use layer_runtime::RecipeModel;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::gaps::GapSet;
use super::sums::{GapSums, Sums};
use super::{FitError, Gap, Sink, Statistics, StatisticsSettings, StatisticsShape};
use crate::Error;
use crate::results::{check_writable, write_atomically};
use crate::study::fingerprint;

/// The first line; the number counts the versions of what is summed and of the file.
const FIRST_LINE: &[u8] = b"tailor bridge statistics 2\n";
/// The most bytes of the second line.
const MOST_HEADER: u64 = 1 << 16;
/// Numbers that are written or read at once.
const NUMBERS: usize = 1 << 13;

/// The second line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// As of [`Statistics::identity`].
    identity: String,
    shape: StatisticsShape,
    sequences: usize,
    held_back_every: usize,
    /// Of the fit, and held back.
    tokens: [usize; 2],
    gaps: Vec<Gap>,
    sinks: Vec<Sink>,
}

impl Statistics {
    /// A hash of all that the statistics of all gaps up to `settings.largest_gap` depend on: the model's recipe, the
    /// files of its models, the number format in which it computes, the calibration text, and the settings but for the
    /// memory.
    ///
    /// # Errors
    /// [`Error::Io`] when a file of a model cannot be read.
    pub fn identity(
        model: &RecipeModel,
        sequences: &[Vec<u32>],
        settings: StatisticsSettings,
    ) -> Result<String, Error> {
        let gaps: Vec<Gap> = Gap::up_to(settings.largest_gap, model.recipe().layers.len()).collect();
        Self::identity_of_gaps(model, sequences, &gaps, settings)
    }

    /// As [`Statistics::identity`], of some gaps alone.
    ///
    /// # Errors
    /// As of [`Statistics::identity`].
    pub fn identity_of_gaps(
        model: &RecipeModel,
        sequences: &[Vec<u32>],
        gaps: &[Gap],
        settings: StatisticsSettings,
    ) -> Result<String, Error> {
        let (recipe, runtime) = (model.recipe(), model.runtime());
        let mut text = blake3::Hasher::new();
        for sequence in sequences {
            text.update(&(sequence.len() as u64).to_le_bytes());
            sequence.iter().for_each(|token| _ = text.update(&token.to_le_bytes()));
        }
        let models = recipe.used_models().into_iter().map(|name| {
            let folder = runtime.family().get(name)?.dir();
            Ok((name, fingerprint(folder)?))
        });
        let content = json!([
            FIRST_LINE,
            recipe.key(),
            models.collect::<Result<Vec<_>, Error>>()?,
            [runtime.options().dtype, runtime.options().rope_dtype],
            text.finalize().to_hex().as_str(),
            GapSet::of(gaps.iter().copied()).iter().collect::<Vec<_>>(),
            settings.held_back_every,
        ]);
        Ok(blake3::hash(content.to_string().as_bytes()).to_hex().to_string())
    }

    /// The statistics of all gaps up to `settings.largest_gap` in a file if they are those of this model, text and
    /// settings; else, or if the file is damaged or not there, they are gathered and written to it.
    ///
    /// # Errors
    /// As of [`Statistics::identity`], [`Statistics::gather`] and [`Statistics::write`]; [`FitError::Foreign`] if the
    /// file holds something else, which stays; [`FitError::Io`] if it cannot be read or, before anything is computed,
    /// [`Error::Io`] if it could not be written.
    pub fn read_or_gather(
        path: &Path,
        model: &mut RecipeModel,
        sequences: &[Vec<u32>],
        settings: StatisticsSettings,
    ) -> Result<Self, Error> {
        let gaps: Vec<Gap> = Gap::up_to(settings.largest_gap, model.recipe().layers.len()).collect();
        Self::read_or_gather_gaps(path, model, sequences, &gaps, settings)
    }

    /// As [`Statistics::read_or_gather`], of some gaps alone.
    ///
    /// # Errors
    /// As of [`Statistics::read_or_gather`] and [`Statistics::gather_gaps`].
    pub fn read_or_gather_gaps(
        path: &Path,
        model: &mut RecipeModel,
        sequences: &[Vec<u32>],
        gaps: &[Gap],
        settings: StatisticsSettings,
    ) -> Result<Self, Error> {
        let identity = Self::identity_of_gaps(model, sequences, gaps, settings)?;
        match Self::read(path, &identity) {
            Err(FitError::OtherStatistics { .. } | FitError::Damaged { .. }) => {}
            Err(FitError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            read => return Ok(read?),
        }
        check_writable(path)?;
        let statistics = Self::gather_gaps(model, sequences, gaps, settings)?;
        statistics.write(path, &identity)?;
        Ok(statistics)
    }

    /// Writes the statistics to a file, with a hash of what they were made from. The file gets its name when it is
    /// whole.
    ///
    /// # Errors
    /// [`FitError::Io`].
    pub fn write(&self, path: &Path, identity: &str) -> Result<(), FitError> {
        let &Self { shape, sequences, held_back_every, .. } = self;
        let (identity, tokens, gaps) = (identity.to_owned(), self.tokens(), self.gaps().collect());
        let header = Header { identity, shape, sequences, held_back_every, tokens, gaps, sinks: self.sinks.clone() };
        write_atomically(path, |file| {
            let mut out = Hashed { inner: BufWriter::new(file), hash: blake3::Hasher::new() };
            out.write_all(FIRST_LINE)?;
            writeln!(out, "{}", json!(header))?;
            for numbers in self.layers.values().flatten().flat_map(Sums::numbers) {
                for some in numbers.chunks(NUMBERS) {
                    let bytes: Vec<u8> = some.iter().flat_map(|number| number.to_le_bytes()).collect();
                    out.write_all(&bytes)?;
                }
            }
            let hash = out.hash.finalize();
            out.inner.write_all(hash.as_bytes())?;
            out.inner.flush()
        })
        .map_err(FitError::io(path))
    }

    /// Reads statistics that were made from what `identity` is the hash of.
    ///
    /// # Errors
    /// [`FitError::Io`]; [`FitError::Foreign`] if the file holds something else; [`FitError::OtherStatistics`] if they
    /// were made from something else; [`FitError::Damaged`] if they are truncated or changed.
    pub fn read(path: &Path, identity: &str) -> Result<Self, FitError> {
        let damaged = || FitError::Damaged { path: path.to_path_buf() };
        let broken = |source: io::Error| match source.kind() {
            ErrorKind::UnexpectedEof => damaged(),
            _ => FitError::io(path)(source),
        };
        let file = File::open(path).map_err(FitError::io(path))?;
        let length = file.metadata().map_err(FitError::io(path))?.len();
        let mut input = Hashed { inner: BufReader::new(file), hash: blake3::Hasher::new() };
        let mut line = Vec::new();
        input.read_line(FIRST_LINE.len() as u64, &mut line).map_err(broken)?;
        if line != FIRST_LINE {
            return Err(FitError::Foreign { path: path.to_path_buf() });
        }
        input.read_line(MOST_HEADER, &mut line).map_err(broken)?;
        let Header { identity: found, shape, sequences, held_back_every, tokens, gaps, sinks } =
            serde_json::from_slice(&line).map_err(|_| damaged())?;
        if found != identity {
            return Err(FitError::OtherStatistics { path: path.to_path_buf(), found, expected: identity.to_owned() });
        }
        // Before memory is taken for them.
        let lines = (FIRST_LINE.len() + line.len() + blake3::OUT_LEN) as u64;
        let gaps = GapSet::of(gaps);
        if length.checked_sub(lines) != Some(file_bytes(shape, &gaps)) {
            return Err(damaged());
        }
        let mut statistics = Self { sequences, sinks, ..Self::zero(shape, &gaps, held_back_every) };
        for parts in statistics.layers.values_mut() {
            for (sums, tokens) in parts.iter_mut().zip(tokens) {
                sums.tokens = tokens;
                sums.numbers_mut().into_iter().try_for_each(|numbers| input.fill(numbers)).map_err(broken)?;
            }
        }
        let mut hash = [0; blake3::OUT_LEN];
        input.inner.read_exact(&mut hash).map_err(broken)?;
        if input.hash.finalize() != hash { Err(damaged()) } else { Ok(statistics) }
    }
}

/// Bytes of statistics in a file: the matrices, and the numbers that stand beside them.
fn file_bytes(shape: StatisticsShape, gaps: &GapSet) -> u64 {
    let (layers, count) = (gaps.layers().count(), gaps.len());
    let beside = 2 * size_of::<f64>() as u64 * (layers as u64).saturating_add(2 * count as u64);
    shape.bytes_of(layers as u128, count as u128).saturating_add(beside)
}

impl Sums {
    /// All its numbers, in the order of the file.
    fn numbers(&self) -> Vec<&[f64]> {
        let gram = self.gram.panels.iter().map(nalgebra::DMatrix::as_slice);
        let gaps = self.gaps.values().flat_map(|GapSums { cross, target, along }| {
            [std::slice::from_ref(target), std::slice::from_ref(along), cross.as_slice()]
        });
        std::iter::once(std::slice::from_ref(&self.stream)).chain(gram).chain(gaps).collect()
    }

    /// As [`Sums::numbers`].
    fn numbers_mut(&mut self) -> Vec<&mut [f64]> {
        let mut all = vec![std::slice::from_mut(&mut self.stream)];
        all.extend(self.gram.panels.iter_mut().map(nalgebra::DMatrix::as_mut_slice));
        for GapSums { cross, target, along } in self.gaps.values_mut() {
            all.extend([std::slice::from_mut(target), std::slice::from_mut(along), cross.as_mut_slice()]);
        }
        all
    }
}

/// Hashes what goes through.
struct Hashed<T> {
    inner: T,
    hash: blake3::Hasher,
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: BufRead> Hashed<T> {
    /// Reads a line of at most so many bytes, with its end.
    fn read_line(&mut self, most: u64, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        (&mut self.inner).take(most).read_until(b'\n', line)?;
        self.hash.update(line);
        Ok(())
    }

    /// Reads as many numbers as `numbers` takes.
    fn fill(&mut self, numbers: &mut [f64]) -> io::Result<()> {
        let mut bytes = [0; NUMBERS * size_of::<f64>()];
        for some in numbers.chunks_mut(NUMBERS) {
            let bytes = &mut bytes[..size_of_val(some)];
            self.inner.read_exact(bytes)?;
            self.hash.update(bytes);
            let read = bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            some.iter_mut().zip(read).for_each(|(number, read)| *number = read);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Outcome, calibration, model};
    use super::*;

    fn settings() -> StatisticsSettings {
        StatisticsSettings { largest_gap: 2, ..StatisticsSettings::default() }
    }

    #[test]
    fn statistics_come_back_as_they_were() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("statistics");
        let statistics = Statistics::gather(&mut model("cpu", 1.0)?, &calibration(), settings())?;
        statistics.write(&path, "0a")?;
        assert_eq!(Statistics::read(&path, "0a")?, statistics);
        assert_eq!(std::fs::read_dir(&folder)?.count(), 1, "nothing half-written is left");
        let other = Statistics::read(&path, "0b").map(|_| ()).unwrap_err();
        assert!(matches!(&other, FitError::OtherStatistics { found, .. } if found == "0a"), "{other:?}");
        Ok(())
    }

    /// Wherever a file is cut, and whichever of its bytes is another one, it is refused.
    #[test]
    fn damaged_files_are_refused() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("statistics");
        let shape = StatisticsShape { layers: 3, intermediate: 3, hidden: 2, largest_gap: 2 };
        let mut statistics = Statistics::zero(shape, &GapSet::of(Gap::up_to(2, 3)), 5);
        statistics.layers.values_mut().flatten().for_each(|sums| sums.gram.add_to_diagonal(0.5));
        statistics.write(&path, "0a")?;
        let whole = std::fs::read(&path)?;
        assert_eq!(Statistics::read(&path, "0a")?, statistics);
        let refused = |content: &[u8]| -> Outcome<bool> {
            std::fs::write(&path, content)?;
            let read = Statistics::read(&path, "0a");
            Ok(matches!(
                read,
                Err(FitError::Damaged { .. } | FitError::Foreign { .. } | FitError::OtherStatistics { .. })
            ))
        };
        for place in 0..whole.len() {
            assert!(refused(&whole[..place])?, "cut at byte {place}");
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(refused(&changed)?, "changed at byte {place}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(refused(&longer)?, "a byte more");
        let absurd = String::from_utf8_lossy(&whole[..200.min(whole.len())])
            .replace("\"intermediate\":3", "\"intermediate\":99999999999999");
        assert!(refused(absurd.as_bytes())?, "more than there is memory");
        Ok(())
    }

    #[test]
    fn statistics_are_gathered_once_for_each_identity() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("statistics");
        let (mut model, mut text) = (model("cpu", 1.0)?, calibration());
        let mut computed = |text: &[Vec<u32>], settings| -> Outcome<u64> {
            let before = model.runtime().timings().layer_tokens;
            Statistics::read_or_gather(&path, &mut model, text, settings)?;
            Ok(model.runtime().timings().layer_tokens - before)
        };
        let all = computed(&text, settings())?;
        assert!(all > 0, "there is no file yet");
        assert_eq!(computed(&text, settings())?, 0, "it is read");
        assert_eq!(computed(&text, StatisticsSettings { memory_bytes: 1 << 30, ..settings() })?, 0, "more memory");
        assert_eq!(computed(&text, StatisticsSettings { held_back_every: 3, ..settings() })?, all, "other settings");
        text[3][2] += 1;
        assert_eq!(computed(&text, settings())?, all, "another text");
        let whole = std::fs::read(&path)?;
        std::fs::write(&path, &whole[..whole.len() / 2])?;
        assert_eq!(computed(&text, settings())?, all, "a file that was cut");
        std::fs::write(&path, "a letter\n")?;
        let foreign = computed(&text, settings()).map_err(|error| error.to_string());
        assert!(foreign.is_err_and(|message| message.contains("no statistics")), "what somebody else wrote");
        assert_eq!(std::fs::read_to_string(&path)?, "a letter\n", "it stays");
        Ok(())
    }

    #[test]
    fn another_model_has_another_identity() -> Outcome {
        let of =
            |scale| -> Outcome<String> { Ok(Statistics::identity(&model("cpu", scale)?, &calibration(), settings())?) };
        assert_eq!(of(1.0)?, of(1.0)?);
        assert_ne!(of(1.0)?, of(0.5)?);
        Ok(())
    }
}
