//! Documents as batches, and their losses.

use std::ops::Range;

use layer_ir::ModelConfig;

use crate::choices::ChoiceLosses;
use crate::plan::packs;
use crate::teacher::TeacherRows;
use crate::{Document, Error, Learner, PackedBatch, Target, TrainSettings, Wanted};

/// The mean loss of what counts of some documents, in nats; that of hidden states is left out, so that losses can be
/// compared whatever its weight.
///
/// # Errors
/// As of [`Trainer::run`](crate::Trainer::run).
pub fn mean_loss(learner: &dyn Learner, documents: &[Document], settings: &TrainSettings) -> Result<f64, Error> {
    let lengths: Vec<usize> = documents.iter().map(Document::read_tokens).collect();
    let all: Vec<usize> = (0..documents.len()).collect();
    let (mut loss, mut counted) = (0.0, 0);
    for pack in packs(&all, &lengths, settings.micro_tokens) {
        let pack = Pack::new(documents, &pack, learner.layout().config(), 0.0)?;
        counted += pack.counted();
        loss += pack.loss(learner)?;
    }
    Ok(loss / counted.max(1) as f64)
}

/// Some documents as a batch.
pub(crate) struct Pack<'a> {
    parts: Vec<Part<'a>>,
    batch: PackedBatch,
    /// What the documents' teachers predict.
    teachers: Vec<TeacherRows>,
    /// Their teachers' streams; empty where none are wanted.
    hidden: Vec<Vec<f32>>,
    /// The weight of the streams beside that of the predictions.
    hidden_weight: f32,
}

/// A document of a pack.
struct Part<'a> {
    document: &'a Document,
    /// Which sequences of the batch are its.
    sequences: Range<usize>,
}

impl Part<'_> {
    fn is_choice(&self) -> bool {
        matches!(self.document.wanted, Wanted::Choice { .. })
    }
}

impl<'a> Pack<'a> {
    /// The documents of these places, for a model of this config; with a weight above 0 also their teachers' streams.
    ///
    /// # Errors
    /// As of [`PackedBatch::new`]; [`Error::Read`] for a teacher; [`Error::HiddenWidth`].
    pub fn new(
        documents: &'a [Document],
        places: &[usize],
        config: &ModelConfig,
        hidden_weight: f32,
    ) -> Result<Self, Error> {
        let (mut parts, mut sequences) = (Vec::new(), Vec::new());
        for document in places.iter().map(|place| &documents[*place]) {
            let first = sequences.len();
            sequences.extend(document.sequences());
            parts.push(Part { document, sequences: first..sequences.len() });
        }
        let batch = PackedBatch::new(&sequences, config)?;
        let teachers = parts.iter().map(|part| part.document.teacher_rows()).collect::<Result<Vec<_>, _>>()?;
        let (width, wanted) = (config.hidden_size, hidden_weight > 0.0);
        let streams = |part: &Part<'_>| if wanted { part.document.hidden_rows(width) } else { Ok(Vec::new()) };
        let hidden = parts.iter().map(streams).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { parts, batch, teachers, hidden, hidden_weight })
    }

    /// How many rows count.
    pub fn counted(&self) -> usize {
        self.parts.iter().map(|part| part.document.counted()).sum()
    }

    /// The loss of the documents, in nats.
    ///
    /// # Errors
    /// What the learner says.
    pub fn loss(&self, learner: &dyn Learner) -> Result<f64, Error> {
        if !self.parts.iter().any(Part::is_choice) {
            return learner.loss(&self.batch, &self.targets(&self.weights(1.0)));
        }
        Ok(self.parts.iter().zip(self.losses(learner)?).map(|(part, losses)| part.loss(&losses)).sum())
    }

    /// The loss of the documents times a weight, whose gradients are added to the learner's.
    ///
    /// What weighs the gradients of choices depends on all choices of a document: it comes from a pass before the one
    /// that adds gradients.
    ///
    /// # Errors
    /// What the learner says.
    pub fn add_gradients(&self, learner: &mut dyn Learner, weight: f32) -> Result<f64, Error> {
        let mut weights = self.weights(weight);
        if !self.parts.iter().any(Part::is_choice) {
            return learner.add_gradients(&self.batch, &self.targets(&weights));
        }
        let mut loss = 0.0;
        for (part, losses) in self.parts.iter().zip(self.losses(learner)?) {
            loss += part.loss(&losses);
            if part.is_choice() {
                let choices = ChoiceLosses(&losses);
                let of_choices = choices.weights();
                weights[part.sequences.clone()].iter_mut().zip(of_choices).for_each(|(weight, of)| *weight *= of);
            }
        }
        learner.add_gradients(&self.batch, &self.targets(&weights))?;
        Ok(loss * f64::from(weight))
    }

    /// The same for all sequences.
    fn weights(&self, weight: f32) -> Vec<f32> {
        vec![weight; self.batch.sequences().len()]
    }

    /// What is wanted of the rows that count, with a weight for each sequence.
    fn targets(&self, weights: &[f32]) -> Vec<Target<'_>> {
        let mut targets = Vec::new();
        let teachers = self.teachers.iter().zip(self.hidden.iter().map(Vec::as_slice));
        for (part, teacher) in self.parts.iter().zip(teachers) {
            for (place, sequence) in part.sequences.clone().enumerate() {
                let (start, weight) = (self.batch.sequences()[sequence].start, weights[sequence]);
                let weights = (weight, weight * self.hidden_weight);
                part.document.add_targets(place, teacher, start, weights, &mut targets);
            }
        }
        targets
    }

    /// Of each document, the losses of its sequences, and how many rows they are of.
    fn losses(&self, learner: &dyn Learner) -> Result<Vec<Vec<(f64, usize)>>, Error> {
        let targets = self.targets(&self.weights(1.0));
        let mut rows = targets.iter().map(|target| target.row).zip(learner.losses(&self.batch, &targets)?).peekable();
        let mut losses = Vec::new();
        for part in &self.parts {
            let mut of_sequences = Vec::new();
            for sequence in &self.batch.sequences()[part.sequences.clone()] {
                let mut sum = (0.0, 0);
                while let Some((_, loss)) = rows.next_if(|(row, _)| sequence.contains(row)) {
                    sum = (sum.0 + loss, sum.1 + 1);
                }
                of_sequences.push(sum);
            }
            losses.push(of_sequences);
        }
        Ok(losses)
    }
}

impl Part<'_> {
    /// The document's loss from those of its sequences, the first of which is the right choice.
    fn loss(&self, losses: &[(f64, usize)]) -> f64 {
        if self.is_choice() { ChoiceLosses(losses).loss() } else { losses.iter().map(|(loss, _)| loss).sum() }
    }
}
