//! What a search moves in: spaces of points, and the recipes that the points stand for.

mod prune;
mod removal_orders;
mod settings;

use layer_ir::Recipe;
use zo_search::{AdditiveGpSearch, Point, Space};

pub use prune::PruneSpace;
pub(crate) use prune::spread;
pub use removal_orders::{RemovalOrder, removal_orders};
pub use settings::{EndsSetting, Remove, SpaceSettings};

use crate::Error;

/// What a search moves in: points, and the recipes that they stand for.
///
/// A space of your own implements this and goes into [`crate::Search::with_space`].
pub trait RecipeSpace: Send {
    /// The dimensions.
    fn space(&self) -> &Space;
    /// The recipe that a point stands for.
    ///
    /// # Errors
    /// When the point is not one of [`RecipeSpace::space`].
    fn decode(&self, point: &Point) -> Result<Recipe, Error>;
    /// A point that decodes to `recipe`.
    ///
    /// # Errors
    /// [`Error::NotInSpace`] when there is none.
    fn encode(&self, recipe: &Recipe) -> Result<Point, Error>;
    /// Recipes that are good to begin with, the most promising first. `removals` are sets of layers that some method
    /// of removal would choose, the best first; a set may stand there twice.
    fn designs(&self, removals: &[Vec<usize>]) -> Vec<Recipe>;
    /// [`AdditiveGpSearch`] over this space, told what is known of it: which values mean nearly the same, and which point costs little
    /// where another one was scored before. By default nothing is.
    fn tailor_search(&self, seed: u64) -> AdditiveGpSearch {
        AdditiveGpSearch::new(self.space().clone(), seed)
    }
}
