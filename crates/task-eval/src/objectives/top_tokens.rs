//! A distribution as its most likely tokens and one bucket for the rest, and another one's divergence from it.

use serde::{Deserialize, Serialize};

/// A ln p below this counts as this: the smallest normal f64. So a token that is impossible for one model alone costs
/// at most some 708 nats, and no objective is infinite.
const LN_FLOOR: f64 = -708.0;

/// The most likely tokens of a distribution with their ln p, and ln of what is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TopTokens {
    /// In the order of the tokens, not of their probability; none is impossible.
    kept: Box<[(u32, f32)]>,
    /// None if nothing is left.
    rest: Option<f32>,
}

impl TopTokens {
    /// The `k` most likely tokens; of equally likely ones the lowest. None if the logits are no distribution.
    pub(super) fn of(logits: &[f32], k: usize) -> Option<Self> {
        let tokens = most_likely(logits, k)?;
        let masses = LogMasses::of(logits, tokens.iter().copied())?;
        let kept = tokens.iter().map(|&token| (token, (f64::from(logits[token as usize]) - masses.ln_all) as f32));
        let rest = masses.ln_rest - masses.ln_all;
        Some(Self { kept: kept.collect(), rest: rest.is_finite().then_some(rest as f32) })
    }

    /// Whether the tokens are of such a vocabulary and in order, as those of [`TopTokens::of`] are.
    pub(super) fn is_sound(&self, vocabulary: usize) -> bool {
        let ordered = self.kept.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let numbers = self.kept.iter().map(|(_, ln_p)| ln_p).chain(&self.rest);
        let known = self.kept.last().is_some_and(|&(token, _)| (token as usize) < vocabulary);
        known && ordered && numbers.into_iter().all(|ln_p| ln_p.is_finite() && *ln_p <= 0.0)
    }

    /// `KL(self || logits)` in nats over the kept tokens and the rest as one more. None if the logits are no
    /// distribution.
    ///
    /// The sum is that of `p ln(p / q) - p + q`, which is the same, as p and q both add up to 1, but has no term below
    /// 0: rounding cannot make it negative, and small divergences keep their digits.
    pub(super) fn divergence(&self, logits: &[f32]) -> Option<f64> {
        let masses = LogMasses::of(logits, self.kept.iter().map(|&(token, _)| token))?;
        let of_token = |&(token, ln_p): &(u32, f32)| {
            divergence_term(f64::from(ln_p), f64::from(logits[token as usize]) - masses.ln_all)
        };
        let kept: f64 = self.kept.iter().map(of_token).sum();
        let ln_rest = masses.ln_rest - masses.ln_all;
        Some(kept + self.rest.map_or(ln_rest.exp(), |ln_p| divergence_term(f64::from(ln_p), ln_rest)))
    }
}

/// The `k` tokens of the highest logits, in the order of the tokens, without impossible ones. None where a logit is no
/// number.
fn most_likely(logits: &[f32], k: usize) -> Option<Vec<u32>> {
    let mut tokens: Vec<u32> = (0..u32::try_from(logits.len()).ok()?).collect();
    if let Some(last) = k.checked_sub(1).filter(|&last| last < tokens.len()) {
        let logit = |token: u32| logits[token as usize];
        tokens.select_nth_unstable_by(last, |&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        tokens.truncate(k);
    }
    tokens.retain(|&token| logits[token as usize] > f32::NEG_INFINITY);
    tokens.sort_unstable();
    Some(tokens)
}

/// ln of the sums of exp(logit): over all tokens, and over those that are not kept.
struct LogMasses {
    /// Over all tokens: what a logit less this is, is a ln p.
    ln_all: f64,
    /// Over those that are not kept; minus infinity without any.
    ln_rest: f64,
}

impl LogMasses {
    /// `kept` is in order. The rest is summed itself, not taken as 1 less the kept, which would cancel. None if the
    /// logits are no distribution, or lack a kept token.
    fn of(logits: &[f32], kept: impl Iterator<Item = u32> + Clone) -> Option<Self> {
        let last = kept.clone().last().map_or(0, |token| token as usize);
        if last >= logits.len() || logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return None;
        }
        let ln_kept = ln_sum_exp(kept.clone().map(|token| logits[token as usize]));
        let ln_rest = ln_sum_exp(between(logits, kept).flatten().copied());
        let (less, more) = (ln_kept.min(ln_rest), ln_kept.max(ln_rest));
        let ln_all = more + (less - more).exp().ln_1p();
        ln_all.is_finite().then_some(Self { ln_all, ln_rest })
    }
}

/// The pieces of `logits` before, between and after those of the kept tokens.
fn between(logits: &[f32], kept: impl Iterator<Item = u32> + Clone) -> impl Iterator<Item = &[f32]> + Clone {
    let places = kept.map(|token| token as usize);
    let starts = std::iter::once(0).chain(places.clone().map(|place| place + 1));
    let ends = places.chain(std::iter::once(logits.len()));
    starts.zip(ends).map(|(start, end)| logits.get(start..end).unwrap_or_default())
}

/// ln of the sum of exp; minus infinity for nothing.
fn ln_sum_exp(logits: impl Iterator<Item = f32> + Clone) -> f64 {
    let largest = f64::from(logits.clone().fold(f32::NEG_INFINITY, f32::max));
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + logits.map(|logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln()
}

/// `p ln(p / q) - p + q`: 0 where p = q, and nowhere less.
fn divergence_term(ln_p: f64, ln_q: f64) -> f64 {
    let ln_q = ln_q.max(LN_FLOOR);
    let ln_ratio = ln_p - ln_q;
    // Near p = q the terms would cancel; far below it exp(-ln_ratio) would overflow.
    let term = if ln_ratio > -1.0 {
        ln_p.exp() * (ln_ratio + (-ln_ratio).exp_m1())
    } else {
        ln_p.exp() * (ln_ratio - 1.0) + ln_q.exp()
    };
    term.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divergence(p: &[f32], q: &[f32], k: usize) -> f64 {
        TopTokens::of(p, k).and_then(|top| top.divergence(q)).unwrap_or(f64::NAN)
    }

    #[test]
    fn the_most_likely_tokens_are_kept_the_lowest_of_equals_first() {
        let logits = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 1.0];
        assert_eq!(most_likely(&logits, 3), Some(vec![0, 1, 3]));
        assert_eq!(most_likely(&logits, 9), Some(vec![0, 1, 3, 4]), "not what is impossible");
    }

    #[test]
    fn two_halves_against_a_quarter_and_three() {
        let (p, q) = ([0.0, 0.0], [0.25_f32.ln(), 0.75_f32.ln()]);
        let expected = 0.5 * 2_f64.ln() + 0.5 * (2.0 / 3_f64).ln();
        assert!((divergence(&p, &q, 2) - expected).abs() < 1e-7);
        assert!((divergence(&p, &q, 1) - expected).abs() < 1e-7, "one token and the rest are two");
    }

    #[test]
    fn small_divergences_keep_their_digits() {
        // Of logits that differ by d at one of two equal tokens: d^2 / 8, to third order in d.
        let d = 2_f32.powi(-12);
        let expected = f64::from(d).powi(2) / 8.0;
        let found = divergence(&[0.0, 0.0], &[d, 0.0], 2);
        assert!((found / expected - 1.0).abs() < 1e-3, "{found:e} instead of {expected:e}");
    }

    #[test]
    fn a_token_impossible_for_one_model_alone_costs_much_but_not_everything() {
        let (all, one) = ([0.0, 0.0], [0.0, f32::NEG_INFINITY]);
        let cost = divergence(&all, &one, 2);
        assert!((350.0..360.0).contains(&cost), "half of 708 nats: {cost}");
        assert_eq!(divergence(&all, &one, 1), divergence(&all, &one, 2), "in the rest as well");
        // The other way round, nothing is impossible: KL((1, 0) || (1/2, 1/2)) = ln 2.
        assert!((divergence(&one, &all, 2) - 2_f64.ln()).abs() < 1e-12);
        assert_eq!(divergence(&one, &one, 2), 0.0);
    }

    #[test]
    fn a_rest_far_below_the_kept_is_not_lost() {
        // The rest has a mass of e^-60 for one and e^-50 for the other: 1 less the kept would be 0 for both.
        let found = divergence(&[0.0, -50.0], &[0.0, -60.0], 1);
        let expected = (-50_f64).exp() * (10.0 - 1.0 + (-10_f64).exp());
        assert!((found / expected - 1.0).abs() < 1e-3, "{found:e} instead of {expected:e}");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let top = TopTokens::of(&[0.0, 1.0], 1);
        for bad in [[0.0, f32::NAN], [f32::INFINITY, 0.0], [f32::NEG_INFINITY; 2], [f32::NAN; 2]] {
            assert_eq!(TopTokens::of(&bad, 1), None, "{bad:?}");
            assert_eq!(top.as_ref().and_then(|top| top.divergence(&bad)), None, "{bad:?}");
        }
        assert_eq!(TopTokens::of(&[], 1), None);
        assert_eq!(top.and_then(|top| top.divergence(&[0.0])), None, "another vocabulary");
    }
}
