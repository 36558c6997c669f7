//! `list_fewshot_samples` of `minerva_math/utils.py` and `mbpp/utils.py`: shots that are written in the function.
//!
//! They stand in [`fewshot_config.samples`](crate::FewshotConfig::samples) and are the same for every document.
//! The documents are the functions' own, written by `tests/golden/builtins/make.py`.

use super::columns::Columns;

/// Four problems of MATH with worked answers.
pub(super) fn minerva_math() -> Vec<Columns> {
    read(include_str!("../../tasks/minerva_math/samples.jsonl"))
}

/// Three problems of MBPP with their code.
pub(super) fn mbpp() -> Vec<Columns> {
    read(include_str!("../../tasks/mbpp/samples.jsonl"))
}

/// One document a line; that every line is one, a test sees to.
fn read(lines: &str) -> Vec<Columns> {
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_document() {
        assert_eq!((minerva_math().len(), mbpp().len()), (4, 3));
    }
}
