//! Learn how to evaluate a model of your own: `task-eval` asks for token scores, whoever computes them.
//!
//! `cargo run --release -p tailor-examples --example custom_language_model`
//!
//! The model here counts which token follows which in the family's training questions, and knows nothing else. A candle
//! model, a server or an ONNX file would stand in the same place.

use std::collections::HashMap;
use std::path::Path;

use task_eval::{LanguageModel, ModelError, ModelTokenizer, Options, PreparedTask, Score, ScoreRequest, TaskLibrary};

/// How often each token followed each other one.
struct Bigrams {
    pairs: HashMap<(u32, u32), f64>,
    firsts: HashMap<u32, f64>,
    vocabulary: f64,
}

impl Bigrams {
    fn count(texts: impl Iterator<Item = Vec<u32>>, vocabulary: usize) -> Self {
        let mut counts = Self { pairs: HashMap::new(), firsts: HashMap::new(), vocabulary: vocabulary as f64 };
        for text in texts {
            for pair in text.windows(2) {
                *counts.pairs.entry((pair[0], pair[1])).or_default() += 1.0;
                *counts.firsts.entry(pair[0]).or_default() += 1.0;
            }
        }
        counts
    }

    /// p(next | previous), every pair counted once more than it was seen.
    fn probability(&self, previous: u32, next: u32) -> f64 {
        let seen = self.pairs.get(&(previous, next)).copied().unwrap_or(0.0);
        (seen + 1.0) / (self.firsts.get(&previous).copied().unwrap_or(0.0) + self.vocabulary)
    }

    fn most_likely(&self, previous: u32) -> u32 {
        let best = (0..self.vocabulary as u32)
            .rev()
            .max_by(|a, b| self.probability(previous, *a).total_cmp(&self.probability(previous, *b)));
        best.unwrap_or(0)
    }
}

impl LanguageModel for Bigrams {
    fn max_length(&self) -> usize {
        4096
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let one = |request: &ScoreRequest| {
            let mut previous = *request.context.last().ok_or("a request without context")?;
            let mut score = Score { log_likelihood: 0.0, greedy: true };
            for &token in request.continuation.iter() {
                score.log_likelihood += self.probability(previous, token).ln();
                score.greedy &= token == self.most_likely(previous);
                previous = token;
            }
            Ok(score)
        };
        requests.iter().map(one).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let family = Path::new(env!("CARGO_MANIFEST_DIR")).join("family");
    let text = ModelTokenizer::load(family.join("base"))?;
    let library = TaskLibrary::load(&[family.join("tasks")])?;
    let mut results = Vec::new();
    for task in library.task("family")? {
        let training = Options { split: Some("train".into()), ..Options::default() };
        let training = PreparedTask::new(&task, &text, &training)?;
        let asked = (0..training.len()).flat_map(|document| training.score_requests(document));
        let texts = asked.map(|request| [&request.context[..], &request.continuation].concat());
        let mut model = Bigrams::count(texts, 128);
        results.push(PreparedTask::new(&task, &text, &Options::default())?.evaluate(&mut model)?);
    }
    println!("{}", task_eval::table(&results, &[]));
    Ok(())
}
