//! Points that somebody knows to be good to begin with.

use std::collections::HashSet;

use crate::{Error, Point, PointKey, Space, TrialId};

/// Points for the first asks: canonical, each of them once.
#[derive(Debug, Clone, Default)]
pub(crate) struct InitialPoints {
    /// As they were given.
    given: Vec<Point>,
    /// The canonical ones, each once, those that are known left out; none until they are asked for.
    ready: Option<Vec<Point>>,
    /// Known from elsewhere: not to be asked.
    known: HashSet<PointKey>,
}

impl InitialPoints {
    /// Points that are checked when the first of them is asked for.
    pub(crate) fn new(given: Vec<Point>) -> Self {
        Self { given, ready: None, known: HashSet::new() }
    }

    /// Leaves out a point, before the first ask.
    pub(crate) fn leave_out(&mut self, point: &Point) {
        self.known.insert(point.key());
        self.ready = None;
    }

    /// The point of ask `id`; none when the strategy is to choose.
    pub(crate) fn get(&mut self, space: &Space, id: TrialId) -> Result<Option<Point>, Error> {
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None => self.distinct(space)?,
        };
        let point = usize::try_from(id.0).ok().and_then(|index| ready.get(index).cloned());
        self.ready = Some(ready);
        Ok(point)
    }

    /// A hash of the points as given, for the journal.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for point in &self.given {
            hasher.update(&point.key().as_u128().to_be_bytes());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }

    /// The points to ask, or the first one that is none of the space.
    fn distinct(&self, space: &Space) -> Result<Vec<Point>, Error> {
        let mut keys = self.known.clone();
        let mut points = Vec::with_capacity(self.given.len());
        for (index, point) in self.given.iter().enumerate() {
            let canonical = space.canonical(point);
            let point = canonical.map_err(|source| Error::InitialPoint { index, source: Box::new(source) })?;
            if keys.insert(point.key()) {
                points.push(point);
            }
        }
        Ok(points)
    }
}
