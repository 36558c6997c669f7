//! What learns on the CPU: the model's numbers, gradients and moments in memory, losses by a [`ModelEngine`].

use std::borrow::Cow;

use crate::learner::{Learner, LearnerState, Moments};
use crate::trained::{Trained, norm, trained};
use crate::{
    AdamW, CompactLearner, Error, Layout, ModelEngine, OptimizerMemory, PackedBatch, Step, Target, TrainSettings,
};

/// What learns on the CPU with these settings: a [`CpuLearner`] or a [`CompactLearner`], from `values`.
///
/// # Errors
/// As of [`CpuLearner::new`] and [`CompactLearner::new`].
pub fn cpu_learner(engine: ModelEngine, values: Vec<f32>, settings: &TrainSettings) -> Result<Box<dyn Learner>, Error> {
    Ok(match settings.optimizer_memory {
        OptimizerMemory::Full => Box::new(CpuLearner::new(engine, values, settings)?),
        OptimizerMemory::Compact => Box::new(CompactLearner::new(engine, values, settings)?),
    })
}

/// Learns on all cores, in f32. The same calls give the same numbers, to the bit, whatever the number of threads.
pub struct CpuLearner {
    engine: ModelEngine,
    adam: AdamW,
    /// The model's numbers.
    values: Vec<f32>,
    trained: Box<dyn Trained>,
    /// m and v of the optimiser.
    moments: [Vec<f32>; 2],
}

impl CpuLearner {
    /// A model that starts from `values`, in the order of the engine's layout, and of the settings what is trained, the
    /// optimiser and the seed.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`] for what cannot be trained.
    pub fn new(engine: ModelEngine, values: Vec<f32>, settings: &TrainSettings) -> Result<Self, Error> {
        let trained = trained(engine.layout(), &settings.what, &values, settings.seed)?;
        let numbers = trained.gradients().len();
        let moments = [vec![0.0; numbers], vec![0.0; numbers]];
        Ok(Self { engine, adam: settings.adam, values, trained, moments })
    }
}

impl Learner for CpuLearner {
    fn layout(&self) -> &Layout {
        self.engine.layout()
    }

    fn losses(&self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<Vec<f64>, Error> {
        self.engine.losses(&self.values, batch, targets)
    }

    fn learns_hidden_states(&self) -> bool {
        true
    }

    fn zero_gradients(&mut self) -> Result<(), Error> {
        self.trained.gradients_mut().fill(0.0);
        Ok(())
    }

    fn add_gradients(&mut self, batch: &PackedBatch, targets: &[Target<'_>]) -> Result<f64, Error> {
        self.engine.gradients(&self.values, batch, targets, self.trained.as_mut())
    }

    fn gradients(&self) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Borrowed(self.trained.gradients()))
    }

    fn gradient_norm(&self) -> Result<f64, Error> {
        Ok(norm(self.trained.gradients()))
    }

    fn update(&mut self, step: Step) -> Result<(), Error> {
        self.trained.update(&self.adam, step, &mut self.moments, &mut self.values);
        Ok(())
    }

    fn values(&self) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Borrowed(&self.values))
    }

    fn trained_numbers(&self) -> usize {
        self.moments[0].len()
    }

    fn state(&self) -> Result<LearnerState<'_>, Error> {
        let [m, v] = &self.moments;
        Ok(LearnerState {
            numbers: self.trained.numbers(&self.values),
            moments: Moments::Full([m, v].map(|moment| Cow::Borrowed(moment.as_slice()))),
        })
    }

    fn restore(&mut self, state: LearnerState<'_>) -> Result<(), Error> {
        self.moments = state.moments.full()?.map(Cow::into_owned);
        self.trained.restore(state.numbers.into_owned(), &mut self.values);
        Ok(())
    }

    fn into_values(self: Box<Self>) -> Result<Vec<f32>, Error> {
        Ok(self.values)
    }
}
