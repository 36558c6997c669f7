//! Local search for the largest expected improvement, as in SMAC3: first improvement, and walks over plateaus.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::neighbours::{Move, list_moves};
use super::response::expected_improvement;
use crate::models::features::Features;
use crate::models::forest::{Forest, Trace};

/// Deviation of the draws for numbers, in their ranges: at first, at least and at most.
const DEVIATION: [f64; 3] = [0.05, 0.005, 0.4];
/// So many improvements in a row double it.
const UPSCALE: usize = 3;
/// So many passes without one halve it.
const DOWNSCALE: usize = 3;
/// So many passes without improvement end a climb.
const PLATEAU: usize = 10;

/// Where a row comes from: the trial it was, as long as nothing else is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) row: Vec<f64>,
    /// The trial that it began at, whose floats it keeps exactly.
    pub(super) origin: Option<usize>,
    /// Its expected improvement.
    pub(super) improvement: f64,
}

/// What climbs all see.
pub(super) struct Climber<'a> {
    pub(super) features: &'a Features,
    pub(super) forest: &'a Forest,
    /// The lowest predicted log-cost.
    pub(super) best: f64,
    /// A good row, which dimensions that wake up take their values from.
    pub(super) model: &'a [f64],
}

impl Climber<'_> {
    /// The expected improvement of a row.
    pub(super) fn improvement(&self, row: &[f64]) -> f64 {
        expected_improvement(self.forest.predict(row), self.best)
    }

    /// Climbs from a candidate until it finds no way up.
    ///
    /// Values without number are drawn anew in each pass; the finite ones are gone through again only after a move,
    /// as they would say the same. SMAC3 2.4.1 leaves out all neighbours that differ in more than one value, and
    /// takes inactive values for different ones: in a conditional space it does not climb at all. Here it does.
    pub(super) fn climb(&self, candidate: &mut Candidate, rng: &mut ChaCha8Rng) {
        let mut pass = Pass::new(candidate.row.clone());
        let (mut deviation, mut in_a_row, mut walked, mut moved) = (DEVIATION[0], 0, 0, true);
        while walked < PLATEAU {
            list_moves(self.features, &candidate.row, moved, rng, &mut pass.moves);
            let improved = self.pass(candidate, deviation, &mut pass, rng);
            moved = improved;
            in_a_row = if improved { in_a_row + 1 } else { 0 };
            if in_a_row >= UPSCALE && walked == 0 {
                deviation = (deviation * 2.0).min(DEVIATION[2]);
                in_a_row = 0;
            }
            if improved {
                continue;
            }
            if pass.moves.is_empty() {
                return;
            }
            if let Some(equal) = pass.equal.take() {
                candidate.row = equal;
                moved = true;
            }
            walked += 1;
            if walked % DOWNSCALE == 0 {
                deviation = (deviation * 0.5).max(DEVIATION[1]);
            }
        }
    }

    /// Goes to the first neighbour that is better, and says whether there is one; notes the first that is equal.
    fn pass(&self, candidate: &mut Candidate, deviation: f64, pass: &mut Pass, rng: &mut ChaCha8Rng) -> bool {
        self.forest.trace(&candidate.row, &mut pass.trace);
        pass.row.clone_from(&candidate.row);
        pass.equal = None;
        for place in 0..pass.moves.len() {
            let other = rng.random_range(place..pass.moves.len());
            pass.moves.swap(place, other);
            self.make(pass.moves[place], &candidate.row, deviation, pass, rng);
            let prediction = self.forest.predict_changed(&pass.row, &pass.changed, &pass.trace);
            let improvement =
                prediction.map_or(candidate.improvement, |prediction| expected_improvement(prediction, self.best));
            if improvement > candidate.improvement {
                candidate.row.clone_from(&pass.row);
                candidate.improvement = improvement;
                return true;
            }
            if improvement == candidate.improvement && pass.equal.is_none() && !pass.changed.is_empty() {
                pass.equal = Some(pass.row.clone());
            }
            pass.changed.iter().for_each(|cell| pass.row[*cell] = candidate.row[*cell]);
        }
        false
    }

    /// Makes a move in `pass.row`, and lists the cells that it changed.
    fn make(&self, change: Move, before: &[f64], deviation: f64, pass: &mut Pass, rng: &mut ChaCha8Rng) {
        let dimensions = self.features.dimensions();
        let dimension = &dimensions[change.dimension];
        change.apply(dimension, &mut pass.row, deviation, rng);
        self.features.propagate_activity(&mut pass.row, change.dimension, |_, activated, cells| {
            let known = &self.model[activated.at.clone()];
            if activated.has_value(self.model) { cells.copy_from_slice(known) } else { activated.sample(cells, rng) }
        });
        let affected = std::iter::once(dimension).chain(dimension.dependents.iter().map(|index| &dimensions[*index]));
        let cells = affected.flat_map(|dimension| dimension.at.clone());
        pass.changed.clear();
        pass.changed.extend(cells.filter(|cell| pass.row[*cell] != before[*cell]));
    }
}

/// What a pass over the neighbours works with.
struct Pass {
    /// The neighbours of the row that the pass began at.
    moves: Vec<Move>,
    /// The neighbour that is looked at.
    row: Vec<f64>,
    /// The cells in which it differs.
    changed: Vec<usize>,
    /// What the forest said of the row that the pass began at.
    trace: Trace,
    /// The first neighbour of equal improvement.
    equal: Option<Vec<f64>>,
}

impl Pass {
    fn new(row: Vec<f64>) -> Self {
        Self { moves: Vec::new(), row, changed: Vec::new(), trace: Trace::default(), equal: None }
    }
}
