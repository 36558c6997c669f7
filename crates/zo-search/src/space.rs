//! What can vary: typed dimensions, some of which are active only under conditions.

mod assemble;
pub(crate) mod coding;
mod condition;
mod constraint;
mod domain;
mod enumerate;
pub(crate) mod order;
mod point;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use condition::Condition;
pub use constraint::Constraint;
pub use domain::Domain;
pub use point::{Point, PointKey, Value};

use crate::Error;

/// One dimension of a [`Space`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its values.
    pub domain: Domain,
    /// It is active where all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// Crossover moves the dimensions of one bundle together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// What can vary: a list of typed dimensions, parents before children.
///
/// Each of the methods `float` to `permutation` adds a dimension; each of the methods from `when` on changes the one
/// added last. The point of a space has a value for each dimension that is active there, and none for the others.
///
/// The chain of declarations has no error to handle in between: what makes no sense stands in the space until it is
/// looked at. [`Space::build`] looks, and is there to have the error where the space is written. Without it nothing
/// gets past either: [`StrategyKind::build`](crate::StrategyKind::build), [`Study::create`](crate::Study::create),
/// [`Study::resume`](crate::Study::resume), each ask of a strategy, [`Space::sample`] and [`Space::canonical`] give
/// the same error before a point is drawn.
///
/// ```
/// # use zo_search::Space;
/// let mut space = Space::new().subset("remove", 12, 3);
/// for layer in 0..12 {
///     let (sources, bundle) = (format!("layer_{layer}.sources"), format!("layer_{layer}"));
///     space = space
///         .mask(&sources, 3)
///         .when_outside("remove", layer)
///         .in_bundle(&bundle)
///         .float(format!("layer_{layer}.coefficient"), 0.0..=1.0)
///         .when_at_least(&sources, 2)
///         .in_bundle(&bundle);
/// }
/// let space = space.build()?;
/// assert_eq!(space.dimensions().len(), 25);
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// In the order of declaration.
    dimensions: Vec<Dimension>,
    /// What must hold between values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    constraints: Vec<Constraint>,
    /// The last method that had no dimension to change.
    #[serde(skip)]
    stray: Option<&'static str>,
}

/// New dimensions.
impl Space {
    /// A space without dimensions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A real number in a range.
    #[must_use]
    pub fn float(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Self {
        self.dimension(name, Domain::Float { low: *range.start(), high: *range.end(), log: false })
    }

    /// A positive real number of which the order of magnitude is unknown: spread evenly over the logarithm.
    #[must_use]
    pub fn log_float(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Self {
        self.dimension(name, Domain::Float { low: *range.start(), high: *range.end(), log: true })
    }

    /// An integer in a range.
    #[must_use]
    pub fn int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.dimension(name, Domain::Int { low: *range.start(), high: *range.end() })
    }

    /// One of several names without an order.
    #[must_use]
    pub fn categorical<S: Into<String>>(self, name: impl Into<String>, choices: impl IntoIterator<Item = S>) -> Self {
        self.dimension(name, Domain::Categorical { choices: choices.into_iter().map(Into::into).collect() })
    }

    /// Yes or no for each of `n` items.
    #[must_use]
    pub fn mask(self, name: impl Into<String>, n: usize) -> Self {
        self.dimension(name, Domain::Mask { n })
    }

    /// Exactly `k` of the items `0..n`.
    #[must_use]
    pub fn subset(self, name: impl Into<String>, n: usize, k: usize) -> Self {
        self.dimension(name, Domain::Subset { n, k, least: None, always: Vec::new(), never: Vec::new() })
    }

    /// Of the items `0..n`, as many as `sizes` allows.
    #[must_use]
    pub fn subset_of_sizes(self, name: impl Into<String>, n: usize, sizes: RangeInclusive<usize>) -> Self {
        let (k, least) = (*sizes.end(), Some(*sizes.start()).filter(|least| least != sizes.end()));
        self.dimension(name, Domain::Subset { n, k, least, always: Vec::new(), never: Vec::new() })
    }

    /// An order of the items `0..n`.
    #[must_use]
    pub fn permutation(self, name: impl Into<String>, n: usize) -> Self {
        self.dimension(name, Domain::Permutation { n })
    }

    /// Any domain.
    #[must_use]
    pub fn dimension(mut self, name: impl Into<String>, domain: Domain) -> Self {
        self.dimensions.push(Dimension { name: name.into(), domain, when: Vec::new(), bundle: None });
        self
    }
}

/// Changes to the dimension added last.
impl Space {
    /// Active only where `parent` has the value.
    #[must_use]
    pub fn when(self, parent: impl Into<String>, value: impl Into<Value>) -> Self {
        let value = value.into().canonical();
        self.condition("when", Condition::Is { parent: parent.into(), value })
    }

    /// Active only where `parent` has another value than this one.
    #[must_use]
    pub fn unless(self, parent: impl Into<String>, value: impl Into<Value>) -> Self {
        let value = value.into().canonical();
        self.condition("unless", Condition::IsNot { parent: parent.into(), value })
    }

    /// Active only where the item is in the subset `parent`.
    #[must_use]
    pub fn when_inside(self, parent: impl Into<String>, item: usize) -> Self {
        self.condition("when_inside", Condition::Inside { parent: parent.into(), item })
    }

    /// Active only where the item is not in the subset `parent`.
    #[must_use]
    pub fn when_outside(self, parent: impl Into<String>, item: usize) -> Self {
        self.condition("when_outside", Condition::Outside { parent: parent.into(), item })
    }

    /// Active only where at least `count` bits of the mask `parent` are set.
    #[must_use]
    pub fn when_at_least(self, parent: impl Into<String>, count: usize) -> Self {
        self.condition("when_at_least", Condition::AtLeast { parent: parent.into(), count })
    }

    /// Moved by crossover together with the other dimensions of the bundle.
    #[must_use]
    pub fn in_bundle(mut self, bundle: impl Into<String>) -> Self {
        match self.dimensions.last_mut() {
            Some(last) => last.bundle = Some(bundle.into()),
            None => self.stray = Some("in_bundle"),
        }
        self
    }

    /// Items that the subset added last always holds; they count towards its size.
    #[must_use]
    pub fn always(mut self, items: impl IntoIterator<Item = usize>) -> Self {
        match self.dimensions.last_mut().map(|last| &mut last.domain) {
            Some(Domain::Subset { always, .. }) => freeze(always, items),
            _ => self.stray = Some("always"),
        }
        self
    }

    /// Items that the subset added last never holds.
    #[must_use]
    pub fn never(mut self, items: impl IntoIterator<Item = usize>) -> Self {
        match self.dimensions.last_mut().map(|last| &mut last.domain) {
            Some(Domain::Subset { never, .. }) => freeze(never, items),
            _ => self.stray = Some("never"),
        }
        self
    }

    fn condition(mut self, method: &'static str, condition: Condition) -> Self {
        match self.dimensions.last_mut() {
            Some(last) => last.when.push(condition),
            None => self.stray = Some(method),
        }
        self
    }
}

/// Adds items; they stay rising, each once.
fn freeze(frozen: &mut Vec<usize>, items: impl IntoIterator<Item = usize>) {
    frozen.extend(items);
    frozen.sort_unstable();
    frozen.dedup();
}

/// Constraints between dimensions.
impl Space {
    /// No two of these integers or categories are equal.
    #[must_use]
    pub fn distinct<S: Into<String>>(mut self, dimensions: impl IntoIterator<Item = S>) -> Self {
        let dimensions = dimensions.into_iter().map(Into::into).collect();
        self.constraints.push(Constraint::Distinct { dimensions });
        self
    }

    /// Each choice of these categories has a cost, and the costs add up to at most `most`.
    #[must_use]
    pub fn at_most<S: Into<String>>(
        mut self,
        dimensions: impl IntoIterator<Item = S>,
        costs: impl Into<Vec<usize>>,
        most: usize,
    ) -> Self {
        let dimensions = dimensions.into_iter().map(Into::into).collect();
        self.constraints.push(Constraint::AtMost { dimensions, costs: costs.into(), most });
        self
    }
}

/// The whole.
impl Space {
    /// The space, once it is known to make sense.
    ///
    /// # Errors
    /// [`Error::DuplicateDimension`], [`Error::EmptyDimension`], [`Error::UnknownParent`],
    /// [`Error::ImpossibleCondition`] or [`Error::StrayModifier`], each of which names the dimension, and
    /// [`Error::BadConstraint`].
    pub fn build(self) -> Result<Self, Error> {
        self.check()?;
        Ok(self)
    }

    /// The dimensions, parents before children.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// What must hold between the values of several dimensions.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// A hash of all declarations: the same for the same space on every machine.
    #[must_use]
    pub fn hash(&self) -> String {
        // Plain data under string keys: there is nothing in it that JSON cannot write.
        let text = match self.constraints.as_slice() {
            [] => serde_json::to_vec(&self.dimensions),
            constraints => serde_json::to_vec(&(&self.dimensions, constraints)),
        };
        let text = text.unwrap_or_default();
        blake3::hash(&text).to_hex()[..32].to_string()
    }

    /// What [`Space::build`] checks.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(method) = self.stray {
            return Err(Error::StrayModifier { method });
        }
        let mut names = HashSet::new();
        for (position, dimension) in self.dimensions.iter().enumerate() {
            let name = || dimension.name.clone();
            if !names.insert(dimension.name.as_str()) {
                return Err(Error::DuplicateDimension { name: name() });
            }
            if let Some(problem) = dimension.domain.problem() {
                return Err(Error::EmptyDimension { name: name(), problem });
            }
            for condition in &dimension.when {
                let parent = self.dimensions[..position].iter().find(|parent| parent.name == condition.parent());
                let Some(parent) = parent else {
                    return Err(Error::UnknownParent { child: name(), parent: condition.parent().to_string() });
                };
                if !condition.fits(&parent.domain) {
                    let (condition, domain) = (condition.to_string(), parent.domain.to_string());
                    return Err(Error::ImpossibleCondition { child: name(), condition, domain });
                }
            }
        }
        let wrong = self.constraints.iter().find_map(|constraint| Some((constraint, constraint.problem(self)?)));
        match wrong {
            Some((constraint, problem)) => Err(Error::BadConstraint { constraint: constraint.to_string(), problem }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrialId, generator};

    fn refusal(space: Space) -> String {
        space.build().map_or_else(|error| error.to_string(), |_| "accepted".to_string())
    }

    /// Nor does anything panic that looks at one before.
    #[test]
    fn a_space_that_makes_no_sense_is_refused_by_the_name_of_the_dimension() {
        let frozen_twice = Domain::Subset { n: 4, k: 2, least: None, always: vec![1, 1], never: Vec::new() };
        let cases = [
            (Space::new().int("a", 0..=1).int("a", 0..=1), "`a` is declared twice"),
            (Space::new().int("a", RangeInclusive::new(1, 0)), "`a` has no usable value"),
            (Space::new().float("a", 1.0..=0.0), "`a` has no usable value"),
            (Space::new().float("a", 0.0..=f64::NAN), "must be finite"),
            (Space::new().log_float("a", 0.0..=1.0), "above 0"),
            (Space::new().categorical("a", ["x", "y", "x"]), "twice"),
            (Space::new().subset("a", 4, 5), "size does not fit"),
            (Space::new().subset("a", 4, 2).always([0, 1, 2]), "size does not fit"),
            (Space::new().subset_of_sizes("a", 4, RangeInclusive::new(3, 2)), "size does not fit"),
            (Space::new().subset("a", 4, 2).never([4]), "not one of its items"),
            (Space::new().int("b", 0..=1).when("a", 1), "`b` depends on `a`"),
            (Space::new().subset("a", 4, 2).mask("b", 2).when_outside("a", 4), "`b` can never be active"),
            (Space::new().mask("a", 2).mask("b", 2).when_at_least("a", 3), "`b` can never be active"),
            (Space::new().in_bundle("a"), "Space::in_bundle"),
            (Space::new().mask("a", 2).always([1]), "Space::always"),
            (Space::new().dimension("a", frozen_twice), "a frozen item stands there twice"),
            (Space::new().categorical("a", [""; 0]), "no choices"),
        ];
        let mut rng = generator(1, "test", TrialId(0));
        for (space, part) in cases {
            for dimension in space.dimensions() {
                let _ = (dimension.domain.sample(&mut rng), dimension.domain.mutate(&Value::Int(0), &mut rng));
            }
            let _ = space.mutate(&Point::new().with_int("a", 0), 1, &mut rng);
            let refusal = refusal(space);
            assert!(refusal.contains(part), "`{refusal}` does not say `{part}`");
        }
    }

    #[test]
    fn the_hash_knows_every_declaration() {
        let space = || Space::new().mask("a", 2);
        let all = [space(), space().in_bundle("x"), space().mask("b", 2), Space::new().mask("a", 3)];
        let hashes: HashSet<String> = all.iter().map(Space::hash).collect();
        assert_eq!(hashes.len(), all.len());
        assert_eq!(space().hash(), space().hash());
    }
}
