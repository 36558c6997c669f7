//! By which angles do queries and keys turn at each position?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use layer_ir::{ModelConfig, Rope, RopeKind};

/// Cosines and sines of packed rows, `[rows, half]` each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rotations {
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
    /// Half the size of a head.
    pub half: usize,
}

/// Positions whose tables are made at once, so that growing is rare.
const STEP: usize = 256;

/// The rotations of a model, computed in f64 and rounded once.
#[derive(Debug)]
pub(crate) struct RopeTables {
    rope: Rope,
    head_dim: usize,
    max_position: usize,
    tables: Mutex<HashMap<usize, Arc<Rotations>>>,
}

impl RopeTables {
    pub fn new(config: &ModelConfig) -> Self {
        Self {
            rope: config.rope.clone(),
            head_dim: config.head_dim,
            max_position: config.max_position_embeddings,
            tables: Mutex::default(),
        }
    }

    /// Sequences of one class turn alike at the same position. All do, but under dynamic scaling beyond the original
    /// window, where the angles depend on the sequence's length: there the class is the length.
    pub fn class(&self, length: usize) -> usize {
        match self.rope.kind {
            RopeKind::Dynamic { original, .. } if length > original => length,
            _ => 0,
        }
    }

    /// The rotations at some places: a position in a sequence of a class.
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

    /// The table of positions `0..needed` or more.
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

    fn compute(&self, positions: usize, class: usize) -> Rotations {
        let (frequencies, factor) = self.rope.inv_freq(self.head_dim, self.max_position, class);
        let mut table = Rotations { half: frequencies.len(), ..Rotations::default() };
        for position in 0..positions {
            for frequency in &frequencies {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                table.cos.push((cos * factor) as f32);
                table.sin.push((sin * factor) as f32);
            }
        }
        table
    }
}
