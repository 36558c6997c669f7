//! Calibration text: documents of a task with their right answers.

use task_eval::PreparedTask;

/// Token ids of documents with their right answers, of those that have one: one document after the other until there
/// are so many tokens. Of each no more than the model's `window`.
pub fn right_answers(
    task: &PreparedTask,
    documents: impl IntoIterator<Item = usize>,
    window: usize,
    tokens: usize,
) -> Vec<Vec<u32>> {
    let mut left = tokens;
    let mut texts: Vec<Vec<u32>> = Vec::new();
    for mut text in documents.into_iter().filter_map(|document| task.gold_tokens(document)) {
        if left == 0 {
            break;
        }
        text.truncate(window);
        if !text.is_empty() {
            left = left.saturating_sub(text.len());
            texts.push(text);
        }
    }
    texts
}
