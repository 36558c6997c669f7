//! The golden models with sequences to learn, for several tests.

use std::path::{Path, PathBuf};

use layer_ir::Checkpoint;
use layer_train::{HiddenTarget, Layout, PackedBatch, Target};

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Several heads for each key (Llama 3), tied embeddings and biases (Qwen 2), norms of heads (Qwen 3), a window and
/// heads of their own width (Mistral).
pub const MODELS: [&str; 5] =
    ["llama-mha", "llama3-gqa-sharded-bf16", "mistral-window-headdim", "qwen2-tied-f16", "qwen3-qknorm-bf16"];

/// Those with which the loss of hidden states is tried.
pub const HIDDEN_MODELS: [&str; 2] = ["mistral-window-headdim", "qwen2-tied-f16"];

/// The golden models of the runtime, whose logits are those of transformers.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../layer-runtime/tests/golden/models").join(name)
}

/// A model, sequences of several lengths, and what is wanted of them: right answers and whole distributions.
pub struct Example {
    pub layout: Layout,
    pub values: Vec<f32>,
    pub batch: PackedBatch,
    pub named: Vec<[u32; 2]>,
    /// A stream for each row.
    pub streams: Vec<Vec<f32>>,
    /// Whether the streams of every fourth row are wanted too.
    pub hidden: bool,
}

impl Example {
    pub fn new(name: &str) -> Outcome<Self> {
        let checkpoint = Checkpoint::open(golden(name))?;
        let layout = Layout::of(&checkpoint)?;
        let values = layout.read(&checkpoint)?;
        let vocabulary = u32::try_from(layout.config().vocab_size)?;
        let sequence = |(number, length): (u32, u32)| {
            (0..length).map(|i| (i * 7919 + number * 31 + i * i * 13) % vocabulary).collect::<Vec<u32>>()
        };
        // One longer than a block of queries, one of a single token.
        let sequences: Vec<Vec<u32>> = (0..).zip([5, 70, 1, 123]).map(sequence).collect();
        let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let batch = PackedBatch::new(&sequences, layout.config())?;
        let named = batch.tokens().iter().map(|token| {
            let other = (token + 5) % vocabulary;
            [other.min(*token), other.max(*token)]
        });
        let hidden = layout.config().hidden_size;
        let number = |row: usize, i: usize| (0.37 * row as f64 + 0.11 * i as f64).sin() as f32;
        let stream = |row| (0..hidden).map(|i| number(row, i)).collect();
        let streams = (0..batch.rows()).map(stream).collect();
        Ok(Self { named: named.collect(), layout, values, batch, streams, hidden: false })
    }

    pub fn targets(&self) -> Vec<Target<'_>> {
        const LN_P: [f32; 2] = [-std::f32::consts::LN_2, -1.609_438]; // 0.5 and 0.2, 0.3 for the others
        let rows = self.batch.sequences().iter().flat_map(|rows| rows.start..rows.end - 1);
        let target = |row: usize| {
            let token = Target::token(row, 0.01, &self.batch.tokens()[row + 1]);
            let hidden =
                (self.hidden && row % 4 == 1).then(|| HiddenTarget { weight: 0.007, stream: &self.streams[row] });
            match row % 3 {
                0 => Target { tokens: &self.named[row + 1], ln_p: &LN_P, ln_rest: -1.203_972_8, hidden, ..token },
                _ => Target { hidden, ..token },
            }
        };
        rows.map(target).collect()
    }
}
