//! The models of the family on disk, each trained once, and the table of what they can do.

use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::checkpoint::{self, Weights};
use crate::net::{Net, Sizes};
use crate::score::accuracy;
use crate::tasks::{Question, Skill};
use crate::tokens;
use crate::train::{Run, train};

/// Where the models go, and what all of them have in common.
pub struct Family {
    out: PathBuf,
    pub sizes: Sizes,
    pub device: Device,
    watched: [Vec<Question>; 4],
}

impl Family {
    /// `watched` questions of each skill are scored now and then during the training.
    ///
    /// One head a layer, in a narrow stream: with three heads in a stream of 96 six layers did all the work, and the
    /// last three of twelve could go for nothing.
    pub fn new(out: PathBuf, layers: usize, watched: [Vec<Question>; 4]) -> Self {
        let sizes = Sizes { layers, width: 48, heads: 1, hidden: 128, vocabulary: tokens::vocabulary().len() };
        Self { out, sizes, device: Device::flex().autodiff(), watched }
    }

    /// A net with `weights`.
    pub fn net(&self, weights: &Weights) -> Result<Net, Box<dyn Error>> {
        checkpoint::put(weights, self.fresh(0), &self.device)
    }

    /// A net that knows nothing.
    pub fn fresh(&self, seed: u64) -> Net {
        Net::new(self.sizes, &mut ChaCha8Rng::seed_from_u64(seed), &self.device)
    }

    /// The weights of the model `name` as stored, in bf16: trained from `start` unless they stand there already.
    pub fn model(&self, name: &str, start: Net, run: &Run<'_>) -> Result<Weights, Box<dyn Error>> {
        let folder = self.out.join(name);
        if !folder.join("model.safetensors").exists() {
            let clock = Instant::now();
            let net = train(start, self.sizes, run, &self.device, |step, loss, net| {
                let scores = self.scores(net, &self.watched, &(0..0)).map(|score| format!("{score:.3}")).join(" ");
                println!(
                    "{name:8} step {step:5} loss {loss:.4} accuracy {scores} {:5.0} s",
                    clock.elapsed().as_secs_f64()
                );
            })?;
            checkpoint::save(&folder, &checkpoint::weights(net)?, self.sizes)?;
        }
        checkpoint::load(&folder)
    }

    /// Prints the accuracies on `questions` as Markdown: of each model as it is, and without the quarter of its layers,
    /// in a row, that it needs least.
    pub fn table(&self, models: &[(&str, Weights)], questions: &[Vec<Question>; 4]) -> Result<(), Box<dyn Error>> {
        println!("\n| model | layers | {} | mean |", Skill::ALL.map(Skill::name).join(" | "));
        println!("|---|---|{}", "---|".repeat(Skill::ALL.len() + 1));
        let (layers, quarter) = (self.sizes.layers, self.sizes.layers / 4);
        for whole in [true, false] {
            for (name, weights) in models {
                let net = self.net(weights)?;
                let cut = if whole { 0..0 } else { self.cheapest_cut(&net, quarter) };
                let scores = self.scores(&net, questions, &cut);
                let cells = scores.map(|score| format!("{score:.3}")).join(" | ");
                let mean = scores.iter().sum::<f64>() / scores.len() as f64;
                let kept = if whole { layers.to_string() } else { format!("without {} to {}", cut.start, cut.end - 1) };
                println!("| {name} | {kept} | {cells} | {mean:.3} |");
            }
        }
        Ok(())
    }

    /// The `count` layers in a row without which `net` answers most of the watched questions.
    fn cheapest_cut(&self, net: &Net, count: usize) -> Range<usize> {
        let questions = self.watched.each_ref().map(|questions| questions[..50].to_vec());
        let cuts = (0..=self.sizes.layers - count).map(|first| {
            let cut = first..first + count;
            (self.scores(net, &questions, &cut).iter().sum::<f64>(), cut)
        });
        cuts.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0..0, |(_, cut)| cut)
    }

    fn scores(&self, net: &Net, questions: &[Vec<Question>; 4], cut: &Range<usize>) -> [f64; 4] {
        let dropped: Vec<bool> = (0..self.sizes.layers).map(|layer| cut.contains(&layer)).collect();
        let (net, dropped) = (&net.valid(), &dropped);
        thread::scope(|scope| {
            let score =
                |skill: usize| scope.spawn(move || accuracy(net, self.sizes, &questions[skill], dropped, &self.device));
            [0, 1, 2, 3].map(score).map(|thread| thread.join().unwrap_or(f64::NAN))
        })
    }
}
