//! Rotary position embedding: the frequencies of every scaling that the supported models use.
//!
//! Formulas as in transformers 5 (`modeling_rope_utils.py`), in f64.

use std::f64::consts::TAU;

/// Rotary embedding of a model (Su et al. 2021, <https://arxiv.org/abs/2104.09864>): at position `p` of the text, the
/// pair of dimensions `i` of a head is rotated by the angle `p * f[i]`, and without a stretch `f[i] = theta ^ (-2 i /
/// head_dim)`.
/// ```
/// use layer_ir::{Rope, RopeKind};
/// let rope = Rope { theta: 10_000.0, kind: RopeKind::Linear { factor: 2.0 } };
/// let (frequencies, attention) = rope.inv_freq(4, 1);
/// assert!((frequencies[0] - 0.5).abs() < 1e-15 && (frequencies[1] - 0.005).abs() < 1e-15 && attention == 1.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the frequencies, above 1.
    pub theta: f64,
    /// How they are stretched beyond the length of pre-training.
    pub kind: RopeKind,
}

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RopeKind {
    /// Not at all.
    Default,
    /// All divided by `factor` (position interpolation, Chen et al. 2023, <https://arxiv.org/abs/2306.15595>).
    Linear {
        /// The stretch.
        factor: f64,
    },
    /// The base grows with the length of the sequence (NTK-aware, as in transformers): of `n` tokens it is
    /// `theta * (factor * n / original - factor + 1) ^ (head_dim / (head_dim - 2))`.
    Dynamic {
        /// The stretch.
        factor: f64,
        /// Length up to which nothing changes.
        original: usize,
    },
    /// Llama 3: low frequencies divided by `factor`, high ones kept, those between blended. The wavelength of a
    /// frequency is `2 pi / f` tokens.
    Llama3 {
        /// The stretch.
        factor: f64,
        /// Wavelengths above `original / low` are stretched.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// Length of pre-training.
        original: usize,
    },
    /// YaRN (Peng et al. 2023, <https://arxiv.org/abs/2309.00071>).
    Yarn(Yarn),
}

/// YaRN's parameters. Frequencies that turn more than `beta_fast` times in the length of pre-training are kept, those
/// that turn less than `beta_slow` times are divided by `factor`, and between them a linear ramp over the dimensions
/// blends the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// The stretch.
    pub factor: f64,
    /// Rotations above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// Factor of cos and sin; absent: from `factor` (and `mscale`, `mscale_all_dim`).
    pub attention_factor: Option<f64>,
    /// DeepSeek's scale of the attention factor.
    pub mscale: Option<f64>,
    /// Its counterpart in the denominator.
    pub mscale_all_dim: Option<f64>,
    /// Length of pre-training.
    pub original: usize,
    /// Whether the ends of the ramp are rounded to whole dimensions.
    pub truncate: bool,
}

impl Rope {
    /// Inverse frequencies `[head_dim / 2]` in radians per token, and the factor by which cos and sin are multiplied (1
    /// but for YaRN).
    ///
    /// `sequence` is the length at hand in tokens: dynamic scaling depends on it beyond its original length, the others
    /// do not. `head_dim` is even.
    #[must_use]
    pub fn inv_freq(&self, head_dim: usize, sequence: usize) -> (Vec<f64>, f64) {
        let plain = frequencies(self.theta, head_dim);
        match &self.kind {
            RopeKind::Default => (plain, 1.0),
            RopeKind::Linear { factor } => (plain.iter().map(|f| f / factor).collect(), 1.0),
            RopeKind::Dynamic { factor, original } => {
                let (dim, length) = (head_dim as f64, sequence.max(*original) as f64);
                let grown = factor * length / *original as f64 - (factor - 1.0);
                (frequencies(self.theta * grown.powf(dim / (dim - 2.0)), head_dim), 1.0)
            }
            RopeKind::Llama3 { factor, low, high, original } => {
                let original = *original as f64;
                let stretched = plain.iter().map(|f| {
                    let wavelength = TAU / f;
                    if wavelength > original / low {
                        f / factor
                    } else if wavelength < original / high {
                        *f
                    } else {
                        let smooth = (original / wavelength - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                });
                (stretched.collect(), 1.0)
            }
            RopeKind::Yarn(yarn) => (yarn.blend(&plain, self.theta, head_dim), yarn.attention()),
        }
    }
}

/// `theta ^ (-2 i / head_dim)` for each pair of dimensions `i`, `[head_dim / 2]`.
fn frequencies(theta: f64, head_dim: usize) -> Vec<f64> {
    (0..head_dim / 2).map(|i| theta.powf(-(2.0 * i as f64) / head_dim as f64)).collect()
}

impl Yarn {
    /// The frequencies `[head_dim / 2]` between kept and divided by `factor`.
    fn blend(&self, plain: &[f64], theta: f64, head_dim: usize) -> Vec<f64> {
        let dim = head_dim as f64;
        let place = |rotations: f64| dim * (self.original as f64 / (rotations * TAU)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (place(self.beta_fast), place(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        let ramp = |i: usize| ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        plain.iter().enumerate().map(|(i, f)| f / self.factor * ramp(i) + f * (1.0 - ramp(i))).collect()
    }

    /// The factor of cos and sin: `0.1 ln(factor) + 1`, unless the config states another.
    fn attention(&self) -> f64 {
        let scale = |m: f64| if self.factor <= 1.0 { 1.0 } else { 0.1 * m * self.factor.ln() + 1.0 };
        match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), _, _) => given,
            (None, Some(mscale), Some(all)) if mscale != 0.0 && all != 0.0 => scale(mscale) / scale(all),
            _ => scale(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(kind: RopeKind) -> Rope {
        Rope { theta: 10_000.0, kind }
    }

    #[test]
    fn the_plain_frequencies_fall_from_one_geometrically() {
        let (found, attention) = rope(RopeKind::Default).inv_freq(4, 10);
        assert!((found[0] - 1.0).abs() < 1e-15 && (found[1] - 0.01).abs() < 1e-15);
        assert_eq!(attention, 1.0);
    }

    #[test]
    fn dynamic_scaling_changes_nothing_up_to_the_original_length() {
        let dynamic = rope(RopeKind::Dynamic { factor: 4.0, original: 64 });
        let plain = rope(RopeKind::Default).inv_freq(8, 0).0;
        assert_eq!(dynamic.inv_freq(8, 64).0, plain);
        assert!(dynamic.inv_freq(8, 65).0[3] < plain[3]);
    }

    #[test]
    fn llama3_keeps_high_frequencies_and_divides_low_ones() {
        let kind = RopeKind::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 32 };
        let (plain, found) = (rope(RopeKind::Default).inv_freq(16, 0).0, rope(kind).inv_freq(16, 0).0);
        assert_eq!(found[0], plain[0]);
        assert!((found[7] - plain[7] / 8.0).abs() < 1e-18);
    }

    #[test]
    fn yarn_blends_from_kept_to_divided_and_lengthens_attention() {
        let yarn = Yarn {
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            mscale: None,
            mscale_all_dim: None,
            original: 2048,
            truncate: true,
        };
        let plain = rope(RopeKind::Default).inv_freq(64, 0).0;
        let (found, attention) = rope(RopeKind::Yarn(yarn)).inv_freq(64, 0);
        assert_eq!(found[0], plain[0]);
        assert!((found[31] - plain[31] / 4.0).abs() < 1e-15);
        assert!((attention - (0.1 * 4.0_f64.ln() + 1.0)).abs() < 1e-15);
    }

    /// Expected: the lines of transformers 5.23.0's `modeling_rope_utils.py`, run in Python's double precision.
    #[test]
    fn every_scaling_has_the_frequencies_of_transformers() {
        let yarn = |factor, original, truncate, mscale: Option<f64>| {
            let (beta_fast, beta_slow, attention_factor) = (32.0, 1.0, None);
            let mscale_all_dim = mscale.map(|_| 1.0);
            RopeKind::Yarn(Yarn {
                factor,
                beta_fast,
                beta_slow,
                attention_factor,
                mscale,
                mscale_all_dim,
                original,
                truncate,
            })
        };
        let llama3 = RopeKind::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 128 };
        #[rustfmt::skip]
        let cases: [(f64, RopeKind, usize, f64, &[f64]); 5] = [
            (1e4, RopeKind::Linear { factor: 4.0 }, 0, 1.0, &[0.25, 0.025, 0.0025, 0.00025]),
            (1e4, RopeKind::Dynamic { factor: 4.0, original: 64 }, 160, 1.0, &[
                1.0, 0.052275795857471025, 0.0027327588325319844, 0.00014285714285714287,
            ]),
            (5e5, llama3, 0, 1.0, &[
                1.0, 0.19112647581653072, 0.004700753866357992, 0.0009115830921521386,
                0.00017677669529663688, 3.428102195952591e-05, 6.647869871181236e-06, 1.2891731721515574e-06,
            ]),
            (1e4, yarn(4.0, 2048, true, None), 0, 1.138629436111989, &[
                1.0, 0.31622776601683794, 0.1, 0.02569350598886808,
                0.00625, 0.0013834964763236657, 0.00025, 7.905694150420948e-05,
            ]),
            (1e6, yarn(8.0, 4096, false, Some(0.707)), 0, 0.9495608824621653, &[
                1.0, 0.17782794100389226, 0.028112080847039745, 0.002547288055089895,
                0.000125, 2.2228492625486534e-05, 3.952847075210474e-06, 7.029266564879364e-07,
            ]),
        ];
        for (theta, kind, sequence, attention, frequencies) in cases {
            let (found, factor) = Rope { theta, kind: kind.clone() }.inv_freq(2 * frequencies.len(), sequence);
            assert!((factor - attention).abs() < 1e-14, "{kind:?}: attention factor {factor}");
            for (found, expected) in found.iter().zip(frequencies) {
                assert!((found / expected - 1.0).abs() < 1e-12, "{kind:?}: {found} is not {expected}");
            }
        }
    }
}
