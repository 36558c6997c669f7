//! The learning rate where none is given.

use layer_ir::ModelConfig;

use super::{Arguments, Objective, Trained};
use crate::cli::console::Console;

/// The rate times the width of the stream.
const TIMES_WIDTH: f64 = 0.03;
/// The lowest and the highest rate.
const RANGE: (f64, f64) = (3e-5, 1e-3);
/// How many times as much low-rank additions take.
const ADDITIONS: f64 = 5.0;
/// The share of it that is taken where a choice is learnt: one number a document says less than each of its tokens.
const CHOICES: f64 = 0.1;

impl Arguments {
    /// The rate that is given, or else the one of the model's width, which is said.
    pub fn rate_of(&self, config: &ModelConfig, console: &Console) -> f64 {
        self.rate.unwrap_or_else(|| {
            let choices = self.objective == Objective::Choices;
            let rate = default_rate(config.hidden_size, self.train == Trained::Lora, choices);
            let width = config.hidden_size;
            console.note(&format!("learning rate {rate:e}, for a stream of {width} numbers; --rate sets another"));
            rate
        })
    }
}

/// `0.03 / hidden`, of a choice a tenth of it, from 3e-5 to 1e-3; for low-rank additions five times as much; two digits
/// of it.
///
/// Adam's rate of a matrix must fall as 1 / width if what the matrix computes is to change as much (Yang et al. 2022,
/// muP, <https://arxiv.org/abs/2203.03466>, table 3). The constants rest on few points: `docs/healing.md` has them.
fn default_rate(hidden: usize, additions: bool, choices: bool) -> f64 {
    let rate = TIMES_WIDTH / hidden.max(1) as f64 * if choices { CHOICES } else { 1.0 };
    let rate = rate.clamp(RANGE.0, RANGE.1) * if additions { ADDITIONS } else { 1.0 };
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_models_take_less_and_additions_more() {
        let rates = [16, 48, 576, 4096].map(|hidden| default_rate(hidden, false, false));
        assert_eq!(rates, [1e-3, 6.3e-4, 5.2e-5, 3e-5]);
        assert_eq!(default_rate(48, true, false), 3.1e-3);
        assert_eq!([48, 576].map(|hidden| default_rate(hidden, false, true)), [6.3e-5, 3e-5]);
    }
}
