//! What a search moves in: spaces of points, and the recipes that the points stand for.

mod bridged;
mod dis;
mod fold;
mod lfs;
mod parameterisation;
mod prune;
mod settings;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use layer_ir::{Family, Recipe};
use tailor_registry::{Entry, Registry, Settings};
use zo_search::{Point, Space, SpaceStructure};

pub(crate) use bridged::{BridgePlan, BridgedSpace, RecipeBridges, without_bridges};
pub use dis::{DisSettings, DisSpace, ScaleSite};
pub use fold::{FoldSettings, FoldSpace};
pub use lfs::{LfsSettings, LfsSpace};
pub use parameterisation::Parameterisation;
pub(crate) use prune::spread;
pub use prune::{OuterSetting, PruneSettings, PruneSpace, ReferencePrune, RemovalOrder, Remove, removal_orders};
pub use settings::{BridgeMethod, SpaceSettings};

use crate::Error;

/// What a search moves in: points, and the recipes that they stand for.
///
/// Law, tried by [`testing::check_space`](crate::testing::check_space) on yours too: what `encode` gives for a
/// recipe is a point that stands for that recipe, `decode(encode(r)?)?.key() == r.key()`, and it gives one for every
/// recipe that `decode` gives.
pub trait RecipeSpace: Send {
    /// The dimensions.
    fn space(&self) -> &Space;

    /// The recipe that a point stands for.
    ///
    /// # Errors
    /// When the point is not one of [`RecipeSpace::space`].
    fn decode(&self, point: &Point) -> Result<Recipe, Error>;

    /// A point that stands for `recipe`.
    ///
    /// # Errors
    /// [`Error::NotInSpace`] or [`Error::NoPoint`] when there is none.
    fn encode(&self, recipe: &Recipe) -> Result<Point, Error>;

    /// How many layers its recipes have; [`None`] (the default) when that is not known. The baselines are made with
    /// as many.
    fn layers(&self) -> Option<RangeInclusive<usize>> {
        None
    }

    /// Recipes that are good to begin with, the most promising first. `baselines` are models with some of their
    /// layers removed, the best first; `sink_makers` are layers that make an attention sink, which a recipe of no trial
    /// should keep. By default there are none.
    fn designs(&self, baselines: &[Recipe], sink_makers: &BTreeSet<usize>) -> Vec<Recipe> {
        let _ = (baselines, sink_makers);
        Vec::new()
    }

    /// What is known of the space beside its dimensions, for strategies that can use it. By default nothing.
    fn structure(&self) -> SpaceStructure {
        SpaceStructure::default()
    }
}

/// A kind of space, as a study names it: `[space] kind = "..."`, the other keys its parameters.
pub trait SpaceKind: Entry + Send + Sync {
    /// Whether the parameters make sense by themselves, before any model is opened. By default they do.
    ///
    /// # Errors
    /// [`Error::StudyValue`] names the key.
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        let _ = settings;
        Ok(())
    }

    /// The space over some models.
    ///
    /// # Errors
    /// When the models and the parameters do not fit together.
    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error>;
}

/// The spaces of this crate.
#[must_use]
pub fn standard_spaces() -> Registry<dyn SpaceKind> {
    let rows: [Box<dyn SpaceKind>; 4] =
        [Box::new(prune::Prune), Box::new(fold::Fold), Box::new(lfs::Lfs), Box::new(dis::Dis)];
    Registry::with_rows("space", rows)
}
