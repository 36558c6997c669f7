//! `gsm_plus_mini_custom/utils.py` of auto-merge-llm: the documents in another order.

use super::columns::Columns;
use crate::python::numpy_random::NumpyRandom;

/// The reference takes it from its environment (`DATA_SEED`), where its runs put their `random_seed`: 0 by default.
const SEED: u64 = 0;

/// `process_docs`: `dataset.shuffle(seed)` of the library `datasets`, which is NumPy's permutation.
pub(super) fn process_docs(documents: Vec<Columns>) -> Vec<Columns> {
    let mut documents: Vec<Option<Columns>> = documents.into_iter().map(Some).collect();
    let places = NumpyRandom::new(SEED).permutation(documents.len());
    places.into_iter().filter_map(|place| documents[place].take()).collect()
}
