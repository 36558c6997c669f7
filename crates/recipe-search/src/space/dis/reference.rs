//! The reference's parameterisation: a flag for each candidate at each position, the number of an order, and a scale,
//! by the names in its result files.
//!
//! `M + 2` dimensions for each position with `M` candidates, `M + 1` with one: 200 for the published 40 positions and
//! three candidates.

use layer_ir::Recipe;
use layer_ir::gptailor::{Context, Kind, ResultFile, Stacking, permutation};
use rand::RngExt;
use zo_search::{Point, Space, TrialId, generator};

use super::DisSettings;
use crate::Error;
use crate::space::parameterisation::values;

fn block(position: usize, candidate: usize) -> String {
    format!("layer_{position}_block_{candidate}_selection")
}

fn order(position: usize) -> String {
    format!("layer_{position}_permutation_selection")
}

fn scale(position: usize) -> String {
    format!("scale_{position}")
}

/// All dimensions.
pub(super) fn space(settings: &DisSettings, positions: usize, candidates: usize) -> Space {
    let [low, high] = settings.scales();
    let orders: usize = (1..=candidates).product();
    let mut space = Space::new();
    for position in 0..positions {
        let bundle = format!("layer_{position}");
        space = space.float(scale(position), low..=high).in_bundle(&bundle);
        for candidate in 0..candidates {
            space = space.categorical(block(position, candidate), ["0", "1"]).in_bundle(&bundle);
        }
        if orders > 1 {
            let numbers = (0..orders).map(|number| number.to_string());
            space = space.categorical(order(position), numbers).in_bundle(&bundle);
        }
    }
    space
}

/// The recipe of a point, as of a result file of the same values; one of more than `most` layers is cut first.
pub(super) fn decode(point: &Point, context: &Context, most: usize) -> Result<Recipe, Error> {
    let recipe_of = |point: &Point| ResultFile::of_values(Kind::Dis, values(point)).recipe(context);
    let recipe = recipe_of(point)?;
    if recipe.layers.len() <= most {
        return Ok(recipe);
    }
    Ok(recipe_of(&cut(point, context, most, recipe.layers.len()))?)
}

/// The point with stacks cut to their first layer, at positions that are drawn by the point's own content, until there
/// are no more than `most` layers.
fn cut(point: &Point, context: &Context, most: usize, mut layers: usize) -> Point {
    let candidates = context.candidates.len();
    let mut rng = generator(point.key().as_u128() as u64, "cut", TrialId(0));
    let positions = context.layers.unwrap_or(0).saturating_sub(2 * context.fixed_layers);
    let mut drawn: Vec<(u64, usize)> = (0..positions).map(|position| (rng.random(), position)).collect();
    drawn.sort_unstable();
    let mut point = point.clone();
    for (_, position) in drawn {
        let stack = stack(&point, position, candidates);
        if layers <= most || stack.len() < 2 {
            continue;
        }
        for candidate in &stack[1..] {
            point = point.with_categorical(block(position, *candidate), "0");
        }
        layers -= stack.len() - 1;
    }
    point
}

/// The candidates that stand at a position, in their order.
fn stack(point: &Point, position: usize, candidates: usize) -> Vec<usize> {
    let number = point.categorical(&order(position)).ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    let chosen = |candidate: &usize| point.categorical(&block(position, *candidate)).is_ok_and(|flag| flag == "1");
    permutation(candidates, number).unwrap_or_default().into_iter().filter(chosen).collect()
}

/// A point that stands for the stacks: of the orders that give a stack, the first.
pub(super) fn encode(stacking: &Stacking, candidates: usize) -> Point {
    let orders: Vec<Vec<usize>> = (0..).map_while(|number| permutation(candidates, number)).collect();
    let mut point = Point::new();
    for (position, stack) in stacking.positions.iter().enumerate() {
        for candidate in 0..candidates {
            let flag = if stack.candidates.contains(&candidate) { "1" } else { "0" };
            point = point.with_categorical(block(position, candidate), flag);
        }
        if orders.len() > 1 {
            let gives = |order: &Vec<usize>| {
                order.iter().filter(|candidate| stack.candidates.contains(candidate)).eq(&stack.candidates)
            };
            let number = orders.iter().position(gives).unwrap_or(0);
            point = point.with_categorical(order(position), number.to_string());
        }
        point = point.with_float(scale(position), stack.scale);
    }
    point
}
