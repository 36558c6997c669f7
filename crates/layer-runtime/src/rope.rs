//! The rotary embedding: the angles by which queries and keys turn at each position.
//!
//! At position `p`, the pair of numbers `i` and `i + dim / 2` of a head turns by the angle `p * f_i`, where `f_i =
//! theta^(-2 i / dim)`, changed by the scaling of the config (linear, dynamic, YaRN or that of Llama 3; see
//! [`layer_ir::Rope`]). Su et al. 2021, <https://arxiv.org/abs/2104.09864>, with the halves as Hugging Face pairs
//! them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use layer_ir::{Dtype, ModelConfig, Rope, RopeKind};

/// Cosines and sines of packed rows, `[rows, half]` each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rotations {
    /// Of the angles, times the scaling's factor.
    pub cos: Vec<f32>,
    /// Of the angles, times the scaling's factor.
    pub sin: Vec<f32>,
    /// Half the size of a head.
    pub half: usize,
}

/// Tables grow by so many positions, so that they grow rarely.
const STEP: usize = 256;

/// The rotations of a model, rounded where transformers rounds them.
#[derive(Debug)]
pub(crate) struct RopeTables {
    /// The scaling that the config says.
    rope: Rope,
    /// Numbers of a head; half as many angles.
    head_dim: usize,
    /// The type to which frequencies are rounded.
    precision: Dtype,
    /// By class.
    tables: Mutex<HashMap<usize, Arc<Rotations>>>,
}

impl RopeTables {
    /// `precision` is the type in which the frequencies are kept.
    pub fn new(config: &ModelConfig, precision: Dtype) -> Self {
        Self { rope: config.rope.clone(), head_dim: config.head_dim, precision, tables: Mutex::default() }
    }

    /// The class of sequences of this length: sequences of one class turn by the same angle at the same position.
    /// There is one class, 0, but under dynamic scaling beyond the original window. There the angles depend on the
    /// sequence's length, and the class is the length.
    pub fn class(&self, length: usize) -> usize {
        match self.rope.kind {
            RopeKind::Dynamic { original, .. } if length > original => length,
            _ => 0,
        }
    }

    /// The rotations `[places, dim / 2]` at some places, each a position in a sequence of a class.
    pub fn rows(&self, places: impl Iterator<Item = (u32, usize)> + Clone) -> Rotations {
        let needed = places.clone().map(|(position, _)| position as usize + 1).max().unwrap_or(0);
        let mut rows = Rotations { half: self.head_dim / 2, ..Rotations::default() };
        let mut table: Option<(usize, Arc<Rotations>)> = None;
        for (position, class) in places {
            let known = table.take().filter(|(of, _)| *of == class);
            let (of, known) = known.unwrap_or_else(|| (class, self.table(needed, class)));
            let at = position as usize * rows.half..(position as usize + 1) * rows.half;
            rows.cos.extend_from_slice(&known.cos[at.clone()]);
            rows.sin.extend_from_slice(&known.sin[at]);
            table = Some((of, known));
        }
        rows
    }

    /// The table of at least the positions `0..needed`, `[positions, dim / 2]`.
    fn table(&self, needed: usize, class: usize) -> Arc<Rotations> {
        let half = self.head_dim / 2;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&class).filter(|table| table.cos.len() >= needed * half) {
            return Arc::clone(table);
        }
        if class > 0 {
            tables.retain(|&known, _| known == 0); // lengths rarely come again
        }
        let table = Arc::new(self.compute(needed.next_multiple_of(STEP), class));
        tables.insert(class, Arc::clone(&table));
        table
    }

    /// Angles are rounded to f32 as transformers rounds them; cosines and sines are computed in f64.
    fn compute(&self, positions: usize, class: usize) -> Rotations {
        let (frequencies, factor) = self.rope.inv_freq(self.head_dim, class);
        let mut table = Rotations { half: frequencies.len(), ..Rotations::default() };
        for position in 0..positions {
            for frequency in &frequencies {
                let angle = position as f32 * rounded(*frequency as f32, self.precision);
                let (sin, cos) = f64::from(angle).sin_cos();
                table.cos.push((cos * factor) as f32);
                table.sin.push((sin * factor) as f32);
            }
        }
        table
    }
}

/// The nearest value of a type.
fn rounded(value: f32, precision: Dtype) -> f32 {
    match precision {
        Dtype::BF16 => half::bf16::from_f32(value).to_f32(),
        Dtype::F16 => half::f16::from_f32(value).to_f32(),
        Dtype::F32 => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(kind: RopeKind) -> RopeTables {
        let rope = Rope { theta: 10_000.0, kind };
        RopeTables { rope, head_dim: 8, precision: Dtype::F32, tables: Mutex::default() }
    }

    #[test]
    fn the_first_frequency_turns_by_one_per_position() {
        let rows = tables(RopeKind::Default).rows([(0, 0), (300, 0), (7, 0)].into_iter());
        assert_eq!((rows.cos.len(), rows.half), (12, 4));
        for (row, position) in [0.0_f64, 300.0, 7.0].into_iter().enumerate() {
            assert!((f64::from(rows.cos[row * 4]) - position.cos()).abs() < 1e-7, "cos({position})");
            assert!((f64::from(rows.sin[row * 4]) - position.sin()).abs() < 1e-7, "sin({position})");
        }
    }

    #[test]
    fn dynamic_scaling_turns_by_the_sequences_own_length() {
        let tables = tables(RopeKind::Dynamic { factor: 2.0, original: 32 });
        assert_eq!([5, 32, 33, 40].map(|length| tables.class(length)), [0, 0, 33, 40]);
        let rows = tables.rows([(9, 0), (9, 40), (9, 33), (9, 0)].into_iter());
        let angle = |row: usize| &rows.sin[row * 4 + 1..][..3];
        assert_eq!(angle(0), angle(3));
        assert_ne!(angle(0), angle(1));
        assert_ne!(angle(1), angle(2));
    }
}
