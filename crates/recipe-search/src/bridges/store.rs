//! Statistics in a file, with a hash of what they were made from. One gap's are read without the others.
//!
//! | what | |
//! |---|---|
//! | the line `tailor bridge statistics 3` | what it is |
//! | a line of JSON, `Header` | what it was made from, the sizes, the gaps, and what stands out |
//! | 32 bytes | BLAKE3 of both lines |
//! | a [`Block`] for each layer, then one for each gap | numbers in f64, the lowest byte first |
//!
//! Behind each block stands its BLAKE3.

mod blocks;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use layer_runtime::RecipeModel;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::blocks::{Block, Hashed, places};
use super::gaps::GapSet;
use super::sums::FIT;
use super::{FitError, Gap, Sink, Statistics, StatisticsSettings, StatisticsShape};
use crate::Error;
use crate::results::{check_writable, write_atomically};
use crate::study::fingerprint;

/// The first line; the number counts the versions of what is summed and of the file.
const FIRST_LINE: &[u8] = b"tailor bridge statistics 3\n";
/// The most bytes of the second line.
const MOST_HEADER: u64 = 1 << 16;

/// The second line.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        let (recipe, runtime) = (model.recipe(), model.runtime());
        let gaps = Gap::up_to(settings.largest_gap, recipe.layers.len());
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
            GapSet::of(gaps).iter().collect::<Vec<_>>(),
            settings.held_back_every,
        ]);
        Ok(blake3::hash(content.to_string().as_bytes()).to_hex().to_string())
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
        let lines = [FIRST_LINE, json!(header).to_string().as_bytes(), b"\n"].concat();
        let hash = blake3::hash(&lines);
        let (places, _) = places(shape, &GapSet::of(header.gaps), lines.len());
        write_atomically(path, |file| {
            let mut out = BufWriter::new(file);
            out.write_all(&lines)?;
            out.write_all(hash.as_bytes())?;
            for (block, place) in places {
                let mut hashed = Hashed::of_block(&mut out, &hash, place);
                let parts = self.layers.get(&block.layer());
                parts.into_iter().flat_map(|parts| block.numbers(parts)).try_for_each(|some| hashed.write(some))?;
                hashed.finish()?;
            }
            out.flush()
        })
        .map_err(FitError::io(path))
    }

    /// Reads statistics that were made from what `identity` is the hash of.
    ///
    /// # Errors
    /// As of [`StatisticsFile::open`] and [`StatisticsFile::of_gap`].
    pub fn read(path: &Path, identity: &str) -> Result<Self, FitError> {
        let file = StatisticsFile::open(path, identity)?;
        file.of_gaps(&file.gaps)
    }
}

/// Statistics in a file, of which single gaps are read: a bridge needs a small part of the gigabytes that all gaps of a
/// real model take.
#[derive(Debug, Clone)]
pub struct StatisticsFile {
    path: PathBuf,
    header: Header,
    gaps: GapSet,
    /// Of the lines.
    hash: blake3::Hash,
    /// Where each block begins, in the order of the file.
    places: BTreeMap<Block, u64>,
}

impl StatisticsFile {
    /// Those of all gaps up to `settings.largest_gap`, if the file is of this model, text and settings, and whole;
    /// else, or if it is not there, they are gathered and written to it.
    ///
    /// # Errors
    /// As of [`Statistics::identity`], [`Statistics::gather`] and [`Statistics::write`]; [`FitError::Foreign`] if the
    /// file holds something else, which stays; [`FitError::Io`] if it cannot be read or, before anything is computed,
    /// [`Error::Io`] if it could not be written.
    pub fn open_or_gather(
        path: &Path,
        model: &mut RecipeModel,
        sequences: &[Vec<u32>],
        settings: StatisticsSettings,
    ) -> Result<Self, Error> {
        let identity = Statistics::identity(model, sequences, settings)?;
        match Self::open(path, &identity).and_then(|file| file.check().map(|()| file)) {
            Err(FitError::OtherStatistics { .. } | FitError::Damaged { .. }) => {}
            Err(FitError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            opened => return Ok(opened?),
        }
        check_writable(path)?;
        Statistics::gather(model, sequences, settings)?.write(path, &identity)?;
        Ok(Self::open(path, &identity)?)
    }

    /// Opens a file of statistics that were made from what `identity` is the hash of. Its numbers are looked at when
    /// they are read.
    ///
    /// # Errors
    /// [`FitError::Io`]; [`FitError::Foreign`] if the file holds something else; [`FitError::OtherStatistics`] if they
    /// were made from something else; [`FitError::Damaged`] if it is truncated, or its lines were changed.
    pub fn open(path: &Path, identity: &str) -> Result<Self, FitError> {
        let damaged = || FitError::Damaged { path: path.to_path_buf() };
        let file = File::open(path).map_err(FitError::io(path))?;
        let length = file.metadata().map_err(FitError::io(path))?.len();
        let mut input = BufReader::new(file);
        let mut lines = Vec::new();
        for (most, is_first) in [(FIRST_LINE.len() as u64, true), (MOST_HEADER, false)] {
            (&mut input).take(most).read_until(b'\n', &mut lines).map_err(FitError::io(path))?;
            if is_first && lines != FIRST_LINE {
                return Err(FitError::Foreign { path: path.to_path_buf() });
            }
        }
        let hash = blake3::hash(&lines);
        if !blocks::is_next(&mut input, &hash).map_err(FitError::of_reading(path))? {
            return Err(damaged());
        }
        let header: Header = serde_json::from_slice(&lines[FIRST_LINE.len()..]).map_err(|_| damaged())?;
        if header.identity != identity {
            let (found, expected) = (header.identity, identity.to_owned());
            return Err(FitError::OtherStatistics { path: path.to_path_buf(), found, expected });
        }
        let gaps = GapSet::of(header.gaps.iter().copied());
        let (places, end) = places(header.shape, &gaps, lines.len());
        // Before memory is taken for them.
        if length != end { Err(damaged()) } else { Ok(Self { path: path.to_path_buf(), header, gaps, hash, places }) }
    }

    /// Reads all numbers, to see that none was changed.
    ///
    /// # Errors
    /// [`FitError::Damaged`] if one was, [`FitError::Io`] if they cannot be read.
    pub fn check(&self) -> Result<(), FitError> {
        self.places.par_iter().try_for_each(|(block, _)| {
            let bytes = block.bytes(self.header.shape);
            self.block(*block, |input| input.skip(bytes))
        })
    }

    /// What stood out of the residual stream.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.header.sinks
    }

    /// The statistics of one gap.
    ///
    /// # Errors
    /// [`FitError::UnknownGap`]; [`FitError::Damaged`] if what is read was changed, [`FitError::Io`] if it cannot be.
    pub fn of_gap(&self, gap: Gap) -> Result<Statistics, FitError> {
        if self.places.contains_key(&Block::Gap(gap)) {
            return self.of_gaps(&GapSet::of([gap]));
        }
        let StatisticsShape { layers, largest_gap: largest, .. } = self.header.shape;
        Err(FitError::UnknownGap { after: gap.after, length: gap.length, layers, largest })
    }

    /// The statistics of some of the gaps.
    fn of_gaps(&self, gaps: &GapSet) -> Result<Statistics, FitError> {
        let Header { shape, sequences, held_back_every, tokens, ref sinks, .. } = self.header;
        let mut statistics = Statistics::zero(shape, gaps, held_back_every);
        (statistics.sequences, statistics.sinks) = (sequences, sinks.clone());
        for (after, parts) in &mut statistics.layers {
            parts.iter_mut().zip(tokens).for_each(|(sums, tokens)| sums.tokens = tokens);
            let lengths: Vec<usize> = parts[FIT].gaps.keys().copied().collect();
            for block in Block::of_layer(*after, lengths) {
                let numbers = block.numbers_mut(parts);
                self.block(block, |input| numbers.into_iter().try_for_each(|some| input.read(some)))?;
            }
        }
        Ok(statistics)
    }

    /// Reads a block.
    fn block(
        &self,
        block: Block,
        read: impl FnOnce(&mut Hashed<BufReader<File>>) -> std::io::Result<()>,
    ) -> Result<(), FitError> {
        let place = self.places[&block];
        let whole = || {
            let mut file = BufReader::new(File::open(&self.path)?);
            file.seek(SeekFrom::Start(place))?;
            let mut input = Hashed::of_block(file, &self.hash, place);
            read(&mut input)?;
            input.ends_whole()
        };
        match whole().map_err(FitError::of_reading(&self.path))? {
            true => Ok(()),
            false => Err(FitError::Damaged { path: self.path.clone() }),
        }
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

    #[test]
    fn a_gap_is_read_without_the_others() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("statistics");
        let statistics = Statistics::gather(&mut model("cpu", 1.0)?, &calibration(), settings())?;
        statistics.write(&path, "0a")?;
        let file = StatisticsFile::open(&path, "0a")?;
        assert_eq!(file.sinks(), statistics.sinks());
        let gaps: Vec<Gap> = statistics.gaps().collect();
        for gap in &gaps {
            let own = file.of_gap(*gap)?;
            assert_eq!(own.gaps().collect::<Vec<_>>(), [*gap]);
            assert_eq!(own.refit(*gap, &[0.1])?, statistics.refit(*gap, &[0.1])?);
        }
        let unknown = file.of_gap(Gap { after: 0, length: 9 });
        assert!(matches!(unknown, Err(FitError::UnknownGap { length: 9, .. })), "{unknown:?}");
        // The last block is the last gap's.
        let mut bytes = std::fs::read(&path)?;
        let place = bytes.len() - blake3::OUT_LEN - 1;
        bytes[place] ^= 1;
        std::fs::write(&path, bytes)?;
        let file = StatisticsFile::open(&path, "0a")?;
        let (last, others) = gaps.split_last().ok_or("no gaps")?;
        assert!(others.iter().all(|gap| file.of_gap(*gap).is_ok()), "what was not changed is read");
        assert!(matches!(file.of_gap(*last), Err(FitError::Damaged { .. })));
        assert!(matches!(file.check(), Err(FitError::Damaged { .. })));
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
            StatisticsFile::open_or_gather(&path, &mut model, text, settings)?;
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
