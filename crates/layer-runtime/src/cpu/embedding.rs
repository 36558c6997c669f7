//! Rows of the token embedding.

use std::sync::Arc;

use burn::tensor::Tensor;
use half::bf16;
use half::slice::HalfFloatSliceExt;

use super::pool::Pool;
use super::{host, matrix};
use crate::Error;
use crate::engine::Embedding;

/// `[vocabulary, hidden]`, row by row.
#[derive(Debug)]
pub(super) struct CpuEmbedding {
    rows: Rows,
    hidden: usize,
    pool: Arc<Pool>,
}

#[derive(Debug)]
enum Rows {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl CpuEmbedding {
    pub fn new(tokens: Tensor<2>, in_bf16: bool, pool: Arc<Pool>) -> Result<Self, Error> {
        let [_, hidden] = tokens.dims();
        let rows = host(tokens)?;
        let rows = if in_bf16 { Rows::Bf16(rows.into_iter().map(bf16::from_f32).collect()) } else { Rows::F32(rows) };
        Ok(Self { rows, hidden, pool })
    }
}

impl Embedding for CpuEmbedding {
    fn bytes(&self) -> usize {
        match &self.rows {
            Rows::F32(rows) => size_of_val(rows.as_slice()),
            Rows::Bf16(rows) => size_of_val(rows.as_slice()),
        }
    }

    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error> {
        let mut x = self.pool.buffer(tokens.len() * self.hidden);
        for (out, token) in x.chunks_exact_mut(self.hidden).zip(tokens) {
            let at = *token as usize * self.hidden..(*token as usize + 1) * self.hidden;
            match &self.rows {
                Rows::F32(rows) => out.copy_from_slice(&rows[at]),
                Rows::Bf16(rows) => rows[at].convert_to_f32_slice(out),
            }
        }
        Ok(matrix(x, self.hidden))
    }
}
