//! Differences weighted by how much each column changed, as GPTailor's reference.

use layer_ir::{BaseRule, MethodSpec};
use tailor_registry::Parameter;

use super::LARGEST;
use crate::gram::{Gram, Vectors};
use crate::{Error, Inputs, MergeOp, Numbers, Operand, Piece};

/// `out = w0 + sum_i d_i s_i` with a score for each column of a matrix: columns change in length by `|m_i - m_0|` and
/// in direction by `1 - cos`; either is ranked among the model's columns, and a softmax over the models of the ranks
/// gives two scores, whose mean is `s_i`. A score is `score_calibration_value` (1) where the rank exceeds
/// `above_average_value_ratio` (1) times the mean rank.
///
/// The columns of an embedding (a tensor with `embed` in its name) are its tokens. A vector's numbers are scored each
/// by `|d_i|`, without ranks. Yu et al., "Extend model merging from fine-tuned to pre-trained large language models"
/// (arXiv 2408.03092). The reference has it for whole models only, and divides by a column's length also where that is
/// 0; here such a column has not turned.
pub(crate) struct GptailorWiden;

pub(crate) struct Statistics {
    /// What has one score: a column, a token's row, or a number of a vector.
    vectors: Vectors,
    /// Of each source, at each of them.
    scores: Vec<Vec<f32>>,
}

const ABOVE: &str = "above_average_value_ratio";
const CALIBRATION: &str = "score_calibration_value";
const SHARED: &[Parameter] = &[
    Parameter::number(ABOVE, -LARGEST, LARGEST, "How many times the mean rank a column's must exceed.")
        .with_default_number(1.0),
    Parameter::number(CALIBRATION, -LARGEST, LARGEST, "The score of a column that exceeds it.")
        .with_default_number(1.0),
];

impl MergeOp for GptailorWiden {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            ..MethodSpec::new(
                "gptailor_widen",
                "The base plus the differences, weighted by how much their columns changed.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let Some(base) = &inputs.base else { return Err(inputs.settings.missing_base().into()) };
        let (above, calibrated) = (inputs.settings.number(ABOVE)?, inputs.settings.number(CALIBRATION)?);
        let score = |changes: &[Vec<f64>]| scores(changes, above, calibrated);
        let (n, count) = (inputs.elements(), inputs.sources.len());
        if inputs.shape().len() < 2 {
            let magnitudes = |source| inputs.difference(source, 0..n).iter().map(|d| f64::from(d.abs())).collect();
            let scores = score(&(0..count).map(magnitudes).collect::<Vec<_>>());
            return Ok(Statistics {
                vectors: Vectors::Columns(n.max(1)),
                scores: scores.into_iter().map(narrow).collect(),
            });
        }
        let tokens = inputs.settings.tensor.contains("embed");
        let vectors = if tokens { Vectors::rows(inputs) } else { Vectors::columns(inputs) };
        let grams = with_base(inputs, base, vectors);
        let of = |change: fn(&Gram, usize) -> f64| {
            let ranked = |source| ranks(&grams.iter().map(|gram| change(gram, source)).collect::<Vec<_>>());
            score(&(1..=count).map(ranked).collect::<Vec<_>>())
        };
        let both = of(|gram, i| (gram.norm(i) - gram.norm(0)).abs()).into_iter().zip(of(turned));
        let mean = |(lengths, turns): (Vec<f64>, Vec<f64>)| {
            narrow(lengths.iter().zip(turns).map(|(length, turn)| (length + turn) / 2.0).collect())
        };
        Ok(Statistics { vectors, scores: both.map(mean).collect() })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let weighted = differences.into_iter().zip(&statistics.scores).map(|(difference, scores)| {
            let scores = statistics.vectors.spread(&difference, piece.start, scores);
            piece.round(difference.mul(&scores))
        });
        let mix = piece.sum(weighted)?;
        Ok(piece.round(base.add(&mix)))
    }
}

/// Inner products of the base, which is vector 0, and the sources, from 1 on.
fn with_base(inputs: &Inputs<'_>, base: &Operand, vectors: Vectors) -> Vec<Gram> {
    let mut all = inputs.clone();
    all.sources.insert(0, base.clone());
    vectors.gram(&all, false)
}

/// How far a source's vector turned from the base's: 1 less the cosine of their angle.
fn turned(gram: &Gram, source: usize) -> f64 {
    let lengths = gram.norm(source) * gram.norm(0);
    if lengths == 0.0 { 0.0 } else { 1.0 - gram.get(0, source) / lengths }
}

/// Each number's place in ascending order, equals in order, from 0 to just below 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    order.into_iter().enumerate().for_each(|(rank, at)| ranks[at] = rank as f64 / values.len() as f64);
    ranks
}

/// Softmax over the sources, but the calibrated value where a change exceeds its source's mean by a ratio.
fn scores(changes: &[Vec<f64>], above: f64, calibrated: f64) -> Vec<Vec<f64>> {
    let length = changes.first().map_or(0, Vec::len);
    let sums: Vec<f64> = (0..length).map(|at| changes.iter().map(|of| of[at].exp()).sum()).collect();
    let score = |of: &Vec<f64>| {
        let most = above * of.iter().sum::<f64>() / length.max(1) as f64;
        let each = of.iter().zip(&sums);
        each.map(|(change, sum)| if *change > most { calibrated } else { change.exp() / sum }).collect()
    };
    changes.iter().map(score).collect()
}

/// The nearest f32 of each number.
fn narrow(numbers: Vec<f64>) -> Vec<f32> {
    numbers.into_iter().map(|number| number as f32).collect()
}
