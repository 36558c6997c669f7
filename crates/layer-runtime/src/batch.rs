//! What one pass through the layers computes: tokens, their rotations and what they see.

use crate::attention::AttentionPlan;
use crate::rope::Rotations;

/// The packed tokens of a pass, without padding: row `i` of every matrix belongs to token `i`.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// By how much each row's queries and keys turn.
    pub rotations: Rotations,
    /// What each row sees.
    pub attention: AttentionPlan,
    /// The rows that are asked for after the last layer, ascending; `None`: all.
    pub wanted: Option<Vec<u32>>,
    /// How many threads of the CPU compute it.
    pub threads: usize,
}
