//! The blocks of a file of statistics: where each begins, and what stands in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::slice::{from_mut, from_ref};

use nalgebra::DMatrix;

use super::super::gaps::GapSet;
use super::super::sums::{GapSums, Sums};
use super::super::triangle::Triangle;
use super::super::{Gap, StatisticsShape};

/// Numbers that are written or read at once.
const NUMBERS: usize = 1 << 13;

/// What a block holds, of the fit and of what is held back; in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Block {
    /// The Gram matrix of a layer, and the number beside it.
    Layer(usize),
    /// The cross product of a gap, and the numbers beside it.
    Gap(Gap),
}

impl Block {
    /// Those of a layer and of the gaps of some lengths behind it.
    pub fn of_layer(after: usize, lengths: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Self> {
        let gaps = lengths.into_iter().map(move |length| Self::Gap(Gap { after, length }));
        std::iter::once(Self::Layer(after)).chain(gaps)
    }

    /// The layer that it is of.
    pub fn layer(self) -> usize {
        match self {
            Self::Layer(after) => after,
            Self::Gap(gap) => gap.after,
        }
    }

    /// Bytes of its numbers.
    pub fn bytes(self, shape: StatisticsShape) -> u64 {
        let numbers = match self {
            Self::Layer(_) => Triangle::numbers(shape.intermediate).saturating_add(1),
            Self::Gap(_) => (shape.intermediate as u128).saturating_mul(shape.hidden as u128).saturating_add(2),
        };
        numbers.saturating_mul(2 * size_of::<f64>() as u128).try_into().unwrap_or(u64::MAX)
    }

    /// Its numbers, in the order of the file.
    pub fn numbers(self, parts: &[Sums; 2]) -> Vec<&[f64]> {
        let of = |sums| -> Vec<&[f64]> {
            let sums: &Sums = sums;
            match self {
                Self::Layer(_) => {
                    let panels = sums.gram.panels.iter().map(DMatrix::as_slice);
                    std::iter::once(from_ref(&sums.stream)).chain(panels).collect()
                }
                Self::Gap(gap) => sums.gaps.get(&gap.length).map_or_else(Vec::new, |gap| {
                    let GapSums { cross, target, along } = gap;
                    vec![from_ref(target), from_ref(along), cross.as_slice()]
                }),
            }
        };
        parts.iter().flat_map(of).collect()
    }

    /// As [`Block::numbers`].
    pub fn numbers_mut(self, parts: &mut [Sums; 2]) -> Vec<&mut [f64]> {
        let of = |sums| -> Vec<&mut [f64]> {
            let sums: &mut Sums = sums;
            match self {
                Self::Layer(_) => {
                    let panels = sums.gram.panels.iter_mut().map(DMatrix::as_mut_slice);
                    std::iter::once(from_mut(&mut sums.stream)).chain(panels).collect()
                }
                Self::Gap(gap) => sums.gaps.get_mut(&gap.length).map_or_else(Vec::new, |gap| {
                    let GapSums { cross, target, along } = gap;
                    vec![from_mut(target), from_mut(along), cross.as_mut_slice()]
                }),
            }
        };
        parts.iter_mut().flat_map(of).collect()
    }
}

/// Where each block begins in a file whose lines take so many bytes, in the order of the file, and where the last one
/// ends with its hash.
pub(super) fn places(shape: StatisticsShape, gaps: &GapSet, lines: usize) -> (BTreeMap<Block, u64>, u64) {
    const HASH: u64 = blake3::OUT_LEN as u64;
    let mut end = (lines as u64).saturating_add(HASH);
    let place = |block: Block| {
        let place = end;
        end = end.saturating_add(block.bytes(shape)).saturating_add(HASH);
        (block, place)
    };
    let blocks = gaps.layers().flat_map(|(after, lengths)| Block::of_layer(after, lengths.iter().copied()));
    let blocks: BTreeSet<Block> = blocks.collect();
    let places = blocks.into_iter().map(place).collect();
    (places, end)
}

/// Whether the hash stands next in a file.
pub(super) fn is_next(input: &mut impl Read, hash: &blake3::Hash) -> io::Result<bool> {
    let mut found = [0; blake3::OUT_LEN];
    input.read_exact(&mut found)?;
    Ok(*hash == found)
}

/// Hashes what goes through.
pub(super) struct Hashed<T> {
    inner: T,
    hash: blake3::Hasher,
}

impl<T> Hashed<T> {
    /// Of a block that begins at some byte of the file whose lines have this hash, so that no block passes for another.
    pub fn of_block(inner: T, lines: &blake3::Hash, place: u64) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(lines.as_bytes()).update(&place.to_le_bytes());
        Self { inner, hash }
    }
}

impl<T: Write> Hashed<T> {
    /// Writes numbers.
    pub fn write(&mut self, numbers: &[f64]) -> io::Result<()> {
        for some in numbers.chunks(NUMBERS) {
            let bytes: Vec<u8> = some.iter().flat_map(|number| number.to_le_bytes()).collect();
            self.inner.write_all(&bytes)?;
            self.hash.update(&bytes);
        }
        Ok(())
    }

    /// Writes the hash of what was written.
    pub fn finish(mut self) -> io::Result<()> {
        self.inner.write_all(self.hash.finalize().as_bytes())
    }
}

impl<T: Read> Hashed<T> {
    /// Reads as many numbers as `numbers` takes.
    pub fn read(&mut self, numbers: &mut [f64]) -> io::Result<()> {
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

    /// Reads so many bytes for their hash alone.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut (&mut self.inner).take(bytes), &mut self.hash)? == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Whether the hash of what was read stands next.
    pub fn ends_whole(&mut self) -> io::Result<bool> {
        is_next(&mut self.inner, &self.hash.finalize())
    }
}
