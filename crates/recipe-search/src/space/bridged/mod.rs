//! A space whose recipes are bridged: every gap of a recipe that a point stands for is mended in closed form.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | what the bridges of a study are fitted on, checked before any model runs |
//! | `statistics.rs` | each model's sums over the calibration text, in files |
//! | `files.rs` | the files of the bridges, those used last |
//! | `fits.rs` | the bridges: fitted once for each model and gap |

mod files;
mod fits;
mod plan;
mod statistics;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use layer_ir::Recipe;
use zo_search::{Point, Space, SpaceStructure};

pub(crate) use fits::RecipeBridges;
pub(crate) use plan::BridgePlan;

use super::RecipeSpace;
use super::parameterisation::standing_for;
use crate::Error;

/// A space of any kind, each of whose recipes has bridges over its gaps.
///
/// A point stands for the recipe that it stands for without bridges, mended. As the bridges follow from that recipe,
/// the space has no further dimension. A recipe with other bridges than these is no point of it.
pub(crate) struct BridgedSpace {
    plain: Box<dyn RecipeSpace>,
    bridges: Arc<RecipeBridges>,
}

impl BridgedSpace {
    /// The recipes of a space, bridged.
    pub fn new(plain: Box<dyn RecipeSpace>, bridges: Arc<RecipeBridges>) -> Self {
        Self { plain, bridges }
    }

    /// The space without bridges, whose points are the same ones.
    pub fn plain(&self) -> &dyn RecipeSpace {
        &*self.plain
    }
}

impl RecipeSpace for BridgedSpace {
    fn space(&self) -> &Space {
        self.plain.space()
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        self.bridges.bridge(&self.plain.decode(point)?)
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let point = self.plain.encode(&without_bridges(recipe))?;
        standing_for(self, point, recipe)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        self.plain.layers()
    }

    /// The designs of the space without bridges, mended; none where a bridge cannot be had.
    fn designs(&self, baselines: &[Recipe], sink_makers: &BTreeSet<usize>) -> Vec<Recipe> {
        let baselines: Vec<Recipe> = baselines.iter().map(without_bridges).collect();
        let plain = self.plain.designs(&baselines, sink_makers);
        plain.iter().filter_map(|recipe| self.bridges.bridge(recipe).ok()).collect()
    }

    fn structure(&self) -> SpaceStructure {
        self.plain.structure()
    }
}

/// The recipe without its bridges.
pub(crate) fn without_bridges(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.layers.iter_mut().for_each(|layer| layer.bridge = None);
    recipe
}
