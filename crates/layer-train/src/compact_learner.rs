//! What learns on the CPU in half the memory: gradients of the layers in bf16, moments of matrices in a byte each.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::adam_w::Numbers;
use crate::compact_gradients::{CompactGradients, Gradients};
use crate::moments::{BLOCK, Blocks, DynamicMap, SIGNED, UNSIGNED};
use crate::{
    AdamW, BlockMoments, Error, Layout, Learner, LearnerState, ModelEngine, Moments, OptimizerMemory, PackedBatch,
    Step, Target, TrainSettings, TrainWhat,
};

/// Numbers that a thread updates at once.
const PIECE: usize = 1 << 14;

/// As [`CpuLearner`](crate::CpuLearner), with gradients of the layers in bf16 and the moments of matrices in blocks of
/// 256 numbers of a byte each, those of vectors in f32: 8 bytes a number of a layer, instead of 16.
pub struct CompactLearner {
    engine: ModelEngine,
    adam: AdamW,
    /// The model's numbers.
    values: Vec<f32>,
    /// The places of the tensors that are trained, and whether they are matrices.
    tensors: Vec<(Range<usize>, bool)>,
    gradients: CompactGradients,
    /// m and v of the optimiser.
    moments: [OwnMoments; 2],
}

/// One of the two moments of all tensors that are trained.
#[derive(Debug, Default)]
struct OwnMoments {
    /// Of the matrices, one after the other.
    codes: Vec<u8>,
    /// Of the matrices' blocks; a block has numbers of one matrix.
    scales: Vec<f32>,
    /// Of the vectors, one after the other.
    vectors: Vec<f32>,
}

impl CompactLearner {
    /// A model that starts from `values`, in the order of the engine's layout, and of the settings what is trained and
    /// the optimiser.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`] for what cannot be trained; [`Error::CompactAdditions`] for low-rank additions.
    pub fn new(engine: ModelEngine, values: Vec<f32>, settings: &TrainSettings) -> Result<Self, Error> {
        if matches!(settings.what, TrainWhat::Lora { .. }) {
            return Err(Error::CompactAdditions);
        }
        settings.what.check(engine.layout())?;
        let layout = engine.layout();
        let trained = layout.parameters().iter().filter(|of| settings.what.is_trained(layout.layer_of(of)));
        let tensors: Vec<(Range<usize>, bool)> =
            trained.map(|parameter| (parameter.range.clone(), parameter.is_matrix())).collect();
        let gradients = CompactGradients::new(layout, &settings.what);
        let moments = [OwnMoments::new(&tensors, &SIGNED), OwnMoments::new(&tensors, &UNSIGNED)];
        Ok(Self { engine, adam: settings.adam, values, tensors, gradients, moments })
    }
}

impl OwnMoments {
    /// All zero.
    fn new(tensors: &[(Range<usize>, bool)], map: &DynamicMap) -> Self {
        let lengths = |matrices: bool| tensors.iter().filter(move |(_, matrix)| *matrix == matrices);
        let sum = |matrices, of: fn(usize) -> usize| lengths(matrices).map(|(range, _)| of(range.len())).sum();
        let (codes, scales, vectors): (usize, usize, usize) =
            (sum(true, |len| len), sum(true, |len| len.div_ceil(BLOCK)), sum(false, |len| len));
        Self { codes: vec![map.zero(); codes], scales: vec![0.0; scales], vectors: vec![0.0; vectors] }
    }

    /// As a state has them.
    fn state(&self) -> BlockMoments<'_> {
        let Self { codes, scales, vectors } = self;
        BlockMoments { codes: codes.into(), scales: scales.into(), vectors: vectors.into() }
    }
}

impl AdamW {
    /// One step of a matrix whose moments are quantised: they are read, updated and used in f32, and rounded again.
    fn update_blocks(&self, step: Step, values: &mut [f32], gradients: Gradients<'_>, [m, v]: [Blocks<'_>; 2]) {
        let pieces = values.par_chunks_mut(PIECE).zip(m.pieces(PIECE)).zip(v.pieces(PIECE)).enumerate();
        pieces.for_each_init(<[Vec<f32>; 3]>::default, |scratch, (place, ((values, mut m), mut v))| {
            scratch.iter_mut().for_each(Vec::clear);
            let [g, first, second] = scratch;
            gradients.part(place * PIECE..place * PIECE + values.len()).read(g);
            m.read(&SIGNED, first);
            v.read(&UNSIGNED, second);
            self.update(step, Numbers { values, gradients: g, moments: [first, second], matrix: true });
            m.write(&SIGNED, first);
            v.write(&UNSIGNED, second);
        });
    }
}

impl Learner for CompactLearner {
    fn layout(&self) -> &Layout {
        self.engine.layout()
    }

    fn optimizer_memory(&self) -> OptimizerMemory {
        OptimizerMemory::Compact
    }

    fn losses(&self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<Vec<f64>, Error> {
        self.engine.losses(&self.values, batch, targets)
    }

    fn learns_hidden_states(&self) -> bool {
        true
    }

    fn zero_gradients(&mut self) -> Result<(), Error> {
        self.gradients.clear();
        Ok(())
    }

    fn add_gradients(&mut self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error> {
        self.engine.gradients(&self.values, batch, targets, &mut self.gradients)
    }

    fn gradients(&self) -> Result<Cow<'_, [f32]>, Error> {
        let mut all = Vec::with_capacity(self.trained_numbers());
        self.tensors.iter().for_each(|(range, _)| self.gradients.of(range.clone()).read(&mut all));
        Ok(Cow::Owned(all))
    }

    fn gradient_norm(&self) -> Result<f64, Error> {
        Ok(self.gradients.norm())
    }

    fn update(&mut self, step: Step) -> Result<(), Error> {
        let [m, v] = &mut self.moments;
        let (mut number, mut block, mut vector) = (0, 0, 0);
        for (range, matrix) in &self.tensors {
            let (values, gradients) = (&mut self.values[range.clone()], self.gradients.of(range.clone()));
            if *matrix {
                let (codes, scales) = (number..number + range.len(), block..block + range.len().div_ceil(BLOCK));
                (number, block) = (codes.end, scales.end);
                let moments = [&mut *m, v].map(|moment| Blocks {
                    codes: &mut moment.codes[codes.clone()],
                    scales: &mut moment.scales[scales.clone()],
                });
                self.adam.update_blocks(step, values, gradients, moments);
            } else {
                let here = vector..vector + range.len();
                vector = here.end;
                let (mut own, moments) = (Vec::new(), [&mut *m, v].map(|moment| &mut moment.vectors[here.clone()]));
                gradients.read(&mut own);
                self.adam.update(step, Numbers { values, gradients: &own, moments, matrix: false });
            }
        }
        Ok(())
    }

    fn values(&self) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Borrowed(&self.values))
    }

    fn trained_numbers(&self) -> usize {
        self.tensors.iter().map(|(range, _)| range.len()).sum()
    }

    fn state(&self) -> Result<LearnerState<'_>, Error> {
        let numbers = if self.trained_numbers() == self.values.len() {
            Cow::Borrowed(self.values.as_slice())
        } else {
            self.tensors.iter().flat_map(|(range, _)| &self.values[range.clone()]).copied().collect()
        };
        let [m, v] = &self.moments;
        Ok(LearnerState { numbers, moments: Moments::Blocks([m.state(), v.state()]) })
    }

    fn restore(&mut self, state: LearnerState<'_>) -> Result<(), Error> {
        let Moments::Blocks(moments) = state.moments else { return Err(Error::OptimizerMemory) };
        let same = |own: &OwnMoments, other: &BlockMoments<'_>| {
            [own.codes.len(), own.scales.len(), own.vectors.len()]
                == [other.codes.len(), other.scales.len(), other.vectors.len()]
        };
        if !self.moments.iter().zip(&moments).all(|(own, other)| same(own, other)) {
            return Err(Error::OptimizerMemory);
        }
        let mut numbers = &*state.numbers;
        for (range, _) in &self.tensors {
            let (here, others) = numbers.split_at(range.len());
            self.values[range.clone()].copy_from_slice(here);
            numbers = others;
        }
        self.moments = moments.map(|BlockMoments { codes, scales, vectors }| OwnMoments {
            codes: codes.into_owned(),
            scales: scales.into_owned(),
            vectors: vectors.into_owned(),
        });
        Ok(())
    }

    fn into_values(self: Box<Self>) -> Result<Vec<f32>, Error> {
        Ok(self.values)
    }
}
