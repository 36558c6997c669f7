//! The learning rate over the steps: a linear rise, then a linear fall.

/// A rate that rises over the first steps and falls to nothing over the others.
///
/// ```
/// let schedule = layer_train::Schedule { rate: 1e-4, warm_up: 10, steps: 110 };
/// assert_eq!((schedule.rate(0), schedule.rate(9)), (1e-5, 1e-4));
/// assert!((schedule.rate(60) - 0.5e-4).abs() < 1e-18 && schedule.rate(109) > 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub rate: f64,
    /// Steps until it is reached.
    pub warm_up: usize,
    /// All steps.
    pub steps: usize,
}

impl Schedule {
    /// The rate of a step, from 0; above 0 for each of [`Self::steps`].
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.rate * (step + 1) as f64 / self.warm_up as f64;
        }
        let (left, falling) = (self.steps.saturating_sub(step), self.steps.saturating_sub(self.warm_up));
        self.rate * left as f64 / falling.max(1) as f64
    }
}
