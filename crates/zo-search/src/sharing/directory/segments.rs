//! The lines of a study: a chain of segments, one for each leader's term.
//!
//! A segment is a file that its leader alone writes. Its name says how much of it counts, and whether another segment
//! follows:
//!
//! | name | is |
//! |---|---|
//! | `000007-000000001234.jsonl` | the end of the chain: 1234 bytes of term 7 |
//! | `000007-000000001234.next-000009.jsonl` | the same, with term 9's segment behind it |
//!
//! Adding lines is writing them behind the counted bytes, then renaming the file to the new length. Taking over is
//! making an empty segment, then renaming the end of the chain so that it names that one. Both rename the same name,
//! and the file server lets one of two win; the other finds the name gone. So:
//!
//! 1. What counted once counts for ever, in the same place: no rename makes a length smaller (but below), or takes a
//!    `next` away, and bytes below a length are never written again.
//! 2. A leader that was taken over adds nothing: the name that it would rename has a `next`. Bytes that it still
//!    writes are behind those that count.
//! 3. Lines are added all or none: a crash leaves bytes that do not count, or a segment that no name mentions.
//! 4. A segment that a name mentions is there, as it was made before.
//!
//! `lines/first` names the first segment. It is made once, by `link`, and with it the study.
//!
//! A crash of the machine may lose bytes that were not forced to disk, though the name that counts them survives.
//! Whoever takes over checks the lines and counts the whole ones alone: the one case in which a length gets smaller.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::Error;
use crate::storage::{Content, refused};

/// The folder of segments.
pub(super) const LINES: &str = "lines";
/// How often what is being renamed is looked for again.
const TRIES: u32 = 200;
/// Longest pause in between.
const PAUSE: Duration = Duration::from_millis(20);

/// A segment as its name has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    /// The term of the leader that writes it.
    pub(super) term: u32,
    /// How many bytes of it count.
    pub(super) length: u64,
    /// The term of the segment behind it.
    pub(super) next: Option<u32>,
}

/// What `lines/first` says.
#[derive(Debug, Serialize, Deserialize)]
struct First {
    term: u32,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        let next = self.next.map(|next| format!(".next-{next:06}")).unwrap_or_default();
        format!("{:06}-{:012}{next}.jsonl", self.term, self.length)
    }

    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".jsonl")?;
        let (stem, next) = match stem.split_once(".next-") {
            Some((stem, next)) => (stem, Some(next.parse().ok()?)),
            None => (stem, None),
        };
        let (term, length) = stem.split_once('-')?;
        Some(Self { term: term.parse().ok()?, length: length.parse().ok()?, next })
    }

    pub(super) fn path(&self, place: &Place) -> PathBuf {
        place.path(LINES).join(self.name())
    }

    /// The whole lines of this segment that count, and how many bytes they take. None if its name changed meanwhile.
    pub(super) fn content(&self, place: &Place) -> Result<Option<Content>, Error> {
        let path = self.path(place);
        let Some(mut bytes) = place.read_known(&path)? else { return Ok(None) };
        bytes.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        Content::parse(&bytes, &path).map(Some)
    }
}

fn first(place: &Place) -> PathBuf {
    place.path(LINES).join("first")
}

/// Whether there is a study.
pub(super) fn is_there(place: &Place) -> Result<bool, Error> {
    place.has(&first(place))
}

/// Says that the chain begins with the segment of this term. `false` if it begins with another one.
pub(super) fn begin(place: &Place, term: u32) -> Result<bool, Error> {
    let begun = place.publish(&first(place), &First { term })?;
    place.sync_folder(&place.path(LINES))?;
    Ok(begun)
}

/// Pauses, longer from time to time.
fn pause(tried: u32) {
    std::thread::sleep(PAUSE.min(Duration::from_millis(1) * tried));
}

/// The segments of the chain in their order.
pub(super) fn chain(place: &Place) -> Result<Vec<Segment>, Error> {
    let path = first(place);
    let missing = || refused("open", &path)(ErrorKind::NotFound.into());
    let first: First = place.read_json(&path)?.ok_or_else(missing)?;
    // A file that is renamed while its folder is listed may be missing there.
    for tried in 0..TRIES {
        if let Some(chain) = follow(first.term, &segments(place)?) {
            return Ok(chain);
        }
        pause(tried);
    }
    let location = place.path(LINES).display().to_string();
    Err(Error::DamagedStudy { location, line: 1, problem: "a segment of the study's lines is missing" })
}

/// All segments by their terms. One that was renamed while its folder was listed may be there under both names.
fn segments(place: &Place) -> Result<HashMap<u32, Segment>, Error> {
    let mut segments: HashMap<u32, Segment> = HashMap::new();
    for segment in place.list(LINES)?.iter().filter_map(|name| Segment::parse(name)) {
        let known = segments.entry(segment.term).or_insert(segment);
        *known = [*known, segment].into_iter().max_by_key(|one| (one.next, one.length)).unwrap_or(segment);
    }
    Ok(segments)
}

fn follow(first: u32, segments: &HashMap<u32, Segment>) -> Option<Vec<Segment>> {
    let mut chain = vec![*segments.get(&first)?];
    while let Some(next) = chain.last()?.next {
        chain.push(*segments.get(&next)?);
    }
    Some(chain)
}

/// All lines.
pub(super) fn read(place: &Place) -> Result<Vec<String>, Error> {
    let mut known: HashMap<Segment, Content> = HashMap::new();
    'again: for tried in 0..TRIES {
        let chain = chain(place)?;
        for segment in &chain {
            if !known.contains_key(segment) {
                let Some(content) = segment.content(place)? else {
                    pause(tried);
                    continue 'again;
                };
                known.insert(*segment, content);
            }
        }
        return lines(place, &chain, known);
    }
    Err(refused("read", &place.path(LINES))(ErrorKind::ResourceBusy.into()))
}

/// The lines of these segments, of which all but the last must be whole.
fn lines(place: &Place, chain: &[Segment], mut known: HashMap<Segment, Content>) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for segment in chain {
        let Some(mut content) = known.remove(segment) else { continue };
        if segment.next.is_some() && content.end as u64 != segment.length {
            let location = segment.path(place).display().to_string();
            let problem = "this line is not whole, but good ones follow it in the next segment";
            return Err(Error::DamagedStudy { location, line: content.lines.len() + 1, problem });
        }
        lines.append(&mut content.lines);
    }
    Ok(lines)
}

/// Puts the empty segment of a new term, which is there, behind the chain. `None` if a newer term was faster.
///
/// Returns the whole lines of the chain before it.
pub(super) fn attach(place: &Place, term: u32) -> Result<Option<Vec<String>>, Error> {
    let mut torn = 0;
    for tried in 0..TRIES {
        let mut chain = chain(place)?;
        let Some(end) = chain.pop() else { break };
        if end.term > term {
            return Ok(None);
        }
        let Some(content) = end.content(place)? else {
            pause(tried);
            continue;
        };
        // Bytes that are missing may be on their way yet, whatever the file system promises.
        if content.end as u64 != end.length && torn < 3 {
            torn += 1;
            std::thread::sleep(PAUSE);
            continue;
        }
        let attached = Segment { length: content.end as u64, next: Some(term), ..end };
        // What stands behind it may be forced to disk, and then this must be there too.
        let synced = place.operations().write_at(&end.path(place), end.length, &[], place.sync);
        if synced.as_ref().is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            synced.map_err(refused("sync", &end.path(place)))?;
        }
        if place.shift(&end.path(place), &attached.path(place))? {
            place.sync_folder(&place.path(LINES))?;
            let mut known = HashMap::from([(attached, content)]);
            for segment in &chain {
                let missing = || refused("read", &segment.path(place))(ErrorKind::NotFound.into());
                known.insert(*segment, segment.content(place)?.ok_or_else(missing)?);
            }
            chain.push(attached);
            return lines(place, &chain, known).map(Some);
        }
        pause(tried);
    }
    Err(refused("rename", &place.path(LINES))(ErrorKind::ResourceBusy.into()))
}

/// Removes segments of terms before this one, which is attached, that are not in the chain: their leaders were killed
/// before they were attached, or find that they can be no more.
pub(super) fn remove_strays(place: &Place, term: u32) -> Result<(), Error> {
    let chain = chain(place)?;
    let stray = |segment: &Segment| segment.term < term && chain.iter().all(|one| one.term != segment.term);
    segments(place)?.values().filter(|segment| stray(segment)).try_for_each(|stray| place.remove(&stray.path(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_what_its_name_says() {
        for segment in [
            Segment { term: 7, length: 1234, next: None },
            Segment { term: 1_234_567, length: 0, next: Some(1_234_568) },
        ] {
            assert_eq!(Segment::parse(&segment.name()), Some(segment));
        }
        assert_eq!(Segment { term: 7, length: 5, next: Some(9) }.name(), "000007-000000000005.next-000009.jsonl");
        assert_eq!(Segment::parse("first"), None);
    }
}
