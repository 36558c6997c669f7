//! What is known of a space beyond its declaration.

use std::fmt;
use std::sync::Arc;

use crate::{Point, Value};

/// What a bundle's values mean, as a vector: near ones have nearly the same effect.
pub(super) type Embedding = dyn Fn(&[Option<Value>]) -> Vec<f64> + Send + Sync;
/// The share of an evaluation's work at the first point that is left when the second one was evaluated before: 0 to 1.
pub(super) type Price = dyn Fn(&Point, &Point) -> f64 + Send + Sync;

/// What is known of a space beyond its declaration: which values mean nearly the same, and which points are cheap.
///
/// ```
/// # use zo_search::{AdditiveGpSearch, Space, SpaceStructure, Value};
/// let space = Space::new().subset("remove", 4, 1);
/// let space = (0..4).fold(space, |space, layer| {
///     space.categorical(format!("layer_{layer}"), ["base", "math", "maths"]).when_outside("remove", layer)
/// });
/// // "math" and "maths" do nearly the same.
/// let is_base = |values: &[Option<Value>]| vec![f64::from(values[0] == Some("base".into()))];
/// let search = AdditiveGpSearch::new(space, 7).with_structure(SpaceStructure::new().with_embedding(is_base));
/// ```
#[derive(Clone, Default)]
pub struct SpaceStructure {
    pub(super) embedding: Option<Arc<Embedding>>,
    pub(super) price: Option<Arc<Price>>,
    pub(super) cost_exponent: f64,
}

impl SpaceStructure {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a meaning for the values of an item's dimensions (in the order of their declaration, none where one is
    /// inactive): a vector, of one length for all, in which what has nearly the same effect is nearer than 0.5.
    /// Without, each value is a coordinate of its own.
    #[must_use]
    pub fn with_embedding(mut self, embedding: impl Fn(&[Option<Value>]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.embedding = Some(Arc::new(embedding));
        self
    }

    /// With the price of a point (the first) where another one was evaluated before (the second): the share, 0 to 1,
    /// of the work that is left. A point's expected improvement is divided by the `cost_exponent`-th power of its
    /// lowest price beside the best points; the exponent is 0 to 1, and 0 makes the price meaningless.
    #[must_use]
    pub fn with_price(
        mut self,
        price: impl Fn(&Point, &Point) -> f64 + Send + Sync + 'static,
        cost_exponent: f64,
    ) -> Self {
        self.price = Some(Arc::new(price));
        self.cost_exponent = cost_exponent;
        self
    }
}

impl fmt::Debug for SpaceStructure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceStructure")
            .field("embedding", &self.embedding.is_some())
            .field("price", &self.price.is_some())
            .finish_non_exhaustive()
    }
}
