//! Rows of the token embedding.

use std::sync::Arc;

use burn::tensor::Tensor;
use half::bf16;
use half::slice::HalfFloatSliceExt;

use super::buffers::BufferPool;
use super::host::{host, matrix};
use super::linear::Products;
use crate::Error;
use crate::engine::TokenEmbedding;

/// `[vocabulary, hidden]`, row by row.
#[derive(Debug)]
pub(crate) struct CpuEmbedding {
    rows: EmbeddingRows,
    /// Numbers of a row.
    hidden: usize,
    /// Where streams come from.
    pool: Arc<BufferPool>,
}

/// The rows in the type of the products: half of the memory in bf16.
#[derive(Debug)]
enum EmbeddingRows {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl CpuEmbedding {
    /// Takes the embedding's memory, or rounds it to bf16.
    pub(super) fn new(tokens: Tensor<2>, products: Products, pool: Arc<BufferPool>) -> Result<Self, Error> {
        let [_, hidden] = tokens.dims();
        let rows = host(tokens)?;
        let rows = match products {
            Products::F32 => EmbeddingRows::F32(rows),
            Products::Bf16 => EmbeddingRows::Bf16(rows.into_iter().map(bf16::from_f32).collect()),
        };
        Ok(Self { rows, hidden, pool })
    }
}

impl TokenEmbedding for CpuEmbedding {
    fn bytes(&self) -> usize {
        match &self.rows {
            EmbeddingRows::F32(rows) => size_of_val(rows.as_slice()),
            EmbeddingRows::Bf16(rows) => size_of_val(rows.as_slice()),
        }
    }

    /// Copies the rows of the tokens, in f32.
    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error> {
        let mut x = self.pool.buffer(tokens.len() * self.hidden);
        for (out, token) in x.chunks_exact_mut(self.hidden).zip(tokens) {
            let at = *token as usize * self.hidden..(*token as usize + 1) * self.hidden;
            match &self.rows {
                EmbeddingRows::F32(rows) => out.copy_from_slice(&rows[at]),
                EmbeddingRows::Bf16(rows) => rows[at].convert_to_f32_slice(out),
            }
        }
        Ok(matrix(x, self.hidden))
    }
}
