//! The published starting designs of GPTailor: three orders in which layers are removed, before anything is known.
//!
//! The Python reference (Guinan-Su/auto-merge-llm, `strategies/prune.py`) shuffles with `random.Random(42)`; so do
//! we, draw by draw.

use task_eval::PythonRandom;

/// An order of removal: its first `k` entries are the layers that go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalOrder {
    /// `higher_first`, `middle_outward` or `alternating`.
    pub name: &'static str,
    /// Every layer once, the first to go first.
    pub layers: Vec<usize>,
}

/// The reference's three removal orders for a model of `layers` layers.
///
/// ```
/// let orders = recipe_search::removal_orders(32);
/// assert_eq!(orders[0].layers[..9], [24, 29, 23, 22, 30, 28, 21, 18, 25]);
/// ```
#[must_use]
pub fn removal_orders(layers: usize) -> Vec<RemovalOrder> {
    if layers < 4 {
        let back_to_front = (0..layers).rev().collect();
        return vec![RemovalOrder { name: "higher_first", layers: back_to_front }];
    }
    let mut random = PythonRandom::new(42);
    let mut shuffled = |mut list: Vec<usize>| {
        random.shuffle(&mut list);
        list
    };
    let middle = layers / 2;
    let high: Vec<usize> = (middle..=layers - 2).collect();
    let low: Vec<usize> = (1..middle).collect();
    let near: Vec<usize> = (middle.saturating_sub(3).max(1)..=(middle + 3).min(layers - 2)).collect();
    let far: Vec<usize> = (1..=layers - 2).filter(|layer| !near.contains(layer)).collect();

    let higher_first = [shuffled(high.clone()), shuffled(low.clone())].concat();
    let middle_outward = [shuffled(near), shuffled(far)].concat();
    let alternating = interleave(&shuffled(high), &shuffled(low));
    [("higher_first", higher_first), ("middle_outward", middle_outward), ("alternating", alternating)]
        .into_iter()
        .map(|(name, mut order)| {
            order.extend([layers - 1, 0]);
            RemovalOrder { name, layers: order }
        })
        .collect()
}

fn interleave(first: &[usize], second: &[usize]) -> Vec<usize> {
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|i| first.get(i).into_iter().chain(second.get(i))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec of the reference's lists, read off its sources (auto-merge-llm c45aaac).
    #[test]
    fn the_orders_are_those_of_the_reference() {
        let of = |layers, k: usize| -> Vec<Vec<usize>> {
            removal_orders(layers).into_iter().map(|order| order.layers[..k].to_vec()).collect()
        };
        assert_eq!(
            of(32, 9),
            [
                [24, 29, 23, 22, 30, 28, 21, 18, 25],
                [19, 16, 18, 14, 13, 15, 17, 23, 29],
                [24, 9, 18, 8, 21, 12, 30, 2, 26]
            ]
        );
        assert_eq!(
            of(40, 10),
            [
                [34, 33, 24, 29, 25, 35, 37, 26, 32, 36],
                [20, 18, 23, 21, 22, 19, 17, 11, 1, 15],
                [32, 10, 31, 1, 33, 2, 29, 15, 22, 9]
            ]
        );
    }

    #[test]
    fn an_order_names_every_layer_once() {
        for layers in 1..50 {
            for order in removal_orders(layers) {
                let mut sorted = order.layers.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..layers).collect::<Vec<_>>(), "{} of {layers}", order.name);
            }
        }
    }
}
