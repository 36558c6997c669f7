//! `perplexity` and its rolling siblings: how likely a text is.

/// The number of pieces between whitespace, as Python's `re.split(r"\s+", text)` counts them: whitespace at an end
/// adds an empty piece.
pub(crate) fn count_words(text: &str) -> usize {
    use crate::python::text::is_space;
    let mut pieces = 1;
    let mut inside = false;
    for c in text.chars() {
        let space = is_space(c);
        pieces += usize::from(space && !inside);
        inside = space;
    }
    pieces
}

/// The share of the probability that the counted choices have, as `truthfulqa_mc2` computes it.
pub(crate) fn share(log_likelihoods: &[f64], counted: &[bool]) -> f64 {
    let all: f64 = log_likelihoods.iter().map(|ll| ll.exp()).sum();
    log_likelihoods.iter().zip(counted).filter(|(_, counted)| **counted).map(|(ll, _)| ll.exp() / all).sum()
}

/// -ln of the golds' share among the choices; None where no gold is one of them.
pub(crate) fn choice_loss(log_likelihoods: &[f64], golds: &[i64]) -> Option<f64> {
    let mut places: Vec<usize> = golds.iter().filter_map(|&gold| usize::try_from(gold).ok()).collect();
    places.sort_unstable();
    places.dedup();
    let golds: Vec<f64> = places.iter().filter_map(|&place| log_likelihoods.get(place).copied()).collect();
    (!golds.is_empty()).then(|| log_sum_exp(log_likelihoods) - log_sum_exp(&golds))
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_the_harness_counts_them() {
        for (text, words) in [("", 1), (" ", 2), ("a", 1), (" a b ", 4), ("a\n\nb\tc", 3), ("猫 坐\u{3000}x", 3)] {
            assert_eq!(count_words(text), words, "{text:?}");
        }
    }

    #[test]
    fn the_loss_is_zero_for_certainty_and_ln_n_for_a_guess() {
        assert_eq!(choice_loss(&[0.0, -1e9], &[0]), Some(0.0));
        let guess = choice_loss(&[-2.0; 4], &[3]).unwrap_or(f64::NAN);
        assert!((guess - 4_f64.ln()).abs() < 1e-12);
        assert_eq!(choice_loss(&[-1.0], &[-100]), None);
        assert_eq!(choice_loss(&[-1.0, -3.0], &[0, 1]), Some(0.0));
    }
}
