//! Training with LayerDrop, and the multiple-choice score by which it is watched.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::net::{Net, Positions, Sizes};
use crate::tasks::{Question, Skill, Split};
use crate::tokens::{BOS, PAD, Tokens};

/// One run of training.
pub struct Run {
    pub steps: usize,
    pub rate: f64,
    /// How often each skill is drawn, in the order of [`Skill::ALL`].
    pub mixture: [f64; 4],
    pub seed: u64,
    /// Probability of skipping a layer in a step (LayerDrop, Fan et al. 2020).
    pub layer_drop: f64,
}

const ROWS: usize = 64;
const LENGTH: usize = 48;
/// What a token of a question counts against one of an answer: the questions are random, there is little to learn of them.
const QUESTION_WEIGHT: f32 = 0.05;

/// Rows of `LENGTH + 1` tokens: questions with their answers one after the other, each token with its weight in the loss.
fn batch(run: &Run, tokens: &Tokens, random: &mut ChaCha8Rng) -> (Vec<i32>, Vec<i32>, Vec<f32>) {
    let (mut inputs, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROWS {
        let mut row = vec![(BOS, 0.0)];
        while row.len() <= LENGTH {
            let question = draw(run, random).question(Split::Train, random);
            row.extend(tokens.encode(&question.prompt).into_iter().map(|id| (id, QUESTION_WEIGHT)));
            let answer = format!("{} .", question.choices[question.answer]);
            row.extend(tokens.encode(&answer).into_iter().map(|id| (id, 1.0)));
        }
        inputs.extend(row[..LENGTH].iter().map(|(id, _)| *id as i32));
        targets.extend(row[1..=LENGTH].iter().map(|(id, _)| *id as i32));
        weights.extend(row[1..=LENGTH].iter().map(|(_, weight)| *weight));
    }
    (inputs, targets, weights)
}

fn draw(run: &Run, random: &mut ChaCha8Rng) -> Skill {
    let mut left = random.random::<f64>() * run.mixture.iter().sum::<f64>();
    for (skill, share) in Skill::ALL.into_iter().zip(run.mixture) {
        left -= share;
        if left < 0.0 {
            return skill;
        }
    }
    Skill::Brackets
}

/// Trains `net` and returns it; `watch` sees the step, the loss and the net now and then.
pub fn train(mut net: Net, sizes: Sizes, run: &Run, device: &Device, mut watch: impl FnMut(usize, f32, &Net)) -> Net {
    let tokens = Tokens::new();
    let mut random = ChaCha8Rng::seed_from_u64(run.seed);
    let positions = Positions::new(LENGTH, sizes.width / sizes.heads, device);
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.98)
        .with_weight_decay(0.01)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut mean = 0.0;
    for step in 0..run.steps {
        let (inputs, targets, weights) = batch(run, &tokens, &mut random);
        let total: f32 = weights.iter().sum();
        let n = ROWS * LENGTH;
        let inputs = Tensor::<2, Int>::from_data(TensorData::new(inputs, [ROWS, LENGTH]), device);
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [n, 1]), device);
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [n, 1]), device);
        let dropped: Vec<bool> = (0..sizes.layers).map(|_| random.random_bool(run.layer_drop)).collect();
        let log_probabilities = net.forward(inputs, &positions, sizes.heads, &dropped);
        let loss = -(log_probabilities.gather(1, targets) * weights).sum() / total;
        let value = loss.clone().into_scalar::<f32>();
        mean = if step == 0 { value } else { 0.98 * mean + 0.02 * value };
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(rate(run, step), net, gradients);
        if (step + 1) % 100 == 0 || step + 1 == run.steps {
            watch(step + 1, mean, &net);
        }
    }
    net
}

/// Linear warm-up over 5% of the steps, then a cosine down to a tenth.
fn rate(run: &Run, step: usize) -> f64 {
    let warm = (run.steps / 20).max(1);
    if step < warm {
        return run.rate * (step + 1) as f64 / warm as f64;
    }
    let done = (step - warm) as f64 / (run.steps - warm).max(1) as f64;
    run.rate * (0.1 + 0.9 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
}

/// The share of questions whose right choice has the highest log-likelihood. `dropped` layers are left out.
pub fn accuracy(net: &Net, sizes: Sizes, questions: &[Question], dropped: &[bool], device: &Device) -> f64 {
    let (net, tokens) = (net.valid(), Tokens::new());
    let mut right = 0;
    for chunk in questions.chunks(100) {
        let rows: Vec<(Vec<u32>, usize)> = chunk
            .iter()
            .flat_map(|question| {
                question.choices.iter().map(|choice| {
                    let prompt = tokens.encode(&question.prompt);
                    let start = prompt.len();
                    ([vec![BOS], prompt, tokens.encode(choice)].concat(), start)
                })
            })
            .collect();
        let length = rows.iter().map(|(row, _)| row.len()).max().unwrap_or(1);
        let ids: Vec<i32> =
            rows.iter().flat_map(|(row, _)| (0..length).map(|i| row.get(i).map_or(PAD, |id| *id) as i32)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows.len(), length]), device);
        let positions = Positions::new(length, sizes.width / sizes.heads, device);
        let values: Vec<f32> =
            net.forward(ids, &positions, sizes.heads, dropped).into_data().try_into_vec().unwrap_or_default();
        let at = |row: usize, place: usize, id: u32| {
            f64::from(values[(row * length + place) * sizes.vocabulary + id as usize])
        };
        let likelihood = |row: usize| -> f64 {
            let (ids, start) = &rows[row];
            (*start..ids.len() - 1).map(|place| at(row, place, ids[place + 1])).sum()
        };
        for (i, question) in chunk.iter().enumerate() {
            let scores: Vec<f64> = (0..question.choices.len()).map(|choice| likelihood(4 * i + choice)).collect();
            let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            right += usize::from(best == Some(question.answer));
        }
    }
    right as f64 / questions.len().max(1) as f64
}
