//! Training: batches of questions with their answers, AdamW, a cosine schedule.

use std::collections::HashSet;
use std::error::Error;
use std::thread;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::net::{HIDDEN, Net, Positions, Sizes};
use crate::tasks::{Skill, Split};
use crate::tokens::{BOS, Tokens};

/// One run of training.
pub struct Run<'a> {
    pub steps: usize,
    pub rate: f64,
    /// How often each skill is drawn, in the order of [`Skill::ALL`].
    pub mixture: [f64; 4],
    pub seed: u64,
    /// Prompts that must not be trained on.
    pub held_out: &'a HashSet<String>,
}

/// A batch is four shards, a thread each: flex runs most operations on one thread, and small results stay in its cache.
const SHARDS: usize = 4;
const ROWS: usize = 8;
const LENGTH: usize = 48;
/// What a token of a question counts against one of an answer: the questions are random, there is little to learn of
/// them.
const QUESTION_WEIGHT: f32 = 0.05;

/// Rows of `LENGTH + 1` tokens: questions with their answers one after the other.
#[derive(Default)]
struct Shard {
    inputs: Vec<i32>,
    targets: Vec<i32>,
    /// What each target counts in the loss.
    weights: Vec<f32>,
    /// Which question of its row each input belongs to; the first token of a row to all.
    questions: Vec<usize>,
}

impl Shard {
    fn draw(run: &Run<'_>, tokens: &Tokens, random: &mut ChaCha8Rng) -> Result<Self, Box<dyn Error>> {
        let mut shard = Self::default();
        for _ in 0..ROWS {
            let mut row = vec![(BOS, 0.0, 0)];
            for number in 1.. {
                let question = run.skill(random).question(Split::Train, random);
                if run.held_out.contains(&question.prompt) {
                    return Err(format!("`{}` is held out, but was drawn for training", question.prompt).into());
                }
                let mut put = |text: &str, weight: f32| {
                    row.extend(tokens.encode(text).into_iter().map(|id| (id, weight, number)));
                };
                put(&question.prompt, QUESTION_WEIGHT);
                put(&question.choices[question.answer], 1.0);
                for (further, answer) in &question.rest {
                    put(further, QUESTION_WEIGHT);
                    put(answer, 1.0);
                }
                put(".", 1.0);
                if row.len() > LENGTH {
                    break;
                }
            }
            shard.inputs.extend(row[..LENGTH].iter().map(|(id, ..)| *id as i32));
            shard.questions.extend(row[..LENGTH].iter().map(|(.., question)| question));
            shard.targets.extend(row[1..=LENGTH].iter().map(|(id, ..)| *id as i32));
            shard.weights.extend(row[1..=LENGTH].iter().map(|(_, weight, _)| weight));
        }
        Ok(shard)
    }

    /// `[rows, 1, LENGTH, LENGTH]`: a token sees its own question up to itself, and the row's first token.
    fn mask(&self, device: &Device) -> Tensor<4> {
        let rows = self.questions.chunks_exact(LENGTH);
        let seen = |row: &[usize], i: usize, j: usize| j <= i && (j == 0 || row[i] == row[j]);
        let at = |row: &[usize], at: usize| if seen(row, at / LENGTH, at % LENGTH) { 0.0 } else { HIDDEN };
        let mask: Vec<f32> = rows.flat_map(|row| (0..LENGTH * LENGTH).map(move |place| at(row, place))).collect();
        Tensor::from_data(TensorData::new(mask, [ROWS, 1, LENGTH, LENGTH]), device)
    }

    /// The loss and its gradients; `total` is the weight of the whole batch.
    fn gradients(
        self,
        net: &Net,
        sizes: Sizes,
        total: f32,
        positions: &Positions,
        device: &Device,
    ) -> (f32, GradientsParams) {
        let mask = self.mask(device);
        let inputs = Tensor::<2, Int>::from_data(TensorData::new(self.inputs, [ROWS, LENGTH]), device);
        let targets = Tensor::<2, Int>::from_data(TensorData::new(self.targets, [ROWS * LENGTH, 1]), device);
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights, [ROWS * LENGTH, 1]), device);
        let log_probabilities = net.forward(inputs, positions, mask, sizes.heads, &vec![false; sizes.layers]);
        let loss = -(log_probabilities.gather(1, targets) * weights).sum() / total;
        let value = loss.clone().into_scalar::<f32>();
        (value, GradientsParams::from_grads(loss.backward(), net))
    }
}

impl Run<'_> {
    fn skill(&self, random: &mut ChaCha8Rng) -> Skill {
        let mut left = random.random::<f64>() * self.mixture.iter().sum::<f64>();
        for (skill, share) in Skill::ALL.into_iter().zip(self.mixture) {
            left -= share;
            if left < 0.0 {
                return skill;
            }
        }
        Skill::Brackets
    }

    /// Linear warm-up over 5% of the steps, then a cosine down to a tenth.
    fn rate_at(&self, step: usize) -> f64 {
        let warm = (self.steps / 20).max(1);
        if step < warm {
            return self.rate * (step + 1) as f64 / warm as f64;
        }
        let done = (step - warm) as f64 / (self.steps - warm).max(1) as f64;
        self.rate * (0.1 + 0.9 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
    }
}

/// Trains `net` and returns it; `watch` sees the step, the loss and the net now and then.
pub fn train(
    mut net: Net,
    sizes: Sizes,
    run: &Run<'_>,
    device: &Device,
    mut watch: impl FnMut(usize, f32, &Net),
) -> Result<Net, Box<dyn Error>> {
    let tokens = Tokens::new();
    let mut random = ChaCha8Rng::seed_from_u64(run.seed);
    let positions = Positions::new(LENGTH, sizes.width / sizes.heads, device);
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.98)
        .with_weight_decay(0.01)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut mean = None;
    for step in 0..run.steps {
        let shards = (0..SHARDS).map(|_| Shard::draw(run, &tokens, &mut random)).collect::<Result<Vec<_>, _>>()?;
        let total: f32 = shards.iter().flat_map(|shard| &shard.weights).sum();
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = shards
                .into_iter()
                .map(|shard| {
                    let (net, positions) = (net.clone().fork(device), &positions);
                    scope.spawn(move || shard.gradients(&net, sizes, total, positions, device))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a training thread failed"))
                .collect::<Result<_, _>>()
        })?;
        let mut sum = GradientsAccumulator::new();
        let mut loss = 0.0;
        for (part, gradients) in results {
            loss += part;
            sum.accumulate(&net, gradients);
        }
        net = optimizer.step(run.rate_at(step), net, sum.grads());
        let smooth = mean.map_or(loss, |mean: f32| 0.98 * mean + 0.02 * loss);
        mean = Some(smooth);
        if (step + 1) % 200 == 0 || step + 1 == run.steps {
            watch(step + 1, smooth, &net);
        }
    }
    Ok(net)
}
