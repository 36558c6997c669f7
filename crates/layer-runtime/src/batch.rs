//! What one pass through the layers computes: tokens, their rotations and what they see.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};

use crate::attention::AttentionPlan;
use crate::cpu::Blocks;
use crate::plain::Grid;
use crate::rope::Rotations;

/// The packed tokens of a pass, without padding.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// By how much each row's queries and keys turn.
    pub rotations: Rotations,
    /// What each row sees.
    pub attention: AttentionPlan,
    /// The rows that are asked for after the last layer, ascending; absent: all.
    pub wanted: Option<Vec<u32>>,
    /// How many threads of the CPU it is for.
    pub threads: usize,
    blocks: OnceLock<Blocks>,
    grid: OnceLock<Grid>,
    device_rotations: OnceLock<[Tensor<3>; 2]>,
}

impl Batch {
    pub fn new(tokens: Vec<u32>, rotations: Rotations, attention: AttentionPlan) -> Self {
        Self {
            tokens,
            rotations,
            attention,
            wanted: None,
            threads: rayon::current_num_threads(),
            blocks: OnceLock::new(),
            grid: OnceLock::new(),
            device_rotations: OnceLock::new(),
        }
    }

    /// All rows in blocks, for the CPU's kernels.
    pub fn blocks(&self) -> &Blocks {
        self.blocks.get_or_init(|| Blocks::all(&self.attention, self.threads))
    }

    /// The plan as padded rectangles, for plain operations.
    pub fn grid(&self, device: &Device) -> &Grid {
        self.grid.get_or_init(|| Grid::new(&self.attention, device))
    }

    /// Cosines and sines as tensors `[rows, 1, dim / 2]`, for plain operations.
    pub fn rotations(&self, device: &Device) -> [Tensor<3>; 2] {
        let tensors = || {
            let shape = [self.tokens.len(), 1, self.rotations.half];
            let tensor = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), shape), device);
            [tensor(&self.rotations.cos), tensor(&self.rotations.sin)]
        };
        self.device_rotations.get_or_init(tensors).clone()
    }
}
