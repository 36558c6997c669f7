//! The multiple-choice score by which the training is watched; the same as lm-evaluation-harness's `acc`.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::net::{Net, Positions, Sizes};
use crate::tasks::Question;
use crate::tokens::{BOS, PAD, Tokens};

/// The share of questions whose right choice has the highest log-likelihood; the first of equals counts.
/// Layers marked in `dropped` are left out.
pub fn accuracy(net: &Net, sizes: Sizes, questions: &[Question], dropped: &[bool], device: &Device) -> f64 {
    let tokens = Tokens::new();
    let right: usize = questions.chunks(10).map(|chunk| right(net, sizes, chunk, dropped, &tokens, device)).sum();
    right as f64 / questions.len().max(1) as f64
}

fn right(net: &Net, sizes: Sizes, questions: &[Question], dropped: &[bool], tokens: &Tokens, device: &Device) -> usize {
    let rows: Vec<(Vec<u32>, usize)> = questions
        .iter()
        .flat_map(|question| {
            question.choices.iter().map(|choice| {
                let prompt = tokens.encode(&question.prompt);
                let start = prompt.len();
                ([vec![BOS], prompt, tokens.encode(choice)].concat(), start)
            })
        })
        .collect();
    let length = rows.iter().map(|(row, _)| row.len()).max().unwrap_or(1);
    let ids: Vec<i32> =
        rows.iter().flat_map(|(row, _)| (0..length).map(|i| row.get(i).map_or(PAD, |id| *id) as i32)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows.len(), length]), device);
    let positions = Positions::new(length, sizes.width / sizes.heads, device);
    let values: Vec<f32> = net
        .forward(ids, &positions, Positions::causal(length, device), sizes.heads, dropped)
        .into_data()
        .try_into_vec()
        .unwrap_or_default();
    let likelihood = |row: usize| -> f64 {
        let (ids, start) = &rows[row];
        let at = |place: usize| values[(row * length + place) * sizes.vocabulary + ids[place + 1] as usize];
        (*start..ids.len() - 1).map(|place| f64::from(at(place))).sum()
    };
    let best = |question: usize| {
        let scores = [0, 1, 2, 3].map(|choice| likelihood(4 * question + choice));
        (0..4).rev().max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
    };
    questions.iter().enumerate().filter(|(i, question)| best(*i) == Some(question.answer)).count()
}
