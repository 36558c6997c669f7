//! Sequences side by side in one batch, without padding: each sees itself alone.

use std::ops::Range;

use layer_ir::{ModelConfig, RopeKind};

use crate::Error;

/// The tokens of some sequences, one sequence after the other, with the rotations of their positions.
///
/// ```
/// # use layer_train::PackedBatch;
/// # let raw = serde_json::json!({"model_type": "llama", "hidden_size": 64, "intermediate_size": 160,
/// #     "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100});
/// # let config = layer_ir::ModelConfig::from_json(raw.as_object().ok_or("an object")?, "config.json".as_ref())?;
/// let batch = PackedBatch::new(&[&[1, 17, 4], &[1, 9]], &config)?;
/// assert_eq!((batch.rows(), batch.sequences().len()), (5, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PackedBatch {
    tokens: Vec<u32>,
    sequences: Vec<Range<usize>>,
    /// Cosines of the rotary angles, `[rows, head_dim / 2]`.
    pub(crate) cos: Vec<f32>,
    /// Their sines, `[rows, head_dim / 2]`.
    pub(crate) sin: Vec<f32>,
}

impl PackedBatch {
    /// Packs sequences for a model of this config.
    ///
    /// # Errors
    /// [`Error::EmptySequence`], [`Error::UnknownToken`] and [`Error::TooLong`] for a sequence that the model cannot
    /// read.
    pub fn new(sequences: &[&[u32]], config: &ModelConfig) -> Result<Self, Error> {
        let mut batch = Self { tokens: Vec::new(), sequences: Vec::new(), cos: Vec::new(), sin: Vec::new() };
        for (sequence, tokens) in sequences.iter().enumerate() {
            check(sequence, tokens, config)?;
            let start = batch.tokens.len();
            batch.tokens.extend_from_slice(tokens);
            batch.sequences.push(start..batch.tokens.len());
            batch.rotate(tokens.len(), config);
        }
        Ok(batch)
    }

    /// The angles of one more sequence: rounded to f32 as transformers rounds them, their cosines computed in f64.
    fn rotate(&mut self, length: usize, config: &ModelConfig) {
        // Only under dynamic scaling do the angles depend on the length.
        let class = if matches!(config.rope.kind, RopeKind::Dynamic { .. }) { length } else { 0 };
        let (frequencies, factor) = config.rope.inv_freq(config.head_dim, class);
        for position in 0..length {
            for frequency in &frequencies {
                let (sin, cos) = f64::from(position as f32 * *frequency as f32).sin_cos();
                self.cos.push((cos * factor) as f32);
                self.sin.push((sin * factor) as f32);
            }
        }
    }

    /// How many tokens there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The tokens of all sequences.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Which rows each sequence has.
    #[must_use]
    pub fn sequences(&self) -> &[Range<usize>] {
        &self.sequences
    }
}

/// Whether a model can read a sequence.
fn check(sequence: usize, tokens: &[u32], config: &ModelConfig) -> Result<(), Error> {
    let (length, window) = (tokens.len(), config.max_position_embeddings);
    if tokens.is_empty() {
        return Err(Error::EmptySequence { sequence });
    }
    if length > window {
        return Err(Error::TooLong { sequence, length, window });
    }
    match tokens.iter().find(|token| **token as usize >= config.vocab_size) {
        Some(&token) => Err(Error::UnknownToken { sequence, token, vocabulary: config.vocab_size }),
        None => Ok(()),
    }
}
