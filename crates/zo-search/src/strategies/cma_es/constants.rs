//! The strategy's constants, which follow from the number of coordinates and of members.

/// Weights and learning rates, named as in Hansen 2016 (arXiv 1604.00772), with the values of pycma 4.5.
#[derive(Debug, Clone)]
pub(super) struct Constants {
    /// Of all members, the best first: falling, those of the better half add up to 1, the others are negative.
    pub(super) weights: Vec<f64>,
    /// How many equally weighted members the better half weighs as much as: `(sum w)^2 / sum w^2`, from 1 to half of
    /// the members.
    pub(super) mu_eff: f64,
    /// The rate at which the covariance's path forgets, 0 to 1 (eq. 56).
    pub(super) c_c: f64,
    /// How much of the covariance the path's own direction replaces in an update, 0 to 1/2 (eq. 57).
    pub(super) c_1: f64,
    /// How much of it the members' directions replace, 0 to `1 - c_1` (eq. 58).
    pub(super) c_mu: f64,
    /// The rate at which the step size's path forgets, 0 to 1/2 (eq. 55).
    pub(super) c_sigma: f64,
    /// By what the step size's change is divided, at least 1 (eq. 55).
    pub(super) damping: f64,
    /// The expected length of a vector of standard normal numbers.
    pub(super) chi: f64,
}

impl Constants {
    /// For `n` coordinates (at least 1) and `members` (at least 2); `diagonal` where only the variances are learnt,
    /// and so faster.
    pub(super) fn new(n: usize, members: usize, diagonal: bool) -> Self {
        let (n, lambda, mu) = (n as f64, members as f64, members / 2);
        let raw: Vec<f64> =
            (1..=members).map(|rank| libm::log((lambda + 1.0) / 2.0) - libm::log(rank as f64)).collect();
        let (better, worse) = raw.split_at(mu);
        let (mu_eff, mu_eff_worse) = (effective(better), effective(worse));

        let faster = if diagonal { (n + 2.0) / 3.0 } else { 1.0 };
        let c_1 = (lambda / 6.0).min(1.0) * 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff) * faster;
        let c_1 = c_1.min(0.5);
        let c_mu = 2.0 * (mu_eff - 1.75 + 1.0 / mu_eff) / ((n + 2.0) * (n + 2.0) + mu_eff) * faster;
        let c_mu = c_mu.min(1.0 - c_1);
        let c_sigma = ((mu_eff + 2.0) / (n + mu_eff + 3.0)).min(0.5);
        let q = (3.0 * (1.0 - libm::pow(0.5, n / 9.0))).max(1.0);
        let growth = (q * ((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0);

        // Negative weights neither make the covariance indefinite nor shrink it in the mean.
        let most = (1.0 + c_1 / c_mu)
            .min(1.0 + 2.0 * mu_eff_worse / (mu_eff_worse + 2.0))
            .min((1.0 - c_1 - c_mu) / (n * c_mu))
            .max(0.0);
        let (above, below) = (better.iter().sum::<f64>(), -worse.iter().sum::<f64>());
        let weights = raw.iter().map(|w| if *w > 0.0 { w / above } else { w * most / below }).collect();
        Self {
            weights,
            mu_eff,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
            c_sigma,
            damping: 1.0 + c_sigma + 2.0 * growth,
            chi: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// How many equally weighted members weigh as much.
fn effective(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    sum * sum / weights.iter().map(|w| w * w).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cma.CMAEvolutionStrategy(20 * [0], 1)` of pycma 4.5.0 has 12 members and mu_eff 3.7.
    #[test]
    fn the_constants_are_those_of_pycma() {
        let constants = Constants::new(20, 12, false);
        assert!((constants.mu_eff - 3.729).abs() < 0.01, "{}", constants.mu_eff);
        let sum = |positive: bool| constants.weights.iter().filter(|w| (**w > 0.0) == positive).sum::<f64>();
        assert!((sum(true) - 1.0).abs() < 1e-12 && sum(false) < -0.5, "{} {}", sum(true), sum(false));
        assert!(constants.c_1 + constants.c_mu < 0.05);
    }
}
