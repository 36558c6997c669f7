//! The layers that make an attention sink, in sentences.

use std::collections::BTreeMap;

use layer_ir::{Expr, OutputLayer, Recipe};
use recipe_search::Parents;
use recipe_search::bridges::Sink;

/// A line for each layer that makes an attention sink in some model of the family: what it does, that baselines and
/// starting designs keep it, and whether the tailored model has it. Empty where there is no such layer.
#[must_use]
pub fn sink_summary(parents: &Parents, recipe: &Recipe) -> String {
    let mut makers: BTreeMap<usize, Vec<(&str, &Sink)>> = BTreeMap::new();
    for (model, sinks) in &parents.sinks {
        for sink in sinks {
            makers.entry(sink.layer).or_default().push((model, sink));
        }
    }
    let line = |(layer, made): (usize, Vec<(&str, &Sink)>)| {
        let models: Vec<&str> = made.iter().map(|(model, _)| *model).collect();
        let Some((_, Sink { position, before, after, median, .. })) = made.first() else { return String::new() };
        let kept = recipe.layers.iter().any(|output| comes_from(output, layer));
        let kept = if kept { "the tailored model has it too" } else { "the search removed it all the same" };
        format!(
            "Layer {layer} of {} makes the attention sink: at position {position} it takes the stream's length from \
             {before:.0} to {after:.0}, where other tokens have {median:.0}. Baselines and starting designs keep it; \
             {kept}.",
            models.join(", ")
        )
    };
    makers.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether an output layer is made of a layer of this index.
fn comes_from(output: &OutputLayer, layer: usize) -> bool {
    match &output.from {
        Expr::Take(source) => source.layer == layer,
        Expr::Merge(merge) => merge.sources.iter().any(|source| source.of.layer == layer),
    }
}
