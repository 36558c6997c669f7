//! What is scored as a whole: the documents of all tasks between two rungs, or a part of them.

use serde::{Deserialize, Serialize};

use super::member::DocumentValues;
use super::task::{EvaluatedTask, RungSlice};
use super::{DocumentSet, RecipeEvaluator};
use crate::scores::Scores;

/// Documents of all tasks that are always scored together, so that workers can share a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(super) slice: RungSlice,
    /// Which part of the slice of each task.
    pub(super) part: usize,
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.slice {
            RungSlice::Rung(rung) => write!(f, "rung{rung}.{}", self.part),
            RungSlice::Confirm => write!(f, "confirm.{}", self.part),
        }
    }
}

/// The values of a piece's documents, by task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PieceValues(pub(super) Vec<DocumentValues>);

impl RecipeEvaluator {
    /// The pieces of a set of documents, in the order of the documents.
    pub(crate) fn pieces(&self, set: DocumentSet) -> Vec<Piece> {
        let slices: Vec<RungSlice> = match set {
            DocumentSet::Search { rung } => (0..self.rungs.min(rung + 1)).map(RungSlice::Rung).collect(),
            DocumentSet::Confirm => vec![RungSlice::Confirm],
        };
        let parts = |slice| (0..self.parts).map(move |part| Piece { slice, part });
        slices.into_iter().flat_map(parts).collect()
    }

    /// The scores of a set of documents, of which all pieces are scored, in their order.
    pub(crate) fn combine<'a>(
        &self,
        set: DocumentSet,
        pieces: impl Iterator<Item = &'a PieceValues> + Clone,
    ) -> Scores {
        let of_task = |(place, task): (usize, &EvaluatedTask)| {
            let mut values = DocumentValues::default();
            pieces.clone().filter_map(|piece| piece.0.get(place)).for_each(|piece| values.extend(piece));
            task.score(set, values)
        };
        self.tasks.iter().enumerate().map(of_task).collect()
    }

    /// The documents of a piece that are a task's.
    pub(super) fn documents_of<'a>(&self, task: &'a EvaluatedTask, piece: Piece) -> &'a [usize] {
        let slice = task.slice(piece.slice);
        let bound = |part: usize| slice.len() * part / self.parts;
        &slice[bound(piece.part)..bound(piece.part + 1)]
    }
}
