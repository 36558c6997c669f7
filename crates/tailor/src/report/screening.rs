//! What each layer of a model does, as a table.

use recipe_search::{ScreenedLayer, Screening};

use super::text::lay_out;

/// A model's layers as a Markdown table: what the removals without a search read, and the loss without each layer
/// alone.
///
/// ```
/// use recipe_search::{ScreenedLayer, Screening};
///
/// let layer = ScreenedLayer {
///     layer: 0, block_influence: 0.25, angular_distance: 0.5, first_length: 24_000.0, other_length: Some(180.0),
///     sink: None, loss_without: Some(3.5),
/// };
/// let screening = Screening { sequences: 2, tokens: 60, loss: 3.25, layers: vec![layer] };
/// let table = tailor::report::screening_table("base", &screening);
/// assert!(table.starts_with("base: loss 3.2500 on 60 tokens of 2 texts, with all layers\n"), "{table}");
/// assert!(table.contains("| 0     |          0.2500 |           0.5000 |       24000.0 |          180.0 |"),
/// "{table}");
/// ```
#[must_use]
pub fn screening_table(name: &str, screening: &Screening) -> String {
    let Screening { sequences, tokens, loss, layers } = screening;
    let head =
        ["layer", "block influence", "angular distance", "length, first", "length, others", "loss without", "sink"];
    let number =
        |value: Option<f64>, decimals: usize| value.map_or_else(String::new, |value| format!("{value:.decimals$}"));
    let row = |of: &ScreenedLayer| {
        vec![
            of.layer.to_string(),
            format!("{:.4}", of.block_influence),
            format!("{:.4}", of.angular_distance),
            number(Some(of.first_length), 1),
            number(of.other_length, 1),
            number(of.loss_without, 4),
            of.sink.map_or_else(String::new, |sink| format!("makes it, position {}", sink.position)),
        ]
    };
    let rows: Vec<Vec<String>> =
        std::iter::once(head.map(str::to_owned).to_vec()).chain(layers.iter().map(row)).collect();
    format!("{name}: loss {loss:.4} on {tokens} tokens of {sequences} texts, with all layers\n{}", lay_out(&rows))
}
