//! The loss of the right one of several choices.
//!
//! `-b_0 - ln(exp b_0 / sum_c exp b_c)`, with `b_c` the mean log-likelihood of a token of choice c, and 0 the right
//! one. The first part keeps the model a model of language, the second sets the right choice apart: the losses `L_LM`
//! and `L_LN` of Liu et al. 2022, T-Few, <https://arxiv.org/abs/2205.05638>. Means, not sums: a sum's differences grow
//! with the length of the choices, until a single choice has all of the probability.

/// Of each choice of a document, the right one first: the loss of all its tokens, and how many they are.
#[derive(Debug)]
pub(crate) struct ChoiceLosses<'a>(pub &'a [(f64, usize)]);

impl ChoiceLosses<'_> {
    /// The loss, in nats.
    pub fn loss(&self) -> f64 {
        let right = self.means().next().unwrap_or(0.0);
        2.0 * right - self.all()
    }

    /// What the gradient of a choice's tokens is multiplied by, of each choice.
    pub fn weights(&self) -> impl Iterator<Item = f32> + '_ {
        let all = self.all();
        self.0.iter().zip(self.means()).enumerate().map(move |(place, ((_, tokens), mean))| {
            let share = (all - mean).exp();
            let of_mean = if place == 0 { 2.0 - share } else { -share };
            (of_mean / (*tokens).max(1) as f64) as f32
        })
    }

    /// The mean loss of a token; 0 of a choice without tokens, which is certain.
    fn means(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|(loss, tokens)| loss / (*tokens).max(1) as f64)
    }

    /// `-ln sum_c exp b_c`.
    fn all(&self) -> f64 {
        let least = self.means().fold(f64::INFINITY, f64::min);
        least - self.means().map(|mean| (least - mean).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_slopes_of_the_loss() {
        let losses = [(4.0, 2), (9.0, 3), (0.0, 0), (1.5, 1)];
        let choices = ChoiceLosses(&losses);
        let weights: Vec<f32> = choices.weights().collect();
        for (place, weight) in weights.iter().enumerate().filter(|(place, _)| losses[*place].1 > 0) {
            let moved = |by: f64| {
                let mut losses = losses;
                losses[place].0 += by;
                ChoiceLosses(&losses).loss()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - f64::from(*weight)).abs() < 1e-6, "choice {place}: {weight}, but {slope}");
        }
    }

    #[test]
    fn equal_choices_share_the_probability() {
        let losses = [(6.0, 3); 4];
        assert!((ChoiceLosses(&losses).loss() - (2.0 + 4f64.ln())).abs() < 1e-12);
    }
}
