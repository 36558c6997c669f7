//! Documents as batches, and their mean loss.

use layer_ir::ModelConfig;

use crate::plan::packs;
use crate::teacher::TeacherRows;
use crate::{Document, Error, Learner, PackedBatch, Target, TrainSettings};

/// The mean loss of a counted token of some documents, in nats.
///
/// # Errors
/// As of [`Trainer::run`](crate::Trainer::run).
pub fn mean_loss(learner: &dyn Learner, documents: &[Document], settings: &TrainSettings) -> Result<f64, Error> {
    let lengths: Vec<usize> = documents.iter().map(|document| document.tokens.len()).collect();
    let all: Vec<usize> = (0..documents.len()).collect();
    let (mut loss, mut counted) = (0.0, 0);
    for pack in packs(&all, &lengths, settings.micro_tokens) {
        let pack = Pack::new(documents, &pack, learner.layout().config())?;
        counted += pack.counted();
        loss += learner.loss(&pack.batch, &pack.targets(1.0))?;
    }
    Ok(loss / counted.max(1) as f64)
}

/// Some documents as a batch.
pub(crate) struct Pack<'a> {
    documents: Vec<&'a Document>,
    /// Their tokens.
    pub batch: PackedBatch,
    /// What their teachers predict.
    teachers: Vec<TeacherRows>,
}

impl<'a> Pack<'a> {
    /// The documents of these places, for a model of this config.
    ///
    /// # Errors
    /// As of [`PackedBatch::new`]; [`Error::Read`] for a teacher.
    pub fn new(documents: &'a [Document], places: &[usize], config: &ModelConfig) -> Result<Self, Error> {
        let documents: Vec<&Document> = places.iter().map(|place| &documents[*place]).collect();
        let sequences: Vec<&[u32]> = documents.iter().map(|document| document.tokens.as_slice()).collect();
        let batch = PackedBatch::new(&sequences, config)?;
        let teachers = documents.iter().map(|document| document.teacher_rows()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { documents, batch, teachers })
    }

    /// How many rows count.
    pub fn counted(&self) -> usize {
        self.documents.iter().map(|document| document.counted()).sum()
    }

    /// What is wanted of the rows that count, each with this weight.
    pub fn targets(&self, weight: f32) -> Vec<Target<'_>> {
        let mut targets = Vec::new();
        for ((document, teacher), rows) in self.documents.iter().zip(&self.teachers).zip(self.batch.sequences()) {
            document.add_targets(teacher, rows.start, weight, &mut targets);
        }
        targets
    }
}
