//! Documents as batches, and their mean loss.

use layer_ir::ModelConfig;

use crate::plan::packs;
use crate::teacher::TeacherRows;
use crate::{Document, Error, Learner, PackedBatch, Target, TrainSettings};

/// The mean loss of a counted token of some documents, in nats; that of hidden states is left out, so that losses can be
/// compared whatever its weight.
///
/// # Errors
/// As of [`Trainer::run`](crate::Trainer::run).
pub fn mean_loss(learner: &dyn Learner, documents: &[Document], settings: &TrainSettings) -> Result<f64, Error> {
    let lengths: Vec<usize> = documents.iter().map(|document| document.tokens.len()).collect();
    let all: Vec<usize> = (0..documents.len()).collect();
    let (mut loss, mut counted) = (0.0, 0);
    for pack in packs(&all, &lengths, settings.micro_tokens) {
        let pack = Pack::new(documents, &pack, learner.layout().config(), false)?;
        counted += pack.counted();
        loss += learner.loss(&pack.batch, &pack.targets(1.0, 0.0))?;
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
    /// Their teachers' streams; empty where none are wanted.
    hidden: Vec<Vec<f32>>,
}

impl<'a> Pack<'a> {
    /// The documents of these places, for a model of this config; with `hidden` also their teachers' streams.
    ///
    /// # Errors
    /// As of [`PackedBatch::new`]; [`Error::Read`] for a teacher; [`Error::HiddenWidth`].
    pub fn new(documents: &'a [Document], places: &[usize], config: &ModelConfig, hidden: bool) -> Result<Self, Error> {
        let documents: Vec<&Document> = places.iter().map(|place| &documents[*place]).collect();
        let sequences: Vec<&[u32]> = documents.iter().map(|document| document.tokens.as_slice()).collect();
        let batch = PackedBatch::new(&sequences, config)?;
        let teachers = documents.iter().map(|document| document.teacher_rows()).collect::<Result<Vec<_>, _>>()?;
        let width = config.hidden_size;
        let streams = |document: &&Document| if hidden { document.hidden_rows(width) } else { Ok(Vec::new()) };
        let hidden = documents.iter().map(streams).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { documents, batch, teachers, hidden })
    }

    /// How many rows count.
    pub fn counted(&self) -> usize {
        self.documents.iter().map(|document| document.counted()).sum()
    }

    /// What is wanted of the rows that count, each with these weights of its prediction and of its stream.
    pub fn targets(&self, weight: f32, hidden_weight: f32) -> Vec<Target<'_>> {
        let mut targets = Vec::new();
        let teachers = self.teachers.iter().zip(self.hidden.iter().map(Vec::as_slice));
        for ((document, teacher), rows) in self.documents.iter().zip(teachers).zip(self.batch.sequences()) {
            document.add_targets(teacher, rows.start, (weight, hidden_weight), &mut targets);
        }
        targets
    }
}
